//! The SQL that the engine makes from declarations: tables and views of builds, loads and writes of rows.

use crate::{
    db::{Dialect, Sql},
    row::Table,
    search,
    value::{Kind, Value},
};
use std::{fmt::Write as _, sync::Arc};

/// The column behind the declared ones: the position up to which events are in the row; negative for a deleted row of a
/// build under construction.
pub const FOLDED: &str = "folded_to";

/// The column of searchable tables that holds a row's terms.
pub const TERMS: &str = "terms";

/// A table of one build, and the statements for its rows.
#[derive(Debug, Clone)]
pub struct Physical {
    /// As declared.
    pub table: Table,
    /// Its own name: the declared one and the build, `questions_v1__g7`.
    pub name: String,
    /// Rows by key, with `FOLDED` last.
    pub load: Sql,
    /// Inserts or replaces a row.
    pub upsert: Sql,
    /// How an upsert's values are stored.
    pub kinds: Arc<[Kind]>,
    /// Deletes a row by key.
    pub delete: Sql,
    /// Marks a row as deleted, by key and negative position.
    pub bury: Sql,
}

impl Physical {
    /// The table of this build.
    pub fn new(table: Table, build: i64) -> Self {
        let name = format!("{}__g{build}", table.name);
        let key = table.key();
        let terms = || table.search.iter();
        let declared = || table.columns.iter().map(|column| column.name);
        let columns: Vec<&str> = declared().chain(terms().map(|_| TERMS)).chain([FOLDED]).collect();
        let kinds: Arc<[Kind]> =
            table.columns.iter().map(|column| column.kind).chain(terms().map(|_| Kind::Text)).chain([Kind::Int]).collect();
        let list = columns.join(", ");
        let loaded = declared().chain([FOLDED]).collect::<Vec<_>>().join(", ");
        let set = columns[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", ");
        let conflict = format!("ON CONFLICT ({key}) DO UPDATE SET {set}");
        let places = (1..=columns.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let arrays = unnest(&kinds);
        Self {
            load: Sql::per_dialect(
                format!("SELECT {loaded} FROM {name} WHERE {key} = $1"),
                format!("SELECT {loaded} FROM {name} WHERE {key} = ANY($1)"),
            ),
            upsert: Sql::per_dialect(
                format!("INSERT INTO {name} ({list}) VALUES ({places}) {conflict}"),
                format!("INSERT INTO {name} ({list}) SELECT {} FROM {arrays} {conflict}", aliases(columns.len())),
            ),
            delete: Sql::per_dialect(
                format!("DELETE FROM {name} WHERE {key} = $1"),
                format!("DELETE FROM {name} WHERE {key} = ANY($1::text[])"),
            ),
            bury: Sql::per_dialect(
                format!("UPDATE {name} SET {FOLDED} = $2 WHERE {key} = $1"),
                format!("UPDATE {name} SET {FOLDED} = u.c2 FROM {} WHERE {name}.{key} = u.c1", unnest(&[Kind::Text, Kind::Int])),
            ),
            kinds,
            table,
            name,
        }
    }

    /// What an upsert stores of a row that is folded up to `to`: its values, and the terms by which it is found.
    pub fn stored(&self, mut row: Vec<Value>, to: i64) -> Vec<Value> {
        if let Some(terms) = self.terms(&row) {
            row.push(Value::Text(terms));
        }
        row.push(Value::Int(to));
        row
    }

    fn terms(&self, row: &[Value]) -> Option<String> {
        let search = self.table.search?;
        let text = |name: &&str| {
            let place = self.table.columns.iter().position(|column| column.name == *name)?;
            if let Value::Text(text) = row.get(place)? { Some(text.as_str()) } else { None }
        };
        Some(search::stored(text(&search.audience).unwrap_or_default(), search.columns.iter().filter_map(text)))
    }

    /// What makes the bare table: no index but its key.
    pub fn create(&self, dialect: Dialect) -> Vec<String> {
        let mut columns = String::new();
        for (place, column) in self.table.columns.iter().enumerate() {
            let null = if column.nullable { "" } else { " NOT NULL" };
            let key = if place == 0 && !self.numbered(dialect) { " PRIMARY KEY" } else { "" };
            let unique = if place == 0 && self.numbered(dialect) { " UNIQUE" } else { "" };
            let _ = write!(columns, "{} {}{null}{key}{unique}, ", column.name, type_name(column.kind, dialect));
        }
        if self.table.search.is_some() {
            let _ = write!(columns, "{TERMS} {} NOT NULL, ", type_name(Kind::Text, dialect));
        }
        let name = &self.name;
        vec![match dialect {
            // Full-text search points to rows by number, and only a column of its own keeps that number for ever.
            Dialect::Sqlite if self.numbered(dialect) => {
                format!("CREATE TABLE {name} (row_number INTEGER PRIMARY KEY, {columns}{FOLDED} INTEGER NOT NULL) STRICT")
            }
            Dialect::Sqlite => format!("CREATE TABLE {name} ({columns}{FOLDED} INTEGER NOT NULL) STRICT, WITHOUT ROWID"),
            Dialect::Postgres => format!("CREATE TABLE {name} ({columns}{FOLDED} BIGINT NOT NULL)"),
        }]
    }

    fn numbered(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Sqlite && self.table.search.is_some()
    }

    /// What makes secondary indexes and full-text search, once the table is filled. May be repeated.
    pub fn create_indexes(&self, dialect: Dialect) -> Vec<String> {
        let name = &self.name;
        let mut all: Vec<String> = self
            .table
            .indexes
            .iter()
            .map(|index| format!("CREATE INDEX IF NOT EXISTS {name}__{} ON {name} ({})", index.name, index.columns.join(", ")))
            .collect();
        if self.table.search.is_some() {
            all.extend(match dialect {
                Dialect::Sqlite => self.search_on_sqlite(),
                Dialect::Postgres => self.search_on_postgres(),
            });
        }
        all
    }

    /// An FTS5 index over the terms, which it splits at the spaces between them and nowhere else; kept by triggers: in the same
    /// transaction, whoever writes.
    fn search_on_sqlite(&self) -> Vec<String> {
        let name = &self.name;
        let fts = format!("{name}__search");
        let add = format!("INSERT INTO {fts} (rowid, {TERMS}) VALUES (new.row_number, new.{TERMS});");
        let remove = format!("INSERT INTO {fts} ({fts}, rowid, {TERMS}) VALUES ('delete', old.row_number, old.{TERMS});");
        vec![
            format!("DROP TABLE IF EXISTS {fts}"),
            format!(
                "CREATE VIRTUAL TABLE {fts} USING fts5({TERMS}, content='{name}', content_rowid='row_number', tokenize='ascii', \
                 detail='none', columnsize=0)"
            ),
            format!("INSERT INTO {fts} ({fts}) VALUES ('rebuild')"),
            format!("CREATE TRIGGER IF NOT EXISTS {name}__added AFTER INSERT ON {name} BEGIN {add} END"),
            format!("CREATE TRIGGER IF NOT EXISTS {name}__removed AFTER DELETE ON {name} BEGIN {remove} END"),
            format!(
                "CREATE TRIGGER IF NOT EXISTS {name}__changed AFTER UPDATE OF {TERMS} ON {name} WHEN old.{TERMS} <> new.{TERMS} \
                 BEGIN {remove} {add} END"
            ),
        ]
    }

    /// A GIN index over the terms as they are: no dictionary, no parser, no locale has a say.
    fn search_on_postgres(&self) -> Vec<String> {
        vec![format!("CREATE INDEX IF NOT EXISTS {0}__terms ON {0} USING gin ({VECTOR})", self.name)]
    }

    /// What makes the declared name stand for this build; columns are named, so that prepared queries go on.
    pub fn point_view(&self, dialect: Dialect) -> Vec<String> {
        let (name, view, key) = (&self.name, self.table.name, self.table.key());
        let terms = self.table.search.map(|_| TERMS);
        let columns = self.table.columns.iter().map(|column| column.name).chain(terms).collect::<Vec<_>>().join(", ");
        let mut all =
            vec![format!("DROP VIEW IF EXISTS {view}"), format!("CREATE VIEW {view} ({columns}) AS SELECT {columns} FROM {name}")];
        if self.table.search.is_some() {
            all.push(format!("DROP VIEW IF EXISTS {view}_search"));
            all.push(match dialect {
                Dialect::Sqlite => format!(
                    "CREATE VIEW {view}_search ({key}, {TERMS}) AS SELECT t.{key}, f.{name}__search \
                     FROM {name}__search f JOIN {name} t ON t.row_number = f.rowid"
                ),
                Dialect::Postgres => format!("CREATE VIEW {view}_search ({key}, {TERMS}) AS SELECT {key}, {VECTOR} FROM {name}"),
            });
        }
        all
    }

    /// What removes the table and all that hangs on it.
    pub fn drop(&self, dialect: Dialect) -> Vec<String> {
        let mut all = vec![format!("DROP TABLE IF EXISTS {}", self.name)];
        if self.numbered(dialect) {
            all.push(format!("DROP TABLE IF EXISTS {}__search", self.name));
        }
        all
    }
}

/// The terms of a row as Postgres looks them up.
const VECTOR: &str = "array_to_tsvector(string_to_array(btrim(terms), ' '))";

const fn type_name(kind: Kind, dialect: Dialect) -> &'static str {
    match (kind, dialect) {
        (Kind::Text, Dialect::Sqlite) => "TEXT",
        // Bytes decide the order, as on SQLite, whatever the server's locale.
        (Kind::Text, Dialect::Postgres) => "TEXT COLLATE \"C\"",
        (Kind::Int, Dialect::Sqlite) => "INTEGER",
        (Kind::Int, Dialect::Postgres) => "BIGINT",
        (Kind::Float, Dialect::Sqlite) => "REAL",
        (Kind::Float, Dialect::Postgres) => "DOUBLE PRECISION",
    }
}

/// `unnest($1::text[], $2::bigint[]) AS u (c1, c2)`.
fn unnest(kinds: &[Kind]) -> String {
    let arrays: Vec<String> = kinds
        .iter()
        .zip(1..)
        .map(|(kind, n)| match kind {
            Kind::Text => format!("${n}::text[]"),
            Kind::Int => format!("${n}::bigint[]"),
            Kind::Float => format!("${n}::float8[]"),
        })
        .collect();
    let columns = (1..=kinds.len()).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    format!("unnest({}) AS u ({columns})", arrays.join(", "))
}

fn aliases(count: usize) -> String {
    (1..=count).map(|n| format!("u.c{n}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::row! {
        struct Note in "notes_v1" { id: String, stars: i64, weight: Option<f64>, body: Option<String> }
        index "by_stars" (stars, id);
        search (body) for id;
    }
    crate::row! { struct Plain in "plain_v2" { id: String, count: i64 } }

    fn of<R: crate::Row>(build: i64) -> Physical {
        Physical::new(R::TABLE, build)
    }

    #[test]
    fn a_table_carries_its_build() {
        assert_eq!(of::<Plain>(7).name, "plain_v2__g7");
        assert_eq!(
            of::<Plain>(7).create(Dialect::Sqlite),
            [
                "CREATE TABLE plain_v2__g7 (id TEXT NOT NULL PRIMARY KEY, count INTEGER NOT NULL, folded_to INTEGER NOT NULL) STRICT, WITHOUT ROWID"
            ]
        );
        assert_eq!(
            of::<Plain>(7).create(Dialect::Postgres),
            ["CREATE TABLE plain_v2__g7 (id TEXT COLLATE \"C\" NOT NULL PRIMARY KEY, count BIGINT NOT NULL, folded_to BIGINT NOT NULL)"]
        );
        // Search needs a number per row on SQLite.
        assert_eq!(
            of::<Note>(1).create(Dialect::Sqlite),
            ["CREATE TABLE notes_v1__g1 (row_number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stars INTEGER NOT NULL, weight REAL, \
             body TEXT, terms TEXT NOT NULL, folded_to INTEGER NOT NULL) STRICT"]
        );
    }

    #[test]
    fn rows_are_written_one_by_one_on_sqlite_and_as_arrays_on_postgres() {
        let plain = of::<Plain>(1);
        assert_eq!(
            plain.upsert.sqlite,
            "INSERT INTO plain_v2__g1 (id, count, folded_to) VALUES (?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET count = excluded.count, folded_to = excluded.folded_to"
        );
        assert_eq!(
            plain.upsert.postgres,
            "INSERT INTO plain_v2__g1 (id, count, folded_to) SELECT u.c1, u.c2, u.c3 \
             FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS u (c1, c2, c3) \
             ON CONFLICT (id) DO UPDATE SET count = excluded.count, folded_to = excluded.folded_to"
        );
        assert_eq!(plain.load.sqlite, "SELECT id, count, folded_to FROM plain_v2__g1 WHERE id = ?1");
        assert_eq!(plain.load.postgres, "SELECT id, count, folded_to FROM plain_v2__g1 WHERE id = ANY($1)");
        assert_eq!(plain.bury.sqlite, "UPDATE plain_v2__g1 SET folded_to = ?2 WHERE id = ?1");
        assert_eq!(*of::<Note>(1).kinds, [Kind::Text, Kind::Int, Kind::Float, Kind::Text, Kind::Text, Kind::Int]);
    }

    #[test]
    fn a_searchable_row_is_stored_with_its_terms_and_loaded_without() {
        let note = of::<Note>(1);
        let row = || vec!["a".into(), Value::Int(3), Value::Null, "Rye bread".into()];
        let code = search::code("a");
        let terms = format!(" {code}bread {code}rye ");
        assert_eq!(note.stored(row(), 7), [row(), vec![terms.into(), Value::Int(7)]].concat());
        assert_eq!(note.load.sqlite, "SELECT id, stars, weight, body, folded_to FROM notes_v1__g1 WHERE id = ?1");
        assert!(note.upsert.sqlite.starts_with("INSERT INTO notes_v1__g1 (id, stars, weight, body, terms, folded_to) VALUES"));
        assert_eq!(of::<Plain>(1).stored(vec!["a".into(), Value::Int(3)], 7), ["a".into(), Value::Int(3), Value::Int(7)]);
    }

    #[test]
    fn a_view_names_its_columns() {
        assert_eq!(
            of::<Plain>(2).point_view(Dialect::Sqlite),
            ["DROP VIEW IF EXISTS plain_v2", "CREATE VIEW plain_v2 (id, count) AS SELECT id, count FROM plain_v2__g2"]
        );
        assert_eq!(of::<Note>(2).point_view(Dialect::Postgres).len(), 4);
    }

    #[test]
    fn no_statement_selects_all_columns() {
        for physical in [of::<Note>(3), of::<Plain>(3)] {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                let ddl = [physical.create(dialect), physical.create_indexes(dialect), physical.point_view(dialect)].concat();
                assert!(ddl.iter().all(|sql| !sql.contains('*')), "{ddl:?}");
            }
        }
    }
}
