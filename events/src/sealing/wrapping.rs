//! Keys as they are kept: each wrapped under a generation of the installation key, for its owner and version alone.

use super::{
    InstallationKey, Owner, Secret,
    secret::{NoRandomness, Random},
    store::Row,
};
use circolo_domain::Timestamp;
use zeroize::Zeroizing;

/// What of the installation key wraps keys.
const PURPOSE: &str = "keys";

/// Wraps keys and unwraps them.
#[derive(Debug, Clone)]
pub struct Wrapping(Vec<Secret>);

/// Why a key cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// It was destroyed.
    #[error("version {1} of the key of {0} was destroyed")]
    Destroyed(Owner, u32),
    /// The installation key is older than the store.
    #[error("the installation key has no generation {generation}, under which the key of {owner} is wrapped: it is an old one")]
    Generation {
        /// Whose key it is.
        owner: Owner,
        /// What is missing.
        generation: u32,
    },
    /// It is another one.
    #[error("the installation key does not open version {1} of the key of {0}: it is not the one that belongs to this key store")]
    Shut(Owner, u32),
}

impl Wrapping {
    /// Under this installation key.
    pub fn new(installation: &InstallationKey) -> Self {
        Self((1..=installation.newest()).filter_map(|generation| installation.derive(PURPOSE, generation)).collect())
    }

    /// The generation under which is wrapped.
    pub fn newest(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// A row for a key.
    pub fn wrap(&self, owner: Owner, version: u32, key: &Secret, made_at: Timestamp, random: &Random) -> Result<Row, NoRandomness> {
        let (generation, associated) = (self.newest(), associated(&owner, version));
        let mut bytes = Zeroizing::new(*key.bytes());
        let wrapped = match self.0.last() {
            Some(under) => Some(under.encrypt(&mut *bytes, &associated, random)?),
            None => None,
        };
        Ok(Row { owner, version, generation, wrapped, made_at, destroyed_at: None })
    }

    /// The key in a row.
    pub fn unwrap(&self, row: &Row) -> Result<Secret, UnwrapError> {
        let wrapped = row.wrapped.as_deref().ok_or_else(|| UnwrapError::Destroyed(row.owner.clone(), row.version))?;
        let under = usize::try_from(row.generation).ok().and_then(|generation| self.0.get(generation.checked_sub(1)?));
        let under = under.ok_or_else(|| UnwrapError::Generation { owner: row.owner.clone(), generation: row.generation })?;
        let mut bytes = Zeroizing::new(wrapped.to_vec());
        let key = under.decrypt(&mut bytes, &associated(&row.owner, row.version)).and_then(|key| Secret::from_slice(key));
        key.ok_or_else(|| UnwrapError::Shut(row.owner.clone(), row.version))
    }

    /// The row under the newest generation.
    pub fn renewed(&self, row: &Row, random: &Random) -> Result<Row, RenewError> {
        let key = self.unwrap(row)?;
        Ok(self.wrap(row.owner.clone(), row.version, &key, row.made_at, random)?)
    }
}

/// Why a key cannot be wrapped anew.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// It cannot be had.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// What is authenticated with a key.
fn associated(owner: &Owner, version: u32) -> String {
    format!("{owner}\n{version}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::vector_tests::{secret, text, unhex, vector};

    fn wrapping(first: u8, newer: &[u8]) -> Wrapping {
        let of = |byte: u8| Secret::new([byte; 32]);
        Wrapping::new(&InstallationKey::new(of(first), newer.iter().map(|byte| of(*byte)).collect()))
    }

    #[test]
    fn a_row_is_that_of_the_vector() {
        let vector = vector();
        let wrapping = Wrapping::new(&InstallationKey::new(secret(&vector, "/installation_key_hex"), vec![]));
        let (owner, key) = (Owner::new(text(&vector, "/key_store_row/owner")).unwrap(), secret(&vector, "/key_store_row/key_hex"));
        assert_eq!(associated(&owner, 1), text(&vector, "/key_store_row/associated_data"));
        let row = wrapping.wrap(owner, 1, &key, Timestamp::default(), &Random::of(|bytes| bytes.fill(1))).unwrap();
        assert_eq!(row.wrapped, Some(unhex(text(&vector, "/key_store_row/wrapped_hex"))));
        assert_eq!((row.generation, wrapping.unwrap(&row).unwrap()), (1, key));
    }

    #[test]
    fn a_key_opens_under_its_installation_for_its_owner_and_version_alone() {
        let (one, key, random) = (wrapping(1, &[]), Secret::new([9; 32]), Random::system());
        let (ann, bob) = (Owner::new("person-ann").unwrap(), Owner::new("person-bob").unwrap());
        let row = one.wrap(ann.clone(), 2, &key, Timestamp::default(), &random).unwrap();
        let shut = |row: Row| wrapping(1, &[]).unwrap(&row).unwrap_err();
        assert_eq!(shut(Row { owner: bob.clone(), ..row.clone() }), UnwrapError::Shut(bob, 2));
        assert_eq!(shut(Row { version: 3, ..row.clone() }), UnwrapError::Shut(ann.clone(), 3));
        assert_eq!(shut(Row { wrapped: None, ..row.clone() }), UnwrapError::Destroyed(ann.clone(), 2));
        assert_eq!(shut(Row { generation: 0, ..row.clone() }), UnwrapError::Generation { owner: ann.clone(), generation: 0 });
        assert_eq!(wrapping(2, &[]).unwrap(&row).unwrap_err(), UnwrapError::Shut(ann.clone(), 2));
        let newer = wrapping(1, &[2]);
        let renewed = newer.renewed(&row, &random).unwrap();
        assert_eq!((renewed.generation, newer.unwrap(&renewed), newer.unwrap(&row)), (2, Ok(key.clone()), Ok(key)));
        assert_eq!(one.unwrap(&renewed).unwrap_err(), UnwrapError::Generation { owner: ann, generation: 2 });
    }
}
