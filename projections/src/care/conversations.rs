//! Read models `conversations_v1` and `messages_v1`: a page's inbox, and what was written, with the facts any formula needs.

use crate::{Db, DbError, Fold, Keys, Projection, Value, projection, record, row};
use circolo_domain::conversation::{self, Opening, Previous, Side, Status};
use circolo_domain::permit::{Permit, Purpose};
use circolo_domain::{Event, PageId, PersonId, Timestamp};
use circolo_events::Recorded;

row! {
    /// The conversation of a person with a page.
    pub struct ConversationRow in "conversations_v1" {
        /// Page and person, with a dot between.
        pub id: String,
        /// The page.
        pub page_id: String,
        /// The person.
        pub person_id: String,
        /// `open`, `done` or `spam`.
        pub status: String,
        /// The last message.
        pub last_message: String,
        /// Who wrote it: `person` or `page`.
        pub last_side: String,
        /// When.
        pub last_sent: Timestamp,
        /// When the person wrote last.
        pub person_wrote: Option<Timestamp>,
        /// Who of the staff wrote last.
        pub answered_by: Option<String>,
        /// Revision of its stream.
        pub revision: i64,
        /// Place of the last message in the log; the inbox is ordered by it.
        pub position: i64,
    }
    index "inbox" (page_id, status, position);
    index "of_person" (person_id, position);
}

const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Done => "done",
        Status::Spam => "spam",
    }
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Person => "person",
        Side::Page => "page",
    }
}

/// The side of that name; what is not the page's is the person's.
pub(crate) fn side(name: &str) -> Side {
    if name == "page" { Side::Page } else { Side::Person }
}

impl ConversationRow {
    fn new(event: &Recorded) -> Option<Self> {
        let (page, person) = conversation::ids(&event.stream)?;
        Some(Self {
            id: event.stream.key().to_owned(),
            page_id: page.to_string(),
            person_id: person.to_string(),
            status: status_name(Status::Open).to_owned(),
            last_message: String::new(),
            last_side: String::new(),
            last_sent: event.recorded_at,
            person_wrote: None,
            answered_by: None,
            revision: 0,
            position: 0,
        })
    }

    fn wrote(&mut self, message: &impl ToString, side: Side, event: &Recorded) {
        (self.last_message, self.last_side) = (message.to_string(), side_name(side).to_owned());
        (self.last_sent, self.position) = (event.recorded_at, event.position.0);
    }
}

impl Fold for ConversationRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Conversation(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, _: &str, event: &Recorded) -> Option<Self> {
        let Event::Conversation(change) = &event.event else { return row };
        // What is said of comments begins no conversation.
        let begins = !matches!(change, conversation::Event::PrivateReplyExpired { .. });
        let mut row = row.or_else(|| Self::new(event).filter(|_| begins))?;
        match change {
            conversation::Event::PersonWrote { message, .. } => {
                row.wrote(message, Side::Person, event);
                row.person_wrote = Some(event.recorded_at);
                if row.status == status_name(Status::Done) {
                    status_name(Status::Open).clone_into(&mut row.status);
                }
            }
            conversation::Event::PageWrote { message, author, .. } => {
                row.wrote(message, Side::Page, event);
                row.answered_by = Some(author.to_string());
            }
            conversation::Event::MarkedDone => status_name(Status::Done).clone_into(&mut row.status),
            conversation::Event::MarkedSpam => status_name(Status::Spam).clone_into(&mut row.status),
            conversation::Event::Reopened => status_name(Status::Open).clone_into(&mut row.status),
            conversation::Event::PrivateReplyExpired { .. } => {}
        }
        row.revision = i64::try_from(event.revision).unwrap_or(i64::MAX);
        Some(row)
    }
}

row! {
    /// A message: facts only.
    pub struct MessageRow in "messages_v1" {
        /// The message's id.
        pub id: String,
        /// Page and person, with a dot between.
        pub conversation_id: String,
        /// The page.
        pub page_id: String,
        /// Who wrote: `person` or `page`.
        pub side: String,
        /// The person, or who of the page's staff.
        pub author: String,
        /// Whether that is a bot.
        pub bot: bool,
        /// The words.
        pub text: Option<String>,
        /// When it was sent.
        pub sent: Timestamp,
        /// What the page wrote for.
        pub purpose: Option<String>,
        /// What allowed the page to: `private_reply` or `conversation_window`.
        pub permit: Option<String>,
        /// Until when that would have.
        pub permit_ends: Option<Timestamp>,
        /// The comment that a private reply is for.
        pub comment_id: Option<String>,
        /// When the message before was sent.
        pub previous_sent: Option<Timestamp>,
        /// By whom.
        pub previous_side: Option<String>,
        /// Whether this message begins a thread.
        pub opens: bool,
        /// Who began the thread.
        pub opener: String,
        /// Whether the page had said that it is away.
        pub away: bool,
        /// Place in the log.
        pub position: i64,
    }
    index "by_conversation" (conversation_id, position);
    index "by_side" (conversation_id, side, position);
    index "threads" (page_id, side, opens, sent, position);
    index "incoming" (page_id, side, sent, position);
}

const fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Reply => "reply",
        Purpose::Care => "care",
        Purpose::Promotion => "promotion",
        Purpose::Notice => "notice",
        Purpose::Warning => "warning",
    }
}

impl MessageRow {
    /// A message of the person, as far as both kinds of messages are alike.
    fn new(key: &str, event: &Recorded, previous: Option<Previous>, opening: &Opening, away: bool) -> Option<Self> {
        let (page, person) = conversation::ids(&event.stream)?;
        Some(Self {
            id: key.to_owned(),
            conversation_id: event.stream.key().to_owned(),
            page_id: page.to_string(),
            side: side_name(Side::Person).to_owned(),
            author: person.to_string(),
            bot: false,
            text: None,
            sent: event.recorded_at,
            purpose: None,
            permit: None,
            permit_ends: None,
            comment_id: None,
            previous_sent: previous.map(|previous| previous.at),
            previous_side: previous.map(|previous| side_name(previous.side).to_owned()),
            opens: opening.message.to_string() == key,
            opener: side_name(opening.side).to_owned(),
            away,
            position: event.position.0,
        })
    }

    fn permitted(mut self, permit: &Permit) -> Self {
        let (name, ends) = match permit {
            Permit::PrivateReply { comment, ends } => {
                self.comment_id = Some(comment.to_string());
                ("private_reply", ends)
            }
            Permit::ConversationWindow { ends, .. } => ("conversation_window", ends),
        };
        (self.permit, self.permit_ends) = (Some(name.to_owned()), Some(*ends));
        self
    }
}

impl Fold for MessageRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Conversation(conversation::Event::PersonWrote { message, .. } | conversation::Event::PageWrote { message, .. }) => {
                Keys::one(message)
            }
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        match &event.event {
            Event::Conversation(conversation::Event::PersonWrote { text, previous, opening, away, .. }) => {
                let new = Self::new(key, event, *previous, opening, *away)?;
                Some(Self { text: text.get().cloned(), ..new })
            }
            Event::Conversation(conversation::Event::PageWrote { author, bot, text, purpose, permit, previous, opening, away, .. }) => {
                let new = Self::new(key, event, *previous, opening, *away)?.permitted(permit);
                let (side, author, text) = (side_name(Side::Page).to_owned(), author.to_string(), text.get().cloned());
                Some(Self { side, author, bot: *bot, text, purpose: Some(purpose_name(*purpose).to_owned()), ..new })
            }
            _ => row,
        }
    }
}

/// The projection of this file.
pub fn conversations() -> Projection {
    projection("conversations", 1).reads(&["conversation"]).row::<ConversationRow>().row::<MessageRow>()
}

record! {
    /// A conversation in a page's inbox.
    pub struct InboxItem {
        /// The person.
        pub person_id: String,
        /// How others see them.
        pub display_name: Option<String>,
        /// `open`, `done` or `spam`.
        pub status: String,
        /// The words of the last message.
        pub last_text: Option<String>,
        /// Who wrote it: `person` or `page`.
        pub last_side: String,
        /// When.
        pub last_sent: Timestamp,
        /// When the person wrote last.
        pub person_wrote: Option<Timestamp>,
        /// Who of the staff wrote last.
        pub answered_by: Option<String>,
        /// How others see them.
        pub answered_by_name: Option<String>,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in the inbox.
        pub position: i64,
    }
}

/// A page's conversations of one status, those with the latest messages first.
pub async fn inbox(db: &Db, page: PageId, status: Status, before: Option<i64>, limit: i64) -> Result<Vec<InboxItem>, DbError> {
    let sql = "SELECT c.person_id, p.display_name, c.status, m.text, c.last_side, c.last_sent, c.person_wrote, c.answered_by, \
                 s.display_name, c.revision, c.position \
               FROM conversations_v1 c LEFT JOIN messages_v1 m ON m.id = c.last_message \
                 LEFT JOIN people_v1 p ON p.id = c.person_id LEFT JOIN people_v1 s ON s.id = c.answered_by \
               WHERE c.page_id = $1 AND c.status = $2 AND c.position < $3 ORDER BY c.position DESC LIMIT $4";
    let params: Vec<Value> = vec![page.into(), status_name(status).into(), before.unwrap_or(i64::MAX).into(), limit.into()];
    db.query(sql, params).await
}

record! {
    /// A message, as staff read it.
    pub struct MessageDetail {
        /// The message's id.
        pub id: String,
        /// Who wrote: `person` or `page`.
        pub side: String,
        /// The person, or who of the page's staff.
        pub author: String,
        /// How others see them.
        pub author_name: Option<String>,
        /// Whether that is a bot.
        pub bot: bool,
        /// The words.
        pub text: Option<String>,
        /// When it was sent.
        pub sent: Timestamp,
        /// What the page wrote for.
        pub purpose: Option<String>,
        /// What allowed the page to.
        pub permit: Option<String>,
        /// Until when that would have.
        pub permit_ends: Option<Timestamp>,
        /// The comment that a private reply is for.
        pub comment_id: Option<String>,
        /// Place in this list.
        pub position: i64,
    }
}

/// The messages between a page and a person, latest first, whoever asks: the caller has checked who may read them.
pub async fn messages(db: &Db, page: PageId, person: PersonId, before: Option<i64>, limit: i64) -> Result<Vec<MessageDetail>, DbError> {
    let sql = "SELECT m.id, m.side, m.author, p.display_name, m.bot, m.text, m.sent, m.purpose, m.permit, m.permit_ends, m.comment_id, \
                 m.position \
               FROM messages_v1 m LEFT JOIN people_v1 p ON p.id = m.author \
               WHERE m.conversation_id = $1 AND m.position < $2 ORDER BY m.position DESC LIMIT $3";
    db.query(sql, vec![format!("{page}.{person}").into(), before.unwrap_or(i64::MAX).into(), limit.into()]).await
}
