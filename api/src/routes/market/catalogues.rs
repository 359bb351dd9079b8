//! Catalogues: what is for sale, and what was sold, in a group or by a seller.

use super::listings::{ListingView, Reader, ThingCondition};
use crate::{
    App, Problem,
    caller::{Caller, MaybeCaller},
    extract::{Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::{Failures, Field},
};
use axum::extract::State;
use circolo_domain::{Currency, GroupId, PersonId, Slug, access::Action};
use circolo_projections::catalogue::{self, Catalogue, ListingDetail};
use circolo_projections::figures::Viewer;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_group_catalogue)).routes(routes!(list_seller_catalogue))
}

/// Which part of a catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Shelf {
    /// What can be had.
    #[default]
    ForSale,
    /// What was sold.
    Sold,
}

/// What a catalogue shows first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CatalogueSort {
    /// What was put on offer, or sold, last.
    #[default]
    Newest,
    /// What costs least.
    PriceAsc,
    /// What costs most.
    PriceDesc,
}

/// Which page of which catalogue.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListCatalogue {
    /// `sold` for what was sold.
    #[serde(default)]
    #[param(inline)]
    status: Shelf,
    /// Only of this category.
    #[param(value_type = Option<String>)]
    category: Option<Slug>,
    /// Only in this state.
    #[param(inline)]
    condition: Option<ThingCondition>,
    /// Only in this currency; needed for `min_price`, `max_price` and an order by price.
    #[param(value_type = Option<String>)]
    currency: Option<Currency>,
    /// Only for so many minor units or more.
    min_price: Option<i64>,
    /// Only for so many minor units or less.
    max_price: Option<i64>,
    /// `true` for what one may pick up, `false` for what one may not.
    pickup: Option<bool>,
    /// `true` for what is sent, `false` for what is not.
    delivery: Option<bool>,
    /// What comes first.
    #[serde(default)]
    #[param(inline)]
    sort: CatalogueSort,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

impl ListCatalogue {
    /// The name of the list: a cursor of one order is none of another.
    const fn name(&self) -> &'static str {
        match self.sort {
            CatalogueSort::Newest => "catalogue by age",
            CatalogueSort::PriceAsc => "catalogue by price",
            CatalogueSort::PriceDesc => "catalogue by price, falling",
        }
    }

    fn read(&self) -> Result<Catalogue, Problem> {
        let compares = self.sort != CatalogueSort::Newest || self.min_price.is_some() || self.max_price.is_some();
        if compares && self.currency.is_none() {
            let message = "prices are compared within one currency: name it".to_owned();
            let field = Field { field: "currency".to_owned(), code: "missing".to_owned(), message };
            return Err(Problem::bad_request("currency_needed", "prices are compared within one currency").with_fields(vec![field]));
        }
        Ok(Catalogue {
            sold: self.status == Shelf::Sold,
            category: self.category.as_ref().map(|category| category.as_str().to_owned()),
            condition: self.condition.map(|condition| condition.as_str().to_owned()),
            currency: self.currency.map(|currency| currency.to_string()),
            min_price: self.min_price,
            max_price: self.max_price,
            pickup: self.pickup,
            delivery: self.delivery,
            sort: match self.sort {
                CatalogueSort::Newest => catalogue::Sort::Newest,
                CatalogueSort::PriceAsc => catalogue::Sort::PriceAsc,
                CatalogueSort::PriceDesc => catalogue::Sort::PriceDesc,
            },
            after: self.after.as_ref().map(|after| after.read(self.name())).transpose()?,
            limit: self.limit.and_one(),
        })
    }

    fn page(&self, rows: Vec<ListingDetail>, reader: Reader) -> Listing<ListingView> {
        Listing::page(self.name(), self.limit, rows, |row| (row.price, row.position), |row| reader.listing(row))
    }
}

/// List what is for sale, or was sold, in a group.
#[utoipa::path(
    get,
    path = "/groups/{id}/catalogue",
    tag = "market",
    params(("id" = Uuid, Path,), ListCatalogue),
    responses((status = 200, body = Listing<ListingView>), Failures)
)]
async fn list_group_catalogue(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<GroupId>,
    Query(page): Query<ListCatalogue>,
) -> Result<Listing<ListingView>, Problem> {
    let wanted = page.read()?;
    let standing = app.standing(caller.person(), id).await?;
    standing.allows(Action::Read)?;
    let viewer = Viewer { person: caller.person(), keys: &standing.keys() };
    let rows = catalogue::of_group(app.db(), viewer, &wanted).await?;
    Ok(page.page(rows, Reader::of(&standing)))
}

/// List what somebody sells, or sold, as far as the caller may read it.
#[utoipa::path(
    get,
    path = "/people/{id}/catalogue",
    tag = "market",
    params(("id" = Uuid, Path,), ListCatalogue),
    responses((status = 200, body = Listing<ListingView>), Failures)
)]
async fn list_seller_catalogue(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PersonId>,
    Query(page): Query<ListCatalogue>,
) -> Result<Listing<ListingView>, Problem> {
    let wanted = page.read()?;
    if !app.is_registered(id).await? {
        return Err(Problem::not_found());
    }
    let mut keys = vec![];
    for group in catalogue::groups_of_seller(app.db(), id, caller.person()).await? {
        keys.extend(app.standing(Some(caller.person()), group).await?.keys());
    }
    let viewer = Viewer { person: Some(caller.person()), keys: &keys };
    let rows = catalogue::of_seller(app.db(), id, viewer, &wanted).await?;
    Ok(page.page(rows, Reader { person: Some(caller.person()), keeps_order: false }))
}
