//! What it costs to follow the log live: by listener and event, for those whom it concerns and for those whom it does not.

use crate::given::{comment, found, write};
use circolo_tests::{
    actor::Actor,
    world::{Backend, World},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// So many listen, each a person of their own.
const LISTENERS: usize = 200;
/// So much happens.
const EVENTS: usize = 300;

/// Seconds that this process has had a processor.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap().split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // Behind the state, which is no number: user and system time are the 11th and 12th, in hundredths.
    (fields[10] + fields[11]) / 100.0
}

/// What `EVENTS` comments cost, until all who listen have been told as many `bytes` as they will be.
async fn cost(by: &Actor, post: &str, bytes: &AtomicUsize) -> f64 {
    let before = processor();
    for number in 0..EVENTS {
        comment(by, post, &number.to_string()).await;
    }
    let mut told = bytes.load(Ordering::Relaxed);
    loop {
        sleep(Duration::from_millis(500)).await;
        let now = bytes.load(Ordering::Relaxed);
        if now == told {
            return processor() - before;
        }
        told = now;
    }
}

/// Prints figures; they are of a build without optimisation, beside whatever else the machine does, so that little is held to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_is_told_all_and_costs_little_where_it_does_not_concern_them() {
    let world = World::start(Backend::Memory).await.unwrap();
    let (ann, bytes) = (world.person("Ann").await, Arc::new(AtomicUsize::new(0)));
    let secret = write(&ann, &found(&ann, "secret", "invite_only").await, "Here").await;
    let public = write(&ann, &found(&ann, "public", "open").await, "Here").await;
    let alone = cost(&ann, &secret, &bytes).await.min(cost(&ann, &public, &bytes).await);
    let mut listening = vec![];
    for number in 0..LISTENERS {
        let stream = world.person(&format!("Listener {number}")).await.listen("/v1/changes").await;
        listening.push(tokio::spawn(stream.drain(bytes.clone())));
    }
    sleep(Duration::from_secs(1)).await;
    bytes.store(0, Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "figures for people to look at")]
    let each = |cost: f64, by: usize| (cost - alone) * 1e3 / (by * EVENTS) as f64;
    let others = each(cost(&ann, &secret, &bytes).await, LISTENERS);
    // Signs of life, at most.
    assert!(bytes.load(Ordering::Relaxed) < LISTENERS * EVENTS, "nobody is told anything of a secret group");
    let theirs = each(cost(&ann, &public, &bytes).await, LISTENERS);
    eprintln!(
        "without listeners {:.2} ms an event; per listener and event {others:.4} ms if it does not concern them, {theirs:.4} ms if it does",
        each(2.0 * alone, 1)
    );
    assert!(bytes.load(Ordering::Relaxed) > LISTENERS * EVENTS * 100, "everybody is told of everything in public");
    world.app().stop_listening();
    for stream in listening {
        stream.await.unwrap();
    }
    assert!(others < 0.1, "{others}");
}
