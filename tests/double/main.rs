//! The double of KurrentDB as a process, for clients that are not written in Rust: a cluster of two, the leader named first. Each
//! line `tombstone NAME` on standard input deletes a stream for ever; the end of the input ends it.

use circolo_tests::kurrent::Double;
use std::io;

#[tokio::main]
async fn main() -> io::Result<()> {
    let leader = Double::start().await;
    let follower = leader.node().await;
    leader.lead(leader.address());
    println!("{} {}", leader.address(), follower.address());
    let obey = move || {
        for line in io::stdin().lines() {
            if let Some(stream) = line?.strip_prefix("tombstone ") {
                leader.tombstone(stream);
                println!("done");
            }
        }
        Ok(())
    };
    // The nodes serve until the input ends, in tasks of their own.
    tokio::task::spawn_blocking(obey).await?
}
