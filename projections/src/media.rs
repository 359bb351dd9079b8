//! Read model `media_v1`: uploaded files that are there, by how long nothing shows them.

use crate::{Db, DbError, Fold, Keys, Projection, projection, record, row};
use circolo_domain::{Event, Timestamp, media};
use circolo_events::Recorded;

row! {
    /// A file that is there.
    pub struct MediaRow in "media_v1" {
        /// The file's id.
        pub id: String,
        /// Who uploaded it.
        pub uploader: String,
        /// Since when nothing shows it, if nothing does.
        pub unused_since: Option<i64>,
    }
    index "unused" (unused_since);
}

impl Fold for MediaRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Media(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Media(change) = &event.event else { return row };
        let now = event.recorded_at.micros();
        match (row, change) {
            (None, media::Event::Uploaded { uploader, .. }) => {
                Some(Self { id: key.to_owned(), uploader: uploader.to_string(), unused_since: Some(now) })
            }
            (Some(row), media::Event::Attached { .. }) => Some(Self { unused_since: None, ..row }),
            (Some(row), media::Event::Detached { holders: 0, .. }) => Some(Self { unused_since: row.unused_since.or(Some(now)), ..row }),
            (_, media::Event::Discarded { .. }) => None,
            (row, _) => row,
        }
    }
}

/// The projection of this file.
pub fn media() -> Projection {
    projection("media", 1).reads(&["media"]).row::<MediaRow>()
}

record! {
    /// A file that nothing shows.
    pub struct Unused {
        /// Its id.
        pub id: String,
        /// Since when.
        pub unused_since: i64,
    }
}

/// Files that nothing has shown since `until` or before, those first that wait for longest.
pub async fn unused(db: &Db, until: Timestamp, limit: i64) -> Result<Vec<Unused>, DbError> {
    let sql = "SELECT m.id, m.unused_since FROM media_v1 m WHERE m.unused_since <= $1 ORDER BY m.unused_since LIMIT $2";
    db.query(sql, vec![until.micros().into(), limit.into()]).await
}
