//! Read models with a million rows, made by generated `INSERT ... SELECT` straight into the tables of one build.

use circolo_projections::{Db, Dialect, Physical, Row, Table, value::Kind};
use circolo_projections::{
    groups::{GroupRow, GroupStatsRow},
    memberships::MembershipRow,
    people::PersonRow,
    questions::{AnswerRow, QuestionRow},
};
use circolo_tests::postgres::fresh_schema;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::fmt::Write;
use tempfile::TempDir;
use uuid::Uuid;

/// How many there are: a million rows with the groups' figures.
pub const QUESTIONS: i64 = 300_000;
pub const ANSWERS: i64 = 250_000;
pub const MEMBERSHIPS: i64 = 300_000;
pub const GROUPS: i64 = 50_000;
pub const PEOPLE: i64 = 50_000;
/// Half of the questions and memberships are the first group's, half of the answers are to the first question; the rest is
/// spread over the others.
pub const BIG: i64 = QUESTIONS / 2;

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

pub fn content() -> Vec<Content> {
    let of_group = |count| id('1', &spread(count, GROUPS));
    let every = |count: i64, rest: i64| format!("CASE WHEN n % {count} = {rest} THEN n END");
    let words = "CASE WHEN n % 10000 = 7 THEN 'Edelweiss ' ELSE 'Club ' END || n";
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
                ("unanswered", format!("CASE WHEN n <= 10 OR n > {BIG} THEN 1 ELSE 0 END")),
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
        // Nothing searches questions yet: an index over a million texts would only cost time.
        let searched = |sql: &String| table.name != QuestionRow::TABLE.name || !(sql.contains("search") || sql.contains("terms"));
        all.extend(physical.create_indexes(dialect).into_iter().filter(|sql| !sql.contains("TRIGGER") && searched(sql)));
        all.extend(physical.point_view(dialect).into_iter().filter(searched));
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
    let numbers = match dialect {
        Dialect::Sqlite => format!("WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "),
        Dialect::Postgres => format!("WITH s (n) AS (SELECT n FROM generate_series(1::bigint, {count}) n) "),
    };
    // Where a column is nullable, Postgres has to be told the type of NULL by the column it goes to: INSERT does that.
    format!("INSERT INTO {} ({names}folded_to) {numbers}SELECT {values}n FROM s", physical.name)
}

/// The database and, for SQLite, the folder it lives in; `None` without Postgres.
pub async fn filled(content: Vec<Content>, dialect: Dialect) -> Option<(Db, Option<TempDir>)> {
    match dialect {
        Dialect::Sqlite => {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("views.sqlite");
            let connection = rusqlite::Connection::open(&path).unwrap();
            connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA temp_store = MEMORY; BEGIN").unwrap();
            for sql in statements(content, dialect) {
                connection.execute_batch(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
            }
            connection.execute_batch("COMMIT").unwrap();
            Some((Db::sqlite(&path).await.unwrap(), Some(dir)))
        }
        Dialect::Postgres => {
            let url = fresh_schema().await?;
            let mut connection = PgConnection::connect(&url).await.unwrap();
            connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'").await.unwrap();
            for sql in statements(content, dialect) {
                connection.execute(AssertSqlSafe(sql.clone())).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
            }
            connection.close().await.unwrap();
            Some((Db::postgres(&url).await.unwrap(), None))
        }
    }
}
