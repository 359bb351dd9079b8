//! `cargo bench` at the root runs the benchmarks where they are: in the crate of the tests, with what they need of it.

use std::process::{Command, ExitCode};

fn main() -> std::io::Result<ExitCode> {
    // Cargo says so to every benchmark, and will to those.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let status = Command::new(env!("CARGO")).args(["bench", "--package", "circolo-tests", "--"]).args(arguments).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
