//! Pages, who follows them, and what they write to people.

pub mod conversation;
pub mod fan;
pub mod page;
pub mod permit;
pub mod response_rate;
pub mod username;
