//! A question: asked in a group, answered, one answer accepted, closed and opened again.

use crate::access::{Action, Denied, Role, Standing};
use crate::change::{Change, Content, Readers};
use crate::notice::{Notice, NoticeKind, To};
use crate::stance::Rights;
use crate::stance::Voice;
use crate::thing::Thing;
use crate::weight;
use crate::{
    AnswerId, Body, Comment, Context, Decider, Kind, Named, PersonId, Personal, QuestionId, Rejection, StreamName, TextOwner, Timestamp,
    Title, Written,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What may be asked of a question's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Asks.
    PostQuestion {
        /// Who asks.
        by: Standing,
        /// In a line.
        title: Title,
        /// At length.
        body: Body,
    },
    /// Answers.
    PostAnswer {
        /// Who answers.
        by: Standing,
        /// The answer.
        body: Comment,
    },
    /// Marks an answer as the one; the asker's or a moderator's choice.
    AcceptAnswer {
        /// Who chooses.
        by: Standing,
        /// Which.
        answer: AnswerId,
    },
    /// Takes that mark away.
    WithdrawAcceptance {
        /// Who chose.
        by: Standing,
    },
    /// Takes no more answers.
    CloseQuestion {
        /// The asker or a moderator.
        by: Standing,
    },
    /// Takes answers again.
    ReopenQuestion {
        /// The asker or a moderator.
        by: Standing,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::PostQuestion { .. } => "PostQuestion",
            Self::PostAnswer { .. } => "PostAnswer",
            Self::AcceptAnswer { .. } => "AcceptAnswer",
            Self::WithdrawAcceptance { .. } => "WithdrawAcceptance",
            Self::CloseQuestion { .. } => "CloseQuestion",
            Self::ReopenQuestion { .. } => "ReopenQuestion",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Somebody asked.
    #[serde(rename = "question.posted.v1")]
    Posted {
        /// Who.
        author: PersonId,
        /// In a line.
        title: Personal<String>,
        /// At length.
        body: Personal<String>,
    },
    /// Somebody answered.
    #[serde(rename = "question.answered.v1")]
    Answered {
        /// The answer's id.
        answer: AnswerId,
        /// Who.
        author: PersonId,
        /// The answer.
        body: Personal<String>,
    },
    /// An answer was accepted.
    #[serde(rename = "question.answer_accepted.v1")]
    AnswerAccepted {
        /// Which.
        answer: AnswerId,
        /// Which one was before.
        previous: Option<AnswerId>,
    },
    /// No answer is accepted any longer.
    #[serde(rename = "question.acceptance_withdrawn.v1")]
    AcceptanceWithdrawn {
        /// Which one was.
        answer: AnswerId,
    },
    /// It takes no more answers.
    #[serde(rename = "question.closed.v1")]
    Closed,
    /// It takes answers again.
    #[serde(rename = "question.reopened.v1")]
    Reopened,
}

/// The fold of a question's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Question {
    /// Nobody asked.
    #[default]
    Absent,
    /// It was asked.
    Asked {
        /// By whom.
        author: PersonId,
        /// Answers and who gave them.
        answers: BTreeMap<AnswerId, PersonId>,
        /// The accepted one.
        accepted: Option<AnswerId>,
        /// Whether it takes no more answers.
        closed: bool,
    },
}

/// The stream of a question.
pub fn stream(id: QuestionId) -> StreamName {
    crate::stream::<Question>(id)
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The id is taken by a question.
    #[error("this question exists already")]
    AlreadyExists,
    /// It takes no more answers.
    #[error("the question is closed")]
    Closed,
    /// No answer of this question has this id.
    #[error("the question has no such answer")]
    NoSuchAnswer,
    /// Nothing to withdraw.
    #[error("no answer is accepted")]
    NothingAccepted,
    /// Neither the asker nor a moderator.
    #[error("only the asker, a moderator or an admin may do this")]
    NotTheAsker,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::AlreadyExists => "already_exists",
            Self::Closed => "question_closed",
            Self::NoSuchAnswer => "no_such_answer",
            Self::NothingAccepted => "nothing_accepted",
            Self::NotTheAsker => "not_the_asker",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::AlreadyExists | Self::Closed => Kind::Conflict,
            Self::NoSuchAnswer => Kind::Invalid,
            Self::NothingAccepted => Kind::NotFound,
            Self::NotTheAsker => Kind::Forbidden,
        }
    }
}

impl Decider for Question {
    const CATEGORY: &'static str = "question";
    const STREAM: (&'static str, &'static str) = ("QUESTION", "a question with its answers");
    const CONCERNS_BY_STATE: bool = true;
    /// What a program of the next version knows besides (docs/adr/0007-a-next-version-for-one-test.md).
    #[cfg(feature = "next")]
    const UPCASTS: &'static [crate::Upcast] = &[crate::Upcast { from: "question.closed.v2", to: "question.closed.v1", step: |_| () }];
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::PostQuestion { by, .. }
            | Command::PostAnswer { by, .. }
            | Command::AcceptAnswer { by, .. }
            | Command::WithdrawAcceptance { by, .. }
            | Command::CloseQuestion { by, .. }
            | Command::ReopenQuestion { by, .. } => vec![Rights::Group(by)],
        }
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Absent, Command::PostQuestion { by, title, body }) => {
                let author = by.may(Action::Contribute)?;
                let owner = TextOwner::Person(author);
                Ok(vec![Event::Posted { author, title: title.owned_by(owner), body: body.owned_by(owner) }])
            }
            (Self::Asked { .. }, Command::PostQuestion { .. }) => Err(Error::AlreadyExists),
            (Self::Absent, _) => Err(Denied::Unknown.into()),
            (Self::Asked { closed, .. }, Command::PostAnswer { by, body }) => {
                by.may(Action::Read)?;
                let author = by.may(Action::Contribute)?;
                let answer = AnswerId(context.command_id);
                if *closed {
                    Err(Error::Closed)
                } else {
                    Ok(vec![Event::Answered { answer, author, body: body.owned_by(TextOwner::Person(author)) }])
                }
            }
            (Self::Asked { author, answers, accepted, .. }, Command::AcceptAnswer { by, answer }) => {
                asker_or_moderator(*author, by)?;
                match accepted {
                    _ if !answers.contains_key(answer) => Err(Error::NoSuchAnswer),
                    Some(current) if current == answer => Ok(vec![]),
                    previous => Ok(vec![Event::AnswerAccepted { answer: *answer, previous: *previous }]),
                }
            }
            (Self::Asked { author, accepted, .. }, Command::WithdrawAcceptance { by }) => {
                asker_or_moderator(*author, by)?;
                accepted.ok_or(Error::NothingAccepted).map(|answer| vec![Event::AcceptanceWithdrawn { answer }])
            }
            (Self::Asked { author, closed, .. }, Command::CloseQuestion { by }) => {
                asker_or_moderator(*author, by)?;
                Ok(if *closed { vec![] } else { vec![Event::Closed] })
            }
            (Self::Asked { author, closed, .. }, Command::ReopenQuestion { by }) => {
                asker_or_moderator(*author, by)?;
                Ok(if *closed { vec![Event::Reopened] } else { vec![] })
            }
        }
    }

    fn heap(&self) -> usize {
        if let Self::Asked { answers, .. } = self { weight::of_map(answers) } else { 0 }
    }

    fn own_texts(event: &mut Event, _: &Written<'_>) {
        match event {
            Event::Posted { author, title, body } => {
                title.give(TextOwner::Person(*author));
                body.give(TextOwner::Person(*author));
            }
            Event::Answered { author, body, .. } => body.give(TextOwner::Person(*author)),
            Event::AnswerAccepted { .. } | Event::AcceptanceWithdrawn { .. } | Event::Closed | Event::Reopened => {}
        }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let id = QuestionId(stream.id()?);
        let of = |thing| Change::of(thing, Readers::Content(Content::Question(id))).revised();
        Some(match event {
            Event::Posted { author, .. } => of(Thing::Question(id)).by(Voice::Person(*author)),
            Event::Answered { answer, author, .. } => of(Thing::Answer(*answer, id)).by(Voice::Person(*author)),
            Event::AnswerAccepted { .. } | Event::AcceptanceWithdrawn { .. } | Event::Closed | Event::Reopened => of(Thing::Question(id)),
        })
    }

    fn notices(stream: &StreamName, event: &Event) -> Vec<Notice> {
        let Some(id) = stream.id().map(QuestionId) else { return vec![] };
        let of = |kind, answer: &AnswerId| Notice::of(kind, To::Concerned, Thing::Answer(*answer, id)).with("question_id", &id);
        match event {
            Event::Answered { answer, author, .. } => vec![of(NoticeKind::Answered, answer).by(Voice::Person(*author))],
            Event::AnswerAccepted { answer, .. } => vec![of(NoticeKind::Accepted, answer)],
            _ => vec![],
        }
    }

    fn concerns(&self, _: &StreamName, event: &Event, _: Option<&Command>) -> Vec<PersonId> {
        let Self::Asked { author, answers, .. } = self else { return vec![] };
        match event {
            Event::Answered { .. } => vec![*author],
            Event::AnswerAccepted { answer, .. } | Event::AcceptanceWithdrawn { answer } => {
                answers.get(answer).copied().into_iter().collect()
            }
            Event::Posted { .. } | Event::Closed | Event::Reopened => vec![],
        }
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Question(event) = event { Some(event) } else { None }
    }

    fn evolve(mut self, event: &Event, _: Timestamp) -> Self {
        match (&mut self, event) {
            (Self::Absent, Event::Posted { author, .. }) => {
                return Self::Asked { author: *author, answers: BTreeMap::new(), accepted: None, closed: false };
            }
            (Self::Asked { answers, .. }, Event::Answered { answer, author, .. }) => {
                answers.insert(*answer, *author);
            }
            (Self::Asked { accepted, .. }, Event::AnswerAccepted { answer, .. }) => *accepted = Some(*answer),
            (Self::Asked { accepted, .. }, Event::AcceptanceWithdrawn { .. }) => *accepted = None,
            (Self::Asked { closed, .. }, Event::Closed) => *closed = true,
            (Self::Asked { closed, .. }, Event::Reopened) => *closed = false,
            (Self::Absent, _) | (Self::Asked { .. }, Event::Posted { .. }) => {}
        }
        self
    }
}

fn asker_or_moderator(asker: PersonId, by: &Standing) -> Result<(), Error> {
    by.may(Action::Read)?;
    let person = by.may(Action::Contribute)?;
    if person == asker || by.role() >= Some(Role::Moderator) { Ok(()) } else { Err(Error::NotTheAsker) }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Posted { author: person(1), title: text("Which hut?"), body: text("For two nights,\nwith \"dinner\".") }
    Answered { answer: AnswerId(id(7)), author: person(2), body: text("The lower one") }
    AnswerAccepted { answer: AnswerId(id(7)), previous: Some(AnswerId(id(6))) }
    AcceptanceWithdrawn { answer: AnswerId(id(7)) }
    Closed {}
    Reopened {}
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
