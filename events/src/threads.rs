//! How much of the processors a thread gets.

/// The niceness of threads that nobody waits for: whoever waits for an answer gets about nine times the processor time.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets other threads of this machine go before this one, where the system knows how.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "a thread runs as all others do");
    }
}
