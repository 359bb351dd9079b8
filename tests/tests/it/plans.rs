//! The list queries of groups, members, questions and answers over a million rows: its plan walks no large table, and it answers at once, also to who may read little.

use circolo_domain::{GroupId, PersonId, QuestionId, Timestamp, access::Key};
use circolo_projections::{
    ColumnError, Db, Dialect, FromValues, Sql, Value,
    groups::{self, Directory},
    memberships::{self, Status},
    people,
    questions::{self, List},
};
use circolo_tests::million::{self, ANSWERS, BIG, GROUPS, content, filled, group, person, question};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// Far above what a query along an index takes, far below what a walk over a million rows takes.
const BOUND: Duration = Duration::from_millis(150);
/// So often that Postgres has had the chance to choose a plan for all parameters alike.
const TIMES: usize = 7;

#[tokio::test]
async fn lists_stay_on_their_indexes_on_sqlite() {
    lists_stay_on_their_indexes(Dialect::Sqlite).await;
}

#[tokio::test]
async fn lists_stay_on_their_indexes_on_postgres() {
    lists_stay_on_their_indexes(Dialect::Postgres).await;
}

/// A group with hardly anybody in it.
const SMALL: i64 = 500;

type Queries = Arc<Mutex<Vec<(Sql, Vec<Value>)>>>;

/// Runs queries, and keeps what was sent to the database.
pub struct Checked {
    db: Db,
    queries: Queries,
    pub wrong: Vec<String>,
}

impl Checked {
    pub fn new(db: Db) -> Self {
        let queries = Queries::default();
        let sent = Arc::clone(&queries);
        let db = db.watched(move |sql, params| sent.lock().unwrap().push((sql.clone(), params.to_vec())));
        Self { db, queries, wrong: vec![] }
    }

    /// Runs `query` often enough; notes what is wrong with it. `rows` is what it should find.
    pub async fn check<T>(&mut self, name: &str, rows: usize, query: impl AsyncFn(&Db) -> Vec<T>) {
        let mut fastest = Duration::MAX;
        for _ in 0..TIMES {
            let began = Instant::now();
            let found = query(&self.db).await.len();
            fastest = fastest.min(began.elapsed());
            if found != rows {
                return self.wrong.push(format!("{name}: {found} rows, not {rows}"));
            }
        }
        let sent: Vec<_> = std::mem::take(&mut *self.queries.lock().unwrap());
        let (sql, params) = sent.into_iter().next_back().unwrap();
        let plan = plan(&self.db, &sql, params).await;
        eprintln!("{:?}: {name}: {fastest:?}", self.db.dialect());
        if fastest > BOUND {
            self.wrong.push(format!("{name}: {fastest:?}\n{}", plan.join("\n")));
        }
        for line in plan.iter().filter(|line| walks(line)) {
            self.wrong.push(format!("{name}: {line}\n{}", plan.join("\n")));
        }
        self.queries.lock().unwrap().clear();
    }
}

/// A line of a plan.
struct Line(String);

impl FromValues for Line {
    fn from_values(values: Vec<Value>) -> Result<Self, ColumnError> {
        // SQLite tells it in the last of four columns, Postgres in its only one.
        match values.into_iter().next_back() {
            Some(Value::Text(line)) => Ok(Self(line)),
            other => panic!("a line of a plan is expected, not {other:?}"),
        }
    }
}

async fn plan(db: &Db, sql: &Sql, params: Vec<Value>) -> Vec<String> {
    let explain = Sql { sqlite: format!("EXPLAIN QUERY PLAN {}", sql.sqlite).into(), postgres: format!("EXPLAIN {}", sql.postgres).into() };
    db.query::<Line>(explain, params).await.unwrap().into_iter().map(|Line(line)| line).collect()
}

/// Whether a line of a plan reads all of a build's table: SQLite's `SCAN` without the help of full-text search, Postgres'
/// `Seq Scan`.
fn walks(line: &str) -> bool {
    let scanned = line.trim_start().strip_prefix("SCAN ");
    scanned.is_some_and(|name| name.contains("__g") && !name.contains("VIRTUAL TABLE INDEX")) || line.contains("Seq Scan on")
}

#[test]
fn a_walk_is_told_from_an_index() {
    for line in ["  SCAN questions_v1__g1", "SCAN answers_v1__g1 USING INDEX x", "->  Parallel Seq Scan on answers_v1__g1 a  (cost=0.00)"] {
        assert!(walks(line), "{line}");
    }
    for line in
        ["SCAN (subquery-3)", "SCAN k12", "SEARCH q USING INDEX x (audience=?)", "SCAN f VIRTUAL TABLE INDEX 0:M3", "Index Scan using x"]
    {
        assert!(!walks(line), "{line}");
    }
}

fn key(of: i64, since: i64, until: i64) -> Key {
    Key { since, until, ..million::key(of) }
}

/// A thousand windows: twenty stays of a minute in 49 groups of a few things each and in the `of`th, which has one about every
/// second; `all` is how many seconds there are.
pub fn thousand_windows(of: i64, all: i64) -> Vec<Key> {
    (1_001..1_050).flat_map(|few| stays(few, all)).chain(stays(of, all)).collect()
}

/// Twenty stays of a minute in the `of`th group.
pub fn stays(of: i64, all: i64) -> Vec<Key> {
    (0..20).map(|n| n * all / 20).map(|began| key(of, began * 1_000_000, (began + 60) * 1_000_000)).collect()
}

/// A key to a thousand eras of the `of`th group.
pub fn thousand_eras(of: i64) -> Vec<Key> {
    vec![Key { last: 999, ..million::key(of) }]
}

async fn lists_stay_on_their_indexes(dialect: Dialect) {
    let began = Instant::now();
    let Some((db, _dir)) = filled(content(), dialect).await else { return };
    eprintln!("{dialect:?}: filled in {:?}", began.elapsed());
    let mut checked = Checked::new(db);
    check_directory(&mut checked).await;
    check_people(&mut checked).await;
    check_questions(&mut checked).await;
    assert!(checked.wrong.is_empty(), "{}", checked.wrong.join("\n\n"));
}

async fn check_directory(checked: &mut Checked) {
    let reader = Some(PersonId(person(77)));
    let of = |query: Option<&str>, reader, before| Directory { query: query.map(str::to_owned), reader, before, limit: 20 };
    for (name, rows, page) in [
        ("directory", 20, of(None, None, None)),
        ("directory, for somebody", 20, of(None, reader, None)),
        ("directory, deep", 20, of(None, reader, Some(GROUPS / 2))),
        ("directory, the end", 9, of(None, reader, Some(11))),
        ("directory, a rare word", 5, of(Some("edelweiss"), reader, None)),
        ("directory, a common word", 20, of(Some("club"), reader, None)),
        ("directory, a common beginning", 20, of(Some("c"), reader, None)),
        ("directory, no such word", 0, of(Some("tomato"), reader, None)),
    ] {
        checked.check(name, rows, async |db: &Db| groups::directory(db, &page).await.unwrap()).await;
    }
    let one = GroupId(group(1));
    checked
        .check("group", 1, async |db: &Db| groups::find(db, one, &[key(1, i64::MIN, i64::MAX)]).await.unwrap().into_iter().collect())
        .await;
}

async fn check_people(checked: &mut Checked) {
    let now = Timestamp::from_micros(1);
    for (size, of, rows) in [("big", 1, [20; 4]), ("small", SMALL, [3, 0, 0, 0])] {
        for (status, rows) in [Status::Member, Status::Invited, Status::Requested, Status::Banned].into_iter().zip(rows) {
            for before in [None, Some(1_000_000)] {
                let name = format!("{status:?} of a {size} group before {before:?}");
                let list = async |db: &Db| memberships::of_group(db, GroupId(group(of)), status, now, before, 20).await.unwrap();
                checked.check(&name, rows, list).await;
            }
        }
    }
    for (name, number, rows) in [("invitations", 7, 1), ("invitations, none", 77, 0)] {
        let who = PersonId(person(1 + number));
        checked.check(name, rows, async |db: &Db| memberships::invitations(db, who, None, 20).await.unwrap()).await;
    }
    checked.check("person", 1, async |db: &Db| people::find(db, PersonId(person(1))).await.unwrap().into_iter().collect()).await;
}

async fn check_questions(checked: &mut Checked) {
    const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);
    let second = 1_000_000;
    let all = vec![key(1, ALWAYS.0, ALWAYS.1)];
    // Somebody who came a moment ago, somebody who was there for ten questions long ago, and both at once.
    let late = vec![key(1, (BIG - 3) * second, i64::MAX)];
    let past = vec![key(1, 10 * second, 20 * second)];
    let episodes = vec![key(1, 10 * second, 15 * second), key(1, 20 * second, 22 * second), key(1, BIG * second, i64::MAX)];
    let none = vec![key(1, (BIG + 1) * second, i64::MAX)];
    let (windows, stays, eras) = (thousand_windows(1, BIG), stays(1, BIG), thousand_eras(1));
    let many: Vec<Key> = (2..100).map(|of| key(of, ALWAYS.0, ALWAYS.1)).collect();
    let list = || List { limit: 20, ..List::default() };
    let until = |micros| List { asked_until: Some(Timestamp::from_micros(micros)), ..list() };
    let unanswered = || List { unanswered: true, ..list() };
    for (name, keys, rows, page) in [
        ("questions", &all, 20, list()),
        ("questions, deep", &all, 20, List { before: Some(BIG / 2), ..list() }),
        ("questions, the end", &all, 9, List { before: Some(10), ..list() }),
        ("questions, since a moment ago", &late, 4, list()),
        ("questions, of ten long ago", &past, 10, list()),
        ("questions, of ten long ago, deep", &past, 5, List { before: Some(15), ..list() }),
        ("questions, of three episodes", &episodes, 8, list()),
        ("questions, nothing to read", &none, 0, list()),
        ("questions, of many groups", &many, 20, list()),
        ("questions, through a thousand windows", &windows, 20, list()),
        ("questions, deep, through a thousand windows", &windows, 20, List { before: Some(BIG / 2), ..list() }),
        ("questions, through twenty windows", &stays, 20, list()),
        ("questions, deep, through twenty windows", &stays, 20, List { before: Some(BIG / 2 + 30), ..list() }),
        ("questions, unanswered, through twenty windows", &stays, 20, unanswered()),
        ("questions, of a thousand eras", &eras, 20, list()),
        ("questions, of a thousand eras, deep", &eras, 20, List { before: Some(BIG / 2), ..list() }),
        ("questions, older than most", &all, 5, until(5 * second)),
        ("questions, older than all", &all, 0, until(0)),
        ("questions, older than most, for who came late", &late, 0, until(5 * second)),
        ("questions, unanswered", &all, 10, unanswered()),
        ("questions, unanswered, for who came late", &late, 0, unanswered()),
        ("questions, unanswered and old", &all, 5, List { unanswered: true, ..until(5 * second) }),
    ] {
        checked.check(name, rows, async |db: &Db| questions::list(db, keys, &page).await.unwrap()).await;
    }
    for (name, of, after, rows) in
        [("answers", 1, None, 20), ("answers, deep", 1, Some(ANSWERS / 2 - 5), 5), ("answers, few", ANSWERS / 2 + 3, None, 1)]
    {
        let of = QuestionId(question(of));
        checked.check(name, rows, async |db: &Db| questions::answers(db, of, &all, after, 20).await.unwrap()).await;
    }
    for (name, keys) in [("answers, of a thousand eras", &eras), ("answers, through windows", &vec![key(1, 0, ANSWERS * second); 100])] {
        let of = QuestionId(question(1));
        checked.check(name, 20, async |db: &Db| questions::answers(db, of, keys, None, 20).await.unwrap()).await;
    }
    let one = QuestionId(question(1));
    checked.check("question", 1, async |db: &Db| questions::find(db, one, &all).await.unwrap().into_iter().collect()).await;
}
