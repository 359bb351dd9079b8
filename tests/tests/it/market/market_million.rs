//! Catalogues, the inbox, response rates and comments without an answer over a million rows: their plans walk no large table, and
//! they answer at once.

use crate::plans::{Checked, stays, thousand_eras, thousand_windows};
use circolo_domain::{ListingId, PageId, PersonId, Timestamp, access::Key, conversation::Status};
use circolo_projections::{
    Db, Dialect, Row,
    catalogue::{self, Catalogue, Sort},
    conversations::{self, ConversationRow, MessageRow},
    figures::Viewer,
    listings::{ListingRow, SellerGroupRow},
    memberships::MembershipRow,
    page_comments::{self, PageCommentRow, RemovedPostRow, Written},
    pages::{self, FanRow, PageRow, PageStatsRow, StaffRow},
    people::PersonRow,
    response_rates,
    sellers::SellerOpenGroupRow,
};
use circolo_tests::million::{Content, filled, group, id, person};
use uuid::Uuid;

const LISTINGS: i64 = 400_000;
const CONVERSATIONS: i64 = 150_000;
const MESSAGES: i64 = 300_000;
const COMMENTS: i64 = 150_000;
const PEOPLE: i64 = 50_000;
/// Half of everything is the first group's, the first page's and the first conversation's; the rest is spread over so many.
const OTHERS: i64 = 999;
/// Microseconds from one row to the next.
const STEP: i64 = 1_000_000;

#[tokio::test]
async fn catalogues_and_inboxes_stay_on_their_indexes_on_sqlite() {
    stay_on_their_indexes(Dialect::Sqlite).await;
}

#[tokio::test]
async fn catalogues_and_inboxes_stay_on_their_indexes_on_postgres() {
    stay_on_their_indexes(Dialect::Postgres).await;
}

fn page(n: i64) -> PageId {
    PageId(numbered('5', n))
}

fn numbered(kind: char, n: i64) -> Uuid {
    format!("0000000{kind}-0000-0000-0000-{n:012}").parse().unwrap()
}

fn content() -> Vec<Content> {
    let half = |count: i64| format!("CASE WHEN n <= {} THEN 1 ELSE 2 + n % {OTHERS} END", count / 2);
    let every = |count: i64, then: &str, other: &str| format!("CASE WHEN n % {count} = 0 THEN '{then}' ELSE '{other}' END");
    let time = format!("n * {STEP}");
    let conversation = |n: &str| format!("{} || '.' || {}", id('5', &half(MESSAGES)), id('2', n));
    let message = vec![
        ("conversation_id", conversation(&format!("CASE WHEN n <= {} THEN 1 ELSE 2 + n % {} END", MESSAGES / 4, PEOPLE - 2))),
        ("page_id", id('5', &half(MESSAGES))),
        ("side", every(2, "page", "person")),
        ("author", id('2', "1 + n % 999")),
        ("sent", time.clone()),
        ("opens", "CASE WHEN n % 4 = 1 THEN 1 ELSE 0 END".to_owned()),
        ("opener", "'person'".to_owned()),
    ];
    let comment = vec![
        ("id", id('7', "n")),
        ("page_id", id('5', &half(COMMENTS))),
        ("author", id('2', "1 + n % 999")),
        ("written", time.clone()),
        ("unanswered", "CASE WHEN n % 1000 = 3 THEN 1 ELSE 0 END".to_owned()),
        ("private_open", "CASE WHEN n % 2 = 1 THEN 1 ELSE 0 END".to_owned()),
    ];
    let talk = vec![
        ("id", format!("{} || '.' || {}", id('5', &half(CONVERSATIONS)), id('2', "n"))),
        ("page_id", id('5', &half(CONVERSATIONS))),
        ("person_id", id('2', "n")),
        ("status", every(1_000, "spam", "open")),
        ("last_message", "'row ' || n".to_owned()),
        ("last_sent", time),
    ];
    vec![
        (PersonRow::TABLE, PEOPLE, vec![("id", id('2', "n"))]),
        (PageRow::TABLE, PEOPLE, vec![("id", id('5', "n"))]),
        (PageStatsRow::TABLE, PEOPLE, vec![("id", id('5', "n"))]),
        (StaffRow::TABLE, PEOPLE, vec![("page_id", id('5', "n")), ("person_id", id('2', "n"))]),
        (
            FanRow::TABLE,
            PEOPLE,
            vec![("page_id", id('5', "1 + n % 9")), ("person_id", id('2', "1 + n % 9999")), ("followed_position", "n".to_owned())],
        ),
        (ConversationRow::TABLE, CONVERSATIONS, talk),
        (MessageRow::TABLE, MESSAGES, message),
        (PageCommentRow::TABLE, COMMENTS, comment),
        (RemovedPostRow::TABLE, PEOPLE, vec![("id", id('4', "n"))]),
    ]
}

/// What is offered, by whom, and who may look there.
fn market() -> Vec<Content> {
    let half = |count: i64| format!("CASE WHEN n <= {} THEN 1 ELSE 2 + n % {OTHERS} END", count / 2);
    let every = |count: i64, then: &str, other: &str| format!("CASE WHEN n % {count} = 0 THEN '{then}' ELSE '{other}' END");
    let listing = vec![
        ("id", id('6', "n")),
        ("group_id", id('1', &half(LISTINGS))),
        ("audience", format!("'group:' || {} || ':0'", id('1', &half(LISTINGS)))),
        ("seller", id('2', &format!("CASE WHEN n % 100 = 7 THEN 1 ELSE 2 + n % {} END", PEOPLE - 2))),
        ("category", every(500, "rare", "common")),
        ("condition", every(2, "new", "used")),
        ("currency", "'EUR'".to_owned()),
        ("price", "n % 1000".to_owned()),
        ("status", every(10, "sold", "for_sale")),
        ("pickup", "CASE WHEN n % 2 = 0 THEN 'here' END".to_owned()),
        ("listed", format!("n * {STEP}")),
    ];
    let memberships = vec![
        ("person_id", id('2', "1 + n % 999")),
        ("group_id", id('1', "n")),
        ("inside", "1".to_owned()),
        ("member_position", "n".to_owned()),
    ];
    vec![
        (ListingRow::TABLE, LISTINGS, listing),
        (SellerOpenGroupRow::TABLE, PEOPLE, vec![("seller", id('2', "1 + n % 99")), ("group_id", id('1', "n"))]),
        (MembershipRow::TABLE, PEOPLE, memberships),
        (SellerGroupRow::TABLE, PEOPLE, vec![("id", format!("{} || '.' || {}", id('2', "1 + n % 99"), id('1', "n")))]),
    ]
}

fn keys(groups: impl Iterator<Item = i64>) -> Vec<Key> {
    groups.map(|of| Key::always(format!("group:{}", group(of)), 0, 0)).collect()
}

/// Keys to what was written after the first microsecond.
fn windows(groups: impl Iterator<Item = i64>) -> Vec<Key> {
    keys(groups).into_iter().map(|key| Key { since: 1, ..key }).collect()
}

async fn stay_on_their_indexes(dialect: Dialect) {
    let Some((db, _dir)) = filled([market(), content()].concat(), dialect).await else { return };
    let mut checked = Checked::new(db);
    check_catalogues(&mut checked).await;
    check_pages(&mut checked).await;
    check_inbox(&mut checked).await;
    assert!(checked.wrong.is_empty(), "{}", checked.wrong.join("\n\n"));
}

async fn check_catalogues(checked: &mut Checked) {
    let all = || Catalogue { limit: 20, ..Catalogue::default() };
    let of = |category: &str| Catalogue { category: Some(category.to_owned()), ..all() };
    let priced = |sort| Catalogue { currency: Some("EUR".to_owned()), sort, ..all() };
    let cheap = |sort| Catalogue { max_price: Some(10), ..priced(sort) };
    let big = keys(1..=1);
    let (many, eras) = (keys(1..=100), thousand_eras(1));
    let (minutes, thousand) = (stays(1, LISTINGS / 2), thousand_windows(1, LISTINGS / 2));
    let long_ago = minutes[..1].to_vec();
    for (name, keys, rows, catalogue) in [
        ("catalogue", &big, 20, all()),
        ("catalogue, deep", &big, 20, Catalogue { after: Some((0, LISTINGS / 4)), ..all() }),
        ("catalogue, sold", &big, 20, Catalogue { sold: true, ..all() }),
        ("catalogue, a rare category", &big, 0, of("rare")),
        ("catalogue, a rare category, sold", &big, 20, Catalogue { sold: true, ..of("rare") }),
        ("catalogue, no such category", &big, 0, of("none")),
        ("catalogue, cheapest", &big, 20, priced(Sort::PriceAsc)),
        ("catalogue, dearest", &big, 20, priced(Sort::PriceDesc)),
        ("catalogue, cheap", &big, 20, cheap(Sort::PriceDesc)),
        ("catalogue, cheapest of a category", &big, 20, Catalogue { category: Some("common".to_owned()), ..cheap(Sort::PriceAsc) }),
        ("catalogue, new and to pick up", &big, 20, Catalogue { condition: Some("new".to_owned()), pickup: Some(true), ..all() }),
        ("catalogue of many eras", &many, 20, all()),
        ("catalogue of a thousand eras", &eras, 20, all()),
        ("catalogue of a thousand eras, cheapest", &eras, 20, priced(Sort::PriceAsc)),
        ("catalogue of a minute long ago", &long_ago, 20, all()),
        ("catalogue of a minute long ago, cheapest", &long_ago, 20, priced(Sort::PriceAsc)),
        ("catalogue of twenty windows", &minutes, 20, all()),
        ("catalogue of twenty windows, cheapest", &minutes, 20, priced(Sort::PriceAsc)),
        ("catalogue of a thousand windows", &thousand, 20, all()),
        ("catalogue of a thousand windows, cheapest", &thousand, 20, priced(Sort::PriceAsc)),
        ("catalogue of many groups, dearest", &keys(1..=1_000), 20, priced(Sort::PriceDesc)),
    ] {
        checked.check(name, rows, async |db: &Db| catalogue::of_group(db, Viewer { person: None, keys }, &catalogue).await.unwrap()).await;
    }
    let seller = |n: i64| PersonId(person(n));
    for (name, of, keys, rows, catalogue) in [
        ("a seller's catalogue", 1, &many, 20, all()),
        ("a seller's catalogue, cheapest", 1, &many, 20, priced(Sort::PriceAsc)),
        ("a seller's catalogue, of a thousand eras", 1, &eras, 20, all()),
        ("a small seller's catalogue", 77, &keys(1..=1_000), 8, all()),
        ("a seller's catalogue, by windows", 1, &windows(1..=1_000), 20, all()),
        ("what a seller has elsewhere", 1, &keys(2_000..=3_000), 0, all()),
    ] {
        checked
            .check(name, rows, async |db: &Db| {
                catalogue::of_seller(db, seller(of), Viewer { person: None, keys }, &catalogue).await.unwrap()
            })
            .await;
    }
    // A group in 99 is one of the seller's, and one in 999 one of the reader's.
    let groups = async |db: &Db| catalogue::groups_of_seller(db, seller(3), PersonId(person(5))).await.unwrap();
    checked.check("groups of a seller", usize::try_from(PEOPLE / 99 + 1).unwrap(), groups).await;
    let one = ListingId(numbered('6', 8));
    checked
        .check("listing", 1, async |db: &Db| {
            catalogue::find(db, one, Viewer { person: None, keys: &big }).await.unwrap().into_iter().collect()
        })
        .await;
}

async fn check_pages(checked: &mut Checked) {
    for (name, before) in [("pages", None), ("pages, deep", Some(PEOPLE / 2))] {
        checked.check(name, 20, async |db: &Db| pages::list(db, before, 20).await.unwrap()).await;
    }
    checked.check("staff", 1, async |db: &Db| pages::staff(db, page(3)).await.unwrap()).await;
    checked.check("followed by", 5, async |db: &Db| pages::followed_by(db, PersonId(person(7))).await.unwrap()).await;
}

async fn check_inbox(checked: &mut Checked) {
    for (name, status, before, rows) in [
        ("inbox", Status::Open, None, 20),
        ("inbox, deep", Status::Open, Some(CONVERSATIONS / 4), 20),
        ("inbox, spam", Status::Spam, None, 20),
        ("inbox, done", Status::Done, None, 0),
    ] {
        checked.check(name, rows, async |db: &Db| conversations::inbox(db, page(1), status, before, 20).await.unwrap()).await;
    }
    for (name, before) in [("messages", None), ("messages, deep", Some(MESSAGES / 8))] {
        let messages = async |db: &Db| conversations::messages(db, page(1), PersonId(person(1)), before, 20).await.unwrap();
        checked.check(name, 20, messages).await;
    }
    let now = Timestamp::from_micros(MESSAGES / 3 * STEP);
    checked.check("messages explained", 20, async |db: &Db| response_rates::incoming(db, page(1), now, None, 20).await.unwrap()).await;
    for (name, of, before, rows) in [("unanswered comments", 1, None, 20), ("unanswered comments, few", 5, None, 0)] {
        checked.check(name, rows, async |db: &Db| page_comments::unanswered(db, page(of), before, 20).await.unwrap()).await;
    }
    let written = Written { after: Timestamp::from_micros(10 * STEP), until: Timestamp::from_micros(COMMENTS / 2 * STEP) };
    let expiring = async |db: &Db| page_comments::to_answer_in_private(db, page(1), written, None, 20).await.unwrap();
    checked.check("expiring replies", 20, expiring).await;
}
