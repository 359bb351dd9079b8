//! `/pages`: found, find, change; followers, blocks. Who keeps them is in `staff.rs`.

use crate::{
    App, Problem,
    answer::{Done, Tagged},
    call::Call,
    caller::{Caller, MaybeCaller},
    extract::{Json, Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
    routes::{care::staff::StaffOfferItem, people::ShowPicture},
};
use axum::extract::State;
use circolo_domain::{
    MediaId, Name, PageId, StreamName, Timestamp,
    allowance::Act,
    fan::{self, Fan},
    media::Picture,
    page::{self, Command, Founding, Page, PageStanding, StaffAct, StaffRole},
    username::{self, Username},
};
use circolo_events::{ExecuteError, execute};
use circolo_projections::{
    pages::{self, PageDetail, StaffDetail},
    staff_offers,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_pages, create_page))
        .routes(routes!(find_page, change_page))
        .routes(routes!(set_page_picture, remove_page_picture))
        .routes(routes!(follow_page, unfollow_page))
        .routes(routes!(block_page, unblock_page))
}

/// What somebody is on a page's staff.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = StaffRole)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StaffRoleName {
    Owner,
    Editor,
    CareAgent,
}

/// A new page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreatePage {
    /// Its name: 2 to 80 characters; need not be unique.
    #[schema(value_type = String, min_length = 2, max_length = 80, example = "Forno Vecchio")]
    name: Name,
    /// 5 to 50 letters, digits or dots. Unique; case and dots do not tell two names apart.
    #[schema(value_type = String, min_length = 5, max_length = 50, example = "forno.vecchio")]
    username: username::Name,
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePage {
    /// A new name.
    #[schema(value_type = Option<String>, min_length = 2, max_length = 80)]
    name: Option<Name>,
    /// A new username; the page stays found by the old one.
    #[schema(value_type = Option<String>, min_length = 5, max_length = 50)]
    username: Option<username::Name>,
}

/// A page in a list.
#[derive(Debug, Serialize, ToSchema)]
struct PageItem {
    /// The page's id.
    id: String,
    /// Its name.
    name: String,
    /// Its username as it is written.
    username: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// How many follow it.
    followers: i64,
    /// Revision of the page, for `If-Match`; for its staff, for changes of staff count in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

impl From<PageDetail> for PageItem {
    fn from(row: PageDetail) -> Self {
        let PageDetail { id, name, username, created, followers, .. } = row;
        Self { id, name, username, created_at: created, followers, revision: None }
    }
}

/// Somebody on a page's staff.
#[derive(Debug, Serialize, ToSchema)]
struct StaffItem {
    /// The person.
    person_id: String,
    /// How others see them.
    display_name: Option<String>,
    /// `owner`, `editor` or `care_agent`.
    role: String,
}

impl From<StaffDetail> for StaffItem {
    fn from(row: StaffDetail) -> Self {
        let StaffDetail { person_id, display_name, role } = row;
        Self { person_id, display_name, role }
    }
}

/// A page, and what the caller is to it.
#[derive(Debug, Serialize, ToSchema)]
struct PageView {
    #[serde(flatten)]
    item: PageItem,
    /// The picture that shows it, at `/v1/media/{id}`.
    #[schema(value_type = Option<Uuid>)]
    picture: Option<MediaId>,
    /// Whether the caller follows it; for those signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    following: Option<bool>,
    /// Whether the caller blocks it; for those signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<bool>,
    /// What the caller is on its staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StaffRoleName>)]
    role: Option<StaffRole>,
    /// What an owner offers the caller to be on its staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StaffRoleName>)]
    offered_role: Option<StaffRole>,
    /// Its staff; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    staff: Option<Vec<StaffItem>>,
    /// To whom a place on it is offered; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    offers: Option<Vec<StaffOfferItem>>,
}

/// Which pages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListPages {
    /// Only the page that this username leads to, now or as a former one.
    #[param(value_type = Option<String>, min_length = 5, max_length = 50)]
    username: Option<username::Name>,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// List pages, newest first, or look one up by its username, present or former.
#[utoipa::path(get, path = "/pages", tag = "pages", params(ListPages), responses((status = 200, body = Listing<PageItem>), Failures))]
async fn list_pages(State(app): State<App>, _: MaybeCaller, Query(page): Query<ListPages>) -> Result<Listing<PageItem>, Problem> {
    let before = page.after.map(|after| after.read("pages")).transpose()?;
    let rows = match &page.username {
        Some(username) => pages::by_username(app.db(), &username.normalised()).await?.into_iter().collect(),
        None => pages::list(app.db(), before, page.limit.and_one()).await?,
    };
    Ok(Listing::page("pages", page.limit, rows, |row| row.position, PageItem::from))
}

/// Create a page; the caller becomes its first owner.
///
/// A person creates at most 20 pages in 24 hours: then it is 429 `too_many_pages`, with the moment of the next in
/// `details.until`.
#[utoipa::path(post, path = "/pages", tag = "pages", responses((status = 201, body = Done), Failures))]
async fn create_page(State(app): State<App>, caller: Caller, Json(body): Json<CreatePage>) -> Result<Done, Problem> {
    let made = app.executor().alone(caller.command_id(), claim_new(&app, &caller, body)).await;
    made.unwrap_or_else(|| Err(ExecuteError::<username::Error>::Busy.into()))
}

async fn claim_new(app: &App, caller: &Caller, body: CreatePage) -> Result<Done, Problem> {
    let id = PageId(caller.command_id());
    let claim = username::stream(&body.username);
    // The page is named by the key, the claim by the username: the same key with another username shows here only.
    if caller.keyed() && exists(app, id).await? && app.store().find(&claim, caller.command_id()).await?.is_none() {
        return Err(ExecuteError::<username::Error>::KeyReused.into());
    }
    if is_free(app, &claim, id).await? {
        app.take_place(caller, caller.person(), Act::Page).await?;
    }
    let founding = Founding { name: body.name.into_string(), owner: caller.person() };
    let command = username::Command::ClaimForNewPage { page: id, username: body.username, founding };
    let done = app.execute::<Username>(caller, &claim, command, None).await?;
    Ok(Done::created(id.0, &done, format!("/v1/pages/{id}")))
}

/// Whether `page` may have the name: a claim that is refused anyway takes no place.
async fn is_free(app: &App, claim: &StreamName, page: PageId) -> Result<bool, Problem> {
    let owner = app.executor().load::<Username>(claim).await?.state.page();
    Ok(owner.is_none_or(|owner| owner == page))
}

async fn exists(app: &App, id: PageId) -> Result<bool, Problem> {
    Ok(app.executor().load::<Page>(&page::stream(id)).await?.state.exists())
}

/// Look a page up.
#[utoipa::path(get, path = "/pages/{id}", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = PageView), Failures))]
async fn find_page(State(app): State<App>, caller: MaybeCaller, Path(id): Path<PageId>) -> Result<Tagged<PageView>, Problem> {
    let standing = app.page_standing(caller.call(), id).await?;
    standing.sees()?;
    standing.whole_page()?;
    let row = pages::find(app.db(), id).await?.ok_or_else(Problem::not_found)?;
    let (mut staff, mut offers) = (None, None);
    if standing.role().is_some() {
        staff = Some(pages::staff(app.db(), id).await?.into_iter().map(StaffItem::from).collect());
        let open = staff_offers::of_page(app.db(), id).await?.into_iter().map(StaffOfferItem::from);
        offers = Some(open.filter(|offer| standing.page().offer_to(offer.person()).is_some()).collect());
    }
    let as_fan = standing.person().is_some() && standing.whole_fan().is_ok();
    let revision = standing.role().map(|_| row.revision);
    let view = PageView {
        item: PageItem { revision, ..row.into() },
        picture: standing.page().picture(),
        following: as_fan.then(|| standing.fan().follows()),
        blocked: as_fan.then(|| standing.fan().blocks()),
        role: standing.role(),
        offered_role: standing.person().and_then(|person| standing.page().offer_to(person)),
        staff,
        offers,
    };
    Ok(Tagged(view, revision))
}

/// Change a page's name or username: owners.
///
/// A page takes another username at most 5 times in 24 hours, as it keeps those it had: then it is 429
/// `too_many_username_changes`, with the moment of the next in `details.until`.
#[utoipa::path(patch, path = "/pages/{id}", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn change_page(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PageId>,
    Json(body): Json<ChangePage>,
) -> Result<Done, Problem> {
    let by = app.page_standing(Some(&caller), id).await?;
    by.may(StaffAct::Own)?;
    let Some(username) = body.username else {
        let done = rename(&app, &caller, by, body.name).await?;
        return Ok(Done::new(id.0, &done));
    };
    claim(&app, &caller, &by, username).await?;
    // The name comes second: the claim alone can be refused.
    let done = rename(&app, &caller.part("name"), by, body.name).await?;
    Ok(Done::new(id.0, &done))
}

/// Show the page by a picture that the caller uploaded: owners.
///
/// If it is not the caller's, or is no picture, or not there any more: 422 `unknown_media`.
#[utoipa::path(put, path = "/pages/{id}/picture", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn set_page_picture(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PageId>,
    Json(body): Json<ShowPicture>,
) -> Result<Done, Problem> {
    let by = app.page_standing(Some(&caller), id).await?;
    by.may(StaffAct::Own)?;
    let picture = app.picture(body.media_id, caller.person()).await?;
    show(&app, &caller, by, Some(picture)).await
}

/// Show the page by no picture: owners.
#[utoipa::path(delete, path = "/pages/{id}/picture", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn remove_page_picture(State(app): State<App>, caller: Caller, Path(id): Path<PageId>) -> Result<Done, Problem> {
    let by = app.page_standing(Some(&caller), id).await?;
    show(&app, &caller, by, None).await
}

async fn show(app: &App, call: &Call, by: PageStanding, picture: Option<Picture>) -> Result<Done, Problem> {
    let (id, scope) = (by.page_id(), by.scope());
    let done = app.execute::<Page>(call, &page::stream(id), Command::SetPicture { by, picture }, Some(scope)).await?;
    Ok(Done::new(id.0, &done))
}

/// Takes a username for the page: the claim decides, the page's new name follows from it.
async fn claim(app: &App, call: &Call, by: &PageStanding, username: username::Name) -> Result<(), Problem> {
    let current = app.executor().load::<Page>(&page::stream(by.page_id())).await?;
    if call.if_match().is_some() && call.if_match() != current.revision {
        return Err(ExecuteError::<username::Error>::PreconditionFailed { current: current.revision }.into());
    }
    if current.state.username() != username.as_str() {
        let stream = username::stream(&username);
        if is_free(app, &stream, by.page_id()).await? {
            app.take_place(call, by.page_id(), Act::Username).await?;
        }
        let command = username::Command::ClaimUsername { by: by.clone(), username };
        app.execute::<Username>(&call.part("username"), &stream, command, Some(by.scope())).await?;
    }
    Ok(())
}

/// Renames the page; without a name this changes nothing and tells how the page stands.
async fn rename(app: &App, call: &Call, by: PageStanding, name: Option<Name>) -> Result<execute::Done, Problem> {
    let (stream, scope) = (page::stream(by.page_id()), by.scope());
    app.execute::<Page>(call, &stream, Command::ChangePage { by, name }, Some(scope)).await
}

/// Executes a command on the caller's stream with the page.
async fn as_fan(app: &App, caller: &Caller, id: PageId, command: impl FnOnce(PageStanding) -> fan::Command) -> Result<Done, Problem> {
    let by = app.page_standing(Some(caller), id).await?;
    let scope = by.scope();
    let done = app.execute::<Fan>(caller, &fan::stream(id, caller.person()), command(by), Some(scope)).await?;
    Ok(Done::new(id.0, &done))
}

/// Follow a page: what it posts is in one's feed.
#[utoipa::path(put, path = "/pages/{id}/followers/me", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn follow_page(State(app): State<App>, caller: Caller, Path(id): Path<PageId>) -> Result<Done, Problem> {
    as_fan(&app, &caller, id, |by| fan::Command::FollowPage { by }).await
}

/// Follow it no longer.
#[utoipa::path(delete, path = "/pages/{id}/followers/me", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn unfollow_page(State(app): State<App>, caller: Caller, Path(id): Path<PageId>) -> Result<Done, Problem> {
    as_fan(&app, &caller, id, |by| fan::Command::UnfollowPage { by }).await
}

/// Block a page: it writes to the caller no more.
#[utoipa::path(put, path = "/pages/{id}/blocks/me", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn block_page(State(app): State<App>, caller: Caller, Path(id): Path<PageId>) -> Result<Done, Problem> {
    as_fan(&app, &caller, id, |by| fan::Command::BlockPage { by }).await
}

/// Let it write again.
#[utoipa::path(delete, path = "/pages/{id}/blocks/me", tag = "pages", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn unblock_page(State(app): State<App>, caller: Caller, Path(id): Path<PageId>) -> Result<Done, Problem> {
    as_fan(&app, &caller, id, |by| fan::Command::UnblockPage { by }).await
}
