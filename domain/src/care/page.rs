//! A page: the voice of a business or a cause, kept by its staff.

use crate::access::{Denied, Key, Owner, Privacy, Scope};
use crate::change::{Change, Readers};
use crate::fan::Fan;
use crate::flow::{Flow, FollowUp};
use crate::media::{self, Holder, Picture};
use crate::notice::{Notice, NoticeKind, To};
use crate::stance::Rights;
use crate::stance::Voice;
use crate::thing::Thing;
use crate::values::word::words;
use crate::weight;
use crate::{Context, Decider, Kind, MediaId, Name, Named, PageId, PersonId, Rejection, StreamName, Timestamp, Written};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

words! {
    /// What somebody is on a page's staff. The rights do not nest: see [`StaffAct`].
    pub enum StaffRole {
        /// Decides on the page itself.
        Owner = "owner",
        /// Writes for the page.
        Editor = "editor",
        /// Looks after those who write to the page.
        CareAgent = "care_agent",
    }
}

/// What staff may do, as far as their roles differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StaffAct {
    /// Post as the page, edit and remove what it posted.
    Post,
    /// Like and reply in public as the page.
    Reply,
    /// Write to persons, read the inbox, set conversations done.
    Care,
    /// Look at the page's figures.
    Inspect,
    /// Staff, settings, name.
    Own,
}

impl StaffRole {
    /// The table of rights.
    pub const fn may(self, act: StaffAct) -> bool {
        match self {
            Self::Owner => true,
            Self::Editor => matches!(act, StaffAct::Post | StaffAct::Reply | StaffAct::Inspect),
            Self::CareAgent => matches!(act, StaffAct::Reply | StaffAct::Care | StaffAct::Inspect),
        }
    }
}

/// What a page begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Founding {
    /// Its name.
    pub name: String,
    /// Its first owner.
    pub owner: PersonId,
}

/// What may be asked of a page's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Creates the page; follows from the claim of its username.
    CreatePage {
        /// The username as it is written.
        username: String,
        /// Name and owner.
        founding: Founding,
    },
    /// Takes another username; follows from the claim.
    TakeUsername {
        /// As it is written.
        username: String,
    },
    /// Changes what the page says of itself.
    ChangePage {
        /// An owner.
        by: PageStanding,
        /// The new name; `None` leaves it.
        name: Option<Name>,
    },
    /// Shows another picture, or none.
    SetPicture {
        /// An owner.
        by: PageStanding,
        /// Which.
        picture: Option<Picture>,
    },
    /// Offers somebody a place on the staff, or to own the page; or changes at once what somebody on the staff is there.
    GiveStaffRole {
        /// An owner.
        by: PageStanding,
        /// Whom.
        person: PersonId,
        /// As what.
        role: StaffRole,
    },
    /// Takes the place that was offered.
    AcceptStaffRole {
        /// To whom it was offered.
        by: PageStanding,
    },
    /// Turns the offer down.
    DeclineStaffRole {
        /// To whom it was made.
        by: PageStanding,
    },
    /// Takes somebody off the staff, or an offer back; staff may also go by themselves.
    WithdrawStaffRole {
        /// An owner, or the person.
        by: PageStanding,
        /// Whom.
        person: PersonId,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::CreatePage { .. } => "CreatePage",
            Self::TakeUsername { .. } => "TakeUsername",
            Self::ChangePage { .. } => "ChangePage",
            Self::SetPicture { .. } => "SetPagePicture",
            Self::GiveStaffRole { .. } => "GiveStaffRole",
            Self::AcceptStaffRole { .. } => "AcceptStaffRole",
            Self::DeclineStaffRole { .. } => "DeclineStaffRole",
            Self::WithdrawStaffRole { .. } => "WithdrawStaffRole",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The page came to be.
    #[serde(rename = "page.created.v1")]
    Created {
        /// Its name.
        name: String,
        /// Its username as it is written.
        username: String,
        /// Its first owner.
        owner: PersonId,
    },
    /// It has another name.
    #[serde(rename = "page.renamed.v1")]
    Renamed {
        /// The new one.
        name: String,
    },
    /// It has another username; the old one leads to it still.
    #[serde(rename = "page.username_changed.v1")]
    UsernameChanged {
        /// The new one as it is written.
        username: String,
        /// The old one.
        previous: String,
    },
    /// Another picture shows it, or none.
    #[serde(rename = "page.picture_set.v1")]
    PictureSet {
        /// The picture.
        media: Option<MediaId>,
        /// The one before.
        previous: Option<MediaId>,
        /// How often it has changed, with this time.
        number: u32,
    },
    /// An owner offers somebody a place on the staff.
    #[serde(rename = "page.staff_offered.v1")]
    StaffOffered {
        /// To whom.
        person: PersonId,
        /// As what.
        role: StaffRole,
        /// The owner.
        by: PersonId,
    },
    /// The offer was turned down, or taken back.
    #[serde(rename = "page.staff_offer_ended.v1")]
    StaffOfferEnded {
        /// To whom it was made.
        person: PersonId,
    },
    /// Somebody is on the staff, or is something else there.
    #[serde(rename = "page.staff_given.v1")]
    StaffGiven {
        /// Who.
        person: PersonId,
        /// As what.
        role: StaffRole,
    },
    /// Somebody is off the staff.
    #[serde(rename = "page.staff_withdrawn.v1")]
    StaffWithdrawn {
        /// Who.
        person: PersonId,
    },
}

/// The fold of a page's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    name: String,
    username: String,
    picture: Option<MediaId>,
    /// How often it has changed.
    pictures: u32,
    staff: BTreeMap<PersonId, StaffRole>,
    /// To whom a place on the staff is offered: as what, and by which owner.
    offers: BTreeMap<PersonId, (StaffRole, PersonId)>,
}

/// The stream of a page.
pub fn stream(id: PageId) -> StreamName {
    crate::stream::<Page>(id)
}

impl Page {
    /// Whether it has been created. A page is never without an owner.
    pub fn exists(&self) -> bool {
        !self.staff.is_empty()
    }

    /// What somebody is on the staff.
    pub fn role_of(&self, person: PersonId) -> Option<StaffRole> {
        self.staff.get(&person).copied()
    }

    /// What is offered to somebody, by whoever is an owner still.
    pub fn offer_to(&self, person: PersonId) -> Option<StaffRole> {
        let (role, by) = self.offers.get(&person)?;
        (self.role_of(*by) == Some(StaffRole::Owner)).then_some(*role)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its username as it is written.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The picture that shows it.
    pub const fn picture(&self) -> Option<MediaId> {
        self.picture
    }

    /// Nobody comes to a page's staff unasked, nor comes to own it; what else somebody on the staff is there changes at once.
    fn give(&self, by: &PageStanding, person: PersonId, role: StaffRole) -> Result<Vec<Event>, Error> {
        let owner = by.may(StaffAct::Own)?;
        match self.role_of(person) {
            Some(held) if held == role => Ok(vec![]),
            Some(StaffRole::Owner) if self.is_last_owner(person) => Err(Error::LastOwner),
            Some(_) if role != StaffRole::Owner => Ok(vec![Event::StaffGiven { person, role }]),
            _ if self.offer_to(person) == Some(role) => Ok(vec![]),
            _ => Ok(vec![Event::StaffOffered { person, role, by: owner }]),
        }
    }

    fn is_last_owner(&self, person: PersonId) -> bool {
        let owners = self.staff.values().filter(|role| **role == StaffRole::Owner).count();
        self.role_of(person) == Some(StaffRole::Owner) && owners == 1
    }
}

/// What a person is to a page, folded from the page's stream and from theirs with it.
#[derive(Debug, Clone)]
pub struct PageStanding {
    person: Option<PersonId>,
    bot: bool,
    page_id: PageId,
    page: Arc<Page>,
    fan: Arc<Fan>,
    unread: Unread,
}

/// What of a standing cannot be read; see [`crate::access::Unread`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread {
    /// The page's stream, from some event on.
    pub page: bool,
    /// The person's with it.
    pub fan: bool,
}

impl PageStanding {
    /// The standing of `person` (or of nobody signed in); `bot` is a claim of their token.
    pub const fn new(person: Option<PersonId>, bot: bool, page_id: PageId, page: Arc<Page>, fan: Arc<Fan>) -> Self {
        Self { person, bot, page_id, page, fan, unread: Unread { page: false, fan: false } }
    }

    /// The same standing, of which something cannot be read.
    #[must_use]
    pub const fn without(mut self, unread: Unread) -> Self {
        self.unread = unread;
        self
    }

    /// Takes on how things are now, and what of them cannot be read.
    pub fn renew(&mut self, page: Arc<Page>, fan: Arc<Fan>, unread: Unread) {
        (self.page, self.fan, self.unread) = (page, fan, unread);
    }

    /// Whether all that it is folded from can be read. Staff are staff whatever they are as fans.
    pub fn whole(&self) -> Result<(), Denied> {
        self.whole_page()?;
        if self.unread.fan && self.role().is_none() { Err(Denied::Unreadable) } else { Ok(()) }
    }

    /// Whether the page, whatever the person is to it, can be read.
    pub const fn whole_page(&self) -> Result<(), Denied> {
        if self.unread.page { Err(Denied::Unreadable) } else { Ok(()) }
    }

    /// Whether it can be read what the person is to the page as one of the public.
    pub const fn whole_fan(&self) -> Result<(), Denied> {
        if self.unread.fan { Err(Denied::Unreadable) } else { Ok(()) }
    }

    /// Who it is, if somebody is signed in.
    pub const fn person(&self) -> Option<PersonId> {
        self.person
    }

    /// Whether the caller is a bot.
    pub const fn bot(&self) -> bool {
        self.bot
    }

    /// The page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// The page's id.
    pub const fn page_id(&self) -> PageId {
        self.page_id
    }

    /// What they are to it as one of the public.
    pub fn fan(&self) -> &Fan {
        &self.fan
    }

    /// What they are on the staff.
    pub fn role(&self) -> Option<StaffRole> {
        self.person.filter(|_| !self.unread.page).and_then(|person| self.page.role_of(person))
    }

    /// The scope of what is written on the page.
    pub const fn scope(&self) -> Scope {
        Scope { owner: Owner::Page(self.page_id), privacy: Privacy::Public, era: 0 }
    }

    /// The key to everything on the page: pages are public.
    pub fn keys(&self) -> Vec<Key> {
        if self.page.exists() { vec![Key::always(self.scope().owner.place(), 0, 0)] } else { vec![] }
    }

    /// Whether the page is there to be seen: by everyone.
    pub fn sees(&self) -> Result<(), Denied> {
        if self.page.exists() { Ok(()) } else { Err(Denied::Unknown) }
    }

    /// The caller as one of the public: whoever is signed in.
    pub fn as_fan(&self) -> Result<PersonId, Denied> {
        self.sees()?;
        self.person.ok_or(Denied::Anonymous)
    }

    /// The caller as staff, if their role covers `act`.
    pub fn may(&self, act: StaffAct) -> Result<PersonId, Denied> {
        let person = self.as_fan()?;
        self.whole_page()?;
        match self.role() {
            Some(role) if role.may(act) => Ok(person),
            _ if act == StaffAct::Own => Err(Denied::OwnersOnly),
            _ => Err(Denied::StaffOnly),
        }
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Somebody must be able to decide.
    #[error("the last owner stays; make somebody else owner first")]
    LastOwner,
    /// Nobody to take off.
    #[error("this person is not on the page's staff")]
    NotOnStaff,
    /// Nothing to accept or decline.
    #[error("no place on this page's staff is offered to you")]
    NoOffer,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::LastOwner => "last_owner",
            Self::NotOnStaff => "not_on_staff",
            Self::NoOffer => "no_offer",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::LastOwner => Kind::Conflict,
            Self::NotOnStaff | Self::NoOffer => Kind::NotFound,
        }
    }
}

impl Decider for Page {
    const CATEGORY: &'static str = "page";
    const STREAM: (&'static str, &'static str) = ("PAGE", "a page and its staff");
    const FLOW: Option<Flow<Self>> = Some(flow);
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::CreatePage { .. } | Command::TakeUsername { .. } => vec![],
            Command::ChangePage { by, .. }
            | Command::SetPicture { by, .. }
            | Command::GiveStaffRole { by, .. }
            | Command::AcceptStaffRole { by }
            | Command::DeclineStaffRole { by }
            | Command::WithdrawStaffRole { by, .. } => vec![Rights::Page(by)],
        }
    }

    fn decide(&self, command: &Command, _: &Context) -> Result<Vec<Event>, Error> {
        match command {
            Command::CreatePage { username, founding: Founding { name, owner } } if !self.exists() => {
                Ok(vec![Event::Created { name: name.clone(), username: username.clone(), owner: *owner }])
            }
            Command::CreatePage { .. } => Ok(vec![]),
            Command::TakeUsername { username } if !self.exists() || *username == self.username => Ok(vec![]),
            Command::TakeUsername { username } => {
                Ok(vec![Event::UsernameChanged { username: username.clone(), previous: self.username.clone() }])
            }
            Command::ChangePage { by, name } => {
                by.may(StaffAct::Own)?;
                let another = name.iter().filter(|name| name.as_str() != self.name);
                Ok(another.map(|name| Event::Renamed { name: name.as_str().to_owned() }).collect())
            }
            Command::SetPicture { by, picture } => {
                by.may(StaffAct::Own)?;
                let media = picture.map(Picture::id);
                let set = Event::PictureSet { media, previous: self.picture, number: self.pictures + 1 };
                Ok((media != self.picture).then_some(set).into_iter().collect())
            }
            Command::GiveStaffRole { by, person, role } => self.give(by, *person, *role),
            Command::AcceptStaffRole { by } => {
                let person = by.as_fan()?;
                match self.offer_to(person) {
                    Some(role) => Ok(vec![Event::StaffGiven { person, role }]),
                    None => Err(Error::NoOffer),
                }
            }
            Command::DeclineStaffRole { by } => {
                let person = by.as_fan()?;
                self.offer_to(person).map(|_| vec![Event::StaffOfferEnded { person }]).ok_or(Error::NoOffer)
            }
            Command::WithdrawStaffRole { by, person } => {
                if by.as_fan()? != *person {
                    by.may(StaffAct::Own)?;
                }
                match self.role_of(*person) {
                    None if self.offers.contains_key(person) => Ok(vec![Event::StaffOfferEnded { person: *person }]),
                    None => Err(Error::NotOnStaff),
                    Some(_) if self.is_last_owner(*person) => Err(Error::LastOwner),
                    Some(_) => Ok(vec![Event::StaffWithdrawn { person: *person }]),
                }
            }
        }
    }

    fn evolve(mut self, event: &Event, _: Timestamp) -> Self {
        match event.clone() {
            Event::Created { name, username, owner } => {
                (self.name, self.username) = (name, username);
                self.staff.insert(owner, StaffRole::Owner);
            }
            Event::Renamed { name } => self.name = name,
            Event::UsernameChanged { username, .. } => self.username = username,
            Event::PictureSet { media, number, .. } => (self.picture, self.pictures) = (media, number),
            Event::StaffOffered { person, role, by } => {
                self.offers.insert(person, (role, by));
            }
            Event::StaffOfferEnded { person } => {
                self.offers.remove(&person);
            }
            Event::StaffGiven { person, role } => {
                self.offers.remove(&person);
                self.staff.insert(person, role);
            }
            Event::StaffWithdrawn { person } => {
                self.offers.remove(&person);
                self.staff.remove(&person);
            }
        }
        self
    }

    fn heap(&self) -> usize {
        weight::of_text(self.name.len()) + weight::of_text(self.username.len()) + weight::of_map(&self.staff)
    }

    /// No text in them is a person's.
    fn own_texts(_: &mut Event, _: &Written<'_>) {}

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let id = PageId(stream.id()?);
        let readers = match event {
            Event::Created { .. } | Event::Renamed { .. } | Event::UsernameChanged { .. } | Event::PictureSet { .. } => Readers::Page(id),
            Event::StaffOffered { person, .. }
            | Event::StaffOfferEnded { person }
            | Event::StaffGiven { person, .. }
            | Event::StaffWithdrawn { person } => Readers::Staff(id, *person),
        };
        Some(Change::of(Thing::Page(id), readers).revised())
    }

    fn notices(stream: &StreamName, event: &Event) -> Vec<Notice> {
        let Some(id) = stream.id().map(PageId) else { return vec![] };
        let of =
            |kind, person: &PersonId, role: &StaffRole| Notice::of(kind, To::Person(*person), Thing::Page(id)).with("role", &role.word());
        match event {
            Event::StaffOffered { person, role, by } => vec![of(NoticeKind::Invited, person, role).by(Voice::Person(*by))],
            Event::StaffGiven { person, role } => vec![of(NoticeKind::RoleGiven, person, role)],
            _ => vec![],
        }
    }

    fn concerns(&self, _: &StreamName, event: &Event, _: Option<&Command>) -> Vec<PersonId> {
        match event {
            Event::StaffOffered { person, .. }
            | Event::StaffOfferEnded { person }
            | Event::StaffGiven { person, .. }
            | Event::StaffWithdrawn { person } => vec![*person],
            Event::Created { .. } | Event::Renamed { .. } | Event::UsernameChanged { .. } | Event::PictureSet { .. } => vec![],
        }
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Page(event) = event { Some(event) } else { None }
    }

    fn scope(&self, key: &str) -> Option<Scope> {
        let page = key.parse().ok()?;
        self.exists().then_some(Scope { owner: Owner::Page(page), privacy: Privacy::Public, era: 0 })
    }
}

fn flow(stream: &StreamName, event: &Event) -> Vec<FollowUp> {
    let (Some(id), Event::PictureSet { media, previous, number }) = (stream.id(), event) else { return vec![] };
    media::shown(Holder::Page(PageId(id)), *number, *media, *previous)
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Created { name: "Forno".to_owned(), username: "forno.roma".to_owned(), owner: person(1) }
    Renamed { name: "Forno Vecchio".to_owned() }
    UsernameChanged { username: "forno.vecchio".to_owned(), previous: "forno.roma".to_owned() }
    StaffOffered { person: person(2), role: StaffRole::CareAgent, by: person(1) }
    StaffOfferEnded { person: person(2) }
    StaffGiven { person: person(2), role: StaffRole::CareAgent }
    StaffWithdrawn { person: person(2) }
    PictureSet { media: Some(MediaId(id(0x82))), previous: Some(MediaId(id(0x81))), number: 2 }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
