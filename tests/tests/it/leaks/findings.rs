//! What the hunt found: each leak under the name of the rule that it breaks.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// How many examples of a leak are kept.
const EXAMPLES: usize = 4;

/// How much was judged, and what was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub requests: usize,
    pub markers: usize,
    pub counts: usize,
    pub ids: usize,
    pub changes: usize,
    pub hidden: usize,
    broken: BTreeMap<&'static str, (usize, Vec<String>)>,
}

impl Findings {
    /// Notes that a rule is broken.
    pub fn broken(&mut self, rule: &'static str, example: impl Display) {
        let (count, examples) = self.broken.entry(rule).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            let example = example.to_string();
            examples.push(example.chars().take(700).collect());
        }
    }

    /// Notes that a rule is broken unless it holds.
    pub fn check(&mut self, rule: &'static str, holds: bool, example: impl FnOnce() -> String) {
        if !holds {
            self.broken(rule, example());
        }
    }

    /// The rules that are broken.
    pub fn rules(&self) -> Vec<&'static str> {
        self.broken.keys().copied().collect()
    }

    /// Fails if any rule is broken.
    pub fn expect_none(&self) {
        println!("{self}");
        assert!(self.broken.is_empty(), "leaks: {:#?}", self.broken);
    }
}

impl Display for Findings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { requests, markers, counts, ids, changes, hidden, broken } = self;
        writeln!(f, "judged: {requests} requests, {markers} markers, {counts} counts, {ids} ids, {changes} changes, {hidden} hidden ids")?;
        for (rule, (count, examples)) in broken {
            writeln!(f, "  {rule}: {count}, such as {}", examples.first().map(String::as_str).unwrap_or_default())?;
        }
        Ok(())
    }
}
