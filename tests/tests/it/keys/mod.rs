//! Keys: the contract of the stores that keep them, those in use, and what an operator does with them.

mod command_line;
mod copies;
mod counted;
mod rings;
mod stores;
mod tending;

use circolo_domain::Timestamp;
use circolo_events::sealing::{
    InstallationKey, KeyStore, Keyring, Owner, Random, Secret, Source,
    installation::block,
    keyring::Options,
    store::{Make, Postgres, Row, Sqlite},
    wrapping::Wrapping,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// Where keys are, and the installation key that they hang on.
pub struct Place {
    folder: TempDir,
    /// The database, if they are in one.
    url: Option<String>,
}

impl Place {
    /// `None` where what it needs is not installed.
    pub async fn new(kind: &str) -> Option<Self> {
        let url = match kind {
            "postgres" => Some(circolo_tests::postgres::fresh_schema().await?),
            _ => None,
        };
        let place = Self { folder: tempfile::tempdir().unwrap(), url };
        std::fs::write(place.installation_file(), installation(1)).unwrap();
        Some(place)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn installation_file(&self) -> PathBuf {
        self.path().join("installation-key.pem")
    }

    pub fn source(&self) -> Source {
        Source::File(self.installation_file())
    }

    /// As `--keys` names it.
    pub fn keys_url(&self) -> String {
        self.url.clone().unwrap_or_else(|| format!("sqlite:{}", self.path().join("keys.sqlite").display()))
    }

    /// Opens the store, as one more process would.
    pub async fn store(&self) -> Arc<dyn KeyStore> {
        match &self.url {
            Some(url) => Arc::new(Postgres::connect(url, Make::IfMissing).await.unwrap()),
            None => Arc::new(Sqlite::open(&self.path().join("keys.sqlite"), Make::IfMissing).unwrap()),
        }
    }

    /// Opens the keys, as one more node would; what it knows it believes for `believed`.
    pub async fn ring(&self, believed: Duration) -> Keyring {
        self.ring_at(believed, now(), 1_000).await
    }

    pub async fn ring_at(&self, believed: Duration, at: Timestamp, keys: usize) -> Keyring {
        let options = Options { keys, believed };
        Keyring::open(self.store().await, self.source(), Arc::new(move || at), Random::system(), &options).await.unwrap()
    }
}

/// Makes one test per case and store.
macro_rules! on_each_store {
    ($($case:ident),* $(,)?) => {
        crate::keys::on_each_store! { @ sqlite $($case)* }
        crate::keys::on_each_store! { @ postgres $($case)* }
    };
    (@ $store:ident $($case:ident)*) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    if let Some(place) = crate::keys::Place::new(stringify!($store)).await {
                        super::$case(&place).await;
                    }
                }
            )*
        }
    };
}
use on_each_store;

/// As long as no test takes.
pub const LONG: Duration = Duration::from_hours(1);

pub fn now() -> Timestamp {
    Timestamp::parse("2026-11-27T12:00:00Z").unwrap()
}

pub fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

/// So many owners, in order.
pub fn people(count: usize) -> Vec<Owner> {
    (0..count).map(|number| owner(&format!("person-{number:06}"))).collect()
}

fn generation(number: u8) -> Secret {
    Secret::new([number; 32])
}

/// An installation key of so many generations, as it stands in a file.
pub fn installation(generations: u8) -> String {
    (1..=generations).map(|number| block(&generation(number)).to_string()).collect()
}

pub fn wrapping(generations: u8) -> Wrapping {
    Wrapping::new(&InstallationKey::new(generation(1), (2..=generations).map(generation).collect()))
}

/// A row that lives.
pub fn row(owner: &Owner, version: u32) -> Row {
    let key = Secret::drawn(&Random::system()).unwrap();
    wrapping(1).wrap(owner.clone(), version, &key, now(), &Random::system()).unwrap()
}

/// All rows of a store, read in parts.
pub async fn all(store: &dyn KeyStore, limit: usize) -> Vec<Row> {
    let (mut rows, mut after) = (vec![], None);
    loop {
        let page = store.page(after, limit).await.unwrap();
        let Some(last) = page.last() else { return rows };
        after = Some((last.owner.clone(), last.version));
        rows.extend(page);
    }
}
