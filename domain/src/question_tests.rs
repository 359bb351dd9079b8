//! Tests of `question`.
