//! Circolo's rules, without I/O, clock or chance.
//!
//! - [`decider`]: the shape of every aggregate
//! - [`access`]: who may do and read what
//! - [`stance`]: the same for content, whether it lives in a group or on a page
//! - one module per aggregate, in folders by pillar: [`community`], [`market`], [`care`]; beside them [`person`], [`media`], and
//!   [`allowance`], how much may be done in a day
//! - [`history`]: what the log says of itself
//! - [`thing`]: what has an id of its own, and its sort
//! - [`change`]: what an event tells to whom in the change feed
//! - [`notice`]: whom an event tells of something, and as what; [`attention`]: what a person has read and wants to be told
//! - [`flow`]: what follows from an event in another stream; [`deadline`]: what is to be looked at again, and when
//! - `schema` (a feature): JSON Schema of every event, and their catalogue
//! - [`owner`]: whose a text is; [`parted`]: an event apart from its texts, and one again
//! - [`values`]: what a text, a time, an id or an amount may be
//!
//! Modules of the folders are known at the crate's root, too: `circolo_domain::question`.

pub mod access;
pub mod allowance;
pub mod attention;
pub mod care;
pub mod change;
pub mod community;
pub mod deadline;
pub mod decider;
pub mod event;
pub mod flow;
pub mod history;
pub mod market;
pub mod media;
pub mod notice;
pub mod owner;
pub mod parted;
pub mod person;
#[cfg(feature = "schema")]
pub mod schema;
pub mod stance;
#[cfg(feature = "testing")]
pub mod testing;
pub mod thing;
pub mod values;

pub use care::*;
pub use community::*;
pub use history::*;
pub use market::*;
pub use values::*;

pub use decider::{Context, Decider, Kind, Named, Rejection, Upcast};
pub use event::{CATEGORIES, Command, DecodeError, Encoded, Event, Issue, STREAMS, State, encode, stream};
pub use flow::FollowUp;
pub use id::{AnswerId, CommentId, GroupId, ListingId, MediaId, MessageId, PageId, PersonId, PostId, QuestionId, StreamName};
pub use money::{Currency, Money, MoneyError, Price};
pub use notice::{Notice, NoticeKind};
pub use owner::{NoOwner, TextOwner, Written};
pub use parted::{Apart, Misplaced, Parted, part, part_stored, put_back};
pub use personal::{Communal, Mask, Personal, masked};
pub use text::{Body, Comment, DisplayName, FileName, Locale, Message, Name, Reason, Slug, Text, TextError, Title};
pub use thing::{Thing, ThingKind};
pub use values::time::{Span, Timestamp};
