//! Ids of people: who signs in by a name is who the log says, under the salt that it began with.
//!
//! The salt is drawn by whoever begins a log, before anybody registers. A log with people that began without one, because a program
//! of before wrote it, keeps the ids that it has.

use crate::envelope::new_events;
use crate::sealing::{NoRandomness, Random, Secret, person};
use crate::{Append, EventStore, Expected, Metadata, Position, StoreError};
use circolo_domain::salt::{self, Command, Salt};
use circolo_domain::{Context, Decider, DecodeError, Event, Named, PersonId, Timestamp, person::Person};
use uuid::Uuid;

/// Namespace of the ids of people in logs without a salt.
const UNSALTED: Uuid = Uuid::from_u128(0x9c1f_46a8_53d2_5e0b_8d77_0b1e_2f6a_4c02);

/// How the ids of a log's people are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People(Option<Secret>);

/// Why it is not known who is who.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No salt can be drawn.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// There is a salt, and it is of no use.
    #[error("nobody can be told apart: {0}")]
    Salt(#[from] SaltError),
}

/// What is wrong with a salt.
#[derive(Debug, thiserror::Error)]
pub enum SaltError {
    /// Its event cannot be read.
    #[error("the salt of person ids, the first event of salt-people, cannot be read: {0}")]
    Unreadable(#[from] DecodeError),
    /// It is not in it.
    #[error("the salt of person ids is null")]
    Null,
    /// It is something else.
    #[error("the salt of person ids is not 32 bytes in base64url")]
    Broken,
}

impl People {
    /// With this salt.
    pub const fn salted(salt: Secret) -> Self {
        Self(Some(salt))
    }

    /// As they were before there were salts: whoever knows the name that somebody signs in by can compute who they are.
    pub const fn unsalted() -> Self {
        Self(None)
    }

    /// Those of `store`; `None` if it has no salt yet, and nobody who has registered without.
    pub async fn of(store: &dyn EventStore) -> Result<Option<Self>, PeopleError> {
        if let Some(first) = store.read(&salt::stream(), 0, 1).await?.first() {
            let recorded = first.decode().map_err(SaltError::from)?;
            return Ok(Some(Self::salted(salt_in(&recorded.event)?)));
        }
        let head = store.head().await?;
        let anybody = store.read_prefix(&format!("{}-", Person::CATEGORY), Position::START, head, 1).await?;
        Ok((!anybody.events.is_empty()).then(Self::unsalted))
    }

    /// The same; a log that is new gets its salt now. Of several who begin it, one does, and all go by what that one drew.
    pub async fn begin(store: &dyn EventStore, random: &Random, id: Uuid, now: Timestamp) -> Result<Self, PeopleError> {
        if let Some(people) = Self::of(store).await? {
            return Ok(people);
        }
        let drawn = store.append(first_event(&Secret::drawn(random)?, id, now)).await;
        match (drawn, Self::of(store).await?) {
            (_, Some(people)) => Ok(people),
            (Err(error), None) => Err(error.into()),
            // Appended, and not there.
            (Ok(_), None) => Err(StoreError::Lost.into()),
        }
    }

    /// Who signs in as `subject` of `issuer`, after that sign-in was forgotten `forgotten` times.
    pub fn id(&self, issuer: &str, subject: &str, forgotten: u64) -> PersonId {
        match &self.0 {
            Some(salt) => person::person_id(salt, issuer, subject, forgotten),
            None => PersonId(Uuid::new_v5(&UNSALTED, unsalted_name(issuer, subject, forgotten).as_bytes())),
        }
    }
}

/// Whether a log holds nothing yet but, perhaps, its salt.
pub async fn is_new(store: &dyn EventStore) -> Result<bool, StoreError> {
    let head = store.head().await?;
    if head == Position::START {
        return Ok(true);
    }
    let ends_with_it = store.read(&salt::stream(), 0, 1).await?.first().is_some_and(|salt| salt.position == head);
    Ok(ends_with_it && store.read_all(Position::START, 2).await?.events.len() == 1)
}

/// The count is told where there is something to count: ids of before were made without.
fn unsalted_name(issuer: &str, subject: &str, forgotten: u64) -> String {
    match forgotten {
        0 => serde_json::json!([issuer, subject]).to_string(),
        _ => serde_json::json!([issuer, subject, forgotten]).to_string(),
    }
}

/// The salt that `event` is about.
pub(crate) fn salt_in(event: &Event) -> Result<Secret, SaltError> {
    let Event::Salt(salt::Event::Drawn { salt }) = event else { return Err(SaltError::Broken) };
    person::read_salt(salt.get().ok_or(SaltError::Null)?).ok_or(SaltError::Broken)
}

/// What gives a log its salt.
fn first_event(salt: &Secret, id: Uuid, now: Timestamp) -> Append {
    let (stream, command) = (salt::stream(), Command::DrawSalt(person::write_salt(salt)));
    let context = Context { stream: &stream, now, actor: None, command_id: id };
    let Ok(events) = Salt::default().decide(&command, &context);
    let metadata = Metadata {
        actor: None,
        command: command.name().to_owned(),
        command_id: id,
        fingerprint: None,
        correlation: id,
        causation: None,
        scope: None,
        concerns: vec![],
    };
    Append { events: new_events(&stream, &events, &metadata, now), stream, expected: Expected::NoStream }
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
