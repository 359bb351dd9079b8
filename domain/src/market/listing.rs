//! A listing: offered in a group, edited, repriced, sold, offered again, withdrawn.

use crate::access::{Action, Denied, Role, Standing};
use crate::change::{Change, Content, Readers};
use crate::stance::Rights;
use crate::stance::Voice;
use crate::thing::Thing;
use crate::weight;
use crate::{
    Comment, Context, Decider, Kind, ListingId, Money, Named, PersonId, Personal, Price, Reason, Rejection, Slug, StreamName, Text,
    TextOwner, Timestamp, Title, Written,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How the thing is handed over.
pub type Handover = Text<1, 1_000>;

/// In what state the thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nobody used it.
    New,
    /// Used, and made good again.
    Refurbished,
    /// Used.
    Used,
}

/// What is offered, as somebody describes it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// In a line.
    pub title: Title,
    /// At length.
    pub description: Comment,
    /// Under what it is found.
    pub category: Slug,
    /// In what state it is.
    pub condition: Condition,
    /// For how much.
    pub price: Price,
    /// How to pick it up, if one may.
    pub pickup: Option<Handover>,
    /// How it is sent, if it is.
    pub delivery: Option<Handover>,
}

/// What a patch may name; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// In a line.
    pub title: Option<Title>,
    /// At length.
    pub description: Option<Comment>,
    /// Under what it is found.
    pub category: Option<Slug>,
    /// In what state it is.
    pub condition: Option<Condition>,
    /// For how much.
    pub price: Option<Price>,
    /// How to pick it up; `Some(None)` for no longer.
    pub pickup: Option<Option<Handover>>,
    /// How it is sent; `Some(None)` for no longer.
    pub delivery: Option<Option<Handover>>,
}

/// What may be asked of a listing's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Offers something.
    PostListing {
        /// Who offers it.
        by: Standing,
        /// What.
        draft: Draft,
    },
    /// Changes the description, the price or both, all or none.
    EditListing {
        /// The seller.
        by: Standing,
        /// The changes.
        changes: Changes,
    },
    /// Changes the price alone.
    Reprice {
        /// The seller.
        by: Standing,
        /// The new one.
        price: Price,
    },
    /// Says that it is sold.
    MarkSold {
        /// The seller.
        by: Standing,
        /// To whom, if that is to be told.
        to: Option<PersonId>,
        /// For how much, if that is to be told.
        price: Option<Price>,
    },
    /// Offers it again.
    MarkAvailable {
        /// The seller.
        by: Standing,
    },
    /// Offers it no longer.
    WithdrawListing {
        /// The seller, or a moderator.
        by: Standing,
        /// Why; a moderator has to say.
        reason: Option<Reason>,
    },
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::PostListing { .. } => "PostListing",
            Self::EditListing { .. } => "EditListing",
            Self::Reprice { .. } => "Reprice",
            Self::MarkSold { .. } => "MarkSold",
            Self::MarkAvailable { .. } => "MarkAvailable",
            Self::WithdrawListing { .. } => "WithdrawListing",
        }
    }
}

/// What is offered, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Details {
    /// In a line.
    pub title: Personal<String>,
    /// At length.
    pub description: Personal<String>,
    /// Under what it is found.
    pub category: String,
    /// In what state it is.
    pub condition: Condition,
    /// How to pick it up, if one may.
    pub pickup: Option<Personal<String>>,
    /// How it is sent, if it is.
    pub delivery: Option<Personal<String>>,
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Something is on offer: its first episode.
    #[serde(rename = "listing.posted.v1")]
    Posted {
        /// Who offers it.
        seller: PersonId,
        /// What.
        details: Details,
        /// For how much.
        price: Money,
    },
    /// It is described differently.
    #[serde(rename = "listing.edited.v1")]
    Edited {
        /// All of the description, as it is now.
        details: Details,
    },
    /// It costs more or less.
    #[serde(rename = "listing.repriced.v1")]
    Repriced {
        /// The episode on offer.
        episode: u32,
        /// From now on.
        price: Money,
        /// Until now.
        previous: Money,
    },
    /// It is sold; the episode ends.
    #[serde(rename = "listing.sold.v1")]
    Sold {
        /// The episode that ends.
        episode: u32,
        /// What was asked for it.
        asked: Money,
        /// To whom, if that was told.
        to: Option<PersonId>,
        /// For how much, if that was told.
        price: Option<Money>,
    },
    /// It is on offer again; an episode begins.
    #[serde(rename = "listing.made_available.v1")]
    MadeAvailable {
        /// The episode that begins.
        episode: u32,
        /// For how much.
        price: Money,
    },
    /// It is offered no longer, nor shown among what was sold.
    #[serde(rename = "listing.withdrawn.v1")]
    Withdrawn {
        /// The episode that ends; none if it was not on offer.
        episode: Option<u32>,
        /// The seller, or who keeps order.
        by: PersonId,
        /// Why.
        reason: Option<Personal<String>>,
    },
}

/// A sale, as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// To whom.
    pub to: Option<PersonId>,
    /// For how much.
    pub price: Option<Money>,
    /// When.
    pub at: Timestamp,
}

/// Whether it can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It can.
    ForSale,
    /// Somebody has it.
    Sold(Sale),
    /// It cannot.
    Withdrawn {
        /// Whether the seller said so; then they may offer it again.
        by_seller: bool,
    },
}

/// Something that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who offers it.
    pub seller: PersonId,
    /// What.
    pub details: Details,
    /// For how much.
    pub price: Money,
    /// The last episode on offer, from 1.
    pub episode: u32,
    /// Whether it can be had.
    pub status: Status,
}

/// The fold of a listing's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Listing {
    /// Nothing was offered.
    #[default]
    Absent,
    /// Something was.
    Offered(Box<Offer>),
}

/// The stream of a listing.
pub fn stream(id: ListingId) -> StreamName {
    crate::stream::<Listing>(id)
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The id is taken by a listing.
    #[error("this listing exists already")]
    AlreadyExists,
    /// Neither the seller nor, where they may, a moderator.
    #[error("only the seller may do this; moderators and admins may withdraw a listing")]
    NotTheSeller,
    /// It was sold otherwise before.
    #[error("it is sold already")]
    AlreadySold(Sale),
    /// It is not on offer.
    #[error("the listing is withdrawn")]
    Withdrawn,
    /// The seller cannot undo that.
    #[error("a moderator withdrew the listing")]
    WithdrawnByModerator,
    /// A moderator has to say why.
    #[error("a reason is needed to withdraw somebody else's listing")]
    ReasonNeeded,
    /// Nobody sells to themselves.
    #[error("the seller cannot be the buyer")]
    SoldToSeller,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::AlreadyExists => "already_exists",
            Self::NotTheSeller => "not_the_seller",
            Self::AlreadySold(_) => "already_sold",
            Self::Withdrawn => "listing_withdrawn",
            Self::WithdrawnByModerator => "withdrawn_by_moderator",
            Self::ReasonNeeded => "reason_needed",
            Self::SoldToSeller => "sold_to_seller",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::NotTheSeller => Kind::Forbidden,
            Self::AlreadyExists | Self::AlreadySold(_) | Self::Withdrawn | Self::WithdrawnByModerator => Kind::Conflict,
            Self::ReasonNeeded | Self::SoldToSeller => Kind::Invalid,
        }
    }

    /// Only the seller comes far enough to read this: rights are checked before.
    fn details(&self) -> Option<Value> {
        let Self::AlreadySold(Sale { to, price, at }) = self else { return None };
        Some(json!({ "sold_at": at, "sold_to": to, "price": price }))
    }
}

impl Decider for Listing {
    const CATEGORY: &'static str = "listing";
    const STREAM: (&'static str, &'static str) = ("LISTING", "something on offer");
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(command: &mut Command) -> Vec<Rights<'_>> {
        match command {
            Command::PostListing { by, .. }
            | Command::EditListing { by, .. }
            | Command::Reprice { by, .. }
            | Command::MarkSold { by, .. }
            | Command::MarkAvailable { by, .. }
            | Command::WithdrawListing { by, .. } => vec![Rights::Group(by)],
        }
    }

    fn decide(&self, command: &Command, _: &Context) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Absent, Command::PostListing { by, draft }) => {
                let seller = by.may(Action::Contribute)?;
                Ok(vec![Event::Posted { seller, details: draft.details(TextOwner::Person(seller)), price: draft.price.money() }])
            }
            (Self::Offered(_), Command::PostListing { .. }) => Err(Error::AlreadyExists),
            (Self::Absent, _) => Err(Denied::Unknown.into()),
            (Self::Offered(offer), Command::EditListing { by, changes }) => offer.edit(by, changes),
            (Self::Offered(offer), Command::Reprice { by, price }) => {
                offer.edit(by, &Changes { price: Some(*price), ..Changes::default() })
            }
            (Self::Offered(offer), Command::MarkSold { by, to, price }) => offer.sell(by, *to, price.map(Price::money)),
            (Self::Offered(offer), Command::MarkAvailable { by }) => offer.offer_again(by),
            (Self::Offered(offer), Command::WithdrawListing { by, reason }) => offer.withdraw(by, reason.as_ref()),
        }
    }

    /// The texts are kept, not digests of them: an edit of one is stored with all others.
    fn heap(&self) -> usize {
        let Self::Offered(offer) = self else { return 0 };
        let Details { title, description, category, condition: _, pickup, delivery } = &offer.details;
        let texts = [Some(title), Some(description), pickup.as_ref(), delivery.as_ref()].into_iter().flatten();
        let texts = texts.filter_map(Personal::get).map(|text| weight::of_text(text.len()));
        size_of::<Offer>() + weight::of_text(category.len()) + texts.sum::<usize>()
    }

    fn own_texts(event: &mut Event, written: &Written<'_>) {
        match event {
            Event::Posted { seller, details, .. } => details.give(Some(TextOwner::Person(*seller))),
            Event::Edited { details } => details.give(written.begun),
            Event::Withdrawn { by, reason: Some(reason), .. } => {
                let own = TextOwner::Person(*by);
                reason.give(written.begun.map(|seller| if seller == own { own } else { seller.decisions() }));
            }
            Event::Withdrawn { reason: None, .. } | Event::Repriced { .. } | Event::Sold { .. } | Event::MadeAvailable { .. } => {}
        }
    }

    fn begins(event: &Event) -> Option<TextOwner> {
        if let Event::Posted { seller, .. } = event { Some(TextOwner::Person(*seller)) } else { None }
    }

    fn change(stream: &StreamName, event: &Event) -> Option<Change> {
        let id = ListingId(stream.id()?);
        let change = Change::of(Thing::Listing(id), Readers::Content(Content::Listing(id))).revised();
        Some(match event {
            Event::Posted { seller, .. } => change.by(Voice::Person(*seller)),
            Event::Edited { .. } => change.edited(),
            Event::Repriced { .. } | Event::Sold { .. } | Event::MadeAvailable { .. } | Event::Withdrawn { .. } => change,
        })
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Listing(event) = event { Some(event) } else { None }
    }

    fn evolve(self, event: &Event, at: Timestamp) -> Self {
        match (self, event) {
            (Self::Absent, Event::Posted { seller, details, price }) => {
                let (details, status) = (details.clone(), Status::ForSale);
                Self::Offered(Box::new(Offer { seller: *seller, details, price: *price, episode: 1, status }))
            }
            (Self::Offered(mut offer), event) => {
                offer.apply(event, at);
                Self::Offered(offer)
            }
            (Self::Absent, _) => Self::Absent,
        }
    }
}

impl Offer {
    fn edit(&self, by: &Standing, changes: &Changes) -> Result<Vec<Event>, Error> {
        self.seller(by)?;
        self.on_offer()?;
        let mut events = vec![];
        let details = self.details.with(changes, TextOwner::Person(self.seller));
        if details != self.details {
            events.push(Event::Edited { details });
        }
        if let Some(price) = changes.price.map(Price::money).filter(|price| *price != self.price) {
            events.push(Event::Repriced { episode: self.episode, price, previous: self.price });
        }
        Ok(events)
    }

    /// Saying the same again is no second sale.
    fn sell(&self, by: &Standing, to: Option<PersonId>, price: Option<Money>) -> Result<Vec<Event>, Error> {
        self.seller(by)?;
        if to == Some(self.seller) {
            return Err(Error::SoldToSeller);
        }
        match self.on_offer() {
            Ok(()) => Ok(vec![Event::Sold { episode: self.episode, asked: self.price, to, price }]),
            Err(Error::AlreadySold(sale)) if (sale.to, sale.price) == (to, price) => Ok(vec![]),
            Err(refusal) => Err(refusal),
        }
    }

    fn offer_again(&self, by: &Standing) -> Result<Vec<Event>, Error> {
        self.seller(by)?;
        match self.status {
            Status::ForSale => Ok(vec![]),
            Status::Withdrawn { by_seller: false } => Err(Error::WithdrawnByModerator),
            Status::Sold(_) | Status::Withdrawn { by_seller: true } => {
                Ok(vec![Event::MadeAvailable { episode: self.episode.saturating_add(1), price: self.price }])
            }
        }
    }

    /// A moderator's withdrawal counts over the seller's own, which they could undo.
    fn withdraw(&self, by: &Standing, reason: Option<&Reason>) -> Result<Vec<Event>, Error> {
        by.may(Action::Read)?;
        let person = by.may(Action::Contribute)?;
        let own = person == self.seller;
        match self.status {
            _ if !own && by.role() < Some(Role::Moderator) => Err(Error::NotTheSeller),
            _ if !own && reason.is_none() => Err(Error::ReasonNeeded),
            Status::Withdrawn { by_seller } if own || !by_seller => Ok(vec![]),
            _ => {
                let episode = matches!(self.status, Status::ForSale).then_some(self.episode);
                let owner = TextOwner::Person(self.seller);
                let reason = reason.map(|reason| reason.owned_by(if own { owner } else { owner.decisions() }));
                Ok(vec![Event::Withdrawn { episode, by: person, reason }])
            }
        }
    }

    fn seller(&self, by: &Standing) -> Result<(), Error> {
        by.may(Action::Read)?;
        let person = by.may(Action::Contribute)?;
        if person == self.seller { Ok(()) } else { Err(Error::NotTheSeller) }
    }

    fn on_offer(&self) -> Result<(), Error> {
        match &self.status {
            Status::ForSale => Ok(()),
            Status::Sold(sale) => Err(Error::AlreadySold(sale.clone())),
            Status::Withdrawn { .. } => Err(Error::Withdrawn),
        }
    }

    fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Posted { .. } => {}
            Event::Edited { details } => self.details.clone_from(details),
            Event::Repriced { price, .. } => self.price = *price,
            Event::Sold { to, price, .. } => self.status = Status::Sold(Sale { to: *to, price: *price, at }),
            Event::MadeAvailable { episode, .. } => (self.episode, self.status) = (*episode, Status::ForSale),
            Event::Withdrawn { by, .. } => self.status = Status::Withdrawn { by_seller: *by == self.seller },
        }
    }
}

impl Draft {
    fn details(&self, owner: TextOwner) -> Details {
        Details {
            title: self.title.owned_by(owner),
            description: self.description.owned_by(owner),
            category: self.category.as_str().to_owned(),
            condition: self.condition,
            pickup: self.pickup.as_ref().map(|text| text.owned_by(owner)),
            delivery: self.delivery.as_ref().map(|text| text.owned_by(owner)),
        }
    }
}

impl Details {
    /// Gives its texts to `owner`, those of them that belong to nobody.
    fn give(&mut self, owner: Option<TextOwner>) {
        let Self { title, description, category: _, condition: _, pickup, delivery } = self;
        for text in [title, description].into_iter().chain(pickup).chain(delivery) {
            text.give(owner);
        }
    }

    fn with(&self, changes: &Changes, owner: TextOwner) -> Self {
        let Changes { title, description, category, condition, price: _, pickup, delivery } = changes;
        Self {
            title: title.as_ref().map_or_else(|| self.title.owned_by(owner), |text| text.owned_by(owner)),
            description: description.as_ref().map_or_else(|| self.description.owned_by(owner), |text| text.owned_by(owner)),
            category: category.as_ref().map_or(&*self.category, Slug::as_str).to_owned(),
            condition: condition.unwrap_or(self.condition),
            pickup: change(self.pickup.as_ref(), pickup.as_ref(), owner),
            delivery: change(self.delivery.as_ref(), delivery.as_ref(), owner),
        }
    }
}

/// A text that a patch may change, take away, or leave.
fn change<const MIN: usize, const MAX: usize>(
    now: Option<&Personal<String>>,
    patch: Option<&Option<Text<MIN, MAX>>>,
    owner: TextOwner,
) -> Option<Personal<String>> {
    patch.map_or_else(|| now.map(|text| text.owned_by(owner)), |text| text.as_ref().map(|text| text.owned_by(owner)))
}

#[cfg(feature = "testing")]
fn ski(delivery: &str) -> Details {
    use crate::testing::samples::text;
    Details {
        title: text("Touring skis"),
        description: text("178 cm,\nwith \"skins\""),
        category: "winter-sports".to_owned(),
        condition: Condition::Used,
        pickup: Some(text("In Chur, evenings")),
        delivery: Some(text(delivery)),
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Posted { seller: person(1), details: ski("Express, 12 EUR"), price: euros(80) }
    Edited { details: ski("Express, 9 EUR") }
    Repriced { episode: 1, price: euros(70), previous: euros(80) }
    Sold { episode: 1, asked: euros(70), to: Some(person(2)), price: Some(euros(65)) }
    MadeAvailable { episode: 2, price: euros(70) }
    Withdrawn { episode: Some(2), by: person(1), reason: Some(text("broke it\nmyself")) }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
