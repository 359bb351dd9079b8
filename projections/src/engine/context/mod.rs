//! What all parts of a projector share.
//!
//! - [`shared`]: the value that each of them holds
//! - [`options`]: how the engine works; [`error`]: what can go wrong; [`backoff`]: pauses after failures
//! - [`steering`]: what is asked of builds while they are moved, and by whom they are
//! - [`meters`]: how far the live subscription and builds are, and how fast
//! - [`resignation`]: how a part tells that this process cannot go on moving read models

pub mod backoff;
pub mod error;
pub mod meters;
pub mod options;
pub mod resignation;
pub mod shared;
pub mod steering;
