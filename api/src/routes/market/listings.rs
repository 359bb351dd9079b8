//! Listings: offer, edit, sell, offer again, withdraw.
//!
//! - `history`: what became of them

mod history;

use crate::routes::community::questions::AuthorView;
use crate::{
    App, Problem,
    answer::{Done, Tagged},
    caller::{Caller, MaybeCaller},
    extract::{Json, OptionalJson, Path, Query, present},
    listing::AsOf,
    problem::{Failures, Field},
    routes::feeds::Shown,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use circolo_domain::{
    Comment, GroupId, ListingId, PersonId, Price, Reason, Slug, Timestamp, Title,
    access::{Action, Role, Standing},
    listing::{self, Changes, Command, Condition, Draft, Handover},
};
use circolo_projections::catalogue::{self, ListingDetail};
use circolo_projections::figures::Viewer;
use circolo_projections::listings::WITHDRAWN;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(post_listing))
        .routes(routes!(find_listing, edit_listing))
        .routes(routes!(mark_sold))
        .routes(routes!(mark_available))
        .routes(routes!(withdraw_listing))
        .merge(history::routes())
}

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
struct MoneyView {
    /// In the currency's smallest unit: cents, yen. From 0 to 1,000,000,000,000,000.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64, example = 4950)]
    amount_minor: i64,
    /// An alphabetic code of ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
}

fn money(amount_minor: Option<i64>, currency: Option<String>) -> Option<MoneyView> {
    amount_minor.zip(currency).map(|(amount_minor, currency)| MoneyView { amount_minor, currency })
}

/// In what state a thing is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ThingCondition {
    /// Nobody used it.
    New,
    /// Used, and made good again.
    Refurbished,
    /// Used.
    Used,
}

impl ThingCondition {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Refurbished => "refurbished",
            Self::Used => "used",
        }
    }
}

impl From<ThingCondition> for Condition {
    fn from(condition: ThingCondition) -> Self {
        match condition {
            ThingCondition::New => Self::New,
            ThingCondition::Refurbished => Self::Refurbished,
            ThingCondition::Used => Self::Used,
        }
    }
}

/// Something to offer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostListing {
    /// In a line: 1 to 200 characters.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Touring skis")]
    title: Title,
    /// At length: 1 to 5,000 characters.
    #[schema(value_type = String, min_length = 1, max_length = 5000)]
    description: Comment,
    /// Under what it is found: lower-case words joined by hyphens, up to 50 characters.
    #[schema(value_type = String, max_length = 50, example = "winter-sports")]
    category: Slug,
    /// In what state it is.
    condition: ThingCondition,
    /// For how much.
    #[schema(value_type = MoneyView)]
    price: Price,
    /// How to pick it up, if one may: up to 1,000 characters.
    #[schema(value_type = Option<String>, max_length = 1000)]
    pickup: Option<Handover>,
    /// How it is sent, if it is: up to 1,000 characters.
    #[schema(value_type = Option<String>, max_length = 1000)]
    delivery: Option<Handover>,
}

/// Changes to a listing; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "null and absent differ in a patch")]
struct EditListing {
    /// In a line.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    title: Option<Title>,
    /// At length.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 5000)]
    description: Option<Comment>,
    /// Under what it is found.
    #[schema(value_type = Option<String>, max_length = 50)]
    category: Option<Slug>,
    /// In what state it is.
    condition: Option<ThingCondition>,
    /// For how much; the prices before stay in its history.
    #[schema(value_type = Option<MoneyView>)]
    price: Option<Price>,
    /// How to pick it up; null for no longer.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    pickup: Option<Option<Handover>>,
    /// How it is sent; null for no longer.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    delivery: Option<Option<Handover>>,
}

/// A sale.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MarkSold {
    /// To whom, if that is to be told; seller and buyer alone will see it.
    #[schema(value_type = Option<Uuid>)]
    to: Option<PersonId>,
    /// For how much, if that is to be told; everybody who reads the listing will see it.
    #[schema(value_type = Option<MoneyView>)]
    price: Option<Price>,
}

/// A withdrawal.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WithdrawListing {
    /// Why: up to 5,000 characters; needed for somebody else's listing.
    #[schema(value_type = Option<String>, max_length = 5000)]
    reason: Option<Reason>,
}

/// The last sale of a listing.
#[derive(Debug, Serialize, ToSchema)]
struct SaleView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    sold_at: Timestamp,
    /// For how much, if the seller told.
    price: Option<MoneyView>,
    /// To whom, if the seller told; seller and buyer alone see it.
    to: Option<String>,
    /// For how long it had been on offer.
    seconds_on_offer: i64,
}

/// A listing's withdrawal.
#[derive(Debug, Serialize, ToSchema)]
struct WithdrawalView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    withdrawn_at: Timestamp,
    /// Why; for the seller, moderators and admins.
    reason: Option<String>,
}

/// A listing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListingView {
    /// The listing's id.
    id: String,
    /// Where it was posted.
    group_id: String,
    /// Who offers it.
    seller: AuthorView,
    /// In a line. Once withdrawn, the texts are for the seller, moderators and admins.
    title: Option<String>,
    /// At length.
    description: Option<String>,
    /// Under what it is found.
    category: String,
    /// `new`, `refurbished` or `used`.
    condition: String,
    /// What is asked for it.
    price: MoneyView,
    /// How to pick it up, if one may.
    pickup: Option<String>,
    /// How it is sent, if it is.
    delivery: Option<String>,
    /// `for_sale`, `sold` or `withdrawn`.
    status: String,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    listed_at: Timestamp,
    /// When it was put on offer the last time.
    #[schema(value_type = String, format = DateTime)]
    offered_at: Timestamp,
    /// Its last sale, if there was one.
    sale: Option<SaleView>,
    /// Its withdrawal, if it is withdrawn.
    withdrawal: Option<WithdrawalView>,
    /// Revision of the listing, for `If-Match`; absent for whom it would count what they may not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

/// Who reads a listing, as far as that changes what they see.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) person: Option<PersonId>,
    pub(crate) keeps_order: bool,
}

impl Reader {
    pub(crate) fn of(standing: &Standing) -> Self {
        Self { person: standing.person(), keeps_order: standing.role() >= Some(Role::Moderator) }
    }

    fn is(self, person: &str) -> bool {
        self.person.is_some_and(|reader| reader.to_string() == person)
    }

    /// The buyer, if this reader may know them.
    fn buyer(self, seller: &str, buyer: Option<String>) -> Option<String> {
        buyer.filter(|buyer| self.is(seller) || self.is(buyer))
    }

    /// The listing as it was, while it is `today`: what was withdrawn since is told to nobody new.
    fn listing_as_of(self, mut row: ListingDetail, today: &str) -> ListingView {
        let hidden = today == WITHDRAWN && !self.keeps_order && !self.is(&row.seller);
        if hidden {
            (row.title, row.description, row.pickup, row.delivery) = (None, None, None, None);
        }
        self.listing(row)
    }

    pub(crate) fn listing(self, row: ListingDetail) -> ListingView {
        let inside = self.keeps_order || self.is(&row.seller);
        let text = |text: Option<String>| text.filter(|_| inside || row.status != WITHDRAWN);
        let sale = row.sold.map(|sold_at| SaleView {
            sold_at,
            price: money(row.sold_price, row.sold_currency),
            to: self.buyer(&row.seller, row.sold_to),
            seconds_on_offer: seconds(row.on_offer.unwrap_or_default()),
        });
        let withdrawal = row.withdrawn.map(|withdrawn_at| WithdrawalView { withdrawn_at, reason: row.reason.filter(|_| inside) });
        ListingView {
            id: row.id,
            group_id: row.group_id,
            title: text(row.title),
            description: text(row.description),
            pickup: text(row.pickup),
            delivery: text(row.delivery),
            seller: AuthorView { id: row.seller, display_name: row.seller_name },
            category: row.category,
            condition: row.condition,
            price: MoneyView { amount_minor: row.asked, currency: row.asked_currency },
            status: row.status,
            listed_at: row.listed,
            offered_at: row.offered,
            sale,
            withdrawal,
            revision: row.revision,
        }
    }
}

const fn seconds(micros: i64) -> i64 {
    micros / 1_000_000
}

/// The caller's standing towards a listing, if they may know that it exists, and it can be read; and who sells it.
pub(crate) async fn standing(app: &App, person: Option<PersonId>, id: ListingId) -> Result<(Standing, PersonId), Problem> {
    let (standing, seller, whole) = standing_in_part(app, person, id).await?;
    whole.map_err(|unread| unread.unless(standing.hides()))?;
    Ok((standing, seller))
}

/// The same, whether it can be read or not, which is told beside.
pub(crate) async fn standing_in_part(
    app: &App,
    person: Option<PersonId>,
    id: ListingId,
) -> Result<(Standing, PersonId, Result<(), Problem>), Problem> {
    let loaded = app.executor().load_in_part::<listing::Listing>(&listing::stream(id)).await?;
    let origin = loaded.origin.ok_or_else(Problem::not_found)?;
    let group = origin.scope.group().ok_or_else(Problem::not_found)?;
    let standing = app.standing(person, group).await?.towards(origin);
    standing.allows(Action::See)?;
    let seller = if let listing::Listing::Offered(offer) = &*loaded.state { Some(offer.seller) } else { None };
    let whole = loaded.whole().map(drop).map_err(Problem::from);
    match (seller, whole) {
        (Some(seller), whole) => Ok((standing, seller, whole)),
        (None, whole) => Err(whole.err().unwrap_or_else(Problem::not_found).unless(standing.hides())),
    }
}

/// Listings as a feed shows them: what was withdrawn since is left out.
pub(crate) async fn in_feed(app: &App, viewer: Viewer<'_>, ids: Vec<String>) -> Result<Shown<ListingView>, Problem> {
    let by = Reader { person: viewer.person, keeps_order: false };
    let rows = catalogue::by_ids(app.db(), ids, viewer).await?.into_iter().filter(|row| row.withdrawn.is_none());
    Ok(rows.map(|row| (row.id.clone(), by.listing(row))).collect())
}

async fn execute(app: &App, caller: &Caller, id: ListingId, command: impl FnOnce(Standing) -> Command) -> Result<Done, Problem> {
    let (by, _) = standing(app, Some(caller.person()), id).await?;
    let scope = by.scope();
    let done = app.execute::<listing::Listing>(caller, &listing::stream(id), command(by), scope).await?;
    Ok(Done::new(id.0, &done))
}

/// Offer something in a group.
#[utoipa::path(
    post,
    path = "/groups/{id}/listings",
    tag = "market",
    params(("id" = Uuid, Path,)),
    responses((status = 201, body = Done), Failures)
)]
async fn post_listing(
    State(app): State<App>,
    caller: Caller,
    Path(group): Path<GroupId>,
    Json(body): Json<PostListing>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), group).await?;
    let id = ListingId(caller.command_id());
    let scope = by.scope();
    let PostListing { title, description, category, condition, price, pickup, delivery } = body;
    let draft = Draft { title, description, category, condition: condition.into(), price, pickup, delivery };
    let done = app.execute::<listing::Listing>(&caller, &listing::stream(id), Command::PostListing { by, draft }, scope).await?;
    Ok(Done::created(id.0, &done, format!("/v1/listings/{id}")))
}

/// Read a listing, as it is or as it was: the past is for registered callers.
#[utoipa::path(get, path = "/listings/{id}", tag = "market", params(("id" = Uuid, Path,), AsOf), responses((status = 200, body = ListingView), Failures))]
async fn find_listing(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<ListingId>,
    Query(AsOf { as_of }): Query<AsOf>,
) -> Result<Response, Problem> {
    let (standing, _) = standing(&app, caller.person(), id).await?;
    standing.allows(Action::Read)?;
    let reader = Reader::of(&standing);
    let viewer = Viewer { person: caller.person(), keys: &standing.keys() };
    let row = catalogue::find(app.db(), id, viewer).await?.ok_or_else(Problem::not_found)?;
    let Some(time) = as_of else {
        let revision = row.revision;
        return Ok(Tagged(reader.listing(row), revision).into_response());
    };
    let look = app.look_back(&caller, time).await?;
    let then = catalogue::as_of(app.db(), look.past(), id, viewer).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(reader.listing_as_of(then, &row.status)).into_response())
}

/// Edit one's listing, or change its price, while it is for sale.
#[utoipa::path(patch, path = "/listings/{id}", tag = "market", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn edit_listing(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ListingId>,
    Json(body): Json<EditListing>,
) -> Result<Done, Problem> {
    let command = |by| match body {
        EditListing {
            price: Some(price),
            title: None,
            description: None,
            category: None,
            condition: None,
            pickup: None,
            delivery: None,
        } => Command::Reprice { by, price },
        EditListing { title, description, category, condition, price, pickup, delivery } => {
            let condition = condition.map(Condition::from);
            Command::EditListing { by, changes: Changes { title, description, category, condition, price, pickup, delivery } }
        }
    };
    execute(&app, &caller, id, command).await
}

/// Mark one's listing as sold. It is sold once: another sale is `already_sold`, with the sale that stands in `details`.
#[utoipa::path(post, path = "/listings/{id}/sold", tag = "market", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn mark_sold(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ListingId>,
    OptionalJson(MarkSold { to, price }): OptionalJson<MarkSold>,
) -> Result<Done, Problem> {
    let (_, seller) = standing(&app, Some(caller.person()), id).await?;
    // Only the seller gets so far that the buyer counts.
    if let Some(buyer) = to.filter(|_| seller == caller.person())
        && !app.is_registered(buyer).await?
    {
        let message = "no person is registered under this id".to_owned();
        return Err(Problem::invalid(vec![Field { field: "to".into(), code: "unknown_person".into(), message }]));
    }
    execute(&app, &caller, id, |by| Command::MarkSold { by, to, price }).await
}

/// Offer one's listing again, after it was sold or one withdrew it.
#[utoipa::path(post, path = "/listings/{id}/available", tag = "market", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn mark_available(State(app): State<App>, caller: Caller, Path(id): Path<ListingId>) -> Result<Done, Problem> {
    execute(&app, &caller, id, |by| Command::MarkAvailable { by }).await
}

/// Withdraw one's listing; moderators and admins withdraw any, with a reason.
#[utoipa::path(post, path = "/listings/{id}/withdraw", tag = "market", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn withdraw_listing(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ListingId>,
    OptionalJson(WithdrawListing { reason }): OptionalJson<WithdrawListing>,
) -> Result<Done, Problem> {
    execute(&app, &caller, id, |by| Command::WithdrawListing { by, reason }).await
}
