//! Circolo's rules, without I/O, clock or chance.
//!
//! - [`decider`]: the shape of every aggregate
//! - [`access`]: who may do and read what
//! - [`stance`]: the same for content, whether it lives in a group or on a page
//! - one module per aggregate: [`comment`], [`conversation`], [`fan`], [`group`], [`listing`], [`membership`], [`page`], [`person`], [`post`],
//!   [`question`], [`reaction`], [`salt`], [`skip`], [`unmasking`], [`username`]; [`authored`]: what posts and comments have in common
//! - [`change`]: what an event tells to whom in the change feed
//! - [`permit`]: what allows a page to write to a person; [`response_rate`]: how it answers
//! - [`flow`]: what follows from an event in another stream; [`deadline`]: what is to be looked at again, and when
//! - `schema` (a feature): JSON Schema of every event, and their catalogue
//! - [`owner`]: whose a text is; [`parted`]: an event apart from its texts, and one again
//! - values: [`id`], [`money`], [`text`], [`time`], [`personal`]; [`visible`]: which characters can be seen

pub mod access;
pub mod allowance;
pub mod authored;
pub mod change;
pub mod comment;
pub mod conversation;
pub mod deadline;
pub mod decider;
pub mod event;
pub mod fan;
pub mod flow;
pub mod group;
pub mod id;
pub mod listing;
pub mod membership;
pub mod money;
pub mod owner;
pub mod page;
pub mod parted;
pub mod permit;
pub mod person;
pub mod personal;
pub mod post;
pub mod question;
pub mod reaction;
pub mod response_rate;
pub mod salt;
#[cfg(feature = "schema")]
pub mod schema;
pub mod skip;
pub mod stance;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod time;
pub mod unmasking;
pub mod username;
pub mod visible;
pub mod weight;

pub use decider::{Context, Decider, Kind, Named, Rejection, Upcast};
pub use event::{CATEGORIES, Command, DecodeError, Encoded, Event, Issue, encode, stream};
pub use flow::FollowUp;
pub use id::{AnswerId, CommentId, GroupId, ListingId, MessageId, PageId, PersonId, PostId, QuestionId, StreamName};
pub use money::{Currency, Money, MoneyError, Price};
pub use owner::{NoOwner, TextOwner, Written};
pub use parted::{Apart, Misplaced, Parted, part, part_stored, put_back};
pub use personal::{Communal, Mask, Personal, masked};
pub use text::{Body, Comment, DisplayName, Locale, Message, Name, Reason, Slug, Text, TextError, Title};
pub use time::{Span, Timestamp};
