//! What keeps other processes away from data that this one uses: locks on folders, claims in databases.

use crate::{
    clock::Ids,
    open::{OpenError, Place},
};
#[cfg(feature = "kurrentdb")]
use circolo_events::kurrentdb::{self, Claimant};
use circolo_events::{DataLock, postgres::Claim};
use futures::{FutureExt, future::BoxFuture};

/// What keeps others out.
#[derive(Debug, Default)]
pub struct Held {
    locks: Vec<DataLock>,
    claims: Vec<Claim>,
    #[cfg(feature = "kurrentdb")]
    log: Option<kurrentdb::Claim>,
}

impl Held {
    /// Files.
    pub(crate) const fn of(locks: Vec<DataLock>) -> Self {
        Self {
            locks,
            claims: vec![],
            #[cfg(feature = "kurrentdb")]
            log: None,
        }
    }

    /// Claims a log in a database: with others who share it, or against all.
    pub(crate) async fn claim_log(&mut self, place: &Place, alone: bool, ids: &Ids) -> Result<(), OpenError> {
        match place {
            #[cfg(feature = "kurrentdb")]
            Place::Kurrent(url) => {
                let place = self.locks.first().filter(|_| alone).map_or_else(|| Ok(ids()), |lock| lock.id(ids()))?;
                let host = host().unwrap_or_else(|| "an unknown host".to_owned());
                let me = Claimant { id: ids(), place, alone, who: format!("process {} on {host}", std::process::id()) };
                self.log = Some(kurrentdb::Claim::take(url, &kurrentdb::Options::default(), me).await?);
            }
            place => self.claim(place, "log", alone).await?,
        }
        Ok(())
    }

    /// Claims `key` in a database.
    pub(crate) async fn claim(&mut self, place: &Place, key: &str, alone: bool) -> Result<(), OpenError> {
        match place {
            Place::Postgres(url) if alone => self.claims.push(Claim::take(url, key).await?),
            Place::Postgres(url) => self.claims.push(Claim::share(url, key).await?),
            _ => {}
        }
        Ok(())
    }

    /// Returns when somebody else may have come in: then this process must stop. Never for files.
    pub async fn lost(&self) {
        let mut claims: Vec<BoxFuture<'_, ()>> = self.claims.iter().map(|claim| claim.lost().boxed()).collect();
        #[cfg(feature = "kurrentdb")]
        claims.extend(self.log.iter().map(|claim| claim.lost().boxed()));
        if claims.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(claims).await;
    }

    /// Lets others in at once. Without it, in KurrentDB, whoever comes next waits until this process does not object.
    pub async fn release(self) {
        #[cfg(feature = "kurrentdb")]
        if let Some(claim) = self.log {
            claim.release().await;
        }
    }
}

/// The name of this machine, as far as it is known.
pub fn host() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    name.or_else(|| variable("HOSTNAME")).or_else(|| variable("COMPUTERNAME"))
}

/// The account that this process runs as: by its number, which nobody chooses, and not by a variable that anybody sets.
pub fn account() -> String {
    whoami::username().unwrap_or_else(|_| unnamed())
}

/// An account that the system has no name for, as is usual in containers.
#[cfg(unix)]
fn unnamed() -> String {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map_or_else(|_| "unknown".to_owned(), |own| format!("account {}", own.uid()))
}

#[cfg(not(unix))]
fn unnamed() -> String {
    "unknown".to_owned()
}
