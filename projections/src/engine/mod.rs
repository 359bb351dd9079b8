//! The engine: feeds, builds, switches and verifies every read model, on both databases.
//!
//! - [`tables`]: what the database holds of builds, and their rows
//! - [`context`]: what all parts share
//! - [`member`]: a build that is moved, [`pace`]: how fast
//! - [`decode`]: a page of the log, each event decoded once for all its readers; [`care`]: what cannot be stored
//! - [`compute`]: where what keeps a processor busy is done
//! - [`step`]: one batch in one transaction, for the lane and for catching up
//! - [`bulk`]: batches as large as memory allows, written in many short transactions, for builds under construction
//! - [`lane`]: the live loop; [`builds`]: from the first event of a build to its place in the lane
//! - [`operations`]: what operators do with builds, [`mend`]: what is done without them; [`activity`]: what is under way
//! - [`reign`]: a time in which this process moves read models; [`lease`], [`node`], [`turn`]: whose turn it is, among several processes
//! - [`projector`]: the facade; [`verify`] with [`report`], [`status`], [`left_out`]: what operators see
//! - [`damage`]: whether the database holds what it wrote

pub mod activity;
pub mod builds;
pub mod bulk;
pub mod care;
pub mod compute;
pub mod context;
pub mod damage;
pub mod decode;
pub mod lane;
pub mod lease;
pub mod left_out;
pub mod member;
pub mod mend;
pub mod node;
pub mod operations;
pub mod pace;
pub mod projector;
pub mod reign;
pub mod report;
pub mod status;
pub mod step;
pub mod tables;
pub mod turn;
pub mod verify;
