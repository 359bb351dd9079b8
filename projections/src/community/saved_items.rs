//! Read model `saved_items_v1`: what people saved, for them alone.

use crate::audience::{Order, param};
use crate::{Db, DbError, Fold, Keys, Projection, Row, projection, row};
use circolo_domain::{Event, PersonId, ThingKind, Timestamp, saved_item};
use circolo_events::Recorded;

row! {
    /// A saved item.
    pub struct SavedItemRow in "saved_items_v1" {
        /// Person and thing.
        pub id: String,
        /// Who saved it.
        pub person: String,
        /// What sort of thing it is.
        pub kind: String,
        /// The thing.
        pub thing: String,
        /// What they wanted to remember.
        pub note: Option<String>,
        /// When they saved it first, or anew.
        pub saved: Timestamp,
        /// Place in the log of that; the list is ordered by it.
        pub position: i64,
    }
    index "by_person" (person, position);
    index "by_kind" (person, kind, position);
}

impl Fold for SavedItemRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::SavedItem(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::SavedItem(saved_item::Event::Saved { kind, note }) = &event.event else { return None };
        let (person, thing) = saved_item::ids(&event.stream)?;
        let (saved, position) = row.map_or((event.recorded_at, event.position.0), |row| (row.saved, row.position));
        let note = note.as_ref().and_then(|note| note.get().cloned());
        let (person, thing, kind) = (person.to_string(), thing.to_string(), kind.word().to_owned());
        Some(Self { id: key.to_owned(), person, kind, thing, note, saved, position })
    }
}

/// The projection of this file.
pub fn saved_items() -> Projection {
    projection("saved_items", 1).reads(&["saved_item"]).row::<SavedItemRow>()
}

/// What `person` saved, the last first: of one kind or of all, behind a position.
pub async fn list(
    db: &Db,
    person: PersonId,
    kind: Option<ThingKind>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<SavedItemRow>, DbError> {
    let mut params = vec![person.to_string().into(), limit.into()];
    let order = Order { columns: &["position"], descending: true, after: before.into_iter().collect() };
    let kind = kind.map(|kind| format!(" AND t.kind = {}", param(&mut params, kind.word().to_owned()))).unwrap_or_default();
    let (columns, behind) = (SavedItemRow::TABLE.columns_of("t"), order.behind(&mut params));
    let sql = format!("SELECT {columns} FROM saved_items_v1 t WHERE t.person = $1{kind}{behind} {} LIMIT $2", order.by("t"));
    db.query(sql, params).await
}
