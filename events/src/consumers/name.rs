//! What consumers are called.

use std::{fmt, sync::Arc};

/// A kind, and which of its kind where there are several: `complete_flows`, `webhook:7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Of the only one of its kind.
    pub fn only(kind: &'static str) -> Self {
        Self(kind.into())
    }

    /// Of one of several.
    pub fn of(kind: &'static str, key: impl fmt::Display) -> Self {
        Self(format!("{kind}:{key}").into())
    }

    /// Both parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of consumer it is.
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or(&*self.0, |(kind, _)| kind)
    }

    /// Which of its kind.
    pub fn key(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, key)| key)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
