//! The reference adapter: everything in memory.
