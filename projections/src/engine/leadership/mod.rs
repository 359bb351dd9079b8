//! Which process moves the read models.
//!
//! - [`leader`]: this one, while it does; [`plan`]: what it begins with
//! - [`lease`]: who moves what, where there are several; [`node`]: one of several
//! - [`build_lease`]: somebody who only prepares read models

pub mod build_lease;
pub mod leader;
pub mod lease;
pub mod node;
pub mod plan;
