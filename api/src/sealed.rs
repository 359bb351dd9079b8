//! The log behind its keys: which key store belongs to it, and whether it is there.

use crate::{
    clock,
    config::{KeyStorage, Storage},
    open::{OpenError, Place, given, place},
};
use circolo_events::{
    EventStore, Position, StoreError, Stored,
    sealing::{self, KeyStore, KeyStoreError, Keyring, Random, SealedLog, Source, keyring, sealed::entries, store::Make, tally},
};
use std::{path::Path, sync::Arc};

/// Events read at once while one looks for the first that is sealed.
const PAGE: usize = 4_000;
/// So many events at each end of the log are looked at for one that tells which keys belong to it.
const SAMPLE: usize = 100;

impl KeyStorage {
    /// Where the keys are.
    pub fn place(&self, data: &Path) -> Result<Place, OpenError> {
        place(self.keys.as_deref(), data, "keys.sqlite")
    }

    /// Where the installation key comes from.
    pub fn source(&self, data: &Path) -> Source {
        self.installation_key.clone().unwrap_or_else(|| Source::in_folder(data))
    }

    /// Opens the key store.
    pub async fn open(&self, data: &Path, make: Make) -> Result<Arc<dyn KeyStore>, OpenError> {
        open_keys(self.place(data)?, make).await
    }
}

/// Opens the key store at `url`.
pub async fn keys(url: &str, make: Make) -> Result<Arc<dyn KeyStore>, OpenError> {
    open_keys(given(url)?, make).await
}

async fn open_keys(place: Place, make: Make) -> Result<Arc<dyn KeyStore>, OpenError> {
    Ok(match place {
        Place::Sqlite(path) => Arc::new(sealing::store::Sqlite::open(&path, make)?),
        Place::Postgres(url) => Arc::new(sealing::store::Postgres::connect(&url, make).await?),
        Place::Memory | Place::Kurrent(_) => return Err(OpenError::KeysElsewhere(place)),
    })
}

impl KeyStorage {
    /// `log` behind its keys, for who writes to it. A key store that is not there is made, but never for a log that is sealed already:
    /// without its keys nothing would open. `sealed` is the log that tells that: the same, or one of which this is to be a copy.
    pub async fn behind_keys(
        &self,
        data: &Path,
        log: Arc<dyn EventStore>,
        sealed: &dyn EventStore,
    ) -> Result<Arc<dyn EventStore>, OpenError> {
        let store = match self.open(data, Make::Never).await {
            Err(missing @ OpenError::Keys(KeyStoreError::Missing(_) | KeyStoreError::NoStore)) => {
                if is_sealed(sealed).await? {
                    return Err(missing);
                }
                self.open(data, Make::IfMissing).await?
            }
            store => store?,
        };
        self.behind(data, log, store, sealed).await
    }

    async fn behind(
        &self,
        data: &Path,
        log: Arc<dyn EventStore>,
        store: Arc<dyn KeyStore>,
        sealed: &dyn EventStore,
    ) -> Result<Arc<dyn EventStore>, OpenError> {
        let random = Random::system();
        let keys = Keyring::open(store, self.source(data), clock::system(), random.clone(), &keyring::Options::default()).await?;
        let log = SealedLog::new(log, Arc::new(keys), random);
        let sample = sample(sealed).await?;
        let first = sample.first().map(|stored| stored.position);
        // One that is broken costs itself; if nothing opens, the keys are others.
        let opens = log.opened(sample).await?.iter().any(|stored| stored.shut.is_none());
        match first {
            Some(position) if !opens => Err(OpenError::OtherKeys(self.place(data)?, position)),
            _ => Ok(Arc::new(log)),
        }
    }
}

impl Storage {
    /// `log` behind its keys, for who writes to it.
    pub(crate) async fn sealed(&self, log: Arc<dyn EventStore>) -> Result<Arc<dyn EventStore>, OpenError> {
        let (data, kept) = (&self.folder.data, Arc::clone(&log));
        if self.log_place()? == Place::Memory && self.keys.keys.is_none() {
            return self.keys.behind(data, log, Arc::new(sealing::store::Sqlite::in_memory()?), &*kept).await;
        }
        self.keys.behind_keys(data, log, &*kept).await
    }

    /// The same for who only reads. A log that is not sealed needs no keys.
    pub(crate) async fn unsealed(&self, log: Arc<dyn EventStore>) -> Result<Arc<dyn EventStore>, OpenError> {
        let data = &self.folder.data;
        match self.keys.open(data, Make::Never).await {
            Err(missing @ OpenError::Keys(KeyStoreError::Missing(_) | KeyStoreError::NoStore)) => {
                if is_sealed(&*log).await? {
                    Err(missing)
                } else {
                    Ok(log)
                }
            }
            store => {
                let kept = Arc::clone(&log);
                self.keys.behind(data, log, store?, &*kept).await
            }
        }
    }
}

/// Counts, once, how much of the log is sealed, and tells it as metrics. What this server writes is.
pub async fn tell_tally(log: &dyn EventStore, keys: &dyn KeyStore) {
    match tally::count(log, keys, |_| ()).await {
        Ok(tally) => {
            #[expect(clippy::cast_precision_loss, reason = "a number of events is far below 2^52")]
            metrics::gauge!("circolo_log_plain_events").set(tally.plain as f64);
            if tally.plain > 0 {
                tracing::info!(events = tally.plain, "texts stand plain in so many events of before (circolo events copy --seal)");
            }
        }
        Err(error) => tracing::warn!(%error, "how much of the log is sealed was not counted"),
    }
}

/// Whether any event of the log is sealed. Ends with the first, which in a log of today is among the first events of all.
async fn is_sealed(log: &dyn EventStore) -> Result<bool, StoreError> {
    let mut after = Position::START;
    loop {
        let page = log.read_all(after, PAGE).await?;
        if page.events.iter().any(|stored| entries(&stored.event.metadata).is_ok_and(|boxes| !boxes.is_empty())) {
            return Ok(true);
        }
        if page.scanned <= after {
            return Ok(false);
        }
        after = page.scanned;
    }
}

/// The sealed events at both ends of the log, as far as one looks.
async fn sample(log: &dyn EventStore) -> Result<Vec<Stored>, StoreError> {
    let mut sealed = vec![];
    for after in [Position::START, log.back(SAMPLE).await?] {
        let page = log.read_all(after, SAMPLE).await?;
        sealed.extend(page.events.into_iter().filter(|stored| entries(&stored.event.metadata).is_ok_and(|boxes| !boxes.is_empty())));
    }
    Ok(sealed)
}
