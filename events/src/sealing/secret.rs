//! 32 secret bytes and what is done with them: deriving others, HMAC-SHA-256, AES-256-GCM.
//!
//! They are wiped when they are dropped and never shown. `ring` is told them anew at every use, for it does not wipe what it
//! makes of them: nothing that lives longer than a call holds a key in another shape.

use ring::{aead, hkdf, hmac, rand::SecureRandom};
use std::{fmt, sync::Arc};
use zeroize::Zeroize;

/// Length of a key.
pub const LENGTH: usize = 32;
/// Length of a nonce of AES-GCM.
pub const NONCE: usize = 12;
/// Length of its tag.
pub const TAG: usize = 16;

/// A key. Its bytes stay where they are, however it is moved, so that none are left behind.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8; LENGTH]>);

/// The computer gives no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the computer gives no randomness")]
pub struct NoRandomness;

/// Where random bytes come from: the system, or a seed.
#[derive(Clone)]
pub struct Random(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) -> Result<(), NoRandomness> + Send + Sync;

impl Random {
    /// The system's.
    pub fn system() -> Self {
        let system = ring::rand::SystemRandom::new();
        Self(Arc::new(move |bytes| system.fill(bytes).map_err(|_| NoRandomness)))
    }

    /// Whatever `fill` fills in.
    pub fn of(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |bytes| {
            fill(bytes);
            Ok(())
        }))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        (self.0)(bytes)
    }
}

impl Secret {
    /// The key of these bytes.
    pub fn new(bytes: [u8; LENGTH]) -> Self {
        Self(Box::new(bytes))
    }

    /// The key of these bytes, if there are as many as it takes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        Some(Self(Box::new(*bytes)))
    }

    /// A key that nobody had before.
    pub fn drawn(random: &Random) -> Result<Self, NoRandomness> {
        let mut secret = Self::new([0; LENGTH]);
        random.fill(&mut *secret.0)?;
        Ok(secret)
    }

    /// Another key for the use that `info` names: HKDF-SHA-256 (RFC 5869) with an empty salt, 32 bytes.
    #[must_use]
    pub fn derive(&self, info: &str) -> Self {
        let (salt, info) = (hkdf::Salt::new(hkdf::HKDF_SHA256, &[]), [info.as_bytes()]);
        let mut derived = Self::new([0; LENGTH]);
        certain(salt.extract(&*self.0).expand(&info, hkdf::HKDF_SHA256).and_then(|key| key.fill(&mut *derived.0)));
        derived
    }

    /// HMAC-SHA-256 of `parts`, one behind the other.
    pub fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0));
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Nonce, ciphertext and tag of `plain` under AES-256-GCM, `associated` being authenticated with it. `plain` is wiped.
    pub fn encrypt(&self, plain: &mut [u8], associated: &str, random: &Random) -> Result<Vec<u8>, NoRandomness> {
        let mut nonce = [0; NONCE];
        random.fill(&mut nonce)?;
        let one = aead::Nonce::assume_unique_for_key(nonce);
        let tag = certain(self.aead().seal_in_place_separate_tag(one, aead::Aad::from(associated), plain));
        let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// What was encrypted, in place; `None` if it was not with this key and `associated`, or not as it is now.
    pub fn decrypt<'a>(&self, sealed: &'a mut [u8], associated: &str) -> Option<&'a mut [u8]> {
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.aead().open_in_place(nonce, aead::Aad::from(associated), sealed).ok()
    }

    /// The bytes, for whoever wraps them.
    pub(super) fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    fn aead(&self) -> aead::LessSafeKey {
        aead::LessSafeKey::new(certain(aead::UnboundKey::new(&aead::AES_256_GCM, &*self.0)))
    }
}

/// What `ring` refuses for a wrong length alone, where the type says the length.
#[expect(clippy::expect_used, reason = "keys have 32 bytes, one block of SHA-256 is derived, and nothing is as long as 64 GiB")]
fn certain<T>(made: Result<T, ring::error::Unspecified>) -> T {
    made.expect("the lengths are right")
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

/// SHA-256 of `parts`, one behind the other.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The same as hexadecimal digits.
pub fn sha256_hex(parts: &[&[u8]]) -> String {
    hex(&digest(parts))
}

/// `bytes` as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encrypted_comes_back_under_the_same_key_and_words_alone() {
        let (random, words) = (Random::system(), "owner\n1\n");
        let secret = Secret::drawn(&random).unwrap();
        let sealed = secret.encrypt(&mut b"what was said".to_vec(), words, &random).unwrap();
        assert_eq!(sealed.len(), NONCE + 13 + TAG);
        assert_eq!(secret.decrypt(&mut sealed.clone(), words).unwrap(), b"what was said");
        assert_ne!(secret.encrypt(&mut b"what was said".to_vec(), words, &random).unwrap(), sealed, "nonces are fresh");
        assert!(secret.decrypt(&mut sealed.clone(), "owner\n2\n").is_none());
        assert!(secret.derive("other").decrypt(&mut sealed.clone(), words).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(secret.decrypt(&mut changed, words).is_none(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(secret.decrypt(&mut sealed[..length].to_vec(), words).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new([0xab; LENGTH]);
        for shown in [format!("{secret:?}"), format!("{:?}", Some(vec![secret])), format!("{:#?}", Random::system())] {
            assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
        }
    }

    #[test]
    fn keys_are_derived_as_another_program_derives_them() {
        let derived = Secret::new([0x0b; LENGTH]).derive("fingerprint");
        assert_eq!(hex(derived.bytes()), DERIVED);
        assert_eq!(Secret::new([0x0b; LENGTH]).derive("fingerprint"), derived);
    }

    const DERIVED: &str = "b42b8d6c3d42827f27ac4046c4aaa637ed8957851e6ff0c668b884361070aeca";
}
