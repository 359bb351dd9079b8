//! Response rates: which messages the formula has to look at, read from `messages_v1`. The formula itself is the domain's.

use crate::conversations::{ConversationRow, MessageRow, side};
use crate::past::{self, Past, PastError};
use crate::{Db, DbError, Value, record};
use circolo_domain::conversation::{Previous, Side};
use circolo_domain::response_rate::{DAY, ENOUGH, Incoming, ResponseRate, WINDOW};
use circolo_domain::{PageId, Span, Timestamp, page};
use std::collections::HashMap;

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

/// A page's response rate as of `at`, from what was recorded by then alone; `None` if there was no such page.
pub async fn as_of(past: Past<'_>, page: PageId, at: Timestamp) -> Result<Option<ResponseRate>, PastError> {
    if past.stream(&page::stream(page)).await?.is_empty() {
        return Ok(None);
    }
    let events = past.prefix(&format!("conversation-{page}.")).await?;
    let conversations = past::rows::<ConversationRow>(events.iter().collect());
    let mut messages: Vec<_> = past::rows::<MessageRow>(events.iter().collect()).into_values().collect();
    messages.sort_unstable_by_key(|message| std::cmp::Reverse(message.position));
    // From the last message to the first: when did staff write next?
    let (mut next_by_page, mut incoming) = (HashMap::new(), Vec::new());
    for message in messages {
        if side(&message.side) == Side::Page {
            next_by_page.insert(message.conversation_id, message.sent);
            continue;
        }
        let spam = conversations.get(&message.conversation_id).is_some_and(|conversation| conversation.status == "spam");
        let replied = next_by_page.get(&message.conversation_id).copied();
        let MessageRow { id, author: person_id, sent, position, previous_sent, previous_side, opener, away, .. } = message;
        let row = IncomingRow { id, person_id, sent, position, previous_sent, previous_side, opener, away, spam, replied };
        incoming.push(row.facts());
    }
    Ok(Some(ResponseRate::compute(incoming, at)))
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
