//! Read models `listings_v2`, `listing_episodes_v2`, `listing_prices_v2` and `seller_groups_v2`: what is and was on offer.
//! The queries are in [`crate::catalogue`].

use crate::feeds::InFeeds;
use crate::veil::{Veil, strictness};
use crate::{Fold, Keys, Projection, projection, row};
use circolo_domain::listing::{Condition, Details, Event as Listed};
use circolo_domain::{Event, Money, Personal, Timestamp};
use circolo_events::Recorded;

/// [`ListingRow::status`] of what can be had.
pub const FOR_SALE: &str = "for_sale";
/// [`ListingRow::status`] of what somebody has.
pub const SOLD: &str = "sold";
/// [`ListingRow::status`] of what is not shown in any catalogue.
pub const WITHDRAWN: &str = "withdrawn";

row! {
    /// A listing as it stands, with its last sale.
    pub struct ListingRow in "listings_v2" {
        /// The listing's id.
        pub id: String,
        /// Where it was posted.
        pub group_id: String,
        /// Who may read it: the group and the privacy era it was posted in.
        pub audience: String,
        /// Who offers it.
        pub seller: String,
        /// How private the group was when it was posted.
        pub strictness: i64,
        /// In a line; this and the other texts as everybody reads them who reads the listing.
        pub title: Option<String>,
        /// At length.
        pub description: Option<String>,
        /// Under what it is found.
        pub category: String,
        /// `new`, `refurbished` or `used`.
        pub condition: String,
        /// How to pick it up.
        pub pickup: Option<String>,
        /// How it is sent.
        pub delivery: Option<String>,
        /// Texts that were written in stricter times.
        pub veil: Veil,
        /// `for_sale`, `sold` or `withdrawn`.
        pub status: String,
        /// What is asked for it, in minor units.
        pub asked: i64,
        /// In which currency.
        pub asked_currency: String,
        /// What it costs: what is asked, and once sold what was paid if that was told. Catalogues are sorted by it.
        pub price: i64,
        /// In which currency.
        pub currency: String,
        /// When it was posted.
        pub listed: Timestamp,
        /// When its last episode on offer began.
        pub offered: Timestamp,
        /// When it was last sold.
        pub sold: Option<Timestamp>,
        /// For how much, if that was told.
        pub sold_price: Option<i64>,
        /// In which currency.
        pub sold_currency: Option<String>,
        /// To whom, if that was told; for seller and buyer alone.
        pub sold_to: Option<String>,
        /// For how many microseconds it had been on offer then.
        pub on_offer: Option<i64>,
        /// When it was withdrawn, if it is.
        pub withdrawn: Option<Timestamp>,
        /// By whom.
        pub withdrawn_by: Option<String>,
        /// Why.
        pub reason: Option<String>,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in the log of what gave it its status; catalogues are ordered by it.
        pub position: i64,
    }
    index "newest" (audience, status, position, listed);
    index "by_category" (audience, status, category, position, listed);
    index "category_price" (audience, status, category, currency, price, position, listed);
    index "by_price" (audience, status, currency, price, position, listed);
    index "by_time" (audience, listed);
    index "of_seller" (seller, audience, status, position);
    index "of_seller_by_price" (seller, audience, status, currency, price, position);
}

const fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::New => "new",
        Condition::Refurbished => "refurbished",
        Condition::Used => "used",
    }
}

fn text(text: Option<&Personal<String>>) -> Option<String> {
    text.and_then(Personal::get).cloned()
}

impl ListingRow {
    fn posted(key: &str, event: &Recorded) -> Option<Self> {
        let (Event::Listing(Listed::Posted { seller, details, price }), Some(scope)) = (&event.event, event.metadata.scope) else {
            return None;
        };
        let row = Self {
            id: key.to_owned(),
            group_id: scope.group()?.to_string(),
            audience: scope.audience(),
            seller: seller.to_string(),
            strictness: strictness(event),
            title: None,
            description: None,
            category: String::new(),
            condition: String::new(),
            pickup: None,
            delivery: None,
            veil: Veil::default(),
            status: FOR_SALE.to_owned(),
            asked: price.amount_minor,
            asked_currency: price.currency.to_string(),
            price: price.amount_minor,
            currency: price.currency.to_string(),
            listed: event.recorded_at,
            offered: event.recorded_at,
            sold: None,
            sold_price: None,
            sold_currency: None,
            sold_to: None,
            on_offer: None,
            withdrawn: None,
            withdrawn_by: None,
            reason: None,
            revision: 0,
            position: event.position.0,
        };
        Some(row.described(details, event))
    }

    /// An edit says all of the description anew. What it says again nobody wrote anew: it keeps its readers.
    fn described(mut self, details: &Details, event: &Recorded) -> Self {
        let Self { strictness, veil, title, description, category, condition: state, pickup, delivery, .. } = &mut self;
        let mut write = |field: &str, open: &mut Option<String>, value: Option<String>| {
            if veil.newest(field, open.as_ref()) != value.as_ref() && veil.write(field, *strictness, event, value.as_ref(), None) {
                *open = value;
            }
        };
        write("title", title, details.title.get().cloned());
        write("description", description, details.description.get().cloned());
        write("pickup", pickup, text(details.pickup.as_ref()));
        write("delivery", delivery, text(details.delivery.as_ref()));
        for (field, open, value) in [("category", category, details.category.as_str()), ("condition", state, condition(details.condition))]
        {
            let mut shown = Some(std::mem::take(open));
            write(field, &mut shown, Some(value.to_owned()));
            *open = shown.unwrap_or_default();
        }
        self
    }

    fn asking(self, price: Money) -> Self {
        let (asked, asked_currency) = (price.amount_minor, price.currency.to_string());
        Self { asked, asked_currency, ..self }.costing(price)
    }

    fn costing(self, price: Money) -> Self {
        Self { price: price.amount_minor, currency: price.currency.to_string(), ..self }
    }

    fn changed(mut self, change: &Listed, event: &Recorded) -> Self {
        let (at, position) = (event.recorded_at, event.position.0);
        match change {
            Listed::Posted { .. } => self,
            Listed::Edited { details } => self.described(details, event),
            Listed::Repriced { price, .. } => self.asking(*price),
            Listed::Sold { asked, to, price, .. } => Self {
                status: SOLD.to_owned(),
                sold: Some(at),
                sold_price: price.map(|price| price.amount_minor),
                sold_currency: price.map(|price| price.currency.to_string()),
                sold_to: to.map(|to| to.to_string()),
                on_offer: Some(time_on_offer(self.offered, at)),
                position,
                ..self
            }
            .costing(price.unwrap_or(*asked)),
            Listed::MadeAvailable { price, .. } => {
                self.veil.forget("reason");
                let back = Self { status: FOR_SALE.to_owned(), offered: at, position, ..self };
                Self { withdrawn: None, withdrawn_by: None, reason: None, ..back }.asking(*price)
            }
            Listed::Withdrawn { by, reason, .. } => {
                let reason = text(reason.as_ref());
                let open = self.veil.write("reason", self.strictness, event, reason.as_ref(), None);
                Self {
                    status: WITHDRAWN.to_owned(),
                    withdrawn: Some(at),
                    withdrawn_by: Some(by.to_string()),
                    reason: reason.filter(|_| open),
                    position,
                    ..self
                }
            }
        }
    }
}

/// Nothing is on offer for less than no time, though clocks of nodes may differ.
fn time_on_offer(from: Timestamp, until: Timestamp) -> i64 {
    until.since(from).as_micros().max(0)
}

impl Fold for ListingRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Listing(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Listing(change) = &event.event else { return row };
        let row = match row {
            None => Self::posted(key, event)?,
            Some(row) => row.changed(change, event),
        };
        Some(Self { revision: i64::try_from(event.revision).unwrap_or(i64::MAX), ..row })
    }
}

row! {
    /// A time on offer.
    pub struct EpisodeRow in "listing_episodes_v2" {
        /// The listing's id, a dot, and the number.
        pub id: String,
        /// What was on offer.
        pub listing_id: String,
        /// Which time it was, from 1.
        pub number: i64,
        /// When it began.
        pub began: Timestamp,
        /// When it ended, if it did.
        pub ended: Option<Timestamp>,
        /// How it ended: `sold` or `withdrawn`.
        pub outcome: Option<String>,
        /// What was asked at the beginning.
        pub first_price: i64,
        /// In which currency.
        pub first_currency: String,
        /// What was asked at last.
        pub asked: i64,
        /// In which currency.
        pub asked_currency: String,
        /// For how much it was sold, if that was told.
        pub sold_price: Option<i64>,
        /// In which currency.
        pub sold_currency: Option<String>,
        /// To whom, if that was told; for seller and buyer alone.
        pub sold_to: Option<String>,
        /// Place of its beginning in the log.
        pub position: i64,
    }
    index "by_listing" (listing_id, position);
}

impl EpisodeRow {
    fn began(key: &str, number: u32, price: Money, event: &Recorded) -> Self {
        Self {
            id: key.to_owned(),
            listing_id: event.stream.key().to_owned(),
            number: number.into(),
            began: event.recorded_at,
            ended: None,
            outcome: None,
            first_price: price.amount_minor,
            first_currency: price.currency.to_string(),
            asked: price.amount_minor,
            asked_currency: price.currency.to_string(),
            sold_price: None,
            sold_currency: None,
            sold_to: None,
            position: event.position.0,
        }
    }
}

impl Fold for EpisodeRow {
    fn keys(event: &Recorded) -> Keys {
        let Event::Listing(change) = &event.event else { return Keys::NONE };
        let episode = match change {
            Listed::Posted { .. } => Some(1),
            Listed::Repriced { episode, .. } | Listed::Sold { episode, .. } | Listed::MadeAvailable { episode, .. } => Some(*episode),
            Listed::Withdrawn { episode, .. } => *episode,
            Listed::Edited { .. } => None,
        };
        episode.map(|number| format!("{}.{number}", event.stream.key())).into()
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Listing(change) = &event.event else { return row };
        match (row, change) {
            (None, Listed::Posted { price, .. }) => Some(Self::began(key, 1, *price, event)),
            (None, Listed::MadeAvailable { episode, price }) => Some(Self::began(key, *episode, *price, event)),
            (Some(row), Listed::Repriced { price, .. }) => {
                Some(Self { asked: price.amount_minor, asked_currency: price.currency.to_string(), ..row })
            }
            (Some(row), Listed::Sold { to, price, .. }) => Some(Self {
                ended: Some(event.recorded_at),
                outcome: Some(SOLD.to_owned()),
                sold_price: price.map(|price| price.amount_minor),
                sold_currency: price.map(|price| price.currency.to_string()),
                sold_to: to.map(|to| to.to_string()),
                ..row
            }),
            (Some(row), Listed::Withdrawn { .. }) => {
                Some(Self { ended: Some(event.recorded_at), outcome: Some(WITHDRAWN.to_owned()), ..row })
            }
            (row, _) => row,
        }
    }
}

row! {
    /// A change of price during an episode.
    pub struct PriceRow in "listing_prices_v2" {
        /// The event's id.
        pub id: String,
        /// What costs more or less.
        pub listing_id: String,
        /// During which time on offer.
        pub episode: i64,
        /// From now on, in minor units.
        pub price: i64,
        /// In which currency.
        pub currency: String,
        /// When.
        pub changed: Timestamp,
        /// Place in the log.
        pub position: i64,
    }
    index "by_listing" (listing_id, position);
}

impl Fold for PriceRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Listing(Listed::Repriced { .. }) => Keys::one(event.id),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let (None, Event::Listing(Listed::Repriced { episode, price, .. })) = (&row, &event.event) else { return row };
        Some(Self {
            id: key.to_owned(),
            listing_id: event.stream.key().to_owned(),
            episode: (*episode).into(),
            price: price.amount_minor,
            currency: price.currency.to_string(),
            changed: event.recorded_at,
            position: event.position.0,
        })
    }
}

row! {
    /// A group in which somebody offered something: where to look for what they sell.
    pub struct SellerGroupRow in "seller_groups_v2" {
        /// The seller, a dot, and the group.
        pub id: String,
        /// Who offers.
        pub seller: String,
        /// Where.
        pub group_id: String,
        /// Place in the log of their last posting there.
        pub position: i64,
    }
    index "by_seller" (seller, position);
}

impl Fold for SellerGroupRow {
    fn keys(event: &Recorded) -> Keys {
        let (Event::Listing(Listed::Posted { seller, .. }), Some(scope)) = (&event.event, event.metadata.scope) else { return Keys::NONE };
        scope.group().map(|group| format!("{seller}.{group}")).into()
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Some((seller, group)) = key.split_once('.') else { return row };
        Some(Self { id: key.to_owned(), seller: seller.to_owned(), group_id: group.to_owned(), position: event.position.0 })
    }
}

/// What an event of a listing means for its place in feeds.
pub(crate) fn in_feeds(event: &Event) -> Option<InFeeds> {
    match event {
        Event::Listing(Listed::Posted { .. }) => Some(InFeeds::Enters),
        Event::Listing(Listed::Withdrawn { .. }) => Some(InFeeds::Shown(false)),
        Event::Listing(Listed::MadeAvailable { .. }) => Some(InFeeds::Shown(true)),
        _ => None,
    }
}

/// The projection of this file.
pub fn listings() -> Projection {
    projection("listings", 2).reads(&["listing"]).row::<ListingRow>().row::<EpisodeRow>().row::<PriceRow>().row::<SellerGroupRow>()
}

#[cfg(test)]
#[path = "listings_tests.rs"]
mod tests;
