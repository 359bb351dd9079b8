//! Circolo's rules, without I/O, clock or chance.
//!
//! - [`decider`]: the shape of every aggregate
//! - [`access`]: who may do and read what
//! - one module per aggregate: [`group`], [`membership`], [`person`], [`question`]
//! - [`flow`]: what follows from an event in another stream
//! - values: [`id`], [`text`], [`time`], [`personal`]

pub mod access;
pub mod decider;
pub mod event;
pub mod flow;
pub mod group;
pub mod id;
pub mod membership;
pub mod person;
pub mod personal;
pub mod question;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod time;

pub use decider::{Context, Decider, Kind, Named, Rejection, Upcast};
pub use event::{CATEGORIES, DecodeError, Encoded, Event, encode, stream};
pub use id::{AnswerId, GroupId, PersonId, QuestionId, StreamName};
pub use personal::{Personal, masked};
pub use text::{Body, Comment, DisplayName, Locale, Name, Reason, Text, TextError, Title};
pub use time::{Span, Timestamp};
