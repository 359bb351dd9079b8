//! What operators do with builds and see of them, and what is done without them.
//!
//! - [`operator`]: begin, switch, go back, pause, give up, drop
//! - [`mend`]: what is built anew by itself; [`activity`]: what is under way
//! - [`verify`] with [`report`]: whether rows are what the log says; [`damage`]: whether the database holds what it wrote
//! - [`status`], [`left_out`]: how builds are

pub mod activity;
pub mod damage;
pub mod left_out;
pub mod mend;
pub mod operator;
pub mod report;
pub mod status;
pub mod verify;
