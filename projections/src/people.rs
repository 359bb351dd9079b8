//! Read model `people_v1`: one row per person.

use crate::{Db, DbError, Fold, Keys, Projection, Row, projection, row};
use circolo_domain::{Event, PersonId, Timestamp, person};
use circolo_events::Recorded;

row! {
    /// A person as others see them.
    pub struct PersonRow in "people_v1" {
        /// The person's id.
        pub id: String,
        /// How others see them; `None` in a masked history.
        pub display_name: Option<String>,
        /// Their language.
        pub locale: Option<String>,
        /// When they registered.
        pub registered: Timestamp,
        /// Place in the log.
        pub position: i64,
    }
}

impl Fold for PersonRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Person(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        match &event.event {
            Event::Person(person::Event::Registered { display_name, locale }) => Some(Self {
                id: key.to_owned(),
                display_name: display_name.get().cloned(),
                locale: locale.clone(),
                registered: event.recorded_at,
                position: event.position.0,
            }),
            _ => row,
        }
    }
}

/// The projection of this file.
pub fn people() -> Projection {
    projection("people", 1).reads(&["person"]).row::<PersonRow>()
}

/// One person.
pub async fn find(db: &Db, id: PersonId) -> Result<Option<PersonRow>, DbError> {
    let sql = format!("SELECT {} FROM people_v1 WHERE id = $1", PersonRow::COLUMNS);
    db.find(sql, vec![id.to_string().into()]).await
}
