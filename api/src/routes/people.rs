//! `/people` and `/me`: register, be known, know oneself.

use crate::{
    App, Problem,
    answer::Done,
    caller::{Authenticated, Caller},
    extract::{Json, Path},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{
    DisplayName, Locale, MediaId, PersonId, Timestamp,
    person::{self, Person},
};
use circolo_projections::people::{self, PersonRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register_person))
        .routes(routes!(find_person))
        .routes(routes!(find_me))
        .routes(routes!(set_avatar, remove_avatar))
}

/// How the caller wants to be known.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterPerson {
    /// How others see them: 1 to 80 characters.
    #[schema(value_type = String, min_length = 1, max_length = 80, example = "Ann")]
    display_name: DisplayName,
    /// A language tag.
    #[schema(value_type = Option<String>, example = "it")]
    locale: Option<Locale>,
}

/// A person as others see them.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonView {
    /// The person's id.
    id: String,
    /// How others see them.
    display_name: Option<String>,
    /// Their language.
    locale: Option<String>,
    /// When they registered.
    #[schema(value_type = String, format = DateTime)]
    registered_at: Timestamp,
    /// The picture that shows them, at `/v1/media/{id}`.
    #[schema(value_type = Option<Uuid>)]
    avatar: Option<MediaId>,
}

impl PersonView {
    fn new(row: PersonRow, person: &Person) -> Self {
        let PersonRow { id, display_name, locale, registered, .. } = row;
        Self { id, display_name, locale, registered_at: registered, avatar: person.avatar() }
    }
}

/// A picture to show.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowPicture {
    /// A picture that the caller uploaded.
    #[schema(value_type = Uuid)]
    pub media_id: MediaId,
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
struct MeView {
    /// The caller's person id; it exists before they register.
    id: Uuid,
    /// Whether they have registered.
    registered: bool,
    /// Who issued the token.
    issuer: String,
    /// Whom the issuer issued it to.
    subject: String,
    /// Whether the token says that it is a bot's.
    bot: bool,
    /// The scopes that the token gives.
    scopes: Vec<&'static str>,
    /// How others see them.
    person: Option<PersonView>,
}

/// Register the caller, once.
#[utoipa::path(post, path = "/people", tag = "people", responses((status = 201, body = Done), Failures))]
async fn register_person(State(app): State<App>, caller: Authenticated, Json(body): Json<RegisterPerson>) -> Result<Done, Problem> {
    let command = person::Command::RegisterPerson { display_name: body.display_name, locale: body.locale };
    let id = caller.person();
    let done = app.execute::<Person>(&caller, &person::stream(id), command, None).await?;
    Ok(Done::created(id.0, &done, format!("/v1/people/{id}")))
}

/// Look a person up. People are visible to everyone who is registered.
#[utoipa::path(get, path = "/people/{id}", tag = "people", params(("id" = Uuid, Path,)), responses((status = 200, body = PersonView), Failures))]
async fn find_person(State(app): State<App>, _: Caller, Path(id): Path<PersonId>) -> Result<Json<PersonView>, Problem> {
    let person = app.executor().load::<Person>(&person::stream(id)).await?.state;
    let row = people::find(app.db(), id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(PersonView::new(row, &person)))
}

/// Look oneself up: what the token says, and the person behind it.
#[utoipa::path(get, path = "/me", tag = "people", responses((status = 200, body = MeView), Failures))]
async fn find_me(State(app): State<App>, caller: Authenticated) -> Result<Json<MeView>, Problem> {
    let principal = caller.principal();
    let person = app.executor().load::<Person>(&person::stream(principal.person)).await?.state;
    let row = people::find(app.db(), principal.person).await?;
    Ok(Json(MeView {
        id: principal.person.0,
        registered: row.is_some(),
        issuer: principal.issuer.clone(),
        subject: principal.subject.clone(),
        bot: principal.bot,
        scopes: principal.scopes.iter().map(|scope| scope.name()).collect(),
        person: row.map(|row| PersonView::new(row, &person)),
    }))
}

/// Be shown by a picture: one that the caller uploaded.
///
/// If it is not, or is no picture, or not there any more: 422 `unknown_media`.
#[utoipa::path(put, path = "/me/avatar", tag = "people", responses((status = 200, body = Done), Failures))]
async fn set_avatar(State(app): State<App>, caller: Caller, Json(body): Json<ShowPicture>) -> Result<Done, Problem> {
    let picture = app.picture(body.media_id, caller.person()).await?;
    show(&app, &caller, person::Command::SetAvatar { picture: Some(picture) }).await
}

/// Be shown by no picture.
#[utoipa::path(delete, path = "/me/avatar", tag = "people", responses((status = 200, body = Done), Failures))]
async fn remove_avatar(State(app): State<App>, caller: Caller) -> Result<Done, Problem> {
    show(&app, &caller, person::Command::SetAvatar { picture: None }).await
}

async fn show(app: &App, caller: &Caller, command: person::Command) -> Result<Done, Problem> {
    let id = caller.person();
    let done = app.execute::<Person>(caller, &person::stream(id), command, None).await?;
    Ok(Done::new(id.0, &done))
}
