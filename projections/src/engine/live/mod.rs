//! What is live moves together.
//!
//! - [`lane`]: the live loop
//! - [`join`]: how builds come to it

pub mod join;
pub mod lane;
