//! What the database holds: builds with their tables and rows.
//!
//! - [`build`]: what a build is
//! - [`ddl`]: the SQL made from declarations
//! - [`registry`]: what the database knows of builds; [`parked`]: the streams that they leave out
//! - [`rows`]: rows in memory; [`sample`]: some of them
//! - [`checkpoints`]: how far other readers of the log are

pub mod build;
pub mod checkpoints;
pub mod ddl;
pub mod parked;
pub mod registry;
pub mod rows;
pub mod sample;
