//! Lists by keys with windows show what a filter of all rows would show, whatever the clocks of the nodes that wrote them said within
//! an hour of each other.

use circolo_domain::access::Key;
use circolo_projections::{
    Db, Dialect, Row,
    audience::{Order, Readable},
    feeds::{self, FeedItemRow},
    listings::ListingRow,
    questions::QuestionRow,
};
use circolo_tests::million::{Content, filled};
use proptest::prelude::*;
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
};

const MINUTE: i64 = 60_000_000;
const EPOCH: i64 = 1_000_000 * MINUTE;
/// Half of the hour by which two clocks may differ.
const ASTRAY: i64 = 29;

/// A thing; its place in the log is its place in the list, from 1.
#[derive(Debug, Clone)]
struct Thing {
    /// Which era of the one group.
    era: u32,
    written: i64,
    shown: bool,
    price: i64,
}

/// What a reader asks for.
#[derive(Debug, Clone)]
struct Asked {
    keys: Vec<Key>,
    before: Option<i64>,
    /// Price and position of the row before a page by price.
    after: Option<(i64, i64)>,
    limit: i64,
}

/// Things one after the other, some minutes apart or hours, each written by a clock of its own.
fn things() -> impl Strategy<Value = Vec<Thing>> {
    let thing = (0..4_u32, prop_oneof![0..3_i64, 0..90_i64], -ASTRAY..=ASTRAY, 0..5_u8, 0..6_i64);
    (any::<bool>(), prop::collection::vec(thing, 1..120)).prop_map(|(agreed, all)| {
        let mut now = EPOCH;
        let made = all.into_iter().map(|(era, later, astray, shown, price)| {
            now += later * MINUTE;
            let written = now + if agreed { 0 } else { astray * MINUTE };
            Thing { era, written, shown: shown > 0, price }
        });
        made.collect()
    })
}

/// Keys to some of the stretches between moments, which begin and end where they do or never; few or many, long or short.
fn asked() -> impl Strategy<Value = Asked> {
    let moments = prop::collection::btree_set(prop_oneof![0..200_i64, 0..3_000_i64], 0..12);
    let of_era = (moments, any::<u16>(), prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    let keys = prop::collection::vec(of_era, 1..5).prop_map(|eras| {
        let windows = |(era, (moments, open, endless, always)): (u32, (std::collections::BTreeSet<i64>, u16, bool, bool))| {
            let key = Key::always("group:g".into(), era, era);
            if always {
                return vec![key];
            }
            let mut bounds: Vec<i64> = moments.into_iter().map(|minute| EPOCH + minute * MINUTE).collect();
            if endless {
                bounds.push(i64::MAX);
            }
            let open = |(n, _): &(usize, _)| open >> n & 1 == 1;
            let stretches = bounds.windows(2).enumerate().filter(open);
            stretches.map(|(_, bound)| Key { since: bound[0], until: bound[1], ..key.clone() }).collect()
        };
        (0..).zip(eras).flat_map(windows).collect()
    });
    let before = prop::option::of(0..130_i64);
    let after = prop::option::of((0..6_i64, 0..130_i64));
    (keys, before, after, 1..25_i64).prop_map(|(keys, before, after, limit)| Asked { keys, before, after, limit })
}

/// SQL that gives each of `things` what `of` says of it.
fn each(things: &[Thing], of: impl Fn(&Thing) -> String) -> String {
    let mut sql = "CASE n".to_owned();
    for (n, thing) in (1..).zip(things) {
        let _ = write!(sql, " WHEN {n} THEN {}", of(thing));
    }
    sql + " END"
}

/// The same things as questions, in a feed and in a catalogue.
fn content(things: &[Thing]) -> Vec<Content> {
    let count = i64::try_from(things.len()).unwrap();
    let audience = || ("audience", each(things, |thing| format!("'group:g:{}'", thing.era)));
    let written = |column| (column, each(things, |thing| thing.written.to_string()));
    let shown = |column| (column, each(things, |thing| i32::from(thing.shown).to_string()));
    let status = ("status", each(things, |thing| if thing.shown { "'for_sale'" } else { "'sold'" }.to_owned()));
    let price = ("price", each(things, |thing| thing.price.to_string()));
    vec![
        (FeedItemRow::TABLE, count, vec![("id", "'row ' || n".to_owned()), audience(), written("written"), shown("shown")]),
        (QuestionRow::TABLE, count, vec![audience(), written("asked"), shown("answered")]),
        (ListingRow::TABLE, count, vec![audience(), written("listed"), status, price]),
    ]
}

impl Asked {
    /// Price and position of what is shown and may be read, by a look at each thing.
    fn readable(&self, things: &[Thing], shown: Option<bool>) -> Vec<(i64, i64)> {
        let opened = |thing: &Thing| self.keys.iter().any(|key| key.opens(&format!("group:g:{}", thing.era), thing.written));
        let all = (1..).zip(things).filter(|(_, thing)| shown.is_none_or(|shown| thing.shown == shown) && opened(thing));
        all.map(|(position, thing)| (thing.price, position)).collect()
    }

    fn cut(&self, mut positions: Vec<i64>) -> Vec<i64> {
        positions.truncate(usize::try_from(self.limit).unwrap());
        positions
    }

    fn newest(&self, things: &[Thing], shown: Option<bool>) -> Vec<i64> {
        let before = self.before.unwrap_or(i64::MAX);
        let positions = self.readable(things, shown).into_iter().map(|(_, position)| position).filter(|position| *position < before);
        self.cut(positions.rev().collect())
    }

    fn by_price(&self, things: &[Thing], descending: bool) -> Vec<i64> {
        let mut all = self.readable(things, Some(true));
        all.retain(|row| self.after.is_none_or(|after| if descending { *row < after } else { *row > after }));
        all.sort_unstable();
        if descending {
            all.reverse();
        }
        self.cut(all.into_iter().map(|(_, position)| position).collect())
    }

    async fn questions(&self, db: &Db, filter: &str) -> Vec<i64> {
        let table = Readable { table: "questions_v2", written: "asked", filter };
        match table.newest(&self.keys, self.before, self.limit) {
            Some((part, params)) => {
                let found: Vec<(String, i64)> = db.query(part.within(str::to_owned), params).await.unwrap();
                found.into_iter().map(|(_, position)| position).collect()
            }
            None => vec![],
        }
    }

    async fn listings(&self, db: &Db, order: &Order) -> Vec<i64> {
        let table = Readable { table: "listings_v2", written: "listed", filter: " AND t.status = $1" };
        match table.page(&self.keys, order, vec!["for_sale".into()], self.limit) {
            Some((part, params)) => {
                let found =
                    |ids: &str| format!("SELECT q.id, q.position FROM ({ids}) i JOIN listings_v2 q ON q.id = i.id {}", order.by("q"));
                let found: Vec<(String, i64)> = db.query::<(String, i64)>(part.within(found), params).await.unwrap();
                found.into_iter().map(|(_, position)| position).collect()
            }
            None => vec![],
        }
    }

    /// What differs from a look at each thing, if anything.
    async fn compare(&self, db: &Db, things: &[Thing]) -> Result<usize, TestCaseError> {
        let mut shown = 0;
        let feed: Vec<i64> =
            feeds::newest(db, &self.keys, self.before, self.limit).await.unwrap().into_iter().map(|item| item.position).collect();
        let mut all = vec![("feed".to_owned(), feed, self.newest(things, Some(true)))];
        for (filter, wanted) in [("", None), (" AND t.answered = 0", Some(false)), (" AND t.answered <> 0", Some(true))] {
            all.push((format!("questions{filter}"), self.questions(db, filter).await, self.newest(things, wanted)));
        }
        let newest = Order { columns: &["position"], descending: true, after: self.before.into_iter().collect() };
        all.push(("catalogue".to_owned(), self.listings(db, &newest).await, self.newest(things, Some(true))));
        for descending in [false, true] {
            let after = self.after.map_or(vec![], |(price, position)| vec![price, position]);
            let order = Order { columns: &["price", "position"], descending, after };
            all.push((format!("catalogue by price, {descending}"), self.listings(db, &order).await, self.by_price(things, descending)));
        }
        for (name, found, expected) in all {
            shown += found.len();
            prop_assert_eq!(found, expected, "{} on {:?}", name, db.dialect());
        }
        Ok(shown)
    }
}

fn check(dialect: Dialect, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let (shown, skipped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    proptest!(config, |(things in things(), all in prop::collection::vec(asked(), 12))| {
        runtime.block_on(async {
            let Some((db, _dir)) = filled(content(&things), dialect).await else {
                skipped.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            };
            for asked in &all {
                shown.fetch_add(asked.compare(&db, &things).await?, Ordering::Relaxed);
            }
            Ok::<(), TestCaseError>(())
        })?;
    });
    let shown = shown.into_inner();
    assert!(skipped.into_inner() > 0 || shown > 1_000, "{shown} rows shown: the cases are too plain");
}

#[test]
fn windows_show_what_a_filter_would_on_sqlite() {
    check(Dialect::Sqlite, 60);
}

#[test]
fn windows_show_what_a_filter_would_on_postgres() {
    check(Dialect::Postgres, 20);
}
