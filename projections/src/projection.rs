//! A projection: a named, versioned set of tables and the categories of events it reads.

use crate::{
    engine::tables::{
        ddl::{FOLDED, TERMS},
        rows::{Rows, TypedRows},
    },
    row::{Fold, Row, Table},
};
use std::collections::{HashMap, HashSet};

/// One table of a projection, its row type erased.
#[derive(Debug, Clone, Copy)]
pub struct TableFold {
    /// The table.
    pub table: Table,
    /// An empty set of its rows, to fold events into.
    pub(crate) rows: fn() -> Box<dyn Rows>,
}

/// A projection as a slice declares it.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Such as `questions`.
    pub name: &'static str,
    /// Counts the meanings of the fold; part of every table's name.
    pub version: i64,
    /// Categories of the events it reads.
    pub categories: &'static [&'static str],
    /// What it does about an event that cannot be read.
    pub on_poison: OnPoison,
    /// Its tables.
    pub tables: Vec<TableFold>,
}

/// What a projection does about an event of its categories that cannot be read: of an unknown type, or with a broken payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnPoison {
    /// Leaves the rest of that stream out and goes on, marked as incomplete: one thing is out of date, all others are not.
    #[default]
    Park,
    /// Stays where it is: where one stream that is missing falsifies the rows of others.
    Stop,
}

/// Begins the declaration of a projection: `projection("questions", 1).reads(&["question"]).row::<QuestionRow>()`.
pub const fn projection(name: &'static str, version: i64) -> Projection {
    Projection { name, version, categories: &[], on_poison: OnPoison::Park, tables: Vec::new() }
}

impl Projection {
    /// Name and version: what one process moves at a time.
    pub fn key(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Names the categories of events it reads; events of others are not even decoded for it.
    #[must_use]
    pub const fn reads(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    /// Says what to do about an event that cannot be read; its stream is parked if nothing is said.
    #[must_use]
    pub const fn on_poison(mut self, on_poison: OnPoison) -> Self {
        self.on_poison = on_poison;
        self
    }

    /// Adds a table.
    #[must_use]
    pub fn row<R: Fold>(self) -> Self {
        self.row_in::<R>(R::TABLE.name)
    }

    /// Adds a table under another declared name.
    #[must_use]
    pub fn row_in<R: Fold>(mut self, name: &'static str) -> Self {
        let table = Table { name, ..<R as Row>::TABLE };
        self.tables.push(TableFold { table, rows: || Box::new(TypedRows::<R>::default()) });
        self
    }
}

/// What is wrong with the declarations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationError {
    /// Two projections have one name.
    #[error("two projections are called {0}")]
    Twice(&'static str),
    /// Two projections own one table: rebuilding one would wipe the other.
    #[error("table {table} belongs to {first} and to {second}")]
    SharedTable {
        /// The table.
        table: &'static str,
        /// Its owner.
        first: &'static str,
        /// Who claims it too.
        second: &'static str,
    },
    /// A table's name does not carry the projection's version.
    #[error("table {table} of {name} must end in _v{version}")]
    Unversioned {
        /// The table.
        table: &'static str,
        /// The projection.
        name: &'static str,
        /// Its version.
        version: i64,
    },
    /// A name that is not plain (`a-z`, `0-9`, `_`), is too long, or an index or search over a column that is not there.
    #[error("{1} of {0} is not possible")]
    BadName(&'static str, String),
    /// A category that no aggregate has.
    #[error("{0} reads {1}, which no aggregate writes")]
    UnknownCategory(&'static str, &'static str),
}

/// Checks that the declarations can live in one database.
pub fn check(projections: &[Projection]) -> Result<(), DeclarationError> {
    let mut owners = HashMap::new();
    let mut names = HashSet::new();
    for projection in projections {
        let name = projection.name;
        if !names.insert(name) {
            return Err(DeclarationError::Twice(name));
        }
        if let Some(category) = projection.categories.iter().find(|category| !circolo_domain::CATEGORIES.contains(category)) {
            return Err(DeclarationError::UnknownCategory(name, category));
        }
        for TableFold { table, .. } in &projection.tables {
            if let Some(first) = owners.insert(table.name, name) {
                return Err(DeclarationError::SharedTable { table: table.name, first, second: name });
            }
            if !table.name.ends_with(&format!("_v{}", projection.version)) {
                return Err(DeclarationError::Unversioned { table: table.name, name, version: projection.version });
            }
            if let Some(bad) = bad_name(table) {
                return Err(DeclarationError::BadName(table.name, bad));
            }
        }
    }
    Ok(())
}

/// The first name of the table that no database would take, or that names nothing.
fn bad_name(table: &Table) -> Option<String> {
    // Postgres cuts names at 63 bytes: table, build and index share them.
    let plain = |name: &&str| {
        !name.is_empty() && name.len() <= 30 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let names = std::iter::once(table.name).chain(columns.iter().copied()).chain(table.indexes.iter().map(|index| index.name));
    let long = table.indexes.iter().map(|index| index.name).filter(|name| name.len() > 20);
    let used = table.indexes.iter().flat_map(|index| index.columns).copied().chain(searched(table));
    names
        .filter(|name| !plain(name) || name.contains("__") || [FOLDED, TERMS].contains(name))
        .chain(long)
        .chain(used.filter(|name| !columns.contains(name)))
        .map(str::to_owned)
        .next()
}

/// The columns that search looks at.
fn searched(table: &Table) -> impl Iterator<Item = &'static str> {
    table.search.into_iter().flat_map(|search| search.columns.iter().copied().chain([search.audience]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Keys;
    use circolo_events::Recorded;

    crate::row! { struct One in "one_v1" { id: String } }
    crate::row! { struct Indexed in "indexed_v1" { id: String } search (title) for id; }

    macro_rules! no_fold {
        ($($row:ident),*) => {$(impl Fold for $row {
            fn keys(_: &Recorded) -> Keys {
                Keys::NONE
            }
            fn fold(row: Option<Self>, _: &str, _: &Recorded) -> Option<Self> {
                row
            }
        })*};
    }
    no_fold!(One, Indexed);

    #[test]
    fn a_table_has_one_owner_and_carries_the_version() {
        let a = projection("a", 1).row::<One>();
        assert_eq!(check(std::slice::from_ref(&a)), Ok(()));
        assert_eq!(check(&[a.clone(), a.clone()]), Err(DeclarationError::Twice("a")));
        let b = projection("b", 1).row::<One>();
        assert_eq!(check(&[a, b]), Err(DeclarationError::SharedTable { table: "one_v1", first: "a", second: "b" }));
        let c = projection("c", 2).row::<One>();
        assert_eq!(check(&[c]), Err(DeclarationError::Unversioned { table: "one_v1", name: "c", version: 2 }));
    }

    #[test]
    fn only_what_exists_is_searched_and_read() {
        assert_eq!(check(&[projection("a", 1).row::<Indexed>()]), Err(DeclarationError::BadName("indexed_v1", "title".into())));
        assert_eq!(check(&[projection("a", 1).reads(&["tomato"])]), Err(DeclarationError::UnknownCategory("a", "tomato")));
    }
}
