//! Tests of `access`.
