//! What people do in groups and on walls: come and go, write, ask, react.

pub mod authored;
pub mod comment;
pub mod group;
pub mod membership;
pub mod post;
pub mod question;
pub mod reaction;
pub mod saved_item;
