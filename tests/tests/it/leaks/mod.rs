//! The leak hunter: everybody in a world of every history asks for everything that anybody knows of, and each word, id and figure
//! they get is judged by rights that are written down here a second time.
//!
//! - `stage`, `script`, `random`: worlds in which every word is marked
//! - `facts`: what happened, from the log
//! - `rights`, `words`, `counts`: who may know and read what
//! - `requests`: every GET of the description with every id
//! - `hunt`, `judge`, `told`: asks and judges
//! - `probes`: what is learnt by acting
//! - `findings`: what came of it
//! - `blind`: that it would find something
//!
//! `CIRCOLO_LEAKS=full` hunts through many worlds of chance, on both databases.

mod blind;
mod counts;
mod facts;
mod findings;
mod hunt;
mod judge;
mod probes;
mod random;
mod requests;
mod rights;
mod script;
mod stage;
mod told;
mod words;

use circolo_tests::world::{Backend, World};
use requests::Breadth;
use stage::Stage;

/// Worlds of chance in a whole hunt.
const SEEDS: std::ops::Range<u64> = 0..6;

#[tokio::test]
async fn nobody_is_told_what_they_may_not_know() {
    let mut stage = Stage::new(World::start(Backend::Memory).await.unwrap());
    script::play(&mut stage).await;
    let mut found = hunt::hunt(&stage, Breadth { strangers: 1, moments: 6 }).await;
    probes::probe(&mut stage, &mut found).await;
    found.expect_none();
}

/// Whole, it takes half an hour.
#[tokio::test]
async fn nobody_is_told_it_in_worlds_of_chance_either() {
    let whole = std::env::var("CIRCOLO_LEAKS").is_ok_and(|how| how == "full");
    if !whole {
        return by_chance(Backend::Memory, 0, Breadth { strangers: 0, moments: 1 }).await;
    }
    let breadth = Breadth { strangers: 4, moments: 12 };
    if let Some(world) = World::start(Backend::Postgres).await {
        let mut stage = Stage::new(world);
        script::play(&mut stage).await;
        hunt::hunt(&stage, breadth).await.expect_none();
    }
    for seed in SEEDS {
        by_chance(Backend::Memory, seed, breadth).await;
        by_chance(Backend::Postgres, seed, breadth).await;
    }
}

async fn by_chance(backend: Backend, seed: u64, breadth: Breadth) {
    let Some(world) = World::start(backend).await else { return };
    let mut stage = Stage::new(world);
    random::play(&mut stage, seed).await;
    println!("{backend:?}, seed {seed}:");
    hunt::hunt(&stage, breadth).await.expect_none();
}
