//! Read model `notifications_v1`: what persons and audiences are told of, of every slice; each says in the domain what it tells.

use crate::audience::Readable;
use crate::{Db, DbError, Fold, Keys, Projection, projection, record, row};
use circolo_domain::access::{Key, Owner};
use circolo_domain::notice::{NoticeKind, To};
use circolo_domain::stance::Voice;
use circolo_domain::{CATEGORIES, GroupId, Notice, PageId, PersonId, Timestamp};
use circolo_events::Recorded;
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

row! {
    /// One thing that one person, or one audience, is told of.
    pub struct NotificationRow in "notifications_v1" {
        /// Its id, derived from the event and whom it is for.
        pub id: String,
        /// Whom it is for.
        pub audience: String,
        /// Of what sort it is.
        pub kind: String,
        /// When it happened.
        pub at: Timestamp,
        /// Who did it, for whom it is no news.
        pub actor: Option<String>,
        /// Whose doing readers see: `person` or `page`.
        pub by_kind: Option<String>,
        /// Which.
        pub by_id: Option<String>,
        /// Where: `group` or `page`.
        pub place_kind: Option<String>,
        /// Which.
        pub place_id: Option<String>,
        /// What sort of thing it is about.
        pub about_kind: String,
        /// Which.
        pub about_id: String,
        /// What else helps to show it, a JSON object.
        pub data: Option<String>,
        /// Place in the log.
        pub position: i64,
    }
    index "by_audience" (audience, position, at);
    index "by_time" (audience, at, position);
}

/// The place that keys to notices for one person open.
fn person_place(person: impl std::fmt::Display) -> String {
    format!("person:{person}")
}

fn moderators_place(group: GroupId) -> String {
    format!("group:{group}:moderators")
}

fn care_place(page: PageId) -> String {
    format!("page:{page}:care")
}

/// Those whom a notice of an event is for, as audiences: without its actor.
fn audiences(notice: &Notice, event: &Recorded) -> Vec<String> {
    let person = |person: &PersonId| (event.metadata.actor != Some(*person)).then(|| person_place(person));
    let places: Vec<String> = match &notice.to {
        To::Person(one) => person(one).into_iter().collect(),
        To::Concerned => event.metadata.concerns.iter().filter_map(person).collect(),
        To::Moderators(group) => vec![moderators_place(*group)],
        To::Care(page) => vec![care_place(*page)],
    };
    // Notices have no eras: who has one of these keys has all of it.
    places.into_iter().map(|place| format!("{place}:0")).collect()
}

/// All that an event tells, with the id of each.
fn told(event: &Recorded) -> impl Iterator<Item = (String, String, Notice)> {
    event.event.notices(&event.stream).into_iter().enumerate().flat_map(move |(number, notice)| {
        let id = move |audience: &str| Uuid::new_v5(&event.id, format!("{number} {audience}").as_bytes()).to_string();
        audiences(&notice, event).into_iter().map(move |audience| (id(&audience), audience, notice.clone())).collect::<Vec<_>>()
    })
}

impl Fold for NotificationRow {
    fn keys(event: &Recorded) -> Keys {
        Keys::from(told(event).map(|(id, _, _)| id).collect::<Vec<_>>())
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        if row.is_some() {
            return row;
        }
        let (id, audience, notice) = told(event).find(|(id, _, _)| id == key)?;
        let (by_kind, by_id) = notice.by.map(speaker).unzip();
        let (place_kind, place_id) = notice.place(event.metadata.scope).map(owner).unzip();
        let data: BTreeMap<_, _> = notice.data.iter().cloned().collect();
        Some(Self {
            id,
            audience,
            kind: notice.kind.word().to_owned(),
            at: event.recorded_at,
            actor: event.metadata.actor.map(|actor| actor.to_string()),
            by_kind,
            by_id,
            place_kind,
            place_id,
            about_kind: notice.about.kind().word().to_owned(),
            about_id: notice.about.id().to_string(),
            data: (!data.is_empty()).then(|| json!(data).to_string()),
            position: event.position.0,
        })
    }
}

fn speaker(voice: Voice) -> (String, String) {
    match voice {
        Voice::Person(person) => ("person".to_owned(), person.to_string()),
        Voice::Page(page) => ("page".to_owned(), page.to_string()),
    }
}

fn owner(owner: Owner) -> (String, String) {
    match owner {
        Owner::Group(group) => ("group".to_owned(), group.to_string()),
        Owner::Page(page) => ("page".to_owned(), page.to_string()),
    }
}

/// The projection of this file. It reads all categories: each slice says what it tells.
pub fn notifications() -> Projection {
    projection("notifications", 1).reads(CATEGORIES).row::<NotificationRow>()
}

/// What somebody may be told of: their own, and that of the audiences they belong to now.
#[derive(Debug, Clone, Default)]
pub struct Told {
    keys: Vec<Key>,
}

impl Told {
    /// What happened after `read`, or all, to this person.
    pub fn to(person: PersonId) -> Self {
        Self { keys: vec![Key::always(person_place(person), 0, 0)] }
    }

    /// Also what whoever keeps order in the group is told of, from a moment on.
    pub fn moderator(&mut self, group: GroupId, since: Timestamp) {
        self.keys.push(Key { since: since.micros(), ..Key::always(moderators_place(group), 0, 0) });
    }

    /// Also what a page's staff that writes to persons is told of.
    pub fn care(&mut self, page: PageId) {
        self.keys.push(Key::always(care_place(page), 0, 0));
    }

    /// Only what happened after this moment.
    #[must_use]
    pub fn after(mut self, moment: Timestamp) -> Self {
        for key in &mut self.keys {
            key.since = key.since.max(moment.micros() + 1);
        }
        self
    }
}

record! {
    /// A notification, with the names that go with it.
    pub struct NotificationItem {
        /// Its id.
        pub id: String,
        /// Of what sort it is.
        pub kind: String,
        /// When it happened.
        pub at: Timestamp,
        /// Who did it.
        pub actor: Option<String>,
        /// Whose doing readers see.
        pub by_kind: Option<String>,
        /// Which.
        pub by_id: Option<String>,
        /// How others see them.
        pub by_name: Option<String>,
        /// Where.
        pub place_kind: Option<String>,
        /// Which.
        pub place_id: Option<String>,
        /// Its name.
        pub place_name: Option<String>,
        /// What sort of thing it is about.
        pub about_kind: String,
        /// Which.
        pub about_id: String,
        /// What else helps to show it.
        pub data: Option<String>,
        /// Place in the log.
        pub position: i64,
    }
}

/// The newest notifications of these kinds before a position.
pub async fn newest(db: &Db, told: &Told, kinds: &[NoticeKind], before: Option<i64>, limit: i64) -> Result<Vec<NotificationItem>, DbError> {
    if kinds.is_empty() {
        return Ok(vec![]);
    }
    // Words of the domain, of which there are few: they may stand in the text.
    let words: Vec<String> = kinds.iter().map(|kind| format!("'{}'", kind.word())).collect();
    let filter = format!(" AND t.kind IN ({})", words.join(", "));
    let readable = Readable { table: "notifications_v1", written: "at", filter: &filter };
    let (found, params) = readable.newest_of_many(&told.keys, "f.id, f.position", before, limit);
    let sql = found.within(|found| {
        format!(
            "SELECT n.id, n.kind, n.at, n.actor, n.by_kind, n.by_id, COALESCE(p.display_name, w.name), n.place_kind, n.place_id, \
             COALESCE(g.name, a.name), n.about_kind, n.about_id, n.data, n.position \
             FROM ({found}) found CROSS JOIN notifications_v1 n LEFT JOIN people_v1 p ON p.id = n.by_id AND n.by_kind = 'person' \
             LEFT JOIN pages_v1 w ON w.id = n.by_id AND n.by_kind = 'page' LEFT JOIN groups_v2 g ON g.id = n.place_id \
             LEFT JOIN pages_v1 a ON a.id = n.place_id WHERE n.id = found.id ORDER BY n.position DESC, n.id"
        )
    });
    db.query(sql, params).await
}
