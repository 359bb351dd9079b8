//! Feeds and threads over a million things: their plans walk no large table, and they answer at once, also to who reads little.

use crate::million::{Content, filled, group, id, person};
use crate::plans::Checked;
use circolo_domain::{CommentId, PersonId, PostId, access::Key};
use circolo_projections::{
    Db, Dialect, Row,
    comments::{self, CommentRow, List},
    feeds::{self, FeedItemRow},
    pages::PageRow,
    people::PersonRow,
    posts::{self, PostRow, PostStatsRow},
    reactions::{ReactionCountsRow, ReactionRow},
};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const ITEMS: i64 = 1_000_000;
/// What the first five groups, the quiet ones, hold: the oldest of all.
const QUIET: i64 = 15;
/// Half of everything is in this group.
const BIG: i64 = 6;
const POSTS: i64 = 20_000;
const COMMENTS: i64 = 100_000;
/// What a home feed takes at most, when nobody else is at work, in a build without optimisation.
const HOME: Duration = Duration::from_millis(50);

#[tokio::test]
async fn feeds_stay_on_their_indexes_on_sqlite() {
    feeds_stay_on_their_indexes(Dialect::Sqlite).await;
}

#[tokio::test]
async fn feeds_stay_on_their_indexes_on_postgres() {
    feeds_stay_on_their_indexes(Dialect::Postgres).await;
}

fn content() -> Vec<Content> {
    let audience = |of: &str| format!("'group:' || {} || ':0'", id('1', of));
    let of = format!("CASE WHEN n <= {QUIET} THEN 1 + n % 5 WHEN n % 2 = 0 THEN {BIG} ELSE 7 + (n / 2) % 1993 END");
    // Half of the comments are on the first post; half of its rest are replies to the first comment.
    let thread = format!("CASE WHEN n <= {} THEN {} ELSE {} END", COMMENTS / 2, id('4', "1"), id('4', "1 + n % 19999"));
    vec![
        (
            FeedItemRow::TABLE,
            ITEMS,
            vec![
                ("id", id('4', "n")),
                ("kind", "'post'".to_owned()),
                ("audience", audience(&of)),
                ("shown", "CASE WHEN n % 100 = 3 THEN 0 ELSE 1 END".to_owned()),
                ("written", "n * 1000000".to_owned()),
            ],
        ),
        (PostRow::TABLE, POSTS, vec![("id", id('4', "n")), ("author", id('2', "1 + n % 999"))]),
        (PostStatsRow::TABLE, POSTS, vec![("id", id('4', "n"))]),
        (ReactionCountsRow::TABLE, POSTS, vec![("id", id('4', "n"))]),
        (ReactionRow::TABLE, POSTS, vec![("id", format!("{} || '.' || {}", id('4', "n"), id('2', "1")))]),
        (PersonRow::TABLE, 50_000, vec![("id", id('2', "n"))]),
        (PageRow::TABLE, 50_000, vec![("id", id('5', "n"))]),
        (
            CommentRow::TABLE,
            COMMENTS,
            vec![
                ("thread", thread),
                ("audience", audience("6")),
                ("written", "n * 1000000".to_owned()),
                ("author", id('2', "1 + n % 999")),
            ],
        ),
    ]
}

fn numbered(n: i64) -> Uuid {
    format!("00000004-0000-0000-0000-{n:012}").parse().unwrap()
}

fn key(of: i64, since: i64, until: i64) -> Key {
    Key { audience: format!("group:{}:0", group(of)), since, until }
}

fn keys(groups: impl Iterator<Item = i64>) -> Vec<Key> {
    groups.map(|of| key(of, i64::MIN, i64::MAX)).collect()
}

async fn feeds_stay_on_their_indexes(dialect: Dialect) {
    let Some((db, _dir)) = filled(content(), dialect).await else { return };
    let mut checked = Checked::new(db.clone());
    let second = 1_000_000;
    let (many, all) = (keys(1..=300), keys(1..=1_000));
    let (quiet, big) = (keys(1..=5), keys(BIG..=BIG));
    let since = |moments| many.iter().map(|key| Key { since: moments, ..key.clone() }).collect::<Vec<_>>();
    let (late, last, past) = (since((ITEMS - 3) * second), since(ITEMS * second + 1), vec![key(BIG, 100 * second, 120 * second)]);
    for (name, keys, before, rows) in [
        ("home feed of 300 groups", &many, None, 20),
        ("home feed of 300 groups, deep", &many, Some(ITEMS / 2), 20),
        ("home feed of 300 groups, the end", &many, Some(10), 8),
        ("home feed of 1,000 groups", &all, None, 20),
        ("home feed of five quiet groups", &quiet, None, 14),
        ("home feed of five quiet groups, deep", &quiet, Some(8), 6),
        ("home feed of 300 groups, since a moment ago", &late, None, 2),
        ("home feed of 300 groups, nothing to read", &last, None, 0),
        ("feed of the big group", &big, None, 20),
        ("feed of ten long ago in the big group", &past, None, 10),
    ] {
        checked.check(name, rows, async |db: &Db| feeds::newest(db, keys, before, 20).await.unwrap()).await;
    }
    let reader = Some(PersonId(person(1)));
    let ids: Vec<String> = (1..=20).map(|n| numbered(n * 900).to_string()).collect();
    checked.check("posts of a page", 20, async |db: &Db| posts::by_ids(db, ids.clone(), reader).await.unwrap()).await;
    for (name, after, rows) in [("comments", None, 20), ("comments, deep", Some(COMMENTS / 2 - 5), 8)] {
        let page = List { post: PostId(numbered(1)), reply_to: None, after, limit: 20 };
        checked.check(name, rows, async |db: &Db| comments::list(db, &big, reader, &page).await.unwrap()).await;
    }
    let replies = List { post: PostId(numbered(1)), reply_to: Some(CommentId(numbered(7))), after: None, limit: 20 };
    checked.check("replies", 2, async |db: &Db| comments::list(db, &big, reader, &replies).await.unwrap()).await;
    for (name, keys) in [("300 groups", &many), ("five quiet groups", &quiet)] {
        let mut taken = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            feeds::newest(&db, keys, None, 21).await.unwrap();
            taken.push(began.elapsed());
        }
        taken.sort_unstable();
        eprintln!("{dialect:?}: home feed of {name}: fastest {:?}, median {:?}", taken[0], taken[25]);
        // The fastest: how busy the machine is else is not what is tested.
        assert!(taken[0] < HOME, "{dialect:?}: home feed of {name}: {:?}", taken[0]);
    }
    assert!(checked.wrong.is_empty(), "{}", checked.wrong.join("\n\n"));
}
