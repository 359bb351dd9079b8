//! The log's own facts: its salt, what is passed over, who read texts.

pub mod salt;
pub mod skip;
pub mod unmasking;
