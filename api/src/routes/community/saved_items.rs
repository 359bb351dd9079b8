//! What the caller saved, for them alone.

use crate::{
    App, Problem,
    answer::Done,
    caller::{Caller, MaybeCaller},
    extract::{OptionalJson, Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
    routes::things,
};
use axum::extract::State;
use circolo_domain::{
    ThingKind, Timestamp,
    saved_item::{self, Command, Note, SavedItem},
};
use circolo_projections::saved_items::{self, SavedItemRow};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The name of the list, for its cursors.
const LIST: &str = "saved";
/// How often one request reads on behind what may not be read any longer.
const ROUNDS: usize = 10;
/// How many things are looked up at a time.
const LOOKUPS: usize = 16;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(save_item, forget_item)).routes(routes!(list_saved_items))
}

/// What to remember of a thing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SaveItem {
    /// A note of one's own: 1 to 500 characters; none if absent, whatever there was before.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, example = "For Sunday")]
    note: Option<Note>,
}

/// Which of what was saved.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListSavedItems {
    /// Only things of this sort.
    #[param(inline)]
    kind: Option<ThingKind>,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Something that the caller saved.
#[derive(Debug, Serialize, ToSchema)]
struct SavedItemView {
    /// What sort of thing it is.
    kind: String,
    /// The thing.
    id: String,
    /// The caller's note.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// When it was saved; a change of the note changes nothing of that.
    #[schema(value_type = String, format = DateTime)]
    saved_at: Timestamp,
}

impl From<SavedItemRow> for SavedItemView {
    fn from(row: SavedItemRow) -> Self {
        Self { kind: row.kind, id: row.thing, note: row.note, saved_at: row.saved }
    }
}

/// Save a thing that one may read, or change one's note.
#[utoipa::path(
    put,
    path = "/me/saved/{kind}/{id}",
    tag = "saved",
    params(("kind" = ThingKind, Path,), ("id" = Uuid, Path,)),
    request_body = Option<SaveItem>,
    responses((status = 200, body = Done), Failures)
)]
async fn save_item(
    State(app): State<App>,
    caller: Caller,
    Path((kind, id)): Path<(ThingKind, Uuid)>,
    OptionalJson(body): OptionalJson<SaveItem>,
) -> Result<Done, Problem> {
    things::reads(&app, Some(&caller), kind, id).await?;
    let command = Command::SaveItem { kind, note: body.note };
    let done = app.execute::<SavedItem>(&caller, &saved_item::stream(caller.person(), id), command, None).await?;
    Ok(Done::new(id, &done))
}

/// Save it no longer, whatever became of it.
#[utoipa::path(
    delete,
    path = "/me/saved/{kind}/{id}",
    tag = "saved",
    params(("kind" = ThingKind, Path,), ("id" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn forget_item(State(app): State<App>, caller: Caller, Path((_kind, id)): Path<(ThingKind, Uuid)>) -> Result<Done, Problem> {
    let done = app.execute::<SavedItem>(&caller, &saved_item::stream(caller.person(), id), Command::ForgetItem, None).await?;
    Ok(Done::new(id, &done))
}

/// List what one saved, the last first. What one may not read any longer is left out, and comes back when one may.
#[utoipa::path(get, path = "/me/saved", tag = "saved", params(ListSavedItems), responses((status = 200, body = Listing<SavedItemView>), Failures))]
async fn list_saved_items(
    State(app): State<App>,
    caller: MaybeCaller,
    Query(page): Query<ListSavedItems>,
) -> Result<Listing<SavedItemView>, Problem> {
    let mut before = page.after.map(|after| after.read(LIST)).transpose()?;
    let person = caller.needed()?;
    let mut found = vec![];
    for _ in 0..ROUNDS {
        let rows = saved_items::list(app.db(), person, page.kind, before, page.limit.and_one()).await?;
        let (read, more) = (rows.len(), i64::try_from(rows.len()).is_ok_and(|read| read == page.limit.and_one()));
        before = rows.last().map(|row| row.position);
        let readable = stream::iter(rows).map(|row| readable(&app, &caller, row)).buffered(LOOKUPS);
        found.extend(readable.try_collect::<Vec<_>>().await?.into_iter().flatten());
        if read == 0 || !more || found.len() > page.limit.get() {
            return Ok(Listing::page(LIST, page.limit, found, |row| row.position, SavedItemView::from));
        }
    }
    // Much of what was saved may not be read: there is more behind it.
    let next = before.filter(|_| found.len() <= page.limit.get()).map(|before| Cursor::new(LIST, &before).into_text());
    Ok(Listing { items: found.into_iter().map(SavedItemView::from).collect(), next })
}

/// The row, if the caller may read what it is about.
async fn readable(app: &App, caller: &MaybeCaller, row: SavedItemRow) -> Result<Option<SavedItemRow>, Problem> {
    let (Some(kind), Ok(id)) = (ThingKind::of_word(&row.kind), row.thing.parse()) else { return Ok(None) };
    match things::reads(app, caller.call(), kind, id).await {
        Ok(()) => Ok(Some(row)),
        Err(problem) if things::hides(&problem) => Ok(None),
        Err(problem) => Err(problem),
    }
}
