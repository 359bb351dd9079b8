//! Read models `pages_v1`, `page_stats_v1`, `page_staff_v1`, `usernames_v1` and `fans_v1`: pages, who keeps them, who follows them.

use crate::{Db, DbError, Fold, Keys, Projection, projection, record, row};
use circolo_domain::page::StaffRole;
use circolo_domain::{Event, PageId, PersonId, Timestamp, fan, page};
use circolo_events::Recorded;

row! {
    /// A page as everyone sees it.
    pub struct PageRow in "pages_v1" {
        /// The page's id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// Its username as it is written.
        pub username: String,
        /// When it was created.
        pub created: Timestamp,
        /// Revision of its stream.
        pub revision: i64,
        /// Place of its creation in the log; lists are ordered by it.
        pub position: i64,
    }
    index "newest" (position);
}

impl Fold for PageRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Page(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Page(change) = &event.event else { return row };
        let mut row = match (row, change) {
            (Some(row), _) => row,
            (None, page::Event::Created { name, username, .. }) => Self {
                id: key.to_owned(),
                name: name.clone(),
                username: username.clone(),
                created: event.recorded_at,
                revision: 0,
                position: event.position.0,
            },
            (None, _) => return None,
        };
        match change {
            page::Event::Renamed { name } => row.name.clone_from(name),
            page::Event::UsernameChanged { username, .. } => row.username.clone_from(username),
            page::Event::Created { .. }
            | page::Event::PictureSet { .. }
            | page::Event::StaffOffered { .. }
            | page::Event::StaffOfferEnded { .. }
            | page::Event::StaffGiven { .. }
            | page::Event::StaffWithdrawn { .. } => {}
        }
        row.revision = i64::try_from(event.revision).unwrap_or(i64::MAX);
        Some(row)
    }
}

row! {
    /// A page's figures.
    pub struct PageStatsRow in "page_stats_v1" {
        /// The page's id.
        pub id: String,
        /// Who follows it.
        pub followers: i64,
    }
}

impl Fold for PageStatsRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Fan(fan::Event::Followed | fan::Event::Unfollowed) => {
                Keys::from(fan::ids(&event.stream).map(|(page, _)| page.to_string()))
            }
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let mut row = row.unwrap_or_else(|| Self { id: key.to_owned(), followers: 0 });
        match &event.event {
            Event::Fan(fan::Event::Followed) => row.followers += 1,
            Event::Fan(fan::Event::Unfollowed) => row.followers -= 1,
            _ => {}
        }
        Some(row)
    }
}

row! {
    /// Somebody on a page's staff.
    pub struct StaffRow in "page_staff_v1" {
        /// Page and person, with a dot between.
        pub id: String,
        /// The page.
        pub page_id: String,
        /// The person.
        pub person_id: String,
        /// `owner`, `editor` or `care_agent`.
        pub role: String,
        /// Place in the log where they came on the staff.
        pub position: i64,
    }
    index "by_page" (page_id, position);
    index "of_person" (person_id, position);
}

impl Fold for StaffRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Page(
                page::Event::Created { owner: person, .. }
                | page::Event::StaffGiven { person, .. }
                | page::Event::StaffWithdrawn { person },
            ) => Keys::from(format!("{}.{person}", event.stream.key())),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let (person, role) = match &event.event {
            Event::Page(page::Event::Created { owner, .. }) => (owner, StaffRole::Owner),
            Event::Page(page::Event::StaffGiven { person, role }) => (person, *role),
            Event::Page(page::Event::StaffWithdrawn { .. }) => return None,
            _ => return row,
        };
        Some(Self {
            id: key.to_owned(),
            page_id: event.stream.key().to_owned(),
            person_id: person.to_string(),
            role: role.word().to_owned(),
            position: row.map_or(event.position.0, |row| row.position),
        })
    }
}

row! {
    /// A username and the page it leads to: the page's own, or one it had before.
    pub struct UsernameRow in "usernames_v1" {
        /// The name without dots and in small letters.
        pub id: String,
        /// The page.
        pub page_id: String,
    }
}

impl Fold for UsernameRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Username(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        match &event.event {
            Event::Username(circolo_domain::username::Event::Claimed { page, .. }) => {
                Some(Self { id: key.to_owned(), page_id: page.to_string() })
            }
            _ => row,
        }
    }
}

row! {
    /// One person and one page.
    pub struct FanRow in "fans_v1" {
        /// Page and person, with a dot between.
        pub id: String,
        /// The page.
        pub page_id: String,
        /// The person.
        pub person_id: String,
        /// Place in the log since which they follow it, if they do.
        pub followed_position: Option<i64>,
        /// Whether they let it write no more.
        pub blocks: bool,
    }
    index "followers" (page_id, followed_position);
    index "of_person" (person_id, followed_position);
}

impl Fold for FanRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Fan(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Fan(change) = &event.event else { return row };
        let new = || {
            let (page, person) = fan::ids(&event.stream)?;
            let (page_id, person_id) = (page.to_string(), person.to_string());
            Some(Self { id: key.to_owned(), page_id, person_id, followed_position: None, blocks: false })
        };
        let mut row = row.or_else(new)?;
        match change {
            fan::Event::Followed => row.followed_position = Some(event.position.0),
            fan::Event::Unfollowed => row.followed_position = None,
            fan::Event::Blocked => row.blocks = true,
            fan::Event::Unblocked => row.blocks = false,
        }
        Some(row)
    }
}

/// The projection of this file.
pub fn pages() -> Projection {
    projection("pages", 1)
        .reads(&["page", "fan", "username"])
        .row::<PageRow>()
        .row::<PageStatsRow>()
        .row::<StaffRow>()
        .row::<UsernameRow>()
        .row::<FanRow>()
}

record! {
    /// A page with its figures.
    pub struct PageDetail {
        /// The page's id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// Its username as it is written.
        pub username: String,
        /// When it was created.
        pub created: Timestamp,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in lists.
        pub position: i64,
        /// Who follows it.
        pub followers: i64,
    }
}

const DETAIL: &str = "p.id, p.name, p.username, p.created, p.revision, p.position, COALESCE(s.followers, 0)";

/// One page.
pub async fn find(db: &Db, id: PageId) -> Result<Option<PageDetail>, DbError> {
    let sql = format!("SELECT {DETAIL} FROM pages_v1 p LEFT JOIN page_stats_v1 s ON s.id = p.id WHERE p.id = $1");
    db.find(sql, vec![id.to_string().into()]).await
}

/// The page that a username leads to, now or as a former one. `normalised` is what makes it unique.
pub async fn by_username(db: &Db, normalised: &str) -> Result<Option<PageDetail>, DbError> {
    let sql = format!(
        "SELECT {DETAIL} FROM usernames_v1 u JOIN pages_v1 p ON p.id = u.page_id LEFT JOIN page_stats_v1 s ON s.id = p.id WHERE u.id = $1"
    );
    db.find(sql, vec![normalised.into()]).await
}

/// All pages, newest first.
pub async fn list(db: &Db, before: Option<i64>, limit: i64) -> Result<Vec<PageDetail>, DbError> {
    let sql = format!(
        "SELECT {DETAIL} FROM pages_v1 p LEFT JOIN page_stats_v1 s ON s.id = p.id WHERE p.position < $1 ORDER BY p.position DESC LIMIT $2"
    );
    db.query(sql, vec![before.unwrap_or(i64::MAX).into(), limit.into()]).await
}

record! {
    /// Somebody on a page's staff, with their name.
    pub struct StaffDetail {
        /// The person.
        pub person_id: String,
        /// How others see them.
        pub display_name: Option<String>,
        /// `owner`, `editor` or `care_agent`.
        pub role: String,
    }
}

/// A page's staff, in the order in which they came.
pub async fn staff(db: &Db, page: PageId) -> Result<Vec<StaffDetail>, DbError> {
    let sql = "SELECT s.person_id, p.display_name, s.role FROM page_staff_v1 s LEFT JOIN people_v1 p ON p.id = s.person_id \
               WHERE s.page_id = $1 ORDER BY s.position, s.person_id";
    db.query(sql, vec![page.to_string().into()]).await
}

/// The ids of the pages on whose staff a person is.
pub async fn staffed_by(db: &Db, person: PersonId) -> Result<Vec<String>, DbError> {
    db.query("SELECT s.page_id FROM page_staff_v1 s WHERE s.person_id = $1 ORDER BY s.position", vec![person.to_string().into()]).await
}

/// The ids of the pages that a person follows.
pub async fn followed_by(db: &Db, person: PersonId) -> Result<Vec<String>, DbError> {
    let sql =
        "SELECT f.page_id FROM fans_v1 f WHERE f.person_id = $1 AND f.followed_position IS NOT NULL ORDER BY f.followed_position DESC";
    db.query(sql, vec![person.to_string().into()]).await
}
