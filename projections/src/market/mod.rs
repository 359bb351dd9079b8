//! Read models of what is for sale.

pub mod catalogue;
pub mod listings;
pub mod sellers;

use crate::Projection;

/// All of them: one line per slice, sorted.
pub(crate) fn all() -> Vec<Projection> {
    vec![listings::listings(), sellers::sellers()]
}
