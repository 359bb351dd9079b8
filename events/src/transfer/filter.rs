//! Which events are wanted, and reading them page by page, as many as there may be.

use crate::{EventStore, Position, StoreError, Stored};
use circolo_domain::Timestamp;
use serde::{Deserialize, Serialize};

/// Events read at once.
const PAGE: usize = 2_000;

/// Which events of a log are wanted. All that is said must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// One of these types, or of those they begin up to a dot: `question.posted.v1`, `question.posted`, `question`. None: any.
    #[serde(default)]
    pub types: Vec<String>,
    /// Of streams whose name begins so.
    #[serde(default)]
    pub stream: Option<String>,
    /// At this position or later.
    #[serde(default)]
    pub from: Option<Position>,
    /// At this position or earlier.
    #[serde(default)]
    pub to: Option<Position>,
    /// Recorded then or later.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Recorded before that.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether the event is wanted.
    pub fn wants(&self, stored: &Stored) -> bool {
        self.wants_type(&stored.event.event_type)
            && self.stream.as_deref().is_none_or(|prefix| stored.stream.as_str().starts_with(prefix))
            && self.from.is_none_or(|from| stored.position >= from)
            && self.to.is_none_or(|to| stored.position <= to)
            && self.since.is_none_or(|since| stored.event.recorded_at >= since)
            && self.until.is_none_or(|until| stored.event.recorded_at < until)
    }

    fn wants_type(&self, event_type: &str) -> bool {
        let begins =
            |wanted: &String| event_type.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.types.is_empty() || self.types.iter().any(begins)
    }

    /// What is said, as parameters of `GET /v1/events`.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let types = (!self.types.is_empty()).then(|| self.types.join(","));
        [
            ("type", types),
            ("stream", self.stream.clone()),
            ("from", self.from.map(|from| from.to_string())),
            ("to", self.to.map(|to| to.to_string())),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// Whether events of the streams that are wanted may be unwanted all the same.
    pub const fn is_sparse(&self) -> bool {
        !self.types.is_empty() || self.since.is_some() || self.until.is_some()
    }

    /// A position at `after` or later, behind which everything stands that is wanted behind `after`.
    pub async fn after(&self, store: &dyn EventStore, after: Position) -> Result<Position, StoreError> {
        match self.from {
            Some(from) if from > after => Ok(store.before(from).await?.max(after)),
            _ => Ok(after),
        }
    }
}

impl std::fmt::Display for Filter {
    /// As the query of an address, not escaped: `type=question.posted,poll&from=17`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.parameters().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&parts.join("&"))
    }
}

/// The events that a filter wants, page by page.
pub struct Pages<'a> {
    store: &'a dyn EventStore,
    filter: &'a Filter,
    after: Position,
    end: Position,
    begun: bool,
}

/// A page of wanted events.
#[derive(Debug)]
pub struct Batch {
    /// The events, in order of position; there may be none.
    pub events: Vec<Stored>,
    /// All that is wanted up to here has been given.
    pub scanned: Position,
}

impl<'a> Pages<'a> {
    /// What `filter` wants behind `after`, up to and including `end`.
    pub fn new(store: &'a dyn EventStore, filter: &'a Filter, after: Position, end: Position) -> Self {
        Self { store, filter, after, end, begun: false }
    }

    /// The next page; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        if !std::mem::replace(&mut self.begun, true) {
            self.after = self.filter.after(self.store, self.after).await?;
        }
        if self.after >= self.end {
            return Ok(None);
        }
        let page = match &self.filter.stream {
            Some(prefix) => self.store.read_prefix(prefix, self.after, self.end, PAGE).await?,
            None => self.store.read_all(self.after, PAGE).await?,
        };
        // A log that has nothing more has nothing more that is wanted.
        self.after = if page.scanned > self.after { page.scanned.min(self.end) } else { self.end };
        let wanted = |stored: &Stored| stored.position <= self.end && self.filter.wants(stored);
        Ok(Some(Batch { events: page.events.into_iter().filter(wanted).collect(), scanned: self.after }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_up_to_a_dot() {
        let wants = |types: &[&str], event_type: &str| {
            let types = types.iter().map(|&name| name.to_owned()).collect();
            Filter { types, ..Filter::default() }.wants_type(event_type)
        };
        assert!(wants(&[], "question.posted.v1"));
        for wanted in ["question", "question.posted", "question.posted.v1"] {
            assert!(wants(&["poll", wanted], "question.posted.v1"), "{wanted}");
        }
        for other in ["quest", "question.post", "question.posted.v", "question.posted.v1.x"] {
            assert!(!wants(&[other], "question.posted.v1"), "{other}");
        }
    }
}
