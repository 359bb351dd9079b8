//! Response rates: which messages the formula has to look at, read from `messages_v1`. The formula itself is the domain's.

use crate::conversations::side;
use crate::{Db, DbError, Value, record};
use circolo_domain::conversation::Previous;
use circolo_domain::response_rate::{DAY, ENOUGH, Incoming, ResponseRate, WINDOW};
use circolo_domain::{PageId, Span, Timestamp};

record! {
    /// A message of a person to a page, with what the formula has to know of it.
    pub struct IncomingRow {
        /// The message's id.
        pub id: String,
        /// Who wrote it.
        pub person_id: String,
        /// When it was sent.
        pub sent: Timestamp,
        /// Place in the log.
        pub position: i64,
        /// When the message before was sent.
        pub previous_sent: Option<Timestamp>,
        /// By whom.
        pub previous_side: Option<String>,
        /// Who began the thread.
        pub opener: String,
        /// Whether the page had said that it is away.
        pub away: bool,
        /// Whether the conversation is marked as spam.
        pub spam: bool,
        /// When staff wrote next.
        pub replied: Option<Timestamp>,
    }
}

impl IncomingRow {
    /// The facts.
    pub fn facts(&self) -> Incoming {
        let previous = self.previous_sent.zip(self.previous_side.as_deref());
        Incoming {
            at: self.sent,
            position: self.position,
            previous: previous.map(|(at, name)| Previous { at, side: side(name) }),
            opener: side(&self.opener),
            away: self.away,
            spam: self.spam,
            replied: self.replied,
        }
    }
}

const REPLIED: &str = "(SELECT r.sent FROM messages_v1 r WHERE r.conversation_id = m.conversation_id AND r.side = 'page' \
                       AND r.position > m.position ORDER BY r.position LIMIT 1)";

/// First messages of threads that persons began and that neither spam nor an absence takes out: only these can count.
const THREADS: &str = "FROM messages_v1 m JOIN conversations_v1 c ON c.id = m.conversation_id \
                       WHERE m.page_id = $1 AND m.side = 'person' AND m.opens = 1 AND m.sent <= $2 AND m.away = 0 AND c.status <> 'spam'";

fn facts() -> String {
    format!(
        "m.id, m.author, m.sent, m.position, m.previous_sent, m.previous_side, m.opener, m.away, \
         CAST(CASE WHEN c.status = 'spam' THEN 1 ELSE 0 END AS BIGINT), {REPLIED}"
    )
}

/// A page's response rate at `at`, from all that is recorded by now.
///
/// Two range scans of one index: the last 10 that count tell how far back the window reaches, and only what is in it is read.
pub async fn compute(db: &Db, page: PageId, at: Timestamp) -> Result<ResponseRate, DbError> {
    let since = reach(db, page, at).await?;
    let sql = format!("SELECT {} {THREADS} AND m.sent >= $3", facts());
    let rows: Vec<IncomingRow> = db.query(sql, vec![page.into(), at.into(), since.into()]).await?;
    Ok(ResponseRate::compute(rows.iter().map(IncomingRow::facts), at))
}

/// From when on messages can matter.
async fn reach(db: &Db, page: PageId, at: Timestamp) -> Result<Timestamp, DbError> {
    // What may still be answered is not counted yet.
    let sql = format!(
        "SELECT d.sent FROM (SELECT m.sent, m.position, {REPLIED} AS replied {THREADS}) d \
         WHERE d.sent <= $3 OR (d.replied <= $2 AND d.replied < d.sent + $4) ORDER BY d.sent DESC, d.position DESC LIMIT $5"
    );
    let enough = i64::try_from(ENOUGH).unwrap_or(i64::MAX);
    let params: Vec<Value> = vec![page.into(), at.into(), at.minus(DAY).into(), DAY.as_micros().into(), enough.into()];
    let decided: Vec<Timestamp> = db.query(sql, params).await?;
    Ok(match (decided.first(), decided.get(ENOUGH - 1)) {
        (Some(last), Some(tenth)) => (*tenth).min(last.minus(WINDOW).plus(Span::micros(1))),
        _ => Timestamp::from_micros(i64::MIN),
    })
}

/// What persons wrote to a page until `at`, latest first, whether it counts or not. `before` is moment and place in the log.
pub async fn incoming(db: &Db, page: PageId, at: Timestamp, before: Option<(i64, i64)>, limit: i64) -> Result<Vec<IncomingRow>, DbError> {
    let (sent, position) = before.unwrap_or((i64::MAX, i64::MAX));
    let sql = format!(
        "SELECT {} FROM messages_v1 m JOIN conversations_v1 c ON c.id = m.conversation_id \
         WHERE m.page_id = $1 AND m.side = 'person' AND m.sent <= $2 AND (m.sent, m.position) < ($3, $4) \
         ORDER BY m.sent DESC, m.position DESC LIMIT $5",
        facts()
    );
    db.query(sql, vec![page.into(), at.into(), sent.into(), position.into(), limit.into()]).await
}
