//! `/operator/keys`: the keys that texts are sealed under, looked after beside whoever is served.

use crate::{
    App, Problem,
    caller::Operator,
    extract::{Json, OptionalJson},
    problem::Failures,
};
use axum::{extract::State, http::StatusCode};
use circolo_domain::Timestamp;
use circolo_events::sealing::{
    InstallationError, Keyring, KeyringError, Owner, Random,
    store::{Count, Note},
    tally::Tally,
    tend::{self, TendError},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show_keys)).routes(routes!(rotate_keys)).routes(routes!(rewrap_keys))
}

/// For so long one request changes keys, at most; the next one goes on.
const SLICE: Duration = Duration::from_secs(5);

/// The keys of an installation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeysView {
    /// The newest generation of the installation key.
    pub generation: u32,
    /// How many there are of each sort.
    pub items: Vec<KeyCountView>,
    /// How much of the log is sealed, as far as it was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<SealedEvents>,
}

/// Keys that are alike.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyCountView {
    /// What their owners are for: `person`, `page`, `audit`.
    pub purpose: String,
    /// Their version.
    pub version: u32,
    /// The generation of the installation key that they are wrapped under.
    pub generation: u32,
    /// How many of them can be used.
    pub alive: u64,
    /// How many were destroyed.
    pub destroyed: u64,
}

/// How much of a log is sealed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct SealedEvents {
    /// Events whose texts are sealed.
    pub sealed: u64,
    /// Events in which texts stand plain.
    pub plain: u64,
    /// Up to here the log was counted, when a server started last. What a server writes is sealed.
    pub position: i64,
}

/// Whose key gets a new version.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKeys {
    /// The owner, such as `page-` and its id; everybody if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub owner: Option<Owner>,
    /// Only keys that were made before this moment: what one answer gave, to go on with what was left. Now, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub before: Option<Timestamp>,
}

/// What came of a rotation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeysRotated {
    /// So many owners got a new version.
    pub rotated: u64,
    /// The new version, of one owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The moment to give as `before` to go on.
    #[schema(value_type = String, format = DateTime)]
    pub before: Timestamp,
    /// Whether there is more to do.
    pub more: bool,
}

/// What came of wrapping keys anew.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeysRewrapped {
    /// The generation that they are wrapped under now.
    pub generation: u32,
    /// So many were wrapped anew by this request.
    pub keys: u64,
    /// So many are left under older generations: ask again.
    pub left: u64,
}

impl KeyCountView {
    /// A line per purpose, version and generation.
    pub fn all(counts: &[Count]) -> Vec<Self> {
        let mut lines = BTreeMap::<_, [u64; 2]>::new();
        for count in counts {
            lines.entry((&count.purpose, count.version, count.generation)).or_default()[usize::from(count.destroyed)] += count.keys;
        }
        let line = |((purpose, version, generation), [alive, destroyed]): ((&String, u32, u32), [u64; 2])| Self {
            purpose: purpose.clone(),
            version,
            generation,
            alive,
            destroyed,
        };
        lines.into_iter().map(line).collect()
    }
}

impl From<TendError> for Problem {
    fn from(error: TendError) -> Self {
        match error {
            TendError::NoKey(_) => Self::not_found(),
            TendError::Destroyed(_) => Self::new(StatusCode::CONFLICT, "forgotten", &error),
            TendError::Keys(KeyringError::Installation(InstallationError::NotOurs)) => {
                Self::new(StatusCode::CONFLICT, "installation_key_elsewhere", &error)
            }
            TendError::Keys(error) => error.into(),
        }
    }
}

impl From<KeyringError> for Problem {
    fn from(error: KeyringError) -> Self {
        tracing::warn!(%error, "the keys cannot be looked after");
        Self::try_later("unavailable", "a part of the server cannot be reached")
    }
}

fn keys(app: &App) -> Result<Arc<Keyring>, Problem> {
    let sealing = app.store().sealing().map(|log| Arc::clone(log.keys()));
    sealing.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "not_sealed", "this server's log has no keys"))
}

/// How many keys there are, and how much of the log is sealed.
#[utoipa::path(get, path = "/operator/keys", tag = "operator", responses((status = 200, body = KeysView), Failures))]
async fn show_keys(State(app): State<App>, _: Operator) -> Result<Json<KeysView>, Problem> {
    let keys = keys(&app)?;
    let store = &**keys.store();
    let generation = tend::prove(store, keys.source(), &Random::system()).await?;
    let counts = store.counts().await.map_err(KeyringError::from)?;
    let tally = store.note(Note::Tally).await.map_err(KeyringError::from)?.and_then(|text| serde_json::from_str::<Tally>(&text).ok());
    let events = tally.map(|tally| SealedEvents { sealed: tally.sealed, plain: tally.plain, position: tally.position.0 });
    Ok(Json(KeysView { generation, items: KeyCountView::all(&counts), events }))
}

/// Make a new version of an owner's key, or of everybody's, for what is written from now on. Of many, as many as five seconds allow: while
/// `more` is true, ask again with the `before` that was given.
#[utoipa::path(
    post, path = "/operator/keys/rotate", tag = "operator", request_body = Option<RotateKeys>,
    responses((status = 200, body = KeysRotated), Failures)
)]
async fn rotate_keys(
    State(app): State<App>,
    _: Operator,
    OptionalJson(body): OptionalJson<RotateKeys>,
) -> Result<Json<KeysRotated>, Problem> {
    let (keys, random, before) = (keys(&app)?, Random::system(), body.before.unwrap_or_else(|| app.now()));
    let store = &**keys.store();
    if let Some(owner) = body.owner {
        let version = tend::rotate(store, keys.source(), owner.clone(), before, &random).await?;
        keys.forget(&owner);
        return Ok(Json(KeysRotated { rotated: 1, version: Some(version), before, more: false }));
    }
    let mut rotated = 0;
    let mut told = |done, _: Option<u64>| rotated = done;
    let all = timeout(SLICE, tend::rotate_all(store, keys.source(), before, &random, &mut told)).await;
    let more = all.is_err();
    if let Ok(all) = all {
        rotated = all?;
    }
    Ok(Json(KeysRotated { rotated, version: None, before, more }))
}

/// Wrap all keys under a new generation of the installation key, which is made if none is begun. Of many, as many as five seconds allow:
/// while there are some `left`, ask again.
#[utoipa::path(post, path = "/operator/keys/rewrap", tag = "operator", responses((status = 200, body = KeysRewrapped), Failures))]
async fn rewrap_keys(State(app): State<App>, _: Operator) -> Result<Json<KeysRewrapped>, Problem> {
    let (keys, random) = (keys(&app)?, Random::system());
    let store = &**keys.store();
    let mut rewrapped = 0;
    let mut told = |done, _: Option<u64>| rewrapped = done;
    if let Ok(all) = timeout(SLICE, tend::rewrap(store, keys.source(), &random, &mut told)).await {
        let tend::Rewrapped { generation, keys: rewrapped, .. } = all?;
        // What this server makes from now on is under it, too; other nodes learn of it when they meet such a key.
        keys.read_again().await?;
        return Ok(Json(KeysRewrapped { generation, keys: rewrapped, left: 0 }));
    }
    let generation = tend::prove(store, keys.source(), &random).await?;
    let (_, left) = store.older(generation, 0).await.map_err(KeyringError::from)?;
    Ok(Json(KeysRewrapped { generation, keys: rewrapped, left }))
}
