//! (c): the usual projector. Every event is a transaction of its own: a statement for each row it touches, and the checkpoint.

use super::task::Views;
use crate::Result;
use circolo_domain::{Event, group, membership, question};
use circolo_events::{EventStore, Position, Recorded};
use circolo_projections::Value;
use rusqlite::params_from_iter;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres};
use std::time::Duration;
use tokio::time::Instant;

const CHECKPOINT: &str = "UPDATE usual_checkpoint SET position = $1";
const COUNT: &str = "INSERT INTO group_stats_v2__g1 (id, members, questions, answers, folded_to) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO UPDATE SET members = group_stats_v2__g1.members + excluded.members,
        questions = group_stats_v2__g1.questions + excluded.questions, answers = group_stats_v2__g1.answers + excluded.answers,
        folded_to = excluded.folded_to";
const ASKED: &str = "INSERT INTO questions_v2__g1 (id, group_id, audience, author, title, body, asked, answers, answered, accepted,
        closed, revision, position, folded_to) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, NULL, 0, 0, $8, $8)";
const ANSWERED: &str = "INSERT INTO answers_v2__g1 (id, question_id, audience, author, body, answered, times_accepted, position,
        folded_to) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7)";
const ONE_MORE: &str = "UPDATE questions_v2__g1 SET answers = answers + 1, answered = 2, revision = $1, folded_to = $2 WHERE id = $3";

type Statement = (&'static str, Vec<Value>);

/// Projects the first `events` events; how many there were, and how long it took.
pub async fn run(store: &dyn EventStore, views: &Views, events: usize) -> Result<(usize, Duration)> {
    let mut writer = Writer::open(views).await?;
    let (mut after, mut done) = (Position::START, 0);
    let began = Instant::now();
    while done < events {
        let page = store.read_all(after, events - done).await?;
        if page.events.is_empty() {
            break;
        }
        for stored in &page.events {
            let event = stored.decode()?;
            let mut statements = statements(&event);
            statements.push((CHECKPOINT, vec![event.position.0.into()]));
            writer.write(statements).await?;
            done += 1;
        }
        after = page.scanned;
    }
    Ok((done, began.elapsed()))
}

/// What an event changes.
fn statements(event: &Recorded) -> Vec<Statement> {
    let position = event.position.0;
    let group = event.metadata.scope.and_then(|scope| scope.group()).map(|group| group.to_string()).unwrap_or_default();
    let count = |members: i64, questions: i64, answers: i64| {
        (COUNT, vec![group.clone().into(), members.into(), questions.into(), answers.into(), position.into()])
    };
    let key = || Value::from(event.stream.key());
    let audience = || event.metadata.scope.map(|scope| scope.audience()).unwrap_or_default();
    match &event.event {
        Event::Group(group::Event::Created { .. }) => vec![count(0, 0, 0)],
        Event::Membership(membership::Event::Joined { .. }) => vec![count(1, 0, 0)],
        Event::Membership(membership::Event::Left { .. }) => vec![count(-1, 0, 0)],
        Event::Question(question::Event::Posted { author, title, body }) => {
            let (title, body) = (title.get().cloned().into(), body.get().cloned().into());
            let asked = vec![
                key(),
                group.clone().into(),
                audience().into(),
                (*author).into(),
                title,
                body,
                event.recorded_at.into(),
                position.into(),
            ];
            vec![(ASKED, asked), count(0, 1, 0)]
        }
        Event::Question(question::Event::Answered { answer, author, body }) => {
            let body = body.get().cloned().into();
            let revision = i64::try_from(event.revision).unwrap_or(i64::MAX);
            let answered =
                vec![(*answer).into(), key(), audience().into(), (*author).into(), body, event.recorded_at.into(), position.into()];
            vec![(ANSWERED, answered), (ONE_MORE, vec![revision.into(), position.into(), key()]), count(0, 0, 1)]
        }
        _ => vec![],
    }
}

/// A connection with the settings of the engine's own.
enum Writer {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

impl Writer {
    async fn open(views: &Views) -> Result<Self> {
        let checkpoint = "CREATE TABLE usual_checkpoint (position BIGINT NOT NULL); INSERT INTO usual_checkpoint VALUES (0);";
        match views {
            Views::Sqlite(file) => {
                let db = rusqlite::Connection::open(file)?;
                db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768;")?;
                db.execute_batch(checkpoint)?;
                Ok(Self::Sqlite(db))
            }
            Views::Postgres(url) => {
                let mut db = PgConnection::connect(url).await?;
                db.execute("SET synchronous_commit = off").await?;
                db.execute(checkpoint).await?;
                Ok(Self::Postgres(db))
            }
        }
    }

    async fn write(&mut self, statements: Vec<Statement>) -> Result<()> {
        match self {
            Self::Sqlite(db) => {
                db.prepare_cached("BEGIN")?.execute([])?;
                for (sql, values) in statements {
                    // SQLite counts its parameters in the order in which they first appear.
                    db.prepare_cached(sql)?.execute(params_from_iter(&values))?;
                }
                db.prepare_cached("COMMIT")?.execute([])?;
            }
            Self::Postgres(db) => {
                let mut transaction = db.begin().await?;
                for (sql, values) in statements {
                    let query = values.into_iter().fold(sqlx::query::<Postgres>(AssertSqlSafe(sql)), |query, value| match value {
                        Value::Int(number) => query.bind(number),
                        Value::Text(text) => query.bind(text),
                        _ => query.bind(None::<String>),
                    });
                    query.execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
        }
        Ok(())
    }
}
