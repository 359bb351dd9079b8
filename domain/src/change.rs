//! The change feed: what an event is about, and who may learn of it.
//!
//! A change carries no words: it names a thing and what happened to it, so that a client can read the thing anew. Nobody
//! learns of a change to something that they could not read at its own address at this moment. Every event type has its
//! place in one of the functions here; a new one does not compile without.

use crate::access::{Action, Origin, Privacy, Role, Scope, Standing};
use crate::membership::Membership;
use crate::page::StaffAct;
use crate::stance::Voice;
use crate::{AnswerId, CommentId, Event, GroupId, ListingId, PageId, PersonId, PostId, QuestionId, StreamName, Timestamp};
use crate::{comment, conversation, fan, group, listing, membership, page, person, post, question, reaction};

/// What a change is about: the thing to read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Thing {
    Answer(AnswerId, QuestionId),
    Comment(CommentId),
    Conversation(PageId, PersonId),
    Group(GroupId),
    Listing(ListingId),
    Membership(GroupId, PersonId),
    Page(PageId),
    Person(PersonId),
    Post(PostId),
    Question(QuestionId),
}

/// Who may learn of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Everyone who is registered.
    Registered,
    /// This person.
    Person(PersonId),
    /// Whoever sees the page: everyone.
    Page(PageId),
    /// Its staff, and the person.
    Staff(PageId, PersonId),
    /// Those of its staff who write to persons, and the person, if one is given.
    Care(PageId, Option<PersonId>),
    /// Some of those who see the group.
    Group(GroupId, InGroup),
    /// Whoever may read the thing at its own address.
    Content(Content),
}

/// Things with words, at whose addresses it is decided who reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Content {
    Comment(CommentId),
    Listing(ListingId),
    Post(PostId),
    Question(QuestionId),
}

/// Who in a group may learn of a change to the group or to a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InGroup {
    /// Whoever sees the group.
    Seen,
    /// Whoever sees the group, unless it was secret then: whoever reads what was written at that time.
    Settings,
    /// Whoever reads the list of members, of somebody who came or has another role.
    Member {
        /// Whom it is about.
        person: PersonId,
        /// Their episode of membership.
        episode: u32,
        /// The role that was given, if it was about that.
        role: Option<Role>,
    },
    /// Whoever reads the list of members and could know that the person was on it. Only who keeps order learns how it came.
    Departed {
        /// Whom it is about.
        person: PersonId,
    },
    /// The same, of somebody who has a role no longer.
    Demoted {
        /// Whom it is about.
        person: PersonId,
    },
    /// Who keeps order, and the person.
    Queue {
        /// Whom it is about.
        person: PersonId,
    },
}

/// An event as a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub thing: Thing,
    /// Who may learn of it.
    pub readers: Readers,
    /// Whose words they are, if that is what the event is: as everyone sees it who reads them.
    pub author: Option<Voice>,
    /// Whether the event's revision is that of the thing, which those who read the thing know.
    pub revised: bool,
    /// Whether it gave the thing other words: only who may read these learns of it.
    pub edited: bool,
}

/// How much of a change somebody may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// Nothing.
    Hidden,
    /// That a membership ended, not how.
    Departure,
    /// All there is.
    Full,
}

/// What `event` of `stream` tells; `None` if it is nobody's business.
pub fn change(stream: &StreamName, event: &Event) -> Option<Change> {
    match event {
        Event::Comment(event) => Some(of_comment(CommentId(stream.id()?), event)),
        Event::Conversation(event) => conversation::ids(stream).and_then(|(page, person)| of_conversation(page, person, event)),
        Event::Fan(event) => fan::ids(stream).map(|(page, person)| of_fan(page, person, event)),
        Event::Group(event) => Some(of_group(GroupId(stream.id()?), event)),
        Event::Listing(event) => Some(of_listing(ListingId(stream.id()?), event)),
        Event::Membership(event) => membership::ids(stream).and_then(|(group, person)| of_membership(group, person, event)),
        Event::Page(event) => Some(of_page(PageId(stream.id()?), event)),
        Event::Person(person::Event::Registered { .. }) => {
            let person = PersonId(stream.id()?);
            Some(Change { thing: Thing::Person(person), readers: Readers::Registered, author: None, revised: true, edited: false })
        }
        Event::Post(event) => Some(of_post(PostId(stream.id()?), event)),
        Event::Question(event) => Some(of_question(QuestionId(stream.id()?), event)),
        Event::Reaction(event) => of_reaction(stream, event),
        // What places are taken for tells of itself; the page tells of its names; who read texts unmasked is for analysts; the salt for
        // nobody.
        Event::Allowance(_) | Event::Salt(_) | Event::Skip(_) | Event::Unmasking(_) | Event::Username(_) => None,
    }
}

fn of_comment(id: CommentId, event: &comment::Event) -> Change {
    let author = match event {
        comment::Event::Written { voice, .. } => Some(*voice),
        comment::Event::Edited { .. } | comment::Event::Removed { .. } => None,
    };
    let edited = matches!(event, comment::Event::Edited { .. });
    Change { thing: Thing::Comment(id), readers: Readers::Content(Content::Comment(id)), author, revised: true, edited }
}

fn of_conversation(page: PageId, person: PersonId, event: &conversation::Event) -> Option<Change> {
    let (other, author) = match event {
        conversation::Event::PersonWrote { .. } => (Some(person), Some(Voice::Person(person))),
        conversation::Event::PageWrote { .. } => (Some(person), Some(Voice::Page(page))),
        // How far staff has come with it is no business of the person's.
        conversation::Event::MarkedDone | conversation::Event::MarkedSpam | conversation::Event::Reopened => (None, None),
        // There may be no conversation at all, and the moment told itself.
        conversation::Event::PrivateReplyExpired { .. } => return None,
    };
    Some(Change { thing: Thing::Conversation(page, person), readers: Readers::Care(page, other), author, revised: false, edited: false })
}

/// Not even the page's staff is told who follows or blocks it.
fn of_fan(page: PageId, person: PersonId, event: &fan::Event) -> Change {
    match event {
        fan::Event::Followed | fan::Event::Unfollowed | fan::Event::Blocked | fan::Event::Unblocked => {
            Change { thing: Thing::Page(page), readers: Readers::Person(person), author: None, revised: false, edited: false }
        }
    }
}

fn of_group(id: GroupId, event: &group::Event) -> Change {
    let of = |thing, right, revised| Change { thing, readers: Readers::Group(id, right), author: None, revised, edited: false };
    match event {
        group::Event::Created { .. } => of(Thing::Group(id), InGroup::Seen, true),
        group::Event::Renamed { .. }
        | group::Event::Described { .. }
        | group::Event::PrivacyChanged { .. }
        | group::Event::PolicyChanged { .. }
        | group::Event::MemberInvitationsSwitched { .. }
        | group::Event::MemberListSwitched { .. }
        | group::Event::HistoryChanged { .. } => of(Thing::Group(id), InGroup::Settings, true),
        group::Event::RoleGiven { person, role, episode } => {
            of(Thing::Membership(id, *person), InGroup::Member { person: *person, episode: *episode, role: Some(*role) }, false)
        }
        group::Event::RoleWithdrawn { person, .. } => of(Thing::Membership(id, *person), InGroup::Demoted { person: *person }, false),
    }
}

fn of_listing(id: ListingId, event: &listing::Event) -> Change {
    let author = match event {
        listing::Event::Posted { seller, .. } => Some(Voice::Person(*seller)),
        listing::Event::Edited { .. }
        | listing::Event::Repriced { .. }
        | listing::Event::Sold { .. }
        | listing::Event::MadeAvailable { .. }
        | listing::Event::Withdrawn { .. } => None,
    };
    let edited = matches!(event, listing::Event::Edited { .. });
    Change { thing: Thing::Listing(id), readers: Readers::Content(Content::Listing(id)), author, revised: true, edited }
}

fn of_membership(group: GroupId, person: PersonId, event: &membership::Event) -> Option<Change> {
    let right = match event {
        membership::Event::Joined { episode, .. } => InGroup::Member { person, episode: *episode, role: None },
        membership::Event::Left { .. } | membership::Event::Removed { .. } | membership::Event::Banned { episode: Some(_), .. } => {
            InGroup::Departed { person }
        }
        membership::Event::Invited { .. }
        | membership::Event::InvitationDeclined
        | membership::Event::InvitationRevoked
        | membership::Event::Requested
        | membership::Event::RequestWithdrawn
        | membership::Event::RequestRefused { .. }
        | membership::Event::Banned { episode: None, .. }
        | membership::Event::Unbanned
        | membership::Event::BanEnded { .. } => InGroup::Queue { person },
        // The role that it makes ready for is told as such.
        membership::Event::Bound { .. } => return None,
    };
    Some(Change {
        thing: Thing::Membership(group, person),
        readers: Readers::Group(group, right),
        author: None,
        revised: false,
        edited: false,
    })
}

fn of_page(id: PageId, event: &page::Event) -> Change {
    let (readers, revised) = match event {
        page::Event::Created { .. } | page::Event::Renamed { .. } | page::Event::UsernameChanged { .. } => (Readers::Page(id), true),
        page::Event::StaffOffered { person, .. }
        | page::Event::StaffOfferEnded { person }
        | page::Event::StaffGiven { person, .. }
        | page::Event::StaffWithdrawn { person } => (Readers::Staff(id, *person), true),
    };
    Change { thing: Thing::Page(id), readers, author: None, revised, edited: false }
}

fn of_post(id: PostId, event: &post::Event) -> Change {
    let author = match event {
        post::Event::Written { voice, .. } => Some(*voice),
        post::Event::Edited { .. } | post::Event::Removed { .. } => None,
    };
    let edited = matches!(event, post::Event::Edited { .. });
    Change { thing: Thing::Post(id), readers: Readers::Content(Content::Post(id)), author, revised: true, edited }
}

fn of_question(id: QuestionId, event: &question::Event) -> Change {
    let (thing, author) = match event {
        question::Event::Posted { author, .. } => (Thing::Question(id), Some(*author)),
        question::Event::Answered { answer, author, .. } => (Thing::Answer(*answer, id), Some(*author)),
        question::Event::AnswerAccepted { .. }
        | question::Event::AcceptanceWithdrawn { .. }
        | question::Event::Closed
        | question::Event::Reopened => (Thing::Question(id), None),
    };
    Change { thing, readers: Readers::Content(Content::Question(id)), author: author.map(Voice::Person), revised: true, edited: false }
}

/// The thing has other counts. Who reacted is told to nobody else, as at the thing's address.
fn of_reaction(stream: &StreamName, event: &reaction::Event) -> Option<Change> {
    let (reaction::Event::Given { target, .. } | reaction::Event::Withdrawn { target, .. }) = event;
    let id = stream.key().split_once('.')?.0.parse().ok()?;
    let (thing, content) = match target {
        reaction::TargetKind::Post => (Thing::Post(PostId(id)), Content::Post(PostId(id))),
        reaction::TargetKind::Comment => (Thing::Comment(CommentId(id)), Content::Comment(CommentId(id))),
        reaction::TargetKind::Question => (Thing::Question(QuestionId(id)), Content::Question(QuestionId(id))),
        reaction::TargetKind::Listing => (Thing::Listing(ListingId(id)), Content::Listing(ListingId(id))),
        // Nobody can react to answers yet, and the id alone does not lead to the question.
        reaction::TargetKind::Answer => return None,
    };
    Some(Change { thing, readers: Readers::Content(content), author: None, revised: false, edited: false })
}

impl Readers {
    /// Whether `reader` may learn of a change on their page.
    pub fn of_page(&self, reader: &page::PageStanding) -> bool {
        let is = |person: &PersonId| reader.person() == Some(*person);
        match self {
            Self::Page(_) => reader.sees().is_ok(),
            Self::Staff(_, person) => reader.role().is_some() || (is(person) && reader.sees().is_ok()),
            Self::Care(_, person) => reader.may(StaffAct::Care).is_ok() || person.as_ref().is_some_and(is),
            Self::Registered | Self::Person(_) | Self::Group(..) | Self::Content(_) => false,
        }
    }
}

impl InGroup {
    /// Whose membership it is about, if it is about one.
    pub const fn person(self) -> Option<PersonId> {
        match self {
            Self::Seen | Self::Settings => None,
            Self::Member { person, .. } | Self::Departed { person } | Self::Demoted { person } | Self::Queue { person } => Some(person),
        }
    }

    /// How much `reader` may learn of a change at `at` in `scope` that concerned the membership of `subject`.
    pub fn shows(self, reader: &Standing, subject: &Membership, scope: Option<Scope>, at: Timestamp) -> Shown {
        if reader.allows(Action::See).is_err() {
            return Shown::Hidden;
        }
        let own = reader.person().is_some() && reader.person() == self.person();
        let full = |may: bool| if may { Shown::Full } else { Shown::Hidden };
        match self {
            Self::Seen => Shown::Full,
            Self::Settings => full(scope.is_some_and(|scope| {
                let towards = || reader.clone().towards(Origin { scope, at });
                scope.privacy != Privacy::Secret || towards().allows(Action::Read).is_ok()
            })),
            _ if own || reader.allows(Action::Moderate).is_ok() => Shown::Full,
            Self::Queue { .. } => Shown::Hidden,
            _ if reader.allows(Action::ReadMembers).is_err() => Shown::Hidden,
            Self::Member { person, episode, role } => {
                let member = subject.present().is_some_and(|present| present.number == episode);
                let stands = member && role.is_none_or(|role| reader.group().role_of(person, episode) == Some(role));
                full(stands || witnessed(reader, scope, at))
            }
            Self::Demoted { .. } => full(witnessed(reader, scope, at)),
            Self::Departed { .. } => full(witnessed(reader, scope, at)).min(Shown::Departure),
        }
    }
}

/// Whether the reader could read the list of members at that moment: as a member, or because the group was public then as
/// it is now.
fn witnessed(reader: &Standing, scope: Option<Scope>, at: Timestamp) -> bool {
    let then = scope.map_or(Privacy::Secret, |scope| scope.privacy);
    let episodes = reader.membership().episodes().iter();
    then.max(reader.group().privacy()) == Privacy::Public
        || episodes.into_iter().any(|episode| episode.from <= at && episode.until.is_none_or(|until| at <= until))
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
