//! Read models `groups_v2` and `group_stats_v2`: the directory of groups, each group's detail and its figures.

use crate::audience::Readable;
use crate::figures::{ByEra, CAP, Rights, place_and_era};
use crate::past::{self, Past, PastError};
use crate::questions::{BOTH, ELSEWHERE};
use crate::{Db, DbError, Fold, Keys, Projection, Row, Value, projection, record, row, search::Words};
use circolo_domain::access::{Key, Privacy};
use circolo_domain::{Communal, Decider, Event, GroupId, PersonId, Timestamp, group, membership, question};
use circolo_events::{Position, Recorded};
use std::sync::Arc;

row! {
    /// A group: what the directory shows and what its settings are.
    pub struct GroupRow in "groups_v2" {
        /// The group's id.
        pub id: String,
        /// Its name; not unique. Empty where it is masked.
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
    masked (name, description) unless privacy = "public";
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

/// A text of the group, unless the history is a masked one.
fn words(text: Option<&Communal<String>>) -> Option<String> {
    text.and_then(Communal::get).cloned()
}

impl GroupRow {
    fn created(key: &str, event: &Recorded, created: &group::Event) -> Option<Self> {
        let group::Event::Created { name, description, privacy, membership, founder } = created else { return None };
        let settings = group::Settings::default();
        Some(Self {
            id: key.to_owned(),
            name: words(Some(name)).unwrap_or_default(),
            description: words(description.as_ref()),
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
            group::Event::Renamed { name } => self.name = words(Some(name)).unwrap_or_default(),
            group::Event::Described { description } => self.description = words(description.as_ref()),
            group::Event::PrivacyChanged { privacy } => {
                (self.privacy, self.listed) = (word(privacy), *privacy != Privacy::Secret);
                self.audience = audience(*privacy, &self.id);
            }
            group::Event::PolicyChanged { membership } => self.membership = word(membership),
            group::Event::MemberInvitationsSwitched { on } => self.members_invite = *on,
            group::Event::MemberListSwitched { public } => self.member_list_public = *public,
            group::Event::HistoryChanged { history } => self.history = word(history),
            group::Event::Created { .. }
            | group::Event::PictureSet { .. }
            | group::Event::RoleGiven { .. }
            | group::Event::RoleWithdrawn { .. } => {}
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
        /// Questions and answers by privacy era, once there are some of others than the first.
        pub by_era: Option<String>,
    }
}

impl GroupStatsRow {
    /// After a question was asked or an answer given, in the order of the columns.
    fn counted(&mut self, more: [i64; 2], event: &Recorded) {
        let era = event.metadata.scope.map_or(0, |scope| scope.era);
        self.by_era = ByEra::added(self.by_era.as_deref(), 0, [self.questions, self.answers], era, more);
        (self.questions, self.answers) = (self.questions + more[0], self.answers + more[1]);
    }

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
        let mut row = row.unwrap_or_else(|| Self { id: key.to_owned(), members: 0, questions: 0, answers: 0, by_era: None });
        match &event.event {
            Event::Membership(membership::Event::Joined { .. }) => row.members += 1,
            Event::Membership(
                membership::Event::Left { .. } | membership::Event::Removed { .. } | membership::Event::Banned { episode: Some(_), .. },
            ) => row.members -= 1,
            Event::Question(question::Event::Posted { .. }) => row.counted([1, 0], event),
            Event::Question(question::Event::Answered { .. }) => row.counted([0, 1], event),
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
        /// Questions ever asked, as far as the reader may read them.
        pub questions: i64,
        /// Answers ever given, as far as the reader may read them; `None` if that would take too long to count.
        pub answers: Option<i64>,
        /// Both by privacy era.
        pub by_era: Option<String>,
    }
}

const DETAIL: &str = "g.id, g.name, g.description, g.privacy, g.membership, g.members_invite, g.member_list_public, g.history, g.created, \
                      g.revision, g.position, COALESCE(s.members, 0), COALESCE(s.questions, 0), COALESCE(s.answers, 0), s.by_era";

/// One group for a reader with `keys` to it: the caller has checked that they may see it.
pub async fn find(db: &Db, id: GroupId, keys: &[Key]) -> Result<Option<GroupDetail>, DbError> {
    let sql = format!("SELECT {DETAIL} FROM groups_v2 g LEFT JOIN group_stats_v2 s ON s.id = g.id WHERE g.id = $1");
    let Some(mut group) = db.find::<GroupDetail>(sql, vec![id.to_string().into()]).await? else { return Ok(None) };
    let rights = Rights::of(keys);
    if !rights.are_whole() {
        (group.questions, group.answers) = figures(db, &group, keys, &rights).await?;
    }
    Ok(Some(group))
}

const QUESTIONS: Readable<'static> = Readable { table: "questions_v2", written: "asked", filter: "" };
const ANSWERS: Readable<'static> = Readable { table: "answers_v2", written: "answered", filter: "" };

/// Questions and answers that a reader may read who may not read everything.
async fn figures(db: &Db, group: &GroupDetail, keys: &[Key], rights: &Rights<'_>) -> Result<(i64, Option<i64>), DbError> {
    if rights.are_timed() {
        return count(db, keys).await;
    }
    let totals = [group.questions, group.answers.unwrap_or_default()];
    let by_era = ByEra::read(group.by_era.as_deref(), 0, totals);
    let place = format!("group:{}", group.id);
    let [questions, answers] = by_era.open(rights, &place);
    let closed = rights.closed(&place, by_era.eras());
    Ok((questions, beyond(db, rights, closed).await?.map(|beyond| answers - beyond)))
}

/// How many answers were given in eras that are open to questions of eras that are `closed`: nobody lists them who may not read
/// the question. `None` if there are too many such questions.
async fn beyond(db: &Db, rights: &Rights<'_>, closed: Vec<String>) -> Result<Option<i64>, DbError> {
    if closed.is_empty() {
        return Ok(Some(0));
    }
    let sql = "SELECT q.audience, q.answers, q.by_era FROM questions_v2 q WHERE q.audience = ANY($1) AND q.answered IN ($2, $3) LIMIT $4";
    let params = vec![closed.into(), ELSEWHERE.into(), BOTH.into(), (CAP + 1).into()];
    let questions: Vec<(String, i64, Option<String>)> = db.query(sql, params).await?;
    if i64::try_from(questions.len()).is_ok_and(|found| found > CAP) {
        return Ok(None);
    }
    let open = |(audience, answers, by_era): &(String, i64, Option<String>)| {
        let (place, era) = place_and_era(audience)?;
        Some(ByEra::read(by_era.as_deref(), era, [*answers]).open(rights, place)[0])
    };
    Ok(Some(questions.iter().filter_map(open).sum()))
}

/// The same for a reader who may read what stands in the group only from some moments on: up to [`CAP`] questions, and up to as many
/// answers to these.
async fn count(db: &Db, keys: &[Key]) -> Result<(i64, Option<i64>), DbError> {
    let mut params = vec![CAP.into()];
    let (asked, given) = (QUESTIONS.allowed(keys, &mut params), ANSWERS.allowed(keys, &mut params));
    let sql = asked.beside(&given, |asked, given| {
        let questions = format!("SELECT t.id FROM questions_v2 t WHERE {asked} LIMIT $1");
        let answers = format!("SELECT t.id FROM ({questions}) q JOIN answers_v2 t ON t.question_id = q.id WHERE {given} LIMIT $1");
        format!("SELECT (SELECT COUNT(*) FROM ({questions}) q), (SELECT COUNT(*) FROM ({answers}) a)")
    });
    let (questions, answers) = db.one(sql, params).await?.unwrap_or((0, 0));
    Ok((questions, Some(answers)))
}

/// A group as of a moment, from the log alone.
#[derive(Debug, Clone)]
pub struct GroupThen {
    /// The aggregate, for rights.
    pub state: Arc<group::Group>,
    row: Option<GroupRow>,
    members: i64,
}

impl GroupThen {
    /// Folds it.
    pub async fn fold(past: Past<'_>, id: GroupId) -> Result<Self, PastError> {
        let own = past.stream(&group::stream(id)).await?;
        let row = past::rows::<GroupRow>(own.iter().collect()).remove(&id.to_string());
        let people = if row.is_some() { past.prefix(&format!("membership-{id}.")).await? } else { vec![] };
        let stats = past::rows::<GroupStatsRow>(own.iter().chain(&people).collect()).remove(&id.to_string());
        Ok(Self { state: Arc::new(past::state(&own)), row, members: stats.map_or(0, |stats| stats.members) })
    }

    /// Bytes it takes, roughly.
    pub fn size(&self) -> usize {
        size_of::<group::Group>() + self.state.heap() + self.row.as_ref().map_or(0, Row::size)
    }
}

/// The group as of a moment, for a reader with `keys` to it: the caller has checked that they may see it.
///
/// What was asked and answered keeps its place in the log for ever, so that is counted by place.
pub async fn as_of(db: &Db, until: Position, then: &GroupThen, keys: &[Key]) -> Result<Option<GroupDetail>, DbError> {
    let Some(row) = then.row.clone() else { return Ok(None) };
    let mut params: Vec<Value> = vec![until.0.into()];
    let (asked, given) = (QUESTIONS.allowed(keys, &mut params), ANSWERS.allowed(keys, &mut params));
    let sql = asked.beside(&given, |asked, given| {
        let readable = format!("FROM questions_v2 t WHERE {asked} AND t.position <= $1");
        format!(
            "SELECT (SELECT COUNT(*) {readable}), \
               (SELECT COUNT(*) FROM answers_v2 t WHERE t.question_id IN (SELECT t.id {readable}) AND {given} AND t.position <= $1)"
        )
    });
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
        members: then.members,
        questions,
        answers: Some(answers),
        by_era: None,
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
