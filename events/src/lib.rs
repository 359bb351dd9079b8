//! Circolo's log: what happened, in order, for ever.
//!
//! - [`store`]: the port [`EventStore`] and the envelope of an event
//! - [`memory`], [`sqlite`], [`postgres`], `kurrentdb`: its adapters
//! - [`lock`]: who may write to a data folder; [`private`]: who may look into it
//! - [`execute`]: a command on its way from state to decision to append; [`envelope`]: what is written of it; [`others`]: where other nodes write, too
//! - [`check`]: whether a log is as it was written
//! - [`media`]: uploaded files, encrypted, in a folder or in S3
//! - [`people`]: ids of people, under the salt of the log
//! - [`simulate`]: valid histories of any size
//! - [`transfer`]: export, import, and the log as of a moment
//! - [`consumers`]: who does something about what happens; [`reactions`]: those that issue commands
//! - [`sealing`]: texts under the keys of those whom they belong to
//! - [`skips`]: events that are passed over; [`unreadable`]: those that are not
//! - [`waking`]: asks those who wait, when it is time
//! - [`threads`]: how much of the processors a thread gets

mod batch;
mod cached_stream;
pub mod check;
pub mod consumers;
pub mod envelope;
pub mod execute;
mod in_flight;
#[cfg(feature = "kurrentdb")]
pub mod kurrentdb;
pub mod lock;
pub mod media;
pub mod memory;
pub mod others;
pub mod people;
pub mod postgres;
pub mod private;
pub mod reactions;
mod rules;
pub mod sealing;
pub mod simulate;
pub mod skips;
pub mod sqlite;
mod standings;
pub mod store;
pub mod tail;
pub mod threads;
pub mod transfer;
pub mod unreadable;
pub mod waking;

pub use execute::{Clock, Done, ExecuteError, Executor, LoadError, Loaded, Options, Request};
#[cfg(feature = "kurrentdb")]
pub use kurrentdb::KurrentDb;
pub use lock::{DataLock, LockError};
pub use memory::Memory;
pub use people::{People, PeopleError};
pub use postgres::Postgres;
pub use skips::Skips;
pub use sqlite::Sqlite;
pub use store::{
    Append, Appended, Damage, EventStore, Examination, Expected, LogId, Metadata, NewEvent, Page, Position, Recorded, Revision, StoreError,
    Stored,
};
pub use unreadable::Unreadable;
