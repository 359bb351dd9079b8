//! Queries over what is and was on offer: one listing, the catalogues of groups and sellers, a listing's history.

use crate::audience::{Order, Readable, param};
use crate::figures::{self, Rights, Thing, Viewer};
use crate::listings::{FOR_SALE, ListingRow, SOLD};
use crate::past::{self, Past, PastError};
use crate::veil::Veil;
use crate::{Db, DbError, Sql, Value, record};
use circolo_domain::access::Key;
use circolo_domain::{GroupId, ListingId, PersonId, Timestamp, listing};
use serde_json::json;
use std::collections::BTreeSet;

record! {
    /// A listing in a catalogue or on its page.
    pub struct ListingDetail {
        /// The listing's id.
        pub id: String,
        /// Where it was posted.
        pub group_id: String,
        /// Who may read it.
        pub audience: String,
        /// Who offers it.
        pub seller: String,
        /// How others see them.
        pub seller_name: Option<String>,
        /// In a line.
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
        /// `for_sale`, `sold` or `withdrawn`.
        pub status: String,
        /// What is asked for it, in minor units.
        pub asked: i64,
        /// In which currency.
        pub asked_currency: String,
        /// What it costs; see [`crate::listings::ListingRow::price`].
        pub price: i64,
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
        /// Why.
        pub reason: Option<String>,
        /// Revision of its stream, for whom it tells nothing of what they may not read.
        pub revision: Option<i64>,
        /// Place in catalogues.
        pub position: i64,
        veil: Veil,
    }
}

impl ListingDetail {
    /// As a reader with `keys` reads it.
    fn unveil(&mut self, keys: &[Key]) {
        let Self { veil, title, description, category, condition, pickup, delivery, reason, .. } = self;
        let texts = [("title", title), ("description", description), ("pickup", pickup), ("delivery", delivery), ("reason", reason)];
        for (field, shown) in texts {
            veil.lift(field, keys, shown);
        }
        for (field, shown) in [("category", category), ("condition", condition)] {
            if let Some(value) = veil.lifted(field, keys).and_then(|later| later.value.as_ref()) {
                shown.clone_from(value);
            }
        }
    }
}

impl Thing for ListingDetail {
    fn id(&self) -> &str {
        &self.id
    }

    fn audience(&self) -> &str {
        &self.audience
    }

    fn written(&self) -> Timestamp {
        self.listed
    }
}

/// The listings for `viewer`: the seller knows what they did, others how often something was done if they may know of all of it.
fn told(viewer: Viewer<'_>, mut found: Vec<ListingDetail>) -> Vec<ListingDetail> {
    let rights = Rights::of(viewer.keys);
    for listing in &mut found {
        listing.unveil(viewer.keys);
        listing.revision = figures::told(&rights, figures::own(viewer.person, &listing.seller), listing, listing.revision);
    }
    found
}

const DETAIL: &str = "q.id, q.group_id, q.audience, q.seller, p.display_name, q.title, q.description, q.category, q.condition, q.pickup, q.delivery, \
    q.status, q.asked, q.asked_currency, q.price, q.listed, q.offered, q.sold, q.sold_price, q.sold_currency, q.sold_to, q.on_offer, \
    q.withdrawn, q.reason, q.revision, q.position, q.veil";

/// One listing for `viewer`: the caller has checked that they may read it.
pub async fn find(db: &Db, id: ListingId, viewer: Viewer<'_>) -> Result<Option<ListingDetail>, DbError> {
    let sql = format!("SELECT {DETAIL} FROM listings_v2 q LEFT JOIN people_v1 p ON p.id = q.seller WHERE q.id = $1");
    let found = db.lookup(sql, vec![id.to_string().into()]).await?;
    Ok(told(viewer, found).pop())
}

/// The listing as of a moment for `viewer`: the caller has checked that they may read it.
pub async fn as_of(db: &Db, past: Past<'_>, id: ListingId, viewer: Viewer<'_>) -> Result<Option<ListingDetail>, PastError> {
    let own = past.stream(&listing::stream(id)).await?;
    let Some(row) = past::rows::<ListingRow>(own.iter().collect()).remove(&id.to_string()) else { return Ok(None) };
    let seller_name = past::names(db, vec![row.seller.clone()]).await?.remove(&row.seller);
    let listing = ListingDetail {
        id: row.id,
        group_id: row.group_id,
        audience: row.audience,
        seller: row.seller,
        seller_name,
        title: row.title,
        description: row.description,
        category: row.category,
        condition: row.condition,
        pickup: row.pickup,
        delivery: row.delivery,
        status: row.status,
        asked: row.asked,
        asked_currency: row.asked_currency,
        price: row.price,
        listed: row.listed,
        offered: row.offered,
        sold: row.sold,
        sold_price: row.sold_price,
        sold_currency: row.sold_currency,
        sold_to: row.sold_to,
        on_offer: row.on_offer,
        withdrawn: row.withdrawn,
        reason: row.reason,
        revision: Some(row.revision),
        position: row.position,
        veil: row.veil,
    };
    Ok(told(viewer, vec![listing]).pop())
}

/// The listings of these ids for `viewer`, in no order: the caller has checked that they may read them.
pub async fn by_ids(db: &Db, ids: Vec<String>, viewer: Viewer<'_>) -> Result<Vec<ListingDetail>, DbError> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!("SELECT {DETAIL} FROM listings_v2 q LEFT JOIN people_v1 p ON p.id = q.seller WHERE q.id = ANY($1)");
    Ok(told(viewer, db.lookup(sql, vec![Value::List(ids)]).await?))
}

/// What a catalogue shows first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// What came last to where it stands.
    #[default]
    Newest,
    /// What costs least.
    PriceAsc,
    /// What costs most.
    PriceDesc,
}

/// What a catalogue is to hold.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// What was sold, instead of what is for sale.
    pub sold: bool,
    /// Only of this category.
    pub category: Option<String>,
    /// Only in this state.
    pub condition: Option<String>,
    /// Only in this currency. Prices are compared within one: without it neither bounds nor order of prices make sense.
    pub currency: Option<String>,
    /// Only for so much or more.
    pub min_price: Option<i64>,
    /// Only for so much or less.
    pub max_price: Option<i64>,
    /// Only what one may pick up, or may not.
    pub pickup: Option<bool>,
    /// Only what is sent, or is not.
    pub delivery: Option<bool>,
    /// What comes first.
    pub sort: Sort,
    /// Price and position of the listing before the page.
    pub after: Option<(i64, i64)>,
    /// At most so many.
    pub limit: i64,
}

impl Catalogue {
    fn filter(&self) -> (String, Vec<Value>) {
        let mut params = vec![];
        let mut filter = format!(" AND t.status = {}", param(&mut params, if self.sold { SOLD } else { FOR_SALE }));
        for (column, wanted) in [("category", &self.category), ("condition", &self.condition), ("currency", &self.currency)] {
            if let Some(wanted) = wanted {
                filter = format!("{filter} AND t.{column} = {}", param(&mut params, wanted));
            }
        }
        for (comparison, bound) in [(">=", self.min_price), ("<=", self.max_price)] {
            if let Some(bound) = bound {
                filter = format!("{filter} AND t.price {comparison} {}", param(&mut params, bound));
            }
        }
        for (column, wanted) in [("pickup", self.pickup), ("delivery", self.delivery)] {
            if let Some(wanted) = wanted {
                filter = format!("{filter} AND t.{column} IS {}NULL", if wanted { "NOT " } else { "" });
            }
        }
        (filter, params)
    }

    fn order(&self) -> Order {
        let after = |take: fn((i64, i64)) -> Vec<i64>| self.after.map_or(vec![], take);
        match self.sort {
            Sort::Newest => Order { columns: &["position"], descending: true, after: after(|(_, position)| vec![position]) },
            Sort::PriceAsc | Sort::PriceDesc => Order {
                columns: &["price", "position"],
                descending: self.sort == Sort::PriceDesc,
                after: after(|(price, position)| vec![price, position]),
            },
        }
    }
}

fn listings(filter: &str) -> Readable<'_> {
    Readable { table: "listings_v2", written: "listed", filter }
}

/// The listings whose ids `found` is.
fn details(found: &str, order: &Order) -> String {
    // Found first: SQLite may else walk over all listings.
    let joined = "CROSS JOIN listings_v2 q LEFT JOIN people_v1 p ON p.id = q.seller WHERE q.id = found.id";
    format!("SELECT {DETAIL} FROM ({found}) found {joined} {}", order.by("q"))
}

/// A group's catalogue, for a viewer with keys to the group.
pub async fn of_group(db: &Db, viewer: Viewer<'_>, catalogue: &Catalogue) -> Result<Vec<ListingDetail>, DbError> {
    let ((filter, params), order) = (catalogue.filter(), catalogue.order());
    match listings(&filter).page(viewer.keys, &order, params, catalogue.limit) {
        Some((found, params)) => Ok(told(viewer, db.query(found.within(|found| details(found, &order)), params).await?)),
        None => Ok(vec![]),
    }
}

/// A seller's catalogue over all groups, for `viewer`: along the index from the seller to each audience, so that it costs nothing what
/// they offer elsewhere.
pub async fn of_seller(db: &Db, seller: PersonId, viewer: Viewer<'_>, catalogue: &Catalogue) -> Result<Vec<ListingDetail>, DbError> {
    let ((filter, mut params), order) = (catalogue.filter(), catalogue.order());
    let (always, windows): (Vec<&Key>, Vec<&Key>) = viewer.keys.iter().partition(|key| key.is_always());
    let (seller, limit) = (param(&mut params, seller.to_string()), param(&mut params, catalogue.limit));
    let behind = order.behind(&mut params);
    let always: BTreeSet<String> = always.into_iter().flat_map(Key::audiences).collect();
    let always = param(&mut params, always.into_iter().collect::<Vec<_>>());
    let of = format!("t.seller = {seller}{filter}{behind}");
    let always = format!("SELECT t.id, t.price, t.position FROM listings_v2 t WHERE {of} AND t.audience = ANY({always})");
    let bound = |key: &'_ Key| {
        let (since, until) = (key.since, key.until);
        key.audiences().map(move |audience| json!({ "a": audience, "s": since, "u": until })).collect::<Vec<_>>()
    };
    let bounds: Vec<_> = windows.into_iter().flat_map(bound).collect();
    let bounds = param(&mut params, serde_json::Value::Array(bounds).to_string());
    // With the sign, the moment is no column that an index by time could be asked for.
    let found = |windows: &str| {
        let within = format!(
            "SELECT t.id, t.price, t.position FROM {windows} CROSS JOIN listings_v2 t \
             WHERE {of} AND t.audience = w.a AND +t.listed >= w.s AND +t.listed < w.u"
        );
        details(&format!("SELECT t.id FROM ({always} UNION {within}) t {} LIMIT {limit}", order.by("t")), &order)
    };
    let sqlite = format!("(SELECT j.value ->> 'a' AS a, j.value ->> 's' AS s, j.value ->> 'u' AS u FROM json_each({bounds}) j) w");
    let postgres = format!("json_to_recordset({bounds}::text::json) AS w(a text, s bigint, u bigint)");
    Ok(told(viewer, db.query(Sql::per_dialect(found(&sqlite), found(&postgres)), params).await?))
}

/// The groups where `reader` may find something of what somebody offers: those that were public when it was offered, and the
/// reader's own. How many others there are costs nothing.
pub async fn groups_of_seller(db: &Db, seller: PersonId, reader: PersonId) -> Result<Vec<GroupId>, DbError> {
    let sql = "SELECT o.group_id FROM seller_open_groups_v1 o WHERE o.seller = $1 UNION \
               SELECT m.group_id FROM memberships_v2 m CROSS JOIN seller_groups_v2 s \
               WHERE m.person_id = $2 AND m.inside = 1 AND m.member_position IS NOT NULL AND s.id = $1 || '.' || m.group_id";
    let groups: Vec<String> = db.query(sql, vec![seller.to_string().into(), reader.to_string().into()]).await?;
    Ok(groups.iter().filter_map(|group| group.parse().ok()).collect())
}

record! {
    /// A time on offer.
    pub struct EpisodeDetail {
        /// Which, from 1.
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
        /// Place in the history.
        pub position: i64,
    }
}

record! {
    /// A change of price.
    pub struct PriceDetail {
        /// During which time on offer.
        pub episode: i64,
        /// From then on, in minor units.
        pub price: i64,
        /// In which currency.
        pub currency: String,
        /// When.
        pub changed: Timestamp,
        /// Place in the history.
        pub position: i64,
    }
}

/// A step in a listing's history.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It was put on offer.
    Episode(EpisodeDetail),
    /// Its price changed.
    Price(PriceDetail),
}

impl Step {
    /// Place in the history.
    pub const fn position(&self) -> i64 {
        match self {
            Self::Episode(episode) => episode.position,
            Self::Price(price) => price.position,
        }
    }
}

/// A listing's times on offer and changes of price, oldest first.
pub async fn history(db: &Db, id: ListingId, after: Option<i64>, limit: i64) -> Result<Vec<Step>, DbError> {
    let params = vec![id.to_string().into(), after.unwrap_or(0).into(), limit.into()];
    let episodes = "SELECT e.number, e.began, e.ended, e.outcome, e.first_price, e.first_currency, e.asked, e.asked_currency, e.sold_price, \
                    e.sold_currency, e.sold_to, e.position FROM listing_episodes_v2 e WHERE e.listing_id = $1 AND e.position > $2 \
                    ORDER BY e.position LIMIT $3";
    let prices = "SELECT r.episode, r.price, r.currency, r.changed, r.position FROM listing_prices_v2 r \
                  WHERE r.listing_id = $1 AND r.position > $2 ORDER BY r.position LIMIT $3";
    let episodes: Vec<EpisodeDetail> = db.query(episodes, params.clone()).await?;
    let prices: Vec<PriceDetail> = db.query(prices, params).await?;
    let mut steps: Vec<Step> = episodes.into_iter().map(Step::Episode).chain(prices.into_iter().map(Step::Price)).collect();
    steps.sort_by_key(Step::position);
    steps.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(steps)
}
