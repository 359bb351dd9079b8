//! A simulated community on the disk, and what the queries over it send to the database.

use super::bare::{Plan, Statement};
use crate::{Arguments, Result, durable};
use axum::{Router, body::Body};
use circolo::{auth::Auth, clock, config, keys::Keys, running::Start, server};
use circolo_events::{People, media::Files, sealing::Random};
use circolo_projections::{Checkpoints, Dialect};
use circolo_tests::{server::Storage, world};
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;
use tower::ServiceExt;

/// A folder, perhaps with a database beside it.
pub struct Site {
    pub storage: Storage,
    /// How long it took to write the history.
    pub simulated: Duration,
    _dir: TempDir,
}

impl Site {
    /// Writes a history of a month of 5,000 people.
    pub async fn simulate(arguments: &Arguments, postgres: Option<&str>) -> Result<Self> {
        let mut site = Self::empty(arguments, postgres, "site").await?;
        let events = arguments.history().to_string();
        let began = Instant::now();
        site.storage.run(&["simulate", "--people", "5000", "--groups", "60", "--pages", "20", "--days", "30", "--events", &events]);
        site.simulated = began.elapsed();
        Ok(site)
    }

    /// A folder, and a schema of this name, with nothing in them.
    pub async fn empty(arguments: &Arguments, postgres: Option<&str>, schema: &str) -> Result<Self> {
        let dir = tempfile::tempdir_in(&arguments.dir)?;
        let database = match postgres {
            Some(url) => Some(durable::schema(url, schema).await?),
            None => None,
        };
        let storage = Storage { folder: dir.path().to_owned(), database };
        Ok(Self { storage, simulated: Duration::ZERO, _dir: dir })
    }

    /// Where the read models are, for a driver.
    fn views(&self) -> String {
        let file = || self.storage.folder.join("views.sqlite").display().to_string();
        self.storage.database.clone().unwrap_or_else(file)
    }

    /// What is asked for in the measurements, and the statements behind it. Builds the read models if they are not there yet.
    pub async fn plan(&self) -> Result<(Paths, Plan)> {
        let Storage { folder, database } = &self.storage;
        let storage = config::Storage {
            folder: config::DataFolder { data: folder.clone() },
            log: database.clone(),
            views: database.clone(),
            keys: config::KeyStorage::default(),
        };
        let opened = storage.open(&clock::fresh_ids()).await?;
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        let db = opened.db.clone().watched(move |sql, params| {
            let mut sent = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            sent.push((sql.clone(), params.to_vec()));
        });
        let people = People::begin(&*opened.store, &Random::system(), clock::fresh_ids()(), clock::system()()).await?;
        let running = Start {
            checkpoints: Arc::new(Checkpoints::open(opened.db.clone(), opened.store.log_id()).await?),
            files: Arc::new(Files::in_folder(&folder.join("media"))?),
            store: opened.store,
            auth: Auth::new(Keys::open(folder)?, None, people, clock::system()),
            http: world::settings(),
            clock: clock::system(),
            ids: clock::fresh_ids(),
            node: None,
            wakes: true,
            shared_log: false,
            db,
        };
        let running = running.run().await?;
        running.app().projector().settled().await;
        let router = server::router(running.app());
        let paths = Paths::find(&router).await?;
        let mut queries = BTreeMap::new();
        let dialect = running.app().db().dialect();
        for (name, path) in paths.all() {
            // Once to have what a running server remembers in memory, once to see what it asks the database.
            get(&router, &path).await?;
            std::mem::take(&mut *sent.lock().map_err(|error| error.to_string())?);
            get(&router, &path).await?;
            let statements = std::mem::take(&mut *sent.lock().map_err(|error| error.to_string())?);
            let statements = statements.into_iter().map(|(sql, params)| {
                let sql = if dialect == Dialect::Sqlite { sql.sqlite } else { sql.postgres };
                Statement { sql: sql.into_owned(), params }
            });
            queries.insert(name.to_owned(), statements.collect());
        }
        running.shutdown().await;
        Ok((paths, Plan { views: self.views(), queries }))
    }
}

/// What is read in the measurements.
#[derive(Debug, Clone)]
pub struct Paths {
    group: String,
    question: String,
}

impl Paths {
    /// The group that is asked about.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Names and paths.
    pub fn all(&self) -> [(&'static str, String); 3] {
        [
            ("feed", format!("/v1/groups/{}/feed?limit=20", self.group)),
            ("question", format!("/v1/questions/{}", self.question)),
            ("catalogue", format!("/v1/groups/{}/catalogue?status=for_sale&limit=20", self.group)),
        ]
    }

    /// The oldest public group with enough in it: the first groups are the busy ones.
    async fn find(router: &Router) -> Result<Self> {
        let groups = get(router, "/v1/groups?limit=100").await?;
        for group in groups["items"].as_array().into_iter().flatten().rev() {
            let (Some("public"), Some(id)) = (group["privacy"].as_str(), group["id"].as_str()) else { continue };
            let questions = get(router, &format!("/v1/groups/{id}/questions?limit=1")).await?;
            let Some(question) = questions["items"][0]["id"].as_str() else { continue };
            let paths = Self { group: id.to_owned(), question: question.to_owned() };
            let [(_, feed), _, (_, catalogue)] = paths.all();
            let full = async |path: &str| {
                Ok::<_, crate::Error>(get(router, path).await?["items"].as_array().is_some_and(|items| items.len() >= 20))
            };
            if full(&feed).await? && full(&catalogue).await? {
                return Ok(paths);
            }
        }
        Err("no public group has a feed and a catalogue of twenty".into())
    }
}

async fn get(router: &Router, path: &str) -> Result<Value> {
    let answer = router.clone().oneshot(Request::get(path).body(Body::empty())?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(serde_json::from_slice(&body)?)
}
