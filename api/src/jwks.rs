//! A foreign issuer's public keys, fetched from its JWKS address, remembered, and fetched again within bounds.

use crate::auth::Scope;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse, RSAKeyParameters},
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

/// A modulus of 2,048 bits or more, which RFC 7518 asks for (section 3.3), and an exponent that signs: with 1, every message would be
/// its own signature.
fn is_strong(key: &RSAKeyParameters) -> bool {
    let (Ok(modulus), Ok(exponent)) = (BASE64_URL_SAFE_NO_PAD.decode(&key.n), BASE64_URL_SAFE_NO_PAD.decode(&key.e)) else { return false };
    let bits = |bytes: &[u8]| {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        bytes.get(first).map_or(0, |byte| (bytes.len() - first) * 8 - byte.leading_zeros() as usize)
    };
    bits(&modulus) >= 2048 && bits(&exponent) > 1 && exponent.last().is_some_and(|last| last % 2 == 1)
}

/// A point of the curve whose multiples are not a handful: under one of the eight others, in whatever encoding, signatures of nobody
/// hold for any message.
fn is_of_large_order(x: &str) -> bool {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(x).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.is_some_and(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak()))
}

/// Keys with a name, for signatures, that are public keys of a sound shape.
fn usable(jwk: &Jwk) -> Option<(String, Key)> {
    let sound = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => is_strong(key),
        AlgorithmParameters::EllipticCurve(key) => matches!(key.curve, EllipticCurve::P256 | EllipticCurve::P384),
        AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519 && is_of_large_order(&key.x),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn is_usable(mut jwk: Value) -> bool {
        jwk["kid"] = json!("k");
        usable(&serde_json::from_value(jwk).unwrap()).is_some()
    }

    fn ed25519(x: [u8; 32]) -> bool {
        is_usable(json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64_URL_SAFE_NO_PAD.encode(x) }))
    }

    fn number(text: &str) -> [u8; 32] {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    #[test]
    fn a_key_of_small_order_is_none_in_whatever_encoding() {
        // The y of all eight points of small order, and what is the same to who reduces it by 2^255 - 19.
        const SMALL: [&str; 7] = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        for y in SMALL.map(number) {
            for sign in [0, 0x80] {
                let mut point = y;
                point[31] |= sign;
                assert!(!ed25519(point), "{point:x?}");
            }
        }
        // The base point of the curve, and the first key of RFC 8032 (7.1).
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(ed25519(base));
        assert!(ed25519(number("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")));
        assert!(!ed25519([2; 32]), "no point of the curve");
    }

    #[test]
    fn a_key_of_rsa_has_2048_bits_and_an_exponent_that_signs() {
        let rsa = |bytes: Vec<u8>, exponent: &[u8]| {
            let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
            is_usable(json!({ "kty": "RSA", "n": part(&bytes), "e": part(exponent) }))
        };
        assert!(rsa([&[0x80][..], &[1; 255]].concat(), &[1, 0, 1]));
        assert!(rsa([&[0, 0x80][..], &[1; 255]].concat(), &[3]));
        for short in [vec![0xff; 128], [&[0x7f][..], &[0xff; 255]].concat(), [&[0; 200][..], &[0xff; 255]].concat(), vec![]] {
            assert!(!rsa(short, &[1, 0, 1]));
        }
        for exponent in [&[1][..], &[0, 1], &[2], &[0], &[]] {
            assert!(!rsa(vec![0xff; 256], exponent), "{exponent:?}");
        }
    }
}
