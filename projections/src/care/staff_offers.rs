//! Read model `staff_offers_v1`: places on the staff of pages that were offered and neither taken nor turned down.

use crate::{Db, DbError, Fold, Keys, Projection, projection, record, row};
use circolo_domain::{Event, PageId, PersonId, Timestamp, page};
use circolo_events::Recorded;

row! {
    /// An offer to somebody.
    pub struct StaffOfferRow in "staff_offers_v1" {
        /// Page and person, with a dot between.
        pub id: String,
        /// The page.
        pub page_id: String,
        /// The person.
        pub person_id: String,
        /// `owner`, `editor` or `care_agent`.
        pub role: String,
        /// The owner who offers it.
        pub offered_by: String,
        /// When.
        pub offered: Timestamp,
        /// Place in the log.
        pub position: i64,
    }
    index "by_page" (page_id, position);
    index "of_person" (person_id, position);
}

impl Fold for StaffOfferRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Page(
                page::Event::StaffOffered { person, .. }
                | page::Event::StaffOfferEnded { person }
                | page::Event::StaffGiven { person, .. }
                | page::Event::StaffWithdrawn { person },
            ) => Keys::from(format!("{}.{person}", event.stream.key())),
            _ => Keys::NONE,
        }
    }

    fn fold(_: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Page(page::Event::StaffOffered { person, role, by }) = &event.event else { return None };
        Some(Self {
            id: key.to_owned(),
            page_id: event.stream.key().to_owned(),
            person_id: person.to_string(),
            role: role.word().to_owned(),
            offered_by: by.to_string(),
            offered: event.recorded_at,
            position: event.position.0,
        })
    }
}

/// The projection of this file.
pub fn staff_offers() -> Projection {
    projection("staff_offers", 1).reads(&["page"]).row::<StaffOfferRow>()
}

record! {
    /// An open offer, with the names that go with it.
    pub struct StaffOffer {
        /// The page.
        pub page_id: String,
        /// Its name.
        pub page_name: Option<String>,
        /// To whom it is made.
        pub person_id: String,
        /// How others see them.
        pub display_name: Option<String>,
        /// `owner`, `editor` or `care_agent`.
        pub role: String,
        /// The owner who offers it.
        pub offered_by: String,
        /// When.
        pub offered: Timestamp,
        /// Place in lists.
        pub position: i64,
    }
}

const OFFER: &str = "SELECT o.page_id, g.name, o.person_id, p.display_name, o.role, o.offered_by, o.offered, o.position FROM staff_offers_v1 o \
                     LEFT JOIN pages_v1 g ON g.id = o.page_id LEFT JOIN people_v1 p ON p.id = o.person_id";

/// What a page offers, oldest first: the caller has checked that the reader is on its staff.
pub async fn of_page(db: &Db, page: PageId) -> Result<Vec<StaffOffer>, DbError> {
    db.query(format!("{OFFER} WHERE o.page_id = $1 ORDER BY o.position"), vec![page.to_string().into()]).await
}

/// What is offered to a person, newest first.
pub async fn of_person(db: &Db, person: PersonId, before: Option<i64>, limit: i64) -> Result<Vec<StaffOffer>, DbError> {
    let sql = format!("{OFFER} WHERE o.person_id = $1 AND o.position < $2 ORDER BY o.position DESC LIMIT $3");
    db.query(sql, vec![person.to_string().into(), before.unwrap_or(i64::MAX).into(), limit.into()]).await
}
