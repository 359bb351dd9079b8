//! A foreign issuer's public keys, fetched from its JWKS address, remembered, and fetched again within bounds.

use crate::auth::Scope;
use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use std::{collections::HashMap, sync::RwLock, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// Keys older than this are fetched again.
const FRESH: Duration = Duration::from_mins(15);
/// However many unknown keys are named, the issuer is asked no more often than this.
const PAUSE: Duration = Duration::from_secs(30);
/// A larger answer is not a key set.
const LARGEST: usize = 256 * 1024;

/// A foreign issuer, as configured.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its name: the `iss` claim.
    pub name: String,
    /// Where its keys are.
    pub jwks: String,
    /// The `aud` claim that its tokens must have, if any.
    pub audience: Option<String>,
    /// The scopes its tokens may grant.
    pub scopes: Vec<Scope>,
    /// The algorithms its tokens may use.
    pub algorithms: Vec<Algorithm>,
}

/// Its keys are not at hand.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The address did not answer as it should.
    #[error("the keys of the issuer cannot be fetched: {0}")]
    Fetch(String),
    /// An algorithm with a shared secret cannot be pinned: whoever can check could sign.
    #[error("{0:?} is not an algorithm with public keys")]
    Algorithm(Algorithm),
}

/// A foreign issuer and what is known of its keys.
pub struct Foreign {
    issuer: Issuer,
    client: reqwest::Client,
    known: RwLock<HashMap<String, Key>>,
    /// When the issuer was last asked, and whether it answered. The lock makes many askers one.
    asked: Mutex<Option<(Instant, bool)>>,
}

#[derive(Clone)]
struct Key {
    decoding: DecodingKey,
    algorithm: Option<Algorithm>,
    since: Instant,
}

impl Foreign {
    /// Nothing is fetched yet.
    pub fn new(issuer: Issuer) -> Result<Self, ForeignError> {
        if let Some(shared) = issuer.algorithms.iter().find(|algorithm| algorithm.family() == jsonwebtoken::AlgorithmFamily::Hmac) {
            return Err(ForeignError::Algorithm(*shared));
        }
        // Redirects could lead away from whom the operator trusts.
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ForeignError::Fetch(error.to_string()))?;
        Ok(Self { issuer, client, known: RwLock::default(), asked: Mutex::default() })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer.name
    }

    pub(crate) fn audience(&self) -> Option<&str> {
        self.issuer.audience.as_deref()
    }

    pub(crate) fn scopes(&self) -> &[Scope] {
        &self.issuer.scopes
    }

    /// The key that `header` names, if its algorithm is one that is agreed on for the issuer and for the key.
    pub(crate) async fn key(&self, header: &Header) -> Result<Option<DecodingKey>, ForeignError> {
        let Some(kid) = header.kid.as_deref().filter(|_| self.issuer.algorithms.contains(&header.alg)) else { return Ok(None) };
        let fits = |key: Key| {
            (key.algorithm.is_none_or(|algorithm| algorithm == header.alg) && key.decoding.family() == header.alg.family())
                .then_some(key.decoding)
        };
        match self.known(kid) {
            Some(key) if key.since.elapsed() < FRESH => return Ok(fits(key)),
            _ => {}
        }
        let refreshed = self.refresh().await;
        match (self.known(kid), refreshed) {
            (Some(key), _) => Ok(fits(key)),
            (None, Ok(())) => Ok(None),
            (None, Err(error)) => Err(error),
        }
    }

    fn known(&self, kid: &str) -> Option<Key> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(kid).cloned()
    }

    async fn refresh(&self) -> Result<(), ForeignError> {
        let mut asked = self.asked.lock().await;
        match *asked {
            Some((at, true)) if at.elapsed() < PAUSE => return Ok(()),
            // A failure is retried sooner, but not by every request.
            Some((at, false)) if at.elapsed() < PAUSE / 10 => return Err(ForeignError::Fetch("tried a moment ago".to_owned())),
            _ => {}
        }
        let fetched = self.fetch().await;
        *asked = Some((Instant::now(), fetched.is_ok()));
        let keys = fetched.inspect_err(|error| tracing::warn!(%error, issuer = self.issuer.name, "no keys"))?;
        *self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = keys;
        Ok(())
    }

    async fn fetch(&self) -> Result<HashMap<String, Key>, ForeignError> {
        let failed = |error: reqwest::Error| ForeignError::Fetch(error.without_url().to_string());
        let mut answer = self.client.get(&self.issuer.jwks).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let mut body = vec![];
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&part);
            if body.len() > LARGEST {
                return Err(ForeignError::Fetch("the answer is too large".to_owned()));
            }
        }
        let set: JwkSet = serde_json::from_slice(&body).map_err(|error| ForeignError::Fetch(error.to_string()))?;
        Ok(set.keys.iter().filter_map(usable).collect())
    }
}

/// Keys with a name, for signatures, that are public keys of a sound shape.
fn usable(jwk: &Jwk) -> Option<(String, Key)> {
    let sound = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => true,
        AlgorithmParameters::EllipticCurve(key) => matches!(key.curve, EllipticCurve::P256 | EllipticCurve::P384),
        // The verifier takes the length for granted.
        AlgorithmParameters::OctetKeyPair(key) => {
            use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
            key.curve == EllipticCurve::Ed25519 && BASE64_URL_SAFE_NO_PAD.decode(&key.x).is_ok_and(|x| x.len() == 32)
        }
        _ => false,
    };
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let key = Key {
        decoding: (sound && signs).then(|| DecodingKey::from_jwk(jwk).ok()).flatten()?,
        algorithm: jwk.common.key_algorithm.map(|algorithm| algorithm.to_string().parse()).transpose().ok()?,
        since: Instant::now(),
    };
    Some((jwk.common.key_id.clone()?, key))
}
