//! A listing's history: every time on offer and every price.

use super::{MoneyView, Reader, money, seconds, standing};
use crate::{
    App, Problem,
    caller::MaybeCaller,
    extract::{Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{ListingId, Timestamp, access::Action};
use circolo_projections::catalogue::{self, EpisodeDetail, PriceDetail, Step};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_history))
}

/// A time on offer.
#[derive(Debug, Serialize, ToSchema)]
struct EpisodeItem {
    /// Which, from 1.
    episode: i64,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    offered_at: Timestamp,
    /// When it ended, if it did.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// How it ended: `sold` or `withdrawn`.
    outcome: Option<String>,
    /// What was asked at the beginning.
    first_price: MoneyView,
    /// What was asked at last.
    price: MoneyView,
    /// For how much it was sold, if the seller told.
    sold_price: Option<MoneyView>,
    /// To whom, if the seller told; seller and buyer alone see it.
    sold_to: Option<String>,
    /// For how long it was on offer, if that is over.
    seconds_on_offer: Option<i64>,
}

/// A change of price.
#[derive(Debug, Serialize, ToSchema)]
struct PriceItem {
    /// During which time on offer.
    episode: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
    /// What is asked from then on.
    price: MoneyView,
}

/// A step in a listing's history.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum HistoryItem {
    /// It was put on offer.
    Episode(EpisodeItem),
    /// Its price changed.
    Price(PriceItem),
}

impl Reader {
    fn step(self, seller: &str, step: Step) -> HistoryItem {
        match step {
            Step::Episode(row) => HistoryItem::Episode(self.episode(seller, row)),
            Step::Price(PriceDetail { episode, price, currency, changed, .. }) => {
                HistoryItem::Price(PriceItem { episode, changed_at: changed, price: MoneyView { amount_minor: price, currency } })
            }
        }
    }

    fn episode(self, seller: &str, row: EpisodeDetail) -> EpisodeItem {
        EpisodeItem {
            episode: row.number,
            offered_at: row.began,
            ended_at: row.ended,
            outcome: row.outcome,
            first_price: MoneyView { amount_minor: row.first_price, currency: row.first_currency },
            price: MoneyView { amount_minor: row.asked, currency: row.asked_currency },
            sold_price: money(row.sold_price, row.sold_currency),
            sold_to: self.buyer(seller, row.sold_to),
            seconds_on_offer: row.ended.map(|ended| seconds(ended.since(row.began).as_micros().max(0))),
        }
    }
}

/// Which page of a listing's history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListHistory {
    /// How many steps.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// List a listing's times on offer and changes of price, oldest first.
#[utoipa::path(
    get,
    path = "/listings/{id}/history",
    tag = "market",
    params(("id" = Uuid, Path,), ListHistory),
    responses((status = 200, body = Listing<HistoryItem>), Failures)
)]
async fn list_history(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<ListingId>,
    Query(page): Query<ListHistory>,
) -> Result<Listing<HistoryItem>, Problem> {
    let after = page.after.map(|after| after.read("history")).transpose()?;
    let (standing, seller) = standing(&app, caller.person(), id).await?;
    standing.allows(Action::Read)?;
    let (reader, seller) = (Reader::of(&standing), seller.to_string());
    let steps = catalogue::history(app.db(), id, after, page.limit.and_one()).await?;
    Ok(Listing::page("history", page.limit, steps, Step::position, |step| reader.step(&seller, step)))
}
