//! What is live moves together.
//!
//! - [`live_subscription`]: the live loop
//! - [`join`]: how builds come to it

pub mod join;
pub mod live_subscription;
