//! Read models `memberships_v2` and `episodes_v2`: who is, was or wants to be in which group.

use crate::past::{self, Past, PastError};
use crate::value::End;
use crate::{Db, DbError, Fold, Keys, Projection, Row, Value, projection, record, row};
use circolo_domain::access::Role;
use circolo_domain::{Decider, Event, GroupId, PersonId, Timestamp, group, membership};
use circolo_events::Recorded;
use std::sync::Arc;

row! {
    /// One person in one group. The statuses may overlap: somebody may be invited and have asked.
    pub struct MembershipRow in "memberships_v2" {
        /// Group and person, with a dot between.
        pub id: String,
        /// The group.
        pub group_id: String,
        /// The person.
        pub person_id: String,
        /// Whether they know of the group from inside: as a member or invited.
        pub inside: bool,
        /// Place in the log where the present episode began, if they are a member.
        pub member_position: Option<i64>,
        /// Number of the latest episode of membership.
        pub episode: i64,
        /// When it began.
        pub joined: Option<Timestamp>,
        /// `moderator` or `admin`, if such a role was given.
        pub role: Option<String>,
        /// The episode it was given for.
        pub role_episode: Option<i64>,
        /// Place in the log of the open invitation.
        pub invited_position: Option<i64>,
        /// Who invited.
        pub inviter: Option<String>,
        /// Whether the inviter could also have approved a request.
        pub inviter_may_approve: bool,
        /// When.
        pub invited: Option<Timestamp>,
        /// Place in the log of the open request.
        pub requested_position: Option<i64>,
        /// When they asked.
        pub requested: Option<Timestamp>,
        /// Place in the log of the ban.
        pub banned_position: Option<i64>,
        /// Until when it stands.
        pub banned_until: Option<End>,
        /// Why.
        pub ban_reason: Option<String>,
    }
    index "members" (group_id, member_position);
    index "invited" (group_id, invited_position);
    index "requested" (group_id, requested_position);
    index "banned" (group_id, banned_position);
    index "of_person" (person_id, inside, member_position);
    index "invitations" (person_id, invited_position);
}

/// The row that an event of a group or membership stream is about.
fn key(event: &Recorded) -> Option<String> {
    match &event.event {
        Event::Membership(_) => Some(event.stream.key().to_owned()),
        Event::Group(
            group::Event::Created { founder: person, .. }
            | group::Event::RoleGiven { person, .. }
            | group::Event::RoleWithdrawn { person, .. },
        ) => Some(format!("{}.{person}", event.stream.key())),
        _ => None,
    }
}

impl MembershipRow {
    fn new(key: &str) -> Option<Self> {
        let (group_id, person_id) = key.split_once('.')?;
        Some(Self {
            id: key.to_owned(),
            group_id: group_id.to_owned(),
            person_id: person_id.to_owned(),
            inside: false,
            member_position: None,
            episode: 0,
            joined: None,
            role: None,
            role_episode: None,
            invited_position: None,
            inviter: None,
            inviter_may_approve: false,
            invited: None,
            requested_position: None,
            requested: None,
            banned_position: None,
            banned_until: None,
            ban_reason: None,
        })
    }

    fn group_changed(&mut self, event: &group::Event) {
        let given = |role: Role| match role {
            Role::Member => None,
            Role::Moderator => Some("moderator".to_owned()),
            Role::Admin => Some("admin".to_owned()),
        };
        match event {
            group::Event::Created { .. } => (self.role, self.role_episode) = (given(Role::Admin), Some(1)),
            group::Event::RoleGiven { role, episode, .. } => (self.role, self.role_episode) = (given(*role), Some(i64::from(*episode))),
            group::Event::RoleWithdrawn { .. } => (self.role, self.role_episode) = (None, None),
            _ => {}
        }
    }

    fn changed(&mut self, event: &membership::Event, recorded: &Recorded) {
        let (position, at) = (Some(recorded.position.0), Some(recorded.recorded_at));
        match event {
            // As in the domain: of several invitations the one with most weight stands, and none reaches whoever is banned.
            membership::Event::Invited { may_approve, .. }
                if self.banned_until > Some(End::at(Some(recorded.recorded_at))) || (self.inviter_may_approve && !may_approve) => {}
            membership::Event::Invited { inviter, may_approve } => {
                (self.invited_position, self.invited, self.inviter) = (position, at, Some(inviter.to_string()));
                self.inviter_may_approve = *may_approve;
            }
            membership::Event::InvitationDeclined | membership::Event::InvitationRevoked => self.invitation_ended(),
            membership::Event::Requested => (self.requested_position, self.requested) = (position, at),
            membership::Event::RequestWithdrawn | membership::Event::RequestRefused { .. } => self.request_ended(),
            membership::Event::Joined { episode, .. } => {
                self.invitation_ended();
                self.request_ended();
                self.ban_ended();
                (self.member_position, self.joined, self.episode) = (position, at, i64::from(*episode));
            }
            membership::Event::Left { .. } | membership::Event::Removed { .. } => self.member_position = None,
            membership::Event::Banned { reason, until, .. } => {
                self.invitation_ended();
                self.request_ended();
                self.member_position = None;
                (self.banned_position, self.banned_until) = (position, Some(End::at(*until)));
                self.ban_reason = reason.get().cloned();
            }
            membership::Event::Unbanned => self.ban_ended(),
            // Lists go by the moment itself.
            membership::Event::BanEnded { .. } | membership::Event::Bound { .. } => {}
        }
        self.inside = self.member_position.is_some() || self.invited_position.is_some();
    }

    fn invitation_ended(&mut self) {
        (self.invited_position, self.invited, self.inviter) = (None, None, None);
        self.inviter_may_approve = false;
    }

    fn request_ended(&mut self) {
        (self.requested_position, self.requested) = (None, None);
    }

    fn ban_ended(&mut self) {
        (self.banned_position, self.banned_until, self.ban_reason) = (None, None, None);
    }
}

impl Fold for MembershipRow {
    fn keys(event: &Recorded) -> Keys {
        Keys::from(key(event))
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let mut row = row.or_else(|| Self::new(key))?;
        match &event.event {
            Event::Group(change) => row.group_changed(change),
            Event::Membership(change) => row.changed(change, event),
            _ => {}
        }
        Some(row)
    }
}

row! {
    /// One episode of membership.
    pub struct EpisodeRow in "episodes_v2" {
        /// Group, person and number of the episode, with dots between.
        pub id: String,
        /// The group.
        pub group_id: String,
        /// The person.
        pub person_id: String,
        /// From 1.
        pub number: i64,
        /// The group's privacy era when it began.
        pub era: i64,
        /// When it began.
        pub since: Timestamp,
        /// When it ended, if it has.
        pub until: Option<Timestamp>,
    }
    index "of_person" (person_id, group_id, number);
}

impl Fold for EpisodeRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Membership(
                membership::Event::Joined { episode, .. }
                | membership::Event::Left { episode }
                | membership::Event::Removed { episode, .. }
                | membership::Event::Banned { episode: Some(episode), .. },
            ) => Keys::from(format!("{}.{episode}", event.stream.key())),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        match (&event.event, row) {
            (Event::Membership(membership::Event::Joined { episode, era, .. }), None) => {
                let (group_id, person_id) = event.stream.key().split_once('.')?;
                Some(Self {
                    id: key.to_owned(),
                    group_id: group_id.to_owned(),
                    person_id: person_id.to_owned(),
                    number: i64::from(*episode),
                    era: i64::from(*era),
                    since: event.recorded_at,
                    until: None,
                })
            }
            (Event::Membership(_), Some(row)) => Some(Self { until: Some(event.recorded_at), ..row }),
            (_, row) => row,
        }
    }
}

/// The projection of this file.
pub fn memberships() -> Projection {
    projection("memberships", 2).reads(&["group", "membership"]).row::<MembershipRow>().row::<EpisodeRow>()
}

/// The ids of the groups a person is in.
pub async fn groups_of(db: &Db, person: PersonId) -> Result<Vec<String>, DbError> {
    let sql = "SELECT m.group_id FROM memberships_v2 m WHERE m.person_id = $1 AND m.inside = 1 AND m.member_position IS NOT NULL \
               ORDER BY m.member_position DESC";
    db.query(sql, vec![person.to_string().into()]).await
}

/// The ids of the groups in which a person was given a role.
pub async fn roles_of(db: &Db, person: PersonId) -> Result<Vec<String>, DbError> {
    let sql = "SELECT m.group_id FROM memberships_v2 m WHERE m.person_id = $1 AND m.inside = 1 AND m.member_position IS NOT NULL \
               AND m.role IS NOT NULL AND m.role_episode = m.episode ORDER BY m.member_position DESC";
    db.query(sql, vec![person.to_string().into()]).await
}

/// Which list of a group's people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Present members.
    Member,
    /// Open invitations.
    Invited,
    /// Open requests.
    Requested,
    /// Bans in force.
    Banned,
}

impl Status {
    const fn column(self) -> &'static str {
        match self {
            Self::Member => "member_position",
            Self::Invited => "invited_position",
            Self::Requested => "requested_position",
            Self::Banned => "banned_position",
        }
    }
}

record! {
    /// A person in a list of a group's people.
    pub struct ListedPerson {
        /// The person.
        pub person_id: String,
        /// How others see them.
        pub display_name: Option<String>,
        /// `member`, `moderator` or `admin`.
        pub role: String,
        /// When their present episode began.
        pub joined: Option<Timestamp>,
        /// When they were invited.
        pub invited: Option<Timestamp>,
        /// By whom.
        pub inviter: Option<String>,
        /// When they asked.
        pub requested: Option<Timestamp>,
        /// Until when they are banned; the greatest number for good.
        pub banned_until: Option<i64>,
        /// Why they are banned.
        pub ban_reason: Option<String>,
        /// Place in this list.
        pub position: i64,
    }
}

/// The people of a group with one status, newest first.
pub async fn of_group(
    db: &Db,
    group: GroupId,
    status: Status,
    now: Timestamp,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<ListedPerson>, DbError> {
    let place = status.column();
    let mut params = vec![Value::from(group.to_string()), before.unwrap_or(i64::MAX).into(), limit.into()];
    let mut standing = "";
    if status == Status::Banned {
        params.push(now.micros().into());
        standing = "AND m.banned_until > $4";
    }
    let sql = format!(
        "SELECT m.person_id, p.display_name, CASE WHEN m.role_episode = m.episode THEN COALESCE(m.role, 'member') ELSE 'member' END, m.joined, \
           m.invited, m.inviter, m.requested, m.banned_until, m.ban_reason, m.{place} \
         FROM memberships_v2 m LEFT JOIN people_v1 p ON p.id = m.person_id \
         WHERE m.group_id = $1 AND m.{place} < $2 {standing} ORDER BY m.{place} DESC LIMIT $3"
    );
    db.query(sql, params).await
}

impl MembershipRow {
    /// As a list of those with `status` at `at` shows it, if they are in it.
    fn listed(self, status: Status, at: Timestamp) -> Option<ListedPerson> {
        let position = match status {
            Status::Member => self.member_position,
            Status::Invited => self.invited_position,
            Status::Requested => self.requested_position,
            Status::Banned => self.banned_position.filter(|_| self.banned_until > Some(End::at(Some(at)))),
        };
        let given = self.role.filter(|_| self.role_episode == Some(self.episode));
        Some(ListedPerson {
            person_id: self.person_id,
            display_name: None,
            role: given.unwrap_or_else(|| "member".to_owned()),
            joined: self.joined,
            invited: self.invited,
            inviter: self.inviter,
            requested: self.requested,
            banned_until: self.banned_until.map(End::micros),
            ban_reason: self.ban_reason,
            position: position?,
        })
    }
}

/// The people of a group as of a moment, from the log alone.
#[derive(Debug, Clone)]
pub struct PeopleThen {
    /// The group, for rights.
    pub group: Arc<group::Group>,
    rows: Vec<MembershipRow>,
}

impl PeopleThen {
    /// Folds them.
    pub async fn fold(past: Past<'_>, id: GroupId) -> Result<Self, PastError> {
        let own = past.stream(&group::stream(id)).await?;
        let people = past.prefix(&format!("membership-{id}.")).await?;
        let rows = past::rows::<MembershipRow>(own.iter().chain(&people).collect());
        Ok(Self { group: Arc::new(past::state(&own)), rows: rows.into_values().collect() })
    }

    /// Bytes they take, roughly.
    pub fn size(&self) -> usize {
        size_of::<group::Group>() + self.group.heap() + self.rows.iter().map(Row::size).sum::<usize>()
    }
}

/// The people of a group with one status as of a moment, newest first.
pub async fn as_of(
    db: &Db,
    then: &PeopleThen,
    (status, at): (Status, Timestamp),
    (before, limit): (Option<i64>, i64),
) -> Result<Vec<ListedPerson>, DbError> {
    let mut listed: Vec<_> = then.rows.iter().filter_map(|row| row.clone().listed(status, at)).collect();
    listed.retain(|person| before.is_none_or(|before| person.position < before));
    listed.sort_unstable_by_key(|person| std::cmp::Reverse(person.position));
    listed.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let names = past::names(db, listed.iter().map(|person| person.person_id.clone()).collect()).await?;
    for person in &mut listed {
        person.display_name = names.get(&person.person_id).cloned();
    }
    Ok(listed)
}

record! {
    /// An open invitation of a person.
    pub struct InvitationRow {
        /// The group.
        pub group_id: String,
        /// Its name.
        pub name: String,
        /// What it is for.
        pub description: Option<String>,
        /// How private it is.
        pub privacy: String,
        /// Who invited.
        pub inviter: Option<String>,
        /// How others see the inviter.
        pub inviter_name: Option<String>,
        /// When.
        pub invited: Option<Timestamp>,
        /// Place in this list.
        pub position: i64,
    }
}

/// The open invitations of a person, newest first.
pub async fn invitations(db: &Db, person: PersonId, before: Option<i64>, limit: i64) -> Result<Vec<InvitationRow>, DbError> {
    let sql = "SELECT m.group_id, g.name, g.description, g.privacy, m.inviter, p.display_name, m.invited, m.invited_position \
               FROM memberships_v2 m JOIN groups_v2 g ON g.id = m.group_id LEFT JOIN people_v1 p ON p.id = m.inviter \
               WHERE m.person_id = $1 AND m.invited_position < $2 ORDER BY m.invited_position DESC LIMIT $3";
    db.query(sql, vec![person.to_string().into(), before.unwrap_or(i64::MAX).into(), limit.into()]).await
}
