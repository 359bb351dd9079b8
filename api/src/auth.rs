//! Who a bearer token stands for. Tokens are signed by our own keys or by one foreign issuer; algorithms are pinned per issuer.

use crate::{
    clock::Clock,
    jwks::{Foreign, ForeignError},
    keys::Keys,
};
use circolo_domain::PersonId;
use circolo_events::People;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, sync::Arc};

/// The name of this installation's own issuer.
pub const ISSUER: &str = "circolo";
/// Longer tokens are refused unread.
const LONGEST: usize = 8 * 1024;
/// How many verified tokens are remembered.
const REMEMBERED: usize = 10_000;

/// What a token may allow beyond being somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Scope {
    /// Read the masked log.
    Analyst,
    /// Read the log with all personal texts; each use is recorded.
    #[value(name = "analyst:unmask")]
    Unmask,
    /// Watch and steer projections.
    Operator,
}

impl Scope {
    /// As a token writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Analyst => "analyst",
            Self::Unmask => "analyst:unmask",
            Self::Operator => "operator",
        }
    }
}

/// What kind of caller a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// A person.
    #[default]
    Human,
    /// A program that acts under its own name.
    Bot,
}

/// The claims we read and write.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer.
    #[serde(default)]
    pub iss: String,
    /// The subject: who, in the issuer's own terms.
    pub sub: String,
    /// Seconds since 1970 after which the token does not hold.
    pub exp: i64,
    /// Seconds since 1970 before which it does not hold yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Human or bot.
    #[serde(default)]
    pub kind: CallerKind,
    /// Whether it has what only ID tokens have (`OpenID` Connect Core, 2 and 3.1.3.6): those tell an application who has signed in, and
    /// stand for nobody elsewhere. With more than one of these, a token cannot be read.
    #[serde(default, rename = "nonce", alias = "at_hash", alias = "c_hash", deserialize_with = "is_there", skip_serializing)]
    pub id_token: bool,
}

fn is_there<'de, D: serde::Deserializer<'de>>(claim: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(claim).map(|_| true)
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who vouches for them.
    pub issuer: String,
    /// Who they are, in the issuer's terms.
    pub subject: String,
    /// Who they are here: derived from both, and from the log's salt.
    pub person: PersonId,
    /// What else they may do.
    pub scopes: BTreeSet<Scope>,
    /// Whether they are a program.
    pub bot: bool,
    expires: i64,
}

impl Principal {
    /// Seconds since 1970 after which the token does not hold.
    pub const fn expires(&self) -> i64 {
        self.expires
    }
}

/// Why a token does not help.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It is not a token that holds here and now.
    #[error("the token is refused: {0}")]
    Refused(&'static str),
    /// Whoever sent it may not ask to have it checked now.
    #[error("too many tokens come from there")]
    NotNow,
    /// The issuer's keys are not at hand.
    #[error(transparent)]
    Unavailable(#[from] ForeignError),
}

/// Checks tokens.
pub struct Auth {
    keys: Keys,
    foreign: Option<Foreign>,
    people: People,
    clock: Clock,
    verified: Cache<[u8; 32], Arc<Principal>>,
}

impl Auth {
    /// Accepts tokens of `keys` and of `foreign`; who they stand for is one of `people`.
    pub fn new(keys: Keys, foreign: Option<Foreign>, people: People, clock: Clock) -> Self {
        Self { keys, foreign, people, clock, verified: Cache::new(REMEMBERED) }
    }

    /// The keys of this installation.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The id of the person that `issuer` calls `subject`.
    pub fn person(&self, issuer: &str, subject: &str) -> PersonId {
        // Nobody can be forgotten yet.
        self.people.id(issuer, subject, 0)
    }

    /// Who `token` stands for. Verified tokens are remembered until they expire.
    pub async fn verify(&self, token: &str) -> Result<Arc<Principal>, AuthError> {
        self.verify_if(token, || true).await
    }

    /// The same, where a token that is not remembered is checked only if `allowed` says so.
    pub(crate) async fn verify_if(&self, token: &str, allowed: impl FnOnce() -> bool) -> Result<Arc<Principal>, AuthError> {
        if token.len() > LONGEST {
            return Err(AuthError::Refused("too long"));
        }
        let now = (self.clock)().micros() / 1_000_000;
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(principal) = self.verified.get(&digest) {
            if principal.expires > now {
                return Ok(principal);
            }
            self.verified.remove(&digest);
            return Err(AuthError::Refused("expired"));
        }
        if !allowed() {
            return Err(AuthError::NotNow);
        }
        let principal = Arc::new(self.check(token, now).await?);
        self.verified.insert(digest, principal.clone());
        Ok(principal)
    }

    async fn check(&self, token: &str, now: i64) -> Result<Principal, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Refused("not a token, or signed in a way unknown here"))?;
        if header.crit.is_some() {
            return Err(AuthError::Refused("critical extensions"));
        }
        // Only to choose the keys; nothing of it is believed before the signature is checked.
        let claimed: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| AuthError::Refused("claims"))?;
        let (claims, allowed) = match &self.foreign {
            _ if claimed.iss == ISSUER => (self.own(token, &header)?, &[Scope::Analyst, Scope::Unmask, Scope::Operator][..]),
            Some(foreign) if foreign.issuer() == claimed.iss => {
                let key = foreign.key(&header).await?.ok_or(AuthError::Refused("no such key"))?;
                (verified(token, header.alg, &key, foreign.issuer(), foreign.audience())?, foreign.scopes())
            }
            _ => return Err(AuthError::Refused("unknown issuer")),
        };
        self.principal(claims, allowed, now)
    }

    fn own(&self, token: &str, header: &Header) -> Result<Claims, AuthError> {
        if header.alg != Algorithm::EdDSA || header.kid.as_deref() != Some(self.keys.kid()) {
            return Err(AuthError::Refused("no such key"));
        }
        verified(token, Algorithm::EdDSA, self.keys.public(), ISSUER, None)
    }

    /// Whom claims stand for that were signed.
    fn principal(&self, claims: Claims, allowed: &[Scope], now: i64) -> Result<Principal, AuthError> {
        held(&claims, now)?;
        let scopes = allowed.iter().copied().filter(|scope| claims.scope.split(' ').any(|name| name == scope.name())).collect();
        Ok(Principal {
            person: self.person(&claims.iss, &claims.sub),
            issuer: claims.iss,
            subject: claims.sub,
            scopes,
            bot: claims.kind == CallerKind::Bot,
            expires: claims.exp,
        })
    }
}

/// Checks signature, issuer and audience. The times are checked against our clock, by [`held`].
fn verified(token: &str, algorithm: Algorithm, key: &DecodingKey, issuer: &str, audience: Option<&str>) -> Result<Claims, AuthError> {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[issuer]);
    validation.validate_exp = false;
    validation.validate_aud = audience.is_some();
    let mut needed = vec!["exp", "iss", "sub"];
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        needed.push("aud");
    }
    validation.set_required_spec_claims(&needed);
    jsonwebtoken::decode(token, key, &validation).map(|data| data.claims).map_err(|_| AuthError::Refused("signature, issuer or audience"))
}

/// Whether claims hold here and now.
fn held(claims: &Claims, now: i64) -> Result<(), AuthError> {
    if claims.id_token {
        return Err(AuthError::Refused("an ID token"));
    }
    if claims.exp <= now {
        return Err(AuthError::Refused("expired"));
    }
    if claims.nbf.is_some_and(|from| from > now) {
        return Err(AuthError::Refused("not valid yet"));
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 || claims.sub.chars().any(char::is_control) {
        return Err(AuthError::Refused("subject"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
