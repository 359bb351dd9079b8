//! Read models with a million rows, made by generated `INSERT ... SELECT` straight into the tables of one build.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without fails it")]

use crate::postgres::fresh_schema;
use circolo_domain::access::Key;
use circolo_projections::{
    Db, Dialect, Physical, Row, Table,
    comments::CommentRow,
    feeds::FeedItemRow,
    groups::{GroupRow, GroupStatsRow},
    memberships::MembershipRow,
    pages::PageRow,
    people::PersonRow,
    posts::{PostRow, PostStatsRow},
    questions::{AnswerRow, HERE, NONE, QuestionRow},
    reactions::{ReactionCountsRow, ReactionRow},
    search,
    value::Kind,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{fmt::Write, path::Path};
use tempfile::TempDir;
use uuid::Uuid;

/// How many there are: a million rows with the groups' figures.
pub const QUESTIONS: i64 = 300_000;
/// Half of them are to the first question.
pub const ANSWERS: i64 = 250_000;
/// Half of them are in the first group.
pub const MEMBERSHIPS: i64 = 300_000;
/// How many groups there are.
pub const GROUPS: i64 = 50_000;
/// How many people there are.
pub const PEOPLE: i64 = 50_000;
/// Half of the questions and memberships are the first group's, half of the answers are to the first question; the rest is
/// spread over the others.
pub const BIG: i64 = QUESTIONS / 2;

/// How much stands in feeds.
pub const ITEMS: i64 = 1_000_000;
/// What the first five groups, the quiet ones, hold: the oldest of all.
pub const QUIET: i64 = 15;
/// Half of what stands in feeds is in this group.
pub const BUSY: i64 = 6;
/// How many of the posts have a content.
pub const POSTS: i64 = 20_000;
/// How many comments these posts have.
pub const COMMENTS: i64 = 100_000;

/// The id of the `n`th group.
pub fn group(n: i64) -> Uuid {
    numbered('1', n)
}

/// The id of the `n`th person.
pub fn person(n: i64) -> Uuid {
    numbered('2', n)
}

/// The id of the `n`th question.
pub fn question(n: i64) -> Uuid {
    numbered('3', n)
}

fn numbered(kind: char, n: i64) -> Uuid {
    format!("0000000{kind}-0000-0000-0000-{n:012}").parse().unwrap()
}

/// SQL for the same.
pub fn id(kind: char, n: &str) -> String {
    format!("'0000000{kind}-0000-0000-0000-' || substr(CAST(1000000000000 + ({n}) AS TEXT), 2)")
}

/// SQL for the number of the group or question that row `n` of `count` belongs to.
fn spread(count: i64, over: i64) -> String {
    format!("CASE WHEN n <= {} THEN 1 ELSE 2 + n % {} END", count / 2, over - 1)
}

/// SQL for somebody.
fn somebody() -> String {
    id('2', &format!("1 + n % {}", PEOPLE - 1))
}

/// A table, how many rows it gets, and SQL over `n` for its columns; the others are null, zero or the row's number.
pub type Content = (Table, i64, Vec<(&'static str, String)>);

/// A key to all of the `n`th group.
pub fn key(n: i64) -> Key {
    Key::always(format!("group:{}", group(n)), 0, 0)
}

/// A million things in the feeds of 2,000 groups, and the contents of some.
pub fn feeds() -> Vec<Content> {
    let audience = |of: &str| format!("'group:' || {} || ':0'", id('1', of));
    let of = format!("CASE WHEN n <= {QUIET} THEN 1 + n % 5 WHEN n % 2 = 0 THEN {BUSY} ELSE 7 + (n / 2) % 1993 END");
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
        (PersonRow::TABLE, PEOPLE, vec![("id", id('2', "n"))]),
        (PageRow::TABLE, PEOPLE, vec![("id", id('5', "n"))]),
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

/// A million rows of people, groups, memberships, questions and answers.
pub fn content() -> Vec<Content> {
    let of_group = |count| id('1', &spread(count, GROUPS));
    let every = |count: i64, rest: i64| format!("CASE WHEN n % {count} = {rest} THEN n END");
    let words = "CASE WHEN n % 10000 = 7 THEN 'Edelweiss ' ELSE 'Club ' END || n";
    // Each secret group has an audience and a code of its own.
    let code = format!("CASE WHEN n % 10 = 0 THEN CAST(1000000000 + n AS TEXT) ELSE '{}' END", search::code("everyone"));
    let terms = format!("' ' || {code} || CASE WHEN n % 10000 = 7 THEN 'edelweiss ' ELSE 'club ' END || {code} || n || ' '");
    vec![
        (PersonRow::TABLE, PEOPLE, vec![("id", id('2', "n"))]),
        (
            GroupRow::TABLE,
            GROUPS,
            vec![
                ("id", id('1', "n")),
                ("name", words.to_owned()),
                ("privacy", "CASE WHEN n % 10 = 0 THEN 'secret' ELSE 'public' END".to_owned()),
                ("listed", "CASE WHEN n % 10 = 0 THEN 0 ELSE 1 END".to_owned()),
                ("audience", format!("CASE WHEN n % 10 = 0 THEN 'group:' || {} ELSE 'everyone' END", id('1', "n"))),
                ("terms", terms),
            ],
        ),
        (GroupStatsRow::TABLE, GROUPS, vec![("id", id('1', "n"))]),
        (
            MembershipRow::TABLE,
            MEMBERSHIPS,
            vec![
                ("group_id", of_group(MEMBERSHIPS)),
                ("person_id", somebody()),
                ("inside", "1".to_owned()),
                ("member_position", "CASE WHEN n % 10 < 7 THEN n END".to_owned()),
                ("episode", "1".to_owned()),
                ("invited_position", every(1_000, 7)),
                ("requested_position", every(1_000, 8)),
                ("banned_position", every(1_000, 9)),
                ("banned_until", "CASE WHEN n % 1000 = 9 THEN 9000000000000 END".to_owned()),
            ],
        ),
        (
            QuestionRow::TABLE,
            QUESTIONS,
            vec![
                ("id", id('3', "n")),
                ("group_id", of_group(QUESTIONS)),
                ("audience", format!("'group:' || {} || ':0'", of_group(QUESTIONS))),
                ("author", somebody()),
                ("title", "'Which? ' || n".to_owned()),
                ("asked", "n * 1000000".to_owned()),
                // In the big group only the oldest are without an answer.
                ("answered", format!("CASE WHEN n <= 10 OR n > {BIG} THEN {NONE} ELSE {HERE} END")),
            ],
        ),
        (
            AnswerRow::TABLE,
            ANSWERS,
            vec![
                ("question_id", id('3', &spread(ANSWERS, QUESTIONS))),
                ("audience", format!("'group:' || {} || ':0'", id('1', "1"))),
                ("author", somebody()),
                ("answered", "n * 1000000".to_owned()),
            ],
        ),
    ]
}

/// All statements that make tables, rows, indexes and views.
fn statements(content: Vec<Content>, dialect: Dialect) -> Vec<String> {
    let mut all = Vec::new();
    for (table, count, columns) in content {
        let physical = Physical::new(table, 1);
        all.extend(physical.create(dialect));
        all.push(fill(&physical, count, &columns, dialect));
        all.extend(physical.create_indexes(dialect).into_iter().filter(|sql| !sql.contains("TRIGGER")));
        all.extend(physical.point_view(dialect));
    }
    all.push("ANALYZE".to_owned());
    all
}

fn fill(physical: &Physical, count: i64, columns: &[(&str, String)], dialect: Dialect) -> String {
    let (mut names, mut values) = (String::new(), String::new());
    for column in physical.table.columns {
        let given = columns.iter().find(|(name, _)| *name == column.name).map(|(_, sql)| sql.clone());
        let value = given.unwrap_or_else(|| match (column.name, column.kind) {
            _ if column.nullable => "NULL".to_owned(),
            ("id", _) => "'row ' || n".to_owned(),
            (_, Kind::Text) => "''".to_owned(),
            ("position", _) => "n".to_owned(),
            _ => "0".to_owned(),
        });
        let _ = write!(names, "{}, ", column.name);
        let _ = write!(values, "{value}, ");
    }
    if physical.table.search.is_some() {
        let terms = columns.iter().find(|(name, _)| *name == "terms").map_or("''", |(_, sql)| sql);
        let _ = write!(names, "terms, ");
        let _ = write!(values, "{terms}, ");
    }
    let numbers = match dialect {
        Dialect::Sqlite => format!("WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "),
        Dialect::Postgres => format!("WITH s (n) AS (SELECT n FROM generate_series(1::bigint, {count}) n) "),
    };
    // Where a column is nullable, Postgres has to be told the type of NULL by the column it goes to: INSERT does that.
    format!("INSERT INTO {} ({names}folded_to) {numbers}SELECT {values}n FROM s", physical.name)
}

/// The database and, for SQLite, the folder it lives in; `None` without Postgres.
///
/// # Panics
/// If it cannot be made.
pub async fn filled(content: Vec<Content>, dialect: Dialect) -> Option<(Db, Option<TempDir>)> {
    match dialect {
        Dialect::Sqlite => {
            let dir = tempfile::tempdir().unwrap();
            Some((on_sqlite(content, dir.path()).await, Some(dir)))
        }
        Dialect::Postgres => Some((on_postgres(content, &fresh_schema().await?).await, None)),
    }
}

/// A file in `dir`.
///
/// # Panics
/// If it cannot be made.
pub async fn on_sqlite(content: Vec<Content>, dir: &Path) -> Db {
    let path = dir.join("views.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA temp_store = MEMORY; BEGIN").unwrap();
    for sql in statements(content, Dialect::Sqlite) {
        connection.execute_batch(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
    connection.execute_batch("COMMIT").unwrap();
    Db::sqlite(&path).await.unwrap()
}

/// An empty schema.
///
/// # Panics
/// If it cannot be filled.
pub async fn on_postgres(content: Vec<Content>, url: &str) -> Db {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'").await.unwrap();
    for sql in statements(content, Dialect::Postgres) {
        connection.execute(AssertSqlSafe(sql.clone())).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
    connection.close().await.unwrap();
    Db::postgres(url).await.unwrap()
}
