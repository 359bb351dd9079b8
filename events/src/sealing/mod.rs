//! What people wrote, sealed under the keys of those whom it belongs to (docs/sealing.md).
//!
//! - [`owner`]: whose a text is; [`secret`]: a key and what is done with one
//! - [`places`]: JSON pointers into a payload; [`boxed`]: one box; [`sealed`]: an event whose texts lie in boxes
//! - [`metadata`]: what else confirms a guess: fingerprints, and metadata without them; [`person`]: ids of people; [`leaf`]: what an
//!   event comes to where logs are compared
//! - [`installation`]: the key that all others hang on; [`wrapping`]: keys under it; [`store`]: where they are kept; [`keyring`]:
//!   those in use
//! - [`log`]: a log that seals what is appended to it and opens what is read; `asked`: fingerprints of requests
//! - [`tend`]: rotation and new generations; [`tally`]: how much of a log is sealed; [`mod@copy`]: keys move to another store

pub(crate) mod asked;
pub mod boxed;
pub mod copy;
pub mod installation;
pub mod keyring;
pub mod leaf;
pub mod log;
pub mod metadata;
pub mod owner;
pub mod person;
pub mod places;
pub mod sealed;
pub mod secret;
pub mod store;
pub mod tally;
pub mod tend;
#[cfg(test)]
mod vector_tests;
pub mod wrapping;

pub use installation::{InstallationError, InstallationKey, Source};
pub use keyring::{Keyring, KeyringError};
pub use log::SealedLog;
pub use owner::{NotAnOwner, Owner};
pub use sealed::{Entry, SealError, Text, UnsealError, Unsealed};
pub use secret::{NoRandomness, Random, Secret};
pub use store::{KeyStore, KeyStoreError};

use std::collections::HashMap;

/// A version of an owner's key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its version, from 1.
    pub version: u32,
    /// Its bytes.
    pub secret: Secret,
}

/// What became of a version of an owner's key.
#[derive(Debug, Clone)]
pub enum Found {
    /// It is there.
    Key(std::sync::Arc<Key>),
    /// It was destroyed: what it sealed is forgotten.
    Destroyed,
    /// There never was one.
    Unknown,
    /// It does not open: its row is broken, or another installation key wrapped it.
    Shut,
}

/// The keys of a batch of owners, each the one under which is sealed now.
pub type Current = HashMap<Owner, Found>;

/// The keys of a batch of boxes.
pub type Versions = HashMap<(Owner, u32), Found>;
