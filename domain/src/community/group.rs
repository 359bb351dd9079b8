//! A group: its name, its privacy and other settings, and who keeps order in it.

use crate::access::{Action, Denied, Owner, Privacy, Role, Scope, Standing};
use crate::authored::digest;
use crate::change::{Change, InGroup, Readers};
use crate::flow::{Flow, FollowUp};
use crate::media::{self, Holder, Picture};
use crate::membership::{self, Membership};
use crate::notice::{Notice, NoticeKind, To};
use crate::stance::Rights;
use crate::thing::Thing;
use crate::weight;
use crate::{
    Comment, Communal, Context, Decider, GroupId, Kind, MediaId, Name, Named, PersonId, Personal, Rejection, StreamName, TextOwner,
    Timestamp, Written,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

mod decisions;
mod eras;

pub use eras::{APART, Eras, PAUSE, Stretch};

/// How one becomes a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// By joining.
    Open,
    /// By a request that a moderator approves.
    #[default]
    Request,
    /// By an invitation alone.
    InviteOnly,
}

/// What newcomers may read of the time before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// All of it.
    #[default]
    All,
    /// What was written while they were members.
    SinceJoining,
}

/// How somebody's membership ends when they hold a role: the role goes first, in this stream, and the rest follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Departure {
    /// They left.
    Left,
    /// They were removed.
    Removed {
        /// Why.
        reason: Option<Personal<String>>,
    },
    /// They were banned.
    Banned {
        /// Why.
        reason: Personal<String>,
        /// Until when; for good if absent.
        until: Option<Timestamp>,
    },
}

impl Departure {
    /// The same with a reason that belongs to `owner`: one that comes from the log says not whose it is.
    #[must_use]
    pub fn owned_by(&self, owner: TextOwner) -> Self {
        match self {
            Self::Left => Self::Left,
            Self::Removed { reason } => Self::Removed { reason: reason.as_ref().map(|reason| reason.owned_by(owner)) },
            Self::Banned { reason, until } => Self::Banned { reason: reason.owned_by(owner), until: *until },
        }
    }

    /// Gives its reason to `owner`, unless it belongs to somebody.
    fn give(&mut self, owner: TextOwner) {
        match self {
            Self::Removed { reason: Some(reason) } | Self::Banned { reason, .. } => reason.give(owner),
            Self::Left | Self::Removed { reason: None } => {}
        }
    }
}

/// The settings that a patch may name; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// A new name.
    pub name: Option<Name>,
    /// A new description; `Some(None)` takes it away.
    pub description: Option<Option<Comment>>,
    /// A new privacy.
    pub privacy: Option<Privacy>,
    /// A new way to become a member.
    pub membership: Option<Policy>,
    /// Whether members may invite.
    pub members_invite: Option<bool>,
    /// Whether outsiders see the member list of a closed group.
    pub member_list_public: Option<bool>,
    /// What newcomers may read.
    pub history: Option<History>,
}

/// What may be asked of a group's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Creates the group, with the caller as its first admin.
    CreateGroup {
        /// Its name; need not be unique.
        name: Name,
        /// What it is for.
        description: Option<Comment>,
        /// How private it is.
        privacy: Privacy,
        /// How one becomes a member.
        membership: Policy,
    },
    /// Changes settings, all or none.
    ChangeGroup {
        /// Who asks.
        by: Standing,
        /// The changes.
        changes: Changes,
    },
    /// Shows another picture, or none.
    SetPicture {
        /// Who asks.
        by: Standing,
        /// Which.
        picture: Option<Picture>,
    },
    /// Gives a member a role, or takes it (role `member`).
    GiveRole {
        /// Who asks.
        by: Standing,
        /// To whom.
        to: Standing,
        /// Which.
        role: Role,
    },
    /// Ends the membership of somebody who holds a role: takes the role; their own stream follows.
    Depart {
        /// Who asks.
        by: Standing,
        /// Who goes.
        who: Standing,
        /// How.
        departure: Departure,
    },
    /// Makes somebody admin of a group that has none, which no command leads to any more: the one who is a member for longest.
    AppointAdmin {
        /// Whoever holds a role, and the member of longest standing, whose episode is bound.
        members: Vec<Standing>,
    },
    /// Takes a role that outlived its episode of membership.
    DropRole {
        /// Whose.
        person: PersonId,
        /// The episode that ended.
        episode: u32,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::CreateGroup { .. } => "CreateGroup",
            Self::ChangeGroup { .. } => "ChangeGroup",
            Self::SetPicture { .. } => "SetGroupPicture",
            Self::GiveRole { .. } => "GiveRole",
            Self::Depart { .. } => "Depart",
            Self::AppointAdmin { .. } => "AppointAdmin",
            Self::DropRole { .. } => "DropRole",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The group came to be, with its founder as admin.
    #[serde(rename = "group.created.v1")]
    Created {
        /// Its name.
        name: Communal<String>,
        /// What it is for.
        description: Option<Communal<String>>,
        /// How private it is.
        privacy: Privacy,
        /// How one becomes a member.
        membership: Policy,
        /// Its first admin.
        founder: PersonId,
    },
    /// It has another name.
    #[serde(rename = "group.renamed.v1")]
    Renamed {
        /// The new one.
        name: Communal<String>,
    },
    /// It has another description, or none.
    #[serde(rename = "group.described.v1")]
    Described {
        /// The new one.
        description: Option<Communal<String>>,
    },
    /// It is more or less private; a new era begins.
    #[serde(rename = "group.privacy_changed.v1")]
    PrivacyChanged {
        /// From now on.
        privacy: Privacy,
    },
    /// One becomes a member in another way.
    #[serde(rename = "group.membership_policy_changed.v1")]
    PolicyChanged {
        /// From now on.
        membership: Policy,
    },
    /// Members may invite, or no longer.
    #[serde(rename = "group.member_invitations_switched.v1")]
    MemberInvitationsSwitched {
        /// Whether they may.
        on: bool,
    },
    /// Outsiders see the member list of a closed group, or no longer.
    #[serde(rename = "group.member_list_switched.v1")]
    MemberListSwitched {
        /// Whether they do.
        public: bool,
    },
    /// Newcomers may read more or less of the past.
    #[serde(rename = "group.history_changed.v1")]
    HistoryChanged {
        /// From now on.
        history: History,
    },
    /// Another picture shows it, or none.
    #[serde(rename = "group.picture_set.v1")]
    PictureSet {
        /// The picture.
        media: Option<MediaId>,
        /// The one before.
        previous: Option<MediaId>,
        /// How often it has changed, with this time.
        number: u32,
    },
    /// Somebody has a role, for one episode of membership.
    #[serde(rename = "group.role_given.v1")]
    RoleGiven {
        /// Who.
        person: PersonId,
        /// Moderator or admin.
        role: Role,
        /// Their episode of membership it counts for.
        episode: u32,
    },
    /// Somebody no longer has a role.
    #[serde(rename = "group.role_withdrawn.v1")]
    RoleWithdrawn {
        /// Who.
        person: PersonId,
        /// The episode of membership it counted for.
        episode: u32,
        /// How their membership ends with it, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        departure: Option<Departure>,
    },
}

/// Settings as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How one becomes a member.
    pub membership: Policy,
    /// Whether members may invite.
    pub members_invite: bool,
    /// Whether outsiders see the member list of a closed group.
    pub member_list_public: bool,
    /// What newcomers may read.
    pub history: History,
}

impl Default for Settings {
    fn default() -> Self {
        Self { membership: Policy::default(), members_invite: true, member_list_public: true, history: History::All }
    }
}

/// The fold of a group's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    settings: Settings,
    /// Digests of name and description, to know a change that changes nothing. The words themselves would fill the cache of
    /// aggregates.
    name: u64,
    description: u64,
    picture: Option<MediaId>,
    /// How often it has changed.
    pictures: u32,
    eras: Eras,
    /// Moderators and admins, with the episode of membership their role counts for.
    roles: BTreeMap<PersonId, (Role, u32)>,
    /// Whose membership ends by what was decided here, with the episode: nobody is given a role for it any more.
    departed: BTreeMap<PersonId, u32>,
}

/// The stream of a group.
pub fn stream(id: GroupId) -> StreamName {
    crate::stream::<Group>(id)
}

impl Group {
    /// Whether it has been created.
    pub fn exists(&self) -> bool {
        self.eras.last().is_some()
    }

    /// Settings as they stand.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The picture that shows it.
    pub const fn picture(&self) -> Option<MediaId> {
        self.picture
    }

    /// How private it is now.
    pub fn privacy(&self) -> Privacy {
        self.eras.last().map(|last| last.privacy).unwrap_or_default()
    }

    /// The present privacy era, from 0.
    pub fn era(&self) -> u32 {
        self.eras.last().map_or(0, |last| last.last)
    }

    /// How private it was and is.
    pub const fn eras(&self) -> &Eras {
        &self.eras
    }

    /// The role that was given to `person` for their membership episode `episode`.
    pub fn role_of(&self, person: PersonId, episode: u32) -> Option<Role> {
        self.roles.get(&person).filter(|(_, given_for)| *given_for == episode).map(|(role, _)| *role)
    }

    /// Whether `person` holds a role of whatever episode.
    pub fn holds_role(&self, person: PersonId) -> bool {
        self.roles.contains_key(&person)
    }

    /// Those who are admins here, with the episode of membership it counts for.
    pub fn admins(&self) -> impl Iterator<Item = (PersonId, u32)> {
        self.roles.iter().filter(|(_, (role, _))| *role == Role::Admin).map(|(person, (_, episode))| (*person, *episode))
    }

    fn is_last_admin(&self, person: PersonId) -> bool {
        let is_admin = |(role, _): &(Role, u32)| *role == Role::Admin;
        self.roles.get(&person).is_some_and(is_admin) && self.roles.values().filter(|held| is_admin(held)).count() == 1
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The id is taken by a group.
    #[error("this group exists already")]
    AlreadyExists,
    /// Secret groups grow by invitation alone.
    #[error("a secret group is invite-only")]
    SecretIsInviteOnly,
    /// What was written before a change has readers of its own for ever.
    #[error("a group's privacy changes once a day at most")]
    PrivacyChangedRecently {
        /// From then on it may.
        again: Timestamp,
    },
    /// Somebody must be able to decide.
    #[error("the last admin can neither leave nor be demoted; make somebody else admin first")]
    LastAdmin,
    /// Roles are for members.
    #[error("this person is not a member of the group")]
    NotAMember,
    /// Moderators do not act against admins.
    #[error("moderators may not act against admins")]
    NotAgainstAdmins,
    /// A ban ends in the future.
    #[error("a ban's end must lie in the future")]
    UntilInPast,
    /// Nobody removes or bans themselves; they leave.
    #[error("this cannot be done to oneself; leave instead")]
    NotYourself,
    /// Who is to hold a role must first be bound: see [`crate::membership::Command::BindMember`].
    #[error("this person's membership is not bound to the group yet")]
    NotBound,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::AlreadyExists => "already_exists",
            Self::SecretIsInviteOnly => "secret_is_invite_only",
            Self::PrivacyChangedRecently { .. } => "privacy_changed_recently",
            Self::LastAdmin => "last_admin",
            Self::NotAMember => "not_a_member",
            Self::NotAgainstAdmins => "not_against_admins",
            Self::UntilInPast => "until_in_past",
            Self::NotYourself => "not_yourself",
            Self::NotBound => "not_bound",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::AlreadyExists | Self::LastAdmin | Self::NotYourself | Self::NotBound | Self::PrivacyChangedRecently { .. } => {
                Kind::Conflict
            }
            Self::SecretIsInviteOnly | Self::UntilInPast => Kind::Invalid,
            Self::NotAMember => Kind::NotFound,
            Self::NotAgainstAdmins => Kind::Forbidden,
        }
    }

    fn details(&self) -> Option<Value> {
        let Self::PrivacyChangedRecently { again } = self else { return None };
        Some(json!({ "again_at": again }))
    }
}

impl Decider for Group {
    const CATEGORY: &'static str = "group";
    const STREAM: (&'static str, &'static str) = ("GROUP", "a group's settings and roles");
    /// What a program of the next version knows besides (docs/adr/0007-a-next-version-for-one-test.md).
    #[cfg(feature = "next")]
    const UPCASTS: &'static [crate::Upcast] = &[crate::Upcast { from: "group.renamed.v2", to: "group.renamed.v1", step: |_| () }];
    const FLOW: Option<Flow<Self>> = Some(flow);
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::CreateGroup { .. } | Command::DropRole { .. } => vec![],
            Command::ChangeGroup { by, .. } | Command::SetPicture { by, .. } => vec![Rights::Group(by)],
            Command::GiveRole { by, to: who, .. } | Command::Depart { by, who, .. } => vec![Rights::Group(by), Rights::Group(who)],
            Command::AppointAdmin { members } => members.iter_mut().map(Rights::Group).collect(),
        }
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        match command {
            Command::CreateGroup { name, description, privacy, membership } => {
                self.create(name, description.as_ref(), *privacy, *membership, context)
            }
            Command::ChangeGroup { by, changes } => {
                by.may(Action::Administer)?;
                self.change(changes, context)
            }
            Command::SetPicture { by, picture } => {
                by.may(Action::Administer)?;
                Ok(self.show(*picture))
            }
            Command::GiveRole { by, to, role } => self.give_role(by, to, *role),
            Command::Depart { by, who, departure } => self.depart(by, who, departure, context.now),
            Command::AppointAdmin { members } => Ok(self.appoint(members)),
            Command::DropRole { person, episode } if self.role_of(*person, *episode).is_some() && !self.is_last_admin(*person) => {
                Ok(vec![Event::RoleWithdrawn { person: *person, episode: *episode, departure: None }])
            }
            Command::DropRole { .. } => Ok(vec![]),
        }
    }

    fn heap(&self) -> usize {
        self.eras.heap() + weight::of_map(&self.roles) + weight::of_map(&self.departed)
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        let group = TextOwner::Group(GroupId(written.stream.id().unwrap_or_default()));
        match event {
            Event::Created { name, description, .. } => {
                name.give(group);
                if let Some(description) = description {
                    description.give(group);
                }
            }
            Event::Renamed { name } => name.give(group),
            Event::Described { description: Some(description) } => description.give(group),
            Event::RoleWithdrawn { person, departure: Some(departure), .. } => departure.give(TextOwner::Decisions(person.0)),
            Event::Described { description: None }
            | Event::PrivacyChanged { .. }
            | Event::PolicyChanged { .. }
            | Event::MemberInvitationsSwitched { .. }
            | Event::MemberListSwitched { .. }
            | Event::HistoryChanged { .. }
            | Event::PictureSet { .. }
            | Event::RoleGiven { .. }
            | Event::RoleWithdrawn { departure: None, .. } => {}
        }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let id = GroupId(stream.id()?);
        let of = |thing, right| Change::of(thing, Readers::Group(id, right));
        Some(match event {
            Event::Created { .. } => of(Thing::Group(id), InGroup::Seen).revised(),
            Event::Renamed { .. }
            | Event::Described { .. }
            | Event::PrivacyChanged { .. }
            | Event::PolicyChanged { .. }
            | Event::MemberInvitationsSwitched { .. }
            | Event::MemberListSwitched { .. }
            | Event::HistoryChanged { .. }
            | Event::PictureSet { .. } => of(Thing::Group(id), InGroup::Settings).revised(),
            Event::RoleGiven { person, role, episode } => {
                of(Thing::Membership(id, *person), InGroup::Member { person: *person, episode: *episode, role: Some(*role) })
            }
            Event::RoleWithdrawn { person, .. } => of(Thing::Membership(id, *person), InGroup::Demoted { person: *person }),
        })
    }

    fn notices(stream: &StreamName, event: &Event) -> Vec<Notice> {
        let (Some(id), Event::RoleGiven { person, role, .. }) = (stream.id().map(GroupId), event) else { return vec![] };
        vec![Notice::of(NoticeKind::RoleGiven, To::Person(*person), Thing::Group(id)).with("role", &role.word())]
    }

    fn concerns(&self, _: &StreamName, event: &Event, _: Option<&Command>) -> Vec<PersonId> {
        match event {
            Event::RoleGiven { person, .. } | Event::RoleWithdrawn { person, .. } => vec![*person],
            _ => vec![],
        }
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Group(event) = event { Some(event) } else { None }
    }

    fn evolve(mut self, event: &Event, at: Timestamp) -> Self {
        match event.clone() {
            Event::Created { name, description, privacy, membership, founder } => {
                self.settings = Settings { membership, ..Settings::default() };
                (self.name, self.description) = (digest_of(Some(&name)), digest_of(description.as_ref()));
                self.eras = Eras::beginning(privacy);
                self.roles.insert(founder, (Role::Admin, 1));
            }
            Event::Renamed { name } => self.name = digest_of(Some(&name)),
            Event::Described { description } => self.description = digest_of(description.as_ref()),
            Event::PrivacyChanged { privacy } => self.eras.change(privacy, at),
            Event::PolicyChanged { membership } => self.settings.membership = membership,
            Event::MemberInvitationsSwitched { on } => self.settings.members_invite = on,
            Event::MemberListSwitched { public } => self.settings.member_list_public = public,
            Event::HistoryChanged { history } => self.settings.history = history,
            Event::PictureSet { media, number, .. } => (self.picture, self.pictures) = (media, number),
            Event::RoleGiven { person, role, episode } => {
                self.roles.insert(person, (role, episode));
            }
            Event::RoleWithdrawn { person, episode, departure } => {
                self.roles.remove(&person);
                if departure.is_some() {
                    self.departed.insert(person, episode);
                }
            }
        }
        self
    }

    fn scope(&self, key: &str) -> Option<Scope> {
        let group = key.parse().ok()?;
        self.exists().then(|| Scope { owner: Owner::Group(group), privacy: self.privacy(), era: self.era() })
    }
}

/// Who founds a group is its first member; whoever departs by way of the group's stream does so in their own.
fn flow(stream: &StreamName, event: &Event) -> Vec<FollowUp> {
    let Some(group) = stream.id().map(GroupId) else { return vec![] };
    let of = |person, command| vec![FollowUp::new::<Membership>(membership::stream(group, person), command)];
    match event {
        Event::Created { founder, .. } => of(*founder, membership::Command::FoundGroup),
        Event::RoleWithdrawn { person, episode, departure: Some(departure) } => {
            of(*person, membership::Command::EndMembership { episode: *episode, departure: departure.clone() })
        }
        Event::PictureSet { media, previous, number } => media::shown(Holder::Group(group), *number, *media, *previous),
        _ => vec![],
    }
}

fn digest_of(text: Option<&Communal<String>>) -> u64 {
    digest(text.and_then(Communal::get).map(String::as_str))
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Created {
        name: communal("Alpine Club"),
        description: Some(communal("Walks above 2,000 m")),
        privacy: Privacy::Closed,
        membership: Policy::Request,
        founder: person(1),
    }
    Renamed { name: communal("Alpine \"Friends\"") }
    Described { description: Some(communal("Walks\nand huts")) }
    PrivacyChanged { privacy: Privacy::Secret }
    PolicyChanged { membership: Policy::InviteOnly }
    MemberInvitationsSwitched { on: false }
    MemberListSwitched { public: false }
    HistoryChanged { history: History::SinceJoining }
    PictureSet { media: Some(MediaId(id(0x82))), previous: Some(MediaId(id(0x81))), number: 2 }
    RoleGiven { person: person(2), role: Role::Moderator, episode: 1 }
    RoleWithdrawn { person: person(2), episode: 1, departure: Some(Departure::Banned { reason: text("sold tickets"), until: Some(NOON) }) }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
