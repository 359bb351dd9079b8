//! Who keeps a page: offered by an owner, taken by whoever it is offered to.

use super::pages::StaffRoleName;
use crate::{
    App, Problem,
    answer::Done,
    caller::Caller,
    extract::{Json, Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{
    PageId, PersonId, Timestamp,
    page::{self, Command, Page, PageStanding, StaffAct, StaffRole},
};
use circolo_projections::staff_offers::{self, StaffOffer};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(give_staff_role, withdraw_staff_role))
        .routes(routes!(accept_staff_role))
        .routes(routes!(decline_staff_role))
        .routes(routes!(list_my_staff_offers))
}

/// A role on the staff.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GiveStaffRole {
    /// Which.
    #[schema(value_type = StaffRoleName)]
    role: StaffRole,
}

/// A place on a page's staff that is offered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StaffOfferItem {
    /// The page.
    page_id: String,
    /// Its name.
    page_name: Option<String>,
    /// To whom it is offered.
    person_id: String,
    /// How others see them.
    display_name: Option<String>,
    /// `owner`, `editor` or `care_agent`.
    role: String,
    /// The owner who offers it.
    offered_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    offered_at: Timestamp,
}

impl StaffOfferItem {
    /// To whom it is offered.
    pub(crate) fn person(&self) -> PersonId {
        self.person_id.parse().unwrap_or(PersonId(uuid::Uuid::nil()))
    }
}

impl From<StaffOffer> for StaffOfferItem {
    fn from(row: StaffOffer) -> Self {
        let StaffOffer { page_id, page_name, person_id, display_name, role, offered_by, offered, .. } = row;
        Self { page_id, page_name, person_id, display_name, role, offered_by, offered_at: offered }
    }
}

/// Executes `command` on the page, and tells what comes of it for `person`: `staff`, `offered` or `none`.
async fn execute(app: &App, caller: &Caller, by: PageStanding, person: PersonId, command: Command) -> Result<Done, Problem> {
    let (id, scope) = (by.page_id(), by.scope());
    let done = app.execute::<Page>(caller, &page::stream(id), command, Some(scope)).await?;
    let page = app.executor().load::<Page>(&page::stream(id)).await?.state;
    let status = match (page.role_of(person), page.offer_to(person)) {
        (_, Some(_)) => "offered",
        (Some(_), None) => "staff",
        (None, None) => "none",
    };
    Ok(Done::new(id.0, &done).with_status(status))
}

/// Offer somebody a place on the staff, or to own the page; or change at once what somebody on the staff is there: owners.
/// `status` says which it came to: `offered` or `staff`.
#[utoipa::path(
    put,
    path = "/pages/{id}/staff/{person}",
    tag = "pages",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn give_staff_role(
    State(app): State<App>,
    caller: Caller,
    Path((id, person)): Path<(PageId, PersonId)>,
    Json(body): Json<GiveStaffRole>,
) -> Result<Done, Problem> {
    let by = app.page_standing(Some(&caller), id).await?;
    by.may(StaffAct::Own)?;
    if !app.is_registered(person).await? {
        return Err(Problem::not_found());
    }
    let command = Command::GiveStaffRole { by: by.clone(), person, role: body.role };
    execute(&app, &caller, by, person, command).await
}

/// The caller's standing for what only `person` may do.
async fn own(app: &App, caller: &Caller, page: PageId, person: PersonId) -> Result<PageStanding, Problem> {
    let by = app.page_standing(Some(caller), page).await?;
    by.sees()?;
    if person == caller.person() { Ok(by) } else { Err(Problem::forbidden("not_yours", "only the person it is offered to may do this")) }
}

/// Take the place that is offered to oneself.
#[utoipa::path(
    post,
    path = "/pages/{id}/staff/{person}/accept",
    tag = "pages",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn accept_staff_role(State(app): State<App>, caller: Caller, Path((id, person)): Path<(PageId, PersonId)>) -> Result<Done, Problem> {
    let by = own(&app, &caller, id, person).await?;
    execute(&app, &caller, by.clone(), person, Command::AcceptStaffRole { by }).await
}

/// Turn it down.
#[utoipa::path(
    post,
    path = "/pages/{id}/staff/{person}/decline",
    tag = "pages",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn decline_staff_role(State(app): State<App>, caller: Caller, Path((id, person)): Path<(PageId, PersonId)>) -> Result<Done, Problem> {
    let by = own(&app, &caller, id, person).await?;
    execute(&app, &caller, by.clone(), person, Command::DeclineStaffRole { by }).await
}

/// Take somebody off the staff, or an offer back: owners, or the person. The last owner stays.
#[utoipa::path(
    delete,
    path = "/pages/{id}/staff/{person}",
    tag = "pages",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn withdraw_staff_role(
    State(app): State<App>,
    caller: Caller,
    Path((id, person)): Path<(PageId, PersonId)>,
) -> Result<Done, Problem> {
    let by = app.page_standing(Some(&caller), id).await?;
    execute(&app, &caller, by.clone(), person, Command::WithdrawStaffRole { by, person }).await
}

/// Which page of the caller's offers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListStaffOffers {
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// List the places on the staff of pages that are offered to oneself, latest first.
#[utoipa::path(get, path = "/me/staff-offers", tag = "pages", params(ListStaffOffers), responses((status = 200, body = Listing<StaffOfferItem>), Failures))]
async fn list_my_staff_offers(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<ListStaffOffers>,
) -> Result<Listing<StaffOfferItem>, Problem> {
    let before = page.after.map(|after| after.read("staff_offers")).transpose()?;
    let rows = staff_offers::of_person(app.db(), caller.person(), before, page.limit.and_one()).await?;
    let Listing { items: rows, next } = Listing::page("staff_offers", page.limit, rows, |row| row.position, |row| row);
    let mut items = vec![];
    for row in rows {
        let Ok(id) = row.page_id.parse() else { continue };
        // What an owner offered who is none any more is as if it had been taken back; so is what cannot be read.
        let page = app.executor().load_in_part::<Page>(&page::stream(id)).await?;
        if page.unread.is_none() && page.state.offer_to(caller.person()).is_some() {
            items.push(StaffOfferItem::from(row));
        }
    }
    Ok(Listing { items, next })
}
