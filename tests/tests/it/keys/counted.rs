//! What keys cost: a statement for a batch, and none for what is remembered.

use super::{LONG, Place, now, on_each_store, people};
use async_trait::async_trait;
use circolo_domain::Timestamp;
use circolo_events::sealing::{
    KeyStore, KeyStoreError, Keyring, Owner, Random,
    keyring::Options,
    store::{Count, Note, Row},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

on_each_store! {
    a_batch_is_loaded_by_one_statement_and_made_by_one,
}

/// A store that counts what it is asked.
struct Counted {
    store: Arc<dyn KeyStore>,
    asked: AtomicU64,
}

impl Counted {
    fn ask(&self) -> &dyn KeyStore {
        self.asked.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }
}

#[async_trait]
impl KeyStore for Counted {
    async fn newest(&self, owners: Vec<Owner>) -> Result<Vec<Row>, KeyStoreError> {
        self.ask().newest(owners).await
    }
    async fn versions(&self, wanted: Vec<(Owner, u32)>) -> Result<Vec<Row>, KeyStoreError> {
        self.ask().versions(wanted).await
    }
    async fn put(&self, rows: Vec<Row>) -> Result<(), KeyStoreError> {
        self.ask().put(rows).await
    }
    async fn renew(&self, rows: Vec<Row>) -> Result<(), KeyStoreError> {
        self.ask().renew(rows).await
    }
    async fn destroy(&self, owner: Owner, at: Timestamp) -> Result<bool, KeyStoreError> {
        self.ask().destroy(owner, at).await
    }
    async fn page(&self, after: Option<(Owner, u32)>, limit: usize) -> Result<Vec<Row>, KeyStoreError> {
        self.ask().page(after, limit).await
    }
    async fn older(&self, generation: u32, limit: usize) -> Result<(Vec<Row>, u64), KeyStoreError> {
        self.ask().older(generation, limit).await
    }
    async fn rewrap(&self, rows: Vec<(u32, Row)>) -> Result<(), KeyStoreError> {
        self.ask().rewrap(rows).await
    }
    async fn samples(&self, after: u32) -> Result<Vec<Row>, KeyStoreError> {
        self.ask().samples(after).await
    }
    async fn counts(&self) -> Result<Vec<Count>, KeyStoreError> {
        self.ask().counts().await
    }
    async fn note(&self, note: Note) -> Result<Option<String>, KeyStoreError> {
        self.ask().note(note).await
    }
    async fn set_note(&self, note: Note, text: String) -> Result<(), KeyStoreError> {
        self.ask().set_note(note, text).await
    }
}

async fn a_batch_is_loaded_by_one_statement_and_made_by_one(place: &Place) {
    let owners = people(500);
    let open = async || {
        let store = Arc::new(Counted { store: place.store().await, asked: AtomicU64::default() });
        let options = Options { keys: 5_000, believed: LONG };
        let ring = Keyring::open(store.clone(), place.source(), Arc::new(now), Random::system(), &options).await.unwrap();
        (store, ring)
    };
    let (store, ring) = open().await;
    let asked = |store: &Counted| store.asked.swap(0, Ordering::Relaxed);
    asked(&store);
    ring.current(owners.iter().cloned()).await.unwrap();
    assert_eq!(asked(&store), 4, "looked for, looked for again when it was their turn, put there, and read as they stand there");
    ring.current(owners.iter().cloned()).await.unwrap();
    ring.versions(owners.iter().map(|owner| (owner.clone(), 1))).await.unwrap();
    assert_eq!(asked(&store), 0, "they are remembered");
    let (store, ring) = open().await;
    asked(&store);
    ring.versions(owners.iter().map(|owner| (owner.clone(), 1))).await.unwrap();
    assert_eq!(asked(&store), 1);
    ring.current(owners.iter().cloned()).await.unwrap();
    assert_eq!(asked(&store), 1);
}
