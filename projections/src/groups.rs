//! Read models `groups_v2` and `group_stats_v2`: the directory of groups, each group's detail and its figures.

use crate::past::{self, Past, PastError};
use crate::{Db, DbError, Fold, Keys, Projection, Value, params, projection, record, row, search::Words};
use circolo_domain::access::Privacy;
use circolo_domain::{Event, GroupId, PersonId, Timestamp, group, membership, question};
use circolo_events::Recorded;

row! {
    /// A group: what the directory shows and what its settings are.
    pub struct GroupRow in "groups_v2" {
        /// The group's id.
        pub id: String,
        /// Its name; not unique.
        pub name: String,
        /// What it is for.
        pub description: Option<String>,
        /// `public`, `closed` or `secret`.
        pub privacy: String,
        /// Whether the directory shows it to everyone.
        pub listed: bool,
        /// Who finds it by its words: everyone, or who is inside.
        pub audience: String,
        /// `open`, `request` or `invite_only`.
        pub membership: String,
        /// Whether members may invite.
        pub members_invite: bool,
        /// Whether outsiders see the member list of a closed group.
        pub member_list_public: bool,
        /// `all` or `since_joining`.
        pub history: String,
        /// Its first admin.
        pub founder: String,
        /// When it was created.
        pub created: Timestamp,
        /// Revision of its stream.
        pub revision: i64,
        /// Place of its creation in the log; the directory is ordered by it.
        pub position: i64,
    }
    index "listed" (listed, position);
    search (name, description) for audience;
}

/// The name of a value as JSON has it.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Those who find what everyone finds.
const EVERYONE: &str = "everyone";

fn audience(privacy: Privacy, group: &str) -> String {
    if privacy == Privacy::Secret { format!("group:{group}") } else { EVERYONE.to_owned() }
}

impl GroupRow {
    fn created(key: &str, event: &Recorded, created: &group::Event) -> Option<Self> {
        let group::Event::Created { name, description, privacy, membership, founder } = created else { return None };
        let settings = group::Settings::default();
        Some(Self {
            id: key.to_owned(),
            name: name.clone(),
            description: description.clone(),
            privacy: word(privacy),
            listed: *privacy != Privacy::Secret,
            audience: audience(*privacy, key),
            membership: word(membership),
            members_invite: settings.members_invite,
            member_list_public: settings.member_list_public,
            history: word(settings.history),
            founder: founder.to_string(),
            created: event.recorded_at,
            revision: 0,
            position: event.position.0,
        })
    }

    fn changed(mut self, event: &group::Event) -> Self {
        match event {
            group::Event::Renamed { name } => self.name.clone_from(name),
            group::Event::Described { description } => self.description.clone_from(description),
            group::Event::PrivacyChanged { privacy } => {
                (self.privacy, self.listed) = (word(privacy), *privacy != Privacy::Secret);
                self.audience = audience(*privacy, &self.id);
            }
            group::Event::PolicyChanged { membership } => self.membership = word(membership),
            group::Event::MemberInvitationsSwitched { on } => self.members_invite = *on,
            group::Event::MemberListSwitched { public } => self.member_list_public = *public,
            group::Event::HistoryChanged { history } => self.history = word(history),
            group::Event::Created { .. } | group::Event::RoleGiven { .. } | group::Event::RoleWithdrawn { .. } => {}
        }
        self
    }
}

impl Fold for GroupRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Group(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Group(change) = &event.event else { return row };
        let row = match row {
            None => Self::created(key, event, change)?,
            Some(row) => row.changed(change),
        };
        Some(Self { revision: i64::try_from(event.revision).unwrap_or(i64::MAX), ..row })
    }
}

row! {
    /// A group's figures.
    pub struct GroupStatsRow in "group_stats_v2" {
        /// The group's id.
        pub id: String,
        /// Present members.
        pub members: i64,
        /// Questions ever asked.
        pub questions: i64,
        /// Answers ever given.
        pub answers: i64,
    }
}

impl GroupStatsRow {
    fn group_of(event: &Recorded) -> Option<String> {
        match &event.event {
            Event::Group(group::Event::Created { .. }) => Some(event.stream.key().to_owned()),
            Event::Membership(_) => membership::ids(&event.stream).map(|(group, _)| group.to_string()),
            Event::Question(question::Event::Posted { .. } | question::Event::Answered { .. }) => {
                event.metadata.scope.and_then(|scope| scope.group()).map(|group| group.to_string())
            }
            _ => None,
        }
    }
}

impl Fold for GroupStatsRow {
    fn keys(event: &Recorded) -> Keys {
        Keys::from(Self::group_of(event))
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let mut row = row.unwrap_or_else(|| Self { id: key.to_owned(), members: 0, questions: 0, answers: 0 });
        match &event.event {
            Event::Membership(membership::Event::Joined { .. }) => row.members += 1,
            Event::Membership(
                membership::Event::Left { .. } | membership::Event::Removed { .. } | membership::Event::Banned { episode: Some(_), .. },
            ) => row.members -= 1,
            Event::Question(question::Event::Posted { .. }) => row.questions += 1,
            Event::Question(question::Event::Answered { .. }) => row.answers += 1,
            _ => {}
        }
        Some(row)
    }
}

/// The projections of this file.
pub fn groups() -> Projection {
    projection("groups", 2).reads(&["group", "membership", "question"]).row::<GroupRow>().row::<GroupStatsRow>()
}

record! {
    /// A group with its figures.
    pub struct GroupDetail {
        /// The group's id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// What it is for.
        pub description: Option<String>,
        /// `public`, `closed` or `secret`.
        pub privacy: String,
        /// `open`, `request` or `invite_only`.
        pub membership: String,
        /// Whether members may invite.
        pub members_invite: bool,
        /// Whether outsiders see the member list of a closed group.
        pub member_list_public: bool,
        /// `all` or `since_joining`.
        pub history: String,
        /// When it was created.
        pub created: Timestamp,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in the directory.
        pub position: i64,
        /// Present members.
        pub members: i64,
        /// Questions ever asked.
        pub questions: i64,
        /// Answers ever given.
        pub answers: i64,
    }
}

const DETAIL: &str = "g.id, g.name, g.description, g.privacy, g.membership, g.members_invite, g.member_list_public, g.history, g.created, \
                      g.revision, g.position, COALESCE(s.members, 0), COALESCE(s.questions, 0), COALESCE(s.answers, 0)";

/// One group, whoever asks: the caller has checked who may see it.
pub async fn find(db: &Db, id: GroupId) -> Result<Option<GroupDetail>, DbError> {
    let sql = format!("SELECT {DETAIL} FROM groups_v2 g LEFT JOIN group_stats_v2 s ON s.id = g.id WHERE g.id = $1");
    db.find(sql, vec![id.to_string().into()]).await
}

/// The group as of a moment, from the events of its own stream; whoever asks: the caller has checked who may see it.
///
/// What was asked and answered keeps its place in the log for ever, so that is counted by place.
pub async fn as_of(db: &Db, past: Past<'_>, own: &[Recorded], id: GroupId) -> Result<Option<GroupDetail>, PastError> {
    let Some(row) = past::rows::<GroupRow>(own.iter().collect()).remove(&id.to_string()) else { return Ok(None) };
    let people = past.prefix(&format!("membership-{id}.")).await?;
    let stats = past::rows::<GroupStatsRow>(own.iter().chain(&people).collect()).remove(&id.to_string());
    let sql = "SELECT (SELECT count(*) FROM questions_v1 q WHERE q.audience >= $1 AND q.audience < $2 AND q.position <= $3), \
               (SELECT count(*) FROM questions_v1 q JOIN answers_v1 a ON a.question_id = q.id \
                WHERE q.audience >= $1 AND q.audience < $2 AND a.position <= $3)";
    // All eras of the group: a semicolon comes right after a colon.
    let params = params![format!("group:{id}:"), format!("group:{id};"), past.until.0];
    let (questions, answers) = db.one(sql, params).await?.unwrap_or((0, 0));
    Ok(Some(GroupDetail {
        id: row.id,
        name: row.name,
        description: row.description,
        privacy: row.privacy,
        membership: row.membership,
        members_invite: row.members_invite,
        member_list_public: row.member_list_public,
        history: row.history,
        created: row.created,
        revision: row.revision,
        position: row.position,
        members: stats.map_or(0, |stats| stats.members),
        questions,
        answers,
    }))
}

/// What a page of the directory is to hold.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// Words that name or description must contain.
    pub query: Option<String>,
    /// Whose own secret groups are shown besides.
    pub reader: Option<PersonId>,
    /// Only what stands before this position.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// The groups that `reader` may see, newest first.
///
/// Two branches, each along an index: what everyone finds, and the reader's own secret groups. Their words are looked for row by
/// row, so that nobody's question touches the words of secret groups that are not theirs.
pub async fn directory(db: &Db, page: &Directory) -> Result<Vec<GroupDetail>, DbError> {
    let before = Value::Int(page.before.unwrap_or(i64::MAX));
    let reader = page.reader.map(|reader| reader.to_string()).unwrap_or_default();
    let mut params = vec![before, page.limit.into(), reader.into()];
    let (mut found, mut own) = (String::new(), String::new());
    if let Some(query) = &page.query {
        let Some(words) = Words::parse(query) else { return Ok(vec![]) };
        found = format!("AND {}", db.search_condition(("groups_v2", "id"), "f", &words, &[EVERYONE], &mut params).await?);
        own = format!("AND {}", words.in_row("f", db.dialect(), &mut params));
    }
    let sql = format!(
        "SELECT {DETAIL} FROM (\
           SELECT a.id, a.position FROM (\
             SELECT f.id, f.position FROM groups_v2 f WHERE f.listed = 1 AND f.position < $1 {found} ORDER BY f.position DESC LIMIT $2) a \
           UNION ALL \
           SELECT b.id, b.position FROM (\
             SELECT f.id, f.position FROM memberships_v2 m JOIN groups_v2 f ON f.id = m.group_id \
             WHERE m.person_id = $3 AND m.inside = 1 AND f.listed = 0 AND f.position < $1 {own} ORDER BY f.position DESC LIMIT $2) b\
         ) found JOIN groups_v2 g ON g.id = found.id LEFT JOIN group_stats_v2 s ON s.id = g.id ORDER BY g.position DESC LIMIT $2"
    );
    db.query(sql, params).await
}
