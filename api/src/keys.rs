//! Circolo's own key pair (Ed25519): made at first start in the data folder, signs tokens for `circolo token`.

use crate::auth::{Claims, ISSUER};
use base64::{Engine, prelude::BASE64_STANDARD};
use circolo_events::private;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{Jwk, ThumbprintHash},
};
use std::{fs, io, path::Path};

/// File of the private key in the data folder.
const FILE: &str = "token-key.pem";
/// What stands before the 32 bytes of a private Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The pair that signs and checks this installation's own tokens.
pub struct Keys {
    private: EncodingKey,
    public: DecodingKey,
    kid: String,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("the key file {0} cannot be used: {1}")]
    File(String, #[source] io::Error),
    /// The file holds something else.
    #[error("the key file does not hold an Ed25519 private key as PKCS #8 PEM: {0}")]
    Content(#[from] jsonwebtoken::errors::Error),
    /// The computer gives no randomness.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

impl Keys {
    /// The keys of the data folder; makes folder and keys if they are absent.
    pub fn open(data: &Path) -> Result<Self, KeysError> {
        let path = data.join(FILE);
        let failed = |error| KeysError::File(path.display().to_string(), error);
        match fs::read(&path) {
            Ok(pem) => Self::from_pem(&pem),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private::folder(data).map_err(failed)?;
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(KeysError::Random)?;
                match private::publish(&path, pem(&seed).as_bytes()) {
                    // Somebody else was faster: theirs are the keys.
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                    _ => {}
                }
                Self::from_pem(&fs::read(&path).map_err(failed)?)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Keys from 32 bytes, for tests: the same bytes make the same keys.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeysError> {
        Self::from_pem(pem(seed).as_bytes())
    }

    fn from_pem(pem: &[u8]) -> Result<Self, KeysError> {
        let private = EncodingKey::from_ed_pem(pem)?;
        let jwk = Jwk::from_encoding_key(&private, Algorithm::EdDSA)?;
        Ok(Self { public: DecodingKey::from_jwk(&jwk)?, kid: jwk.thumbprint(ThumbprintHash::SHA256)?, private })
    }

    /// Signs `claims` in the name of [`ISSUER`].
    pub fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims { iss: ISSUER.to_owned(), ..claims.clone() };
        jsonwebtoken::encode(&Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) }, &claims, &self.private)
    }

    pub(crate) fn public(&self) -> &DecodingKey {
        &self.public
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }
}

fn pem(seed: &[u8; 32]) -> String {
    let body = BASE64_STANDARD.encode([&PKCS8_HEAD[..], seed].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_only_their_owner_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = Keys::open(&data).unwrap();
        assert_eq!(first.kid(), Keys::open(&data).unwrap().kid());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(data.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn another_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "not a key").unwrap();
        assert!(matches!(Keys::open(folder.path()), Err(KeysError::Content(_))));
        assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), b"not a key");
    }
}
