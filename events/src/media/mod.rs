//! Files that people uploaded, encrypted under keys of their owners, in a folder or in a store that speaks S3 (docs/media.md).
//!
//! - [`chunks`]: a file in pieces that are opened one by one; [`files`]: where they lie

pub mod chunks;
pub mod files;

pub use chunks::{CHUNK, Name, Part};
pub use files::{Files, FilesError, Lying, Stored, Writer};
