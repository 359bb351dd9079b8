//! The conversation of one person with one page: seen by the two of them alone, and written by the page only under a permit.

use crate::access::Denied;
use crate::change::{Change, Readers};
use crate::deadline::{Deadline, Deadlines, Matter, Wake};
use crate::fan::Fan;
use crate::notice::{Notice, NoticeKind, To};
use crate::page::{PageStanding, StaffAct};
use crate::permit::{Claim, CommentedOn, META, Permit, Purpose};
use crate::stance::{Rights, Voice};
use crate::thing::Thing;
use crate::weight;
use crate::{
    CommentId, Context, Decider, Kind, Message, MessageId, Named, PageId, PersonId, Personal, Rejection, Span, StreamName, TextOwner,
    Timestamp, Written,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// After so long without a message from either side, the next one begins a new thread.
pub const THREAD: Span = Span::hours(24);

/// Who of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The person.
    Person,
    /// The page, through its staff.
    Page,
}

/// A message that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Previous {
    /// When it was written.
    pub at: Timestamp,
    /// By whom.
    pub side: Side,
}

/// The first message of a thread: of what is written without a silence of [`THREAD`] in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Opening {
    /// Which.
    pub message: MessageId,
    /// When it was written.
    pub at: Timestamp,
    /// By whom.
    pub side: Side,
}

/// What may be asked of this stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// The person writes to the page.
    WriteToPage {
        /// The person.
        by: PageStanding,
        /// The words.
        text: Message,
    },
    /// The page writes to the person.
    SendPageMessage {
        /// One of its staff.
        by: PageStanding,
        /// What the person is to the page.
        to: Fan,
        /// The words.
        text: Message,
        /// What for.
        purpose: Purpose,
        /// Under which permit.
        permit: Claim,
    },
    /// Nothing is left to be done, until the person writes again.
    MarkDone {
        /// One of the page's staff.
        by: PageStanding,
    },
    /// What the person writes is nothing to be answered.
    MarkSpam {
        /// One of the page's staff.
        by: PageStanding,
    },
    /// There is something to be done after all.
    Reopen {
        /// One of the page's staff.
        by: PageStanding,
    },
    /// Notes that the right to answer a comment in private has run out unused; the server asks when it is so.
    ExpirePrivateReply {
        /// The comment.
        comment: CommentId,
        /// When the right ended.
        ended: Timestamp,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::WriteToPage { .. } => "WriteToPage",
            Self::SendPageMessage { .. } => "SendPageMessage",
            Self::MarkDone { .. } => "MarkDone",
            Self::MarkSpam { .. } => "MarkSpam",
            Self::Reopen { .. } => "Reopen",
            Self::ExpirePrivateReply { .. } => "ExpirePrivateReply",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead. Messages carry facts from which any formula can be computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The person wrote.
    #[serde(rename = "conversation.person_wrote.v1")]
    PersonWrote {
        /// The message's id.
        message: MessageId,
        /// The words.
        text: Personal<String>,
        /// The message before, of either side.
        previous: Option<Previous>,
        /// How the thread began that it belongs to.
        opening: Opening,
        /// Whether the page had said that it is away.
        away: bool,
    },
    /// The page wrote.
    #[serde(rename = "conversation.page_wrote.v1")]
    PageWrote {
        /// The message's id.
        message: MessageId,
        /// Which of its staff.
        author: PersonId,
        /// Whether that is a bot.
        bot: bool,
        /// The words.
        text: Personal<String>,
        /// What for.
        purpose: Purpose,
        /// What allowed it.
        permit: Permit,
        /// The message before, of either side.
        previous: Option<Previous>,
        /// How the thread began that it belongs to.
        opening: Opening,
        /// Whether the page had said that it is away.
        away: bool,
    },
    /// Nothing is left to be done.
    #[serde(rename = "conversation.marked_done.v1")]
    MarkedDone,
    /// It is nothing to be answered.
    #[serde(rename = "conversation.marked_spam.v1")]
    MarkedSpam,
    /// There is something to be done.
    #[serde(rename = "conversation.reopened.v1")]
    Reopened,
    /// The time is over in which the page could answer a comment of the person's in private, and it did not.
    #[serde(rename = "conversation.private_reply_expired.v1")]
    PrivateReplyExpired {
        /// The comment.
        comment: CommentId,
        /// When the time was over.
        ended: Timestamp,
    },
}

/// Where a conversation stands in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is something to be done.
    #[default]
    Open,
    /// Nothing is, until the person writes again.
    Done,
    /// It is nothing to be answered, whatever the person writes.
    Spam,
}

/// The fold of this stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    status: Status,
    last: Option<Previous>,
    opening: Option<Opening>,
    /// When the person wrote last.
    person_wrote: Option<Timestamp>,
    /// The private replies, by comment.
    private_replies: BTreeMap<CommentId, MessageId>,
    /// The comments of which the history says that there was none in time.
    expired: BTreeSet<CommentId>,
    /// When the page replied in private and the person has not written since.
    unanswered: Option<Timestamp>,
}

/// The stream of `person` with `page`.
pub fn stream(page: PageId, person: PersonId) -> StreamName {
    crate::stream::<Conversation>(format_args!("{page}.{person}"))
}

/// Page and person of this stream.
pub fn ids(stream: &StreamName) -> Option<(PageId, PersonId)> {
    let (page, person) = stream.key().split_once('.')?;
    Some((page.parse().ok()?, person.parse().ok()?))
}

/// Who owns what is said in this stream.
fn about(stream: &StreamName) -> TextOwner {
    TextOwner::Person(ids(stream).map_or(PersonId(Uuid::nil()), |(_, person)| person))
}

impl Conversation {
    /// Whether a message was ever written.
    pub const fn exists(&self) -> bool {
        self.last.is_some()
    }

    /// Where it stands in the inbox.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Whether the history says what became of the private reply to a comment: it was written, or it came to none.
    pub fn settles(&self, comment: CommentId) -> bool {
        self.private_replies.contains_key(&comment) || self.expired.contains(&comment)
    }

    /// The message before and the opening of the thread, for a message that is written now.
    fn place(&self, message: MessageId, side: Side, now: Timestamp) -> (Option<Previous>, Opening) {
        let goes_on = self.last.is_some_and(|last| now < last.at.plus(THREAD));
        let opening = self.opening.filter(|_| goes_on).unwrap_or(Opening { message, at: now, side });
        (self.last, opening)
    }

    fn permit(&self, by: &PageStanding, claim: &Claim, now: Timestamp) -> Result<Permit, Error> {
        match claim {
            Claim::PrivateReply(comment) => self.private_reply(by, comment, now),
            Claim::Conversation => {
                let ended = self.person_wrote.map(|opened| opened.plus(META.conversation_window));
                match (self.person_wrote, ended) {
                    (Some(opened), Some(ends)) if now < ends => Ok(Permit::ConversationWindow { opened, ends }),
                    _ => Err(Error::WindowClosed { ended }),
                }
            }
        }
    }

    fn private_reply(&self, by: &PageStanding, comment: &CommentedOn, now: Timestamp) -> Result<Permit, Error> {
        let CommentedOn { id, facts, written } = *comment;
        match facts.place.page_post {
            None => return Err(Error::NotSupported),
            Some(page) if page != by.page_id() => return Err(Denied::StaffOnly.into()),
            Some(_) => {}
        }
        let ends = written.plus(META.private_reply);
        if let Some(message) = self.private_replies.get(&id) {
            return Err(Error::AlreadyReplied { message: *message });
        }
        if facts.removed {
            return Err(Error::CommentGone);
        }
        if matches!(facts.voice, Voice::Page(_)) {
            return Err(Error::ToAPage);
        }
        // The clock may have been set back since: what the history says stays said.
        if now >= ends || self.expired.contains(&id) {
            return Err(Error::TooLate { ended: ends });
        }
        match self.unanswered.map(|at| at.plus(META.contact_cap)) {
            Some(until) if now < until => Err(Error::ContactCap { until }),
            _ => Ok(Permit::PrivateReply { comment: id, ends }),
        }
    }

    fn mark(&self, by: &PageStanding, status: Status, event: Event) -> Result<Vec<Event>, Error> {
        by.may(StaffAct::Care)?;
        if !self.exists() {
            return Err(Denied::Unknown.into());
        }
        Ok(if self.status == status { vec![] } else { vec![event] })
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no permit for this purpose or target yet.
    #[error("messages for this purpose or to this target are not supported yet")]
    NotSupported,
    /// The person lets the page write no more.
    #[error("the person blocks this page")]
    Blocked,
    /// The person has not written for too long.
    #[error("the person has not written to the page in the last 24 hours")]
    WindowClosed {
        /// Until when the page could write, if the person ever wrote.
        ended: Option<Timestamp>,
    },
    /// The comment was written too long ago.
    #[error("the comment was written 7 days ago or earlier")]
    TooLate {
        /// Until when the page could reply in private.
        ended: Timestamp,
    },
    /// There is one private reply to a comment.
    #[error("the comment has a private reply already")]
    AlreadyReplied {
        /// It.
        message: MessageId,
    },
    /// The comment, or its post, was taken away.
    #[error("the comment was removed")]
    CommentGone,
    /// A page is no person.
    #[error("the comment is a page's; private replies are for persons")]
    ToAPage,
    /// One private reply without an answer at a time.
    #[error("the person has not answered the page's last private reply; there is one in 7 days")]
    ContactCap {
        /// Until when.
        until: Timestamp,
    },
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::NotSupported => "not_supported",
            Self::Blocked => "blocked",
            Self::WindowClosed { .. } => "window_closed",
            Self::TooLate { .. } => "too_late",
            Self::AlreadyReplied { .. } => "already_replied",
            Self::CommentGone => "comment_removed",
            Self::ToAPage => "not_a_person",
            Self::ContactCap { .. } => "contact_cap",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::NotSupported => Kind::Invalid,
            Self::Blocked => Kind::Forbidden,
            Self::WindowClosed { .. }
            | Self::TooLate { .. }
            | Self::AlreadyReplied { .. }
            | Self::CommentGone
            | Self::ToAPage
            | Self::ContactCap { .. } => Kind::Conflict,
        }
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::WindowClosed { ended } => Some(json!({ "ended": ended })),
            Self::TooLate { ended } => Some(json!({ "ended": ended })),
            Self::AlreadyReplied { message } => Some(json!({ "message_id": message })),
            Self::ContactCap { until } => Some(json!({ "until": until })),
            _ => None,
        }
    }
}

impl Decider for Conversation {
    const CATEGORY: &'static str = "conversation";
    const STREAM: (&'static str, &'static str) = ("PAGE.PERSON", "what a page and a person write to each other");
    const DEADLINES: Option<Deadlines<Self>> = Some(deadlines);
    const WAKE: Option<Wake<Self>> = Some(wake);
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::WriteToPage { by, .. }
            | Command::SendPageMessage { by, .. }
            | Command::MarkDone { by, .. }
            | Command::MarkSpam { by, .. }
            | Command::Reopen { by, .. } => vec![Rights::Page(by)],
            Command::ExpirePrivateReply { .. } => vec![],
        }
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        let message = MessageId(context.command_id);
        match command {
            Command::WriteToPage { by, text } => {
                by.as_fan()?;
                let (previous, opening) = self.place(message, Side::Person, context.now);
                Ok(vec![Event::PersonWrote { message, text: text.owned_by(about(context.stream)), previous, opening, away: false }])
            }
            Command::SendPageMessage { by, to, text, purpose, permit } => {
                let author = by.may(StaffAct::Care)?;
                if !matches!(purpose, Purpose::Reply | Purpose::Care) {
                    return Err(Error::NotSupported);
                }
                let permit = self.permit(by, permit, context.now)?;
                if to.blocks() {
                    return Err(Error::Blocked);
                }
                let (previous, opening) = self.place(message, Side::Page, context.now);
                let text = text.owned_by(about(context.stream));
                let (bot, purpose) = (by.bot(), *purpose);
                Ok(vec![Event::PageWrote { message, author, bot, text, purpose, permit, previous, opening, away: false }])
            }
            Command::MarkDone { by } => self.mark(by, Status::Done, Event::MarkedDone),
            Command::MarkSpam { by } => self.mark(by, Status::Spam, Event::MarkedSpam),
            Command::Reopen { by } => self.mark(by, Status::Open, Event::Reopened),
            Command::ExpirePrivateReply { comment, ended } => {
                let is_so = context.now >= *ended && !self.settles(*comment);
                Ok(if is_so { vec![Event::PrivateReplyExpired { comment: *comment, ended: *ended }] } else { vec![] })
            }
        }
    }

    fn evolve(mut self, event: &Event, at: Timestamp) -> Self {
        match event {
            Event::PersonWrote { opening, .. } => {
                (self.last, self.opening) = (Some(Previous { at, side: Side::Person }), Some(*opening));
                (self.person_wrote, self.unanswered) = (Some(at), None);
                if self.status == Status::Done {
                    self.status = Status::Open;
                }
            }
            Event::PageWrote { message, opening, permit, .. } => {
                (self.last, self.opening) = (Some(Previous { at, side: Side::Page }), Some(*opening));
                if let Permit::PrivateReply { comment, .. } = permit {
                    self.private_replies.insert(*comment, *message);
                    self.unanswered = Some(at);
                }
            }
            Event::MarkedDone => self.status = Status::Done,
            Event::MarkedSpam => self.status = Status::Spam,
            Event::Reopened => self.status = Status::Open,
            Event::PrivateReplyExpired { comment, .. } => {
                self.expired.insert(*comment);
            }
        }
        self
    }

    fn heap(&self) -> usize {
        weight::of_map(&self.private_replies) + weight::of_set(&self.expired)
    }

    /// Both sides, for all of it is about the person.
    fn own_texts(event: &mut Event, written: &Written<'_>) {
        match event {
            Event::PersonWrote { text, .. } | Event::PageWrote { text, .. } => text.give(about(written.stream)),
            Event::MarkedDone | Event::MarkedSpam | Event::Reopened | Event::PrivateReplyExpired { .. } => {}
        }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let (page, person) = ids(stream)?;
        let to = |other| Change::of(Thing::Conversation(page, person), Readers::Care(page, other));
        Some(match event {
            Event::PersonWrote { .. } => to(Some(person)).by(Voice::Person(person)),
            Event::PageWrote { .. } => to(Some(person)).by(Voice::Page(page)),
            // How far staff has come with it is no business of the person's.
            Event::MarkedDone | Event::MarkedSpam | Event::Reopened => to(None),
            // The page knows how long it may reply.
            Event::PrivateReplyExpired { .. } => return None,
        })
    }

    fn notices(stream: &StreamName, event: &Event) -> Vec<Notice> {
        let Some((page, person)) = ids(stream) else { return vec![] };
        let of = |to, message: &MessageId| {
            Notice::of(NoticeKind::PageMessage, to, Thing::Conversation(page, person)).with("message_id", message)
        };
        match event {
            Event::PersonWrote { message, .. } => vec![of(To::Care(page), message).by(Voice::Person(person))],
            Event::PageWrote { message, .. } => vec![of(To::Person(person), message).by(Voice::Page(page))],
            Event::MarkedDone | Event::MarkedSpam | Event::Reopened | Event::PrivateReplyExpired { .. } => vec![],
        }
    }

    fn concerns(&self, stream: &StreamName, _: &Event, _: Option<&Command>) -> Vec<PersonId> {
        ids(stream).map(|(_, person)| person).into_iter().collect()
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Conversation(event) = event { Some(event) } else { None }
    }

    // No scope: a conversation has no audience but the two, so nothing that goes by audiences may ever show it.
}

/// A comment waits for a private reply no longer when it has one, or when it is said that there was none in time.
fn deadlines(stream: &StreamName, event: &Event, _: Timestamp) -> Vec<Deadline> {
    match event {
        Event::PageWrote { permit: Permit::PrivateReply { comment, .. }, .. } | Event::PrivateReplyExpired { comment, .. } => {
            vec![Matter::about(stream.clone(), *comment).over()]
        }
        _ => vec![],
    }
}

fn wake(matter: &Matter, at: Timestamp) -> Option<Command> {
    matter.about.map(|comment| Command::ExpirePrivateReply { comment: CommentId(comment), ended: at })
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    PersonWrote {
        message: MessageId(id(2)),
        text: text("Open on\nSunday?"),
        previous: Some(Previous { at: NOON, side: Side::Page }),
        opening: Opening { message: MessageId(id(1)), at: NOON, side: Side::Page },
        away: false,
    }
    PageWrote {
        message: MessageId(id(1)),
        author: person(3),
        bot: true,
        text: text("See \"opening hours\"."),
        purpose: Purpose::Reply,
        permit: Permit::PrivateReply { comment: CommentId(id(0x71)), ends: NOON },
        previous: Some(Previous { at: NOON, side: Side::Person }),
        opening: Opening { message: MessageId(id(1)), at: NOON, side: Side::Page },
        away: true,
    }
    MarkedDone {}
    MarkedSpam {}
    Reopened {}
    PrivateReplyExpired { comment: CommentId(id(0x71)), ended: NOON }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
