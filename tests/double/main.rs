//! The double of KurrentDB as a process, for clients that are not written in Rust: a cluster of two, the leader named first. The end of
//! the input ends it.

use circolo_tests::kurrent::Double;
use std::io;

#[tokio::main]
async fn main() -> io::Result<()> {
    let leader = Double::start().await;
    let follower = leader.node().await;
    leader.lead(leader.address());
    println!("{} {}", leader.address(), follower.address());
    // The nodes serve until the input ends, in tasks of their own.
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}
