//! (b): the tables that the engine made, filled by one hand-written `INSERT ... SELECT` each; indexes at the end.
//!
//! The statements know the types of events that the generator writes, and no others.

use crate::Result;
use rusqlite::Connection as Sqlite;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::path::Path;

/// `{log}` is the log's table, `{owner}`, `{era}`, `{author}` .. are parts of the JSON.
const STATS: &str = "
    INSERT INTO group_stats_v2__g1 (id, members, questions, answers, folded_to)
    SELECT group_id, sum(members), sum(questions), sum(answers), max(position) FROM (
        SELECT CASE e.type WHEN 'group.created.v1' THEN substr(e.stream, 7) ELSE {owner} END AS group_id,
            CASE e.type WHEN 'membership.joined.v1' THEN 1 WHEN 'membership.left.v1' THEN -1 ELSE 0 END AS members,
            CASE e.type WHEN 'question.posted.v1' THEN 1 ELSE 0 END AS questions,
            CASE e.type WHEN 'question.answered.v1' THEN 1 ELSE 0 END AS answers, e.position
        FROM {log} e {json}
    ) facts GROUP BY group_id ORDER BY group_id";

const QUESTIONS: &str = "
    INSERT INTO questions_v2__g1
        (id, group_id, audience, author, title, body, asked, answers, answered, accepted, closed, revision, position, folded_to)
    SELECT substr(e.stream, 10), {owner}, 'group:' || {owner} || ':' || {era}, {author}, {title}, {body}, e.recorded_at,
        coalesce(a.answers, 0), CASE WHEN a.answers IS NULL THEN 0 ELSE 2 END, NULL, 0, coalesce(a.revision, 0), e.position,
        coalesce(a.position, e.position)
    FROM {log} e LEFT JOIN (
        SELECT stream, count(*) AS answers, max(revision) AS revision, max(position) AS position
        FROM {log} WHERE type = 'question.answered.v1' GROUP BY stream
    ) a ON a.stream = e.stream {json}
    WHERE e.type = 'question.posted.v1' ORDER BY e.stream";

const ANSWERS: &str = "
    INSERT INTO answers_v2__g1 (id, question_id, audience, author, body, answered, times_accepted, position, folded_to)
    SELECT {answer}, substr(e.stream, 10), 'group:' || {owner} || ':' || {era}, {author}, {body}, e.recorded_at, 0, e.position, e.position
    FROM {log} e {json} WHERE e.type = 'question.answered.v1' ORDER BY 1";

/// The statements with these words for the log and the parts of its JSON.
fn statements(words: &[(&str, &str)]) -> Vec<String> {
    let fill = |text: &str| words.iter().fold(text.to_owned(), |text, (name, word)| text.replace(name, word));
    [STATS, QUESTIONS, ANSWERS].map(fill).into()
}

/// Fills the tables in `views` out of `log`.
pub fn sqlite(views: &Path, log: &Path) -> Result<()> {
    let db = Sqlite::open(views)?;
    // As the engine has it.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -32768;
         PRAGMA temp_store = MEMORY;",
    )?;
    db.execute("ATTACH ?1 AS log", [log.to_str().ok_or("the folder's name is no text")?])?;
    let words = [
        ("{log}", "log.events"),
        ("{json}", ""),
        ("{owner}", "json_extract(e.metadata, '$.scope.owner.group')"),
        ("{era}", "json_extract(e.metadata, '$.scope.era')"),
        ("{author}", "json_extract(e.data, '$.author')"),
        ("{title}", "json_extract(e.data, '$.title')"),
        ("{body}", "json_extract(e.data, '$.body')"),
        ("{answer}", "json_extract(e.data, '$.answer')"),
    ];
    let later = "SELECT type, name, sql FROM main.sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL";
    let later: Vec<(String, String, String)> =
        db.prepare(later)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<rusqlite::Result<_>>()?;
    for (kind, name, _) in &later {
        db.execute_batch(&format!("DROP {kind} main.{name}"))?;
    }
    db.execute_batch(&format!("BEGIN; {}; COMMIT", statements(&words).join(";")))?;
    for (_, _, sql) in &later {
        db.execute_batch(sql)?;
    }
    Ok(())
}

/// Fills the tables in the schema of `url` out of the log in the schema `log`.
pub async fn postgres(url: &str) -> Result<()> {
    let mut db = PgConnection::connect(url).await?;
    let words = [
        ("{log}", "log.log_events"),
        // Each text is parsed once.
        (
            "{json}",
            "CROSS JOIN LATERAL jsonb_to_record(e.data::jsonb) AS d (author text, title text, body text, answer text)
             CROSS JOIN LATERAL jsonb_to_record(e.metadata::jsonb) AS m (scope jsonb)",
        ),
        ("{owner}", "(m.scope -> 'owner' ->> 'group')"),
        ("{era}", "(m.scope ->> 'era')"),
        ("{author}", "d.author"),
        ("{title}", "d.title"),
        ("{body}", "d.body"),
        ("{answer}", "d.answer"),
    ];
    let later =
        "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND indexname LIKE '%\\_\\_g1\\_\\_%'";
    let later: Vec<(String, String)> = sqlx::query_as(later).fetch_all(&mut db).await?;
    for (name, _) in &later {
        db.execute(AssertSqlSafe(format!("DROP INDEX {name}"))).await?;
    }
    let mut transaction = db.begin().await?;
    for statement in statements(&words) {
        transaction.execute(AssertSqlSafe(statement)).await?;
    }
    transaction.commit().await?;
    for (_, definition) in later {
        db.execute(AssertSqlSafe(definition)).await?;
    }
    Ok(())
}
