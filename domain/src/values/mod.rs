//! Values: what a text, a time, an id or an amount may be.

pub mod id;
pub mod money;
pub mod personal;
pub mod text;
pub mod time;
pub mod visible;
pub mod weight;
pub(crate) mod word;
