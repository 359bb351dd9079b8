//! Fingerprints of requests: by them a repeat is told from another request under the same key. Each is made with a key of its caller's,
//! so that nobody who reads the log can try what was asked.

use super::{
    Found, Owner, SealError,
    log::unavailable,
    metadata::{fingerprint, fingerprint_version},
    secret::sha256_hex,
};
use crate::{EventStore, StoreError};
use circolo_domain::{PersonId, TextOwner};

/// The fingerprint of what `caller` asked, as it is stored with a command.
pub(crate) async fn of(store: &dyn EventStore, caller: Option<PersonId>, asked: &str) -> Result<String, StoreError> {
    let Some((log, owner)) = store.sealing().zip(owner(caller)) else { return Ok(plain(asked)) };
    match log.keys().current([owner.clone()]).await.map_err(unavailable)?.get(&owner) {
        Some(Found::Key(key)) => Ok(fingerprint(key.version, &key.secret, &[asked.as_bytes()])),
        Some(Found::Destroyed) => Err(SealError::Destroyed(owner).into()),
        Some(Found::Unknown | Found::Shut) | None => Err(SealError::NoKey(owner).into()),
    }
}

/// Whether `stored` is the fingerprint of what `caller` asked. Under a key that is not there any more nothing is the same.
pub(crate) async fn is(store: &dyn EventStore, caller: Option<PersonId>, asked: &str, stored: &str) -> Result<bool, StoreError> {
    let Some(version) = fingerprint_version(stored) else { return Ok(stored == plain(asked)) };
    let Some((log, owner)) = store.sealing().zip(owner(caller)) else { return Ok(false) };
    let wanted = (owner, version);
    match log.keys().versions([wanted.clone()]).await.map_err(unavailable)?.get(&wanted) {
        Some(Found::Key(key)) => Ok(fingerprint(version, &key.secret, &[asked.as_bytes()]) == stored),
        _ => Ok(false),
    }
}

fn owner(caller: Option<PersonId>) -> Option<Owner> {
    Some(TextOwner::Person(caller?).into())
}

/// As in logs without keys.
fn plain(asked: &str) -> String {
    sha256_hex(&[asked.as_bytes()])
}
