//! Which process moves the read models.
//!
//! - [`reign`]: a time in which this one does; [`plan`]: what it begins with
//! - [`lease`]: who moves what, where there are several; [`node`]: one of several
//! - [`turn`]: somebody who only prepares read models

pub mod lease;
pub mod node;
pub mod plan;
pub mod reign;
pub mod turn;
