//! `/groups`: create, find, change; roles.

use crate::{
    App, Problem,
    answer::{Done, Tagged},
    call::Call,
    caller::{Caller, MaybeCaller, Whence},
    extract::{Json, Path, Query, present},
    listing::{AsOf, Cursor, Limit, Listing},
    problem::Failures,
    routes::people::ShowPicture,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use circolo_domain::{
    Comment, Decider, GroupId, MediaId, Name, PersonId, Timestamp,
    access::{Action, Origin, Privacy, Role, Scope, Standing},
    allowance::Act,
    group::{self, Changes, Group, History, Policy},
    membership::{self, Membership},
};
use circolo_events::ExecuteError;
use circolo_projections::{
    figures,
    groups::{self, Directory, GroupDetail, GroupThen},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_groups, create_group))
        .routes(routes!(find_group, change_group))
        .routes(routes!(set_group_picture, remove_group_picture))
        .routes(routes!(give_role))
}

/// How private a group is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = Privacy)]
#[serde(rename_all = "snake_case")]
enum PrivacyName {
    Public,
    Closed,
    Secret,
}

/// How one becomes a member.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = MembershipPolicy)]
#[serde(rename_all = "snake_case")]
enum PolicyName {
    Open,
    Request,
    InviteOnly,
}

/// What newcomers may read of the time before them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = History)]
#[serde(rename_all = "snake_case")]
enum HistoryName {
    All,
    SinceJoining,
}

/// A member's role.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = Role)]
#[serde(rename_all = "snake_case")]
enum RoleName {
    Member,
    Moderator,
    Admin,
}

/// A new group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateGroup {
    /// Its name, 2 to 80 characters; need not be unique.
    #[schema(value_type = String, min_length = 2, max_length = 80, example = "Bread bakers")]
    name: Name,
    /// What it is for, up to 5,000 characters.
    #[schema(value_type = Option<String>, max_length = 5000)]
    description: Option<Comment>,
    /// How private it is.
    #[schema(value_type = PrivacyName)]
    privacy: Privacy,
    /// How one becomes a member; a secret group is `invite_only`.
    #[schema(value_type = PolicyName)]
    membership: Policy,
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeGroup {
    /// A new name.
    #[schema(value_type = Option<String>, min_length = 2, max_length = 80)]
    name: Option<Name>,
    /// A new description; null takes it away.
    #[expect(clippy::option_option, reason = "null takes the description away, absence leaves it")]
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 5000)]
    description: Option<Option<Comment>>,
    /// Opens nothing that was written before; becoming secret makes the group `invite_only` and refuses open requests.
    #[schema(value_type = Option<PrivacyName>)]
    privacy: Option<Privacy>,
    /// How one becomes a member.
    #[schema(value_type = Option<PolicyName>)]
    membership: Option<Policy>,
    /// Whether members may invite.
    members_invite: Option<bool>,
    /// Whether outsiders see the member list of a closed group.
    member_list_public: Option<bool>,
    /// What newcomers may read.
    #[schema(value_type = Option<HistoryName>)]
    history: Option<History>,
}

/// A role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GiveRole {
    /// Which.
    #[schema(value_type = RoleName)]
    role: Role,
}

/// A group in the directory.
#[derive(Debug, Serialize, ToSchema)]
struct GroupItem {
    /// The group's id.
    id: String,
    /// Its name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// `public`, `closed` or `secret`.
    privacy: String,
    /// `open`, `request` or `invite_only`.
    membership: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<GroupDetail> for GroupItem {
    fn from(row: GroupDetail) -> Self {
        let GroupDetail { id, name, description, privacy, membership, created, .. } = row;
        Self { id, name, description, privacy, membership, created_at: created }
    }
}

/// A group, as far as the caller may know it.
#[derive(Debug, Serialize, ToSchema)]
struct GroupView {
    #[serde(flatten)]
    item: GroupItem,
    /// The picture that shows it, at `/v1/media/{id}`.
    #[schema(value_type = Option<Uuid>)]
    picture: Option<MediaId>,
    /// Whether members may invite.
    members_invite: bool,
    /// Whether outsiders see the member list of a closed group.
    member_list_public: bool,
    /// `all` or `since_joining`.
    history: String,
    /// Present members; for those who may read the member list.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<i64>,
    /// Questions ever asked that the caller may read; for those who may read the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    questions: Option<i64>,
    /// Answers ever given that the caller may read; for those who may read the group. Absent, too, where they would be too many
    /// to tell from those that the caller may not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<i64>,
    /// What the caller is to the group: `member`, `requested`, `invited`, `banned` or `none`.
    status: &'static str,
    /// The caller's role, if they are a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RoleName>)]
    role: Option<Role>,
    /// Revision of the group, for `If-Match`; absent for whom it would count what they may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

impl GroupView {
    fn new(row: GroupDetail, standing: &Standing, group: &Group, allows: impl Fn(Action) -> bool) -> Self {
        let reads = allows(Action::Read);
        Self {
            picture: group.picture(),
            members_invite: row.members_invite,
            member_list_public: row.member_list_public,
            history: row.history.clone(),
            members: allows(Action::ReadMembers).then_some(row.members),
            questions: reads.then_some(row.questions),
            answers: row.answers.filter(|_| reads),
            status: standing.status(),
            role: standing.role(),
            revision: told(standing).then_some(row.revision),
            item: row.into(),
        }
    }
}

/// Whether somebody is told the group's revision: who may read all that was ever done in it, and the list of members, for roles
/// count in it.
pub(crate) fn told(standing: &Standing) -> bool {
    let beginning = |scope| Origin { scope: Scope { era: 0, ..scope }, at: Timestamp::from_micros(i64::MIN) };
    let follows = standing.scope().is_some_and(|scope| figures::follows(&standing.keys(), beginning(scope)));
    follows && standing.allows(Action::ReadMembers).is_ok()
}

/// Which page of the directory.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListGroups {
    /// Words that name or description must contain, in any order; the last one may be the beginning of a word. Searches without a
    /// token have a limit of their own.
    q: Option<String>,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Find groups: those everyone finds, and one's own secret ones. Newest first.
#[utoipa::path(get, path = "/groups", tag = "groups", params(ListGroups), responses((status = 200, body = Listing<GroupItem>), Failures))]
async fn list_groups(
    State(app): State<App>,
    caller: MaybeCaller,
    whence: Whence,
    Query(page): Query<ListGroups>,
) -> Result<Listing<GroupItem>, Problem> {
    let before = page.after.map(|after| after.read("groups")).transpose()?;
    if page.q.is_some() {
        app.admit_search(&caller, whence)?;
    }
    let directory = Directory { query: page.q, reader: caller.person(), before, limit: page.limit.and_one() };
    let rows = groups::directory(app.db(), &directory).await?;
    let Listing { items: mut rows, next } = Listing::page("groups", page.limit, rows, |row| row.position, |row| row);
    let listed: Vec<(GroupId, bool)> = rows.iter().filter_map(|row| Some((row.id.parse().ok()?, row.privacy == "secret"))).collect();
    let streams = listed.iter().map(|(id, _)| group::stream(*id)).collect();
    let left_out = app.projector().left_out("groups", streams).await?;
    for (id, secret) in listed {
        if !secret && !left_out.contains(&group::stream(id)) {
            continue;
        }
        // An invitation that its maker could not make today shows the group to nobody; and what cannot be read may be secret by now.
        let standing = app.standing(caller.person(), id).await?;
        if standing.allows(Action::See).is_err() || standing.whole_group().is_err() {
            rows.retain(|row| row.id != id.to_string());
        }
    }
    Ok(Listing { items: rows.into_iter().map(GroupItem::from).collect(), next })
}

/// Create a group; the caller becomes its first admin.
///
/// A person creates at most 50 groups in 24 hours: then it is 429 `too_many_groups`, with the moment of the next in
/// `details.until`.
#[utoipa::path(post, path = "/groups", tag = "groups", responses((status = 201, body = Done), Failures))]
async fn create_group(State(app): State<App>, caller: Caller, Json(body): Json<CreateGroup>) -> Result<Done, Problem> {
    let CreateGroup { name, description, privacy, membership } = body;
    let command = group::Command::CreateGroup { name, description, privacy, membership };
    let id = GroupId(caller.command_id());
    let stream = group::stream(id);
    // What is refused anyway takes no place.
    if Group::default().decide(&command, &caller.context(&stream, app.now())).is_ok() {
        app.take_place(&caller, caller.person(), Act::Group).await?;
    }
    let done = app.execute::<Group>(&caller, &stream, command, None).await?;
    Ok(Done::created(id.0, &done, format!("/v1/groups/{id}")))
}

/// Look a group up, as it is or as it was: the past is for registered callers.
#[utoipa::path(get, path = "/groups/{id}", tag = "groups", params(("id" = Uuid, Path,), AsOf), responses((status = 200, body = GroupView), Failures))]
async fn find_group(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<GroupId>,
    Query(AsOf { as_of }): Query<AsOf>,
) -> Result<Response, Problem> {
    let standing = app.standing(caller.person(), id).await?;
    standing.allows(Action::See)?;
    standing.whole()?;
    let Some(time) = as_of else {
        let row = groups::find(app.db(), id, &standing.keys()).await?.ok_or_else(Problem::not_found)?;
        let view = GroupView::new(row, &standing, standing.group(), |action| standing.allows(action).is_ok());
        let revision = view.revision;
        return Ok(Tagged(view, revision).into_response());
    };
    let (look, stream) = (app.look_back(&caller, time).await?, group::stream(id));
    let then = if let Some(known) = look.known::<GroupThen>(&stream) {
        known
    } else {
        let then = GroupThen::fold(look.past(), id).await?;
        let size = then.size();
        look.keep(&stream, then, size)
    };
    standing.allows_as_of(Action::See, &then.state, time)?;
    // What depends on the reader is counted for each.
    let row = groups::as_of(app.db(), look.past().until, &then, &standing.keys()).await?.ok_or_else(Problem::not_found)?;
    let view = GroupView::new(row, &standing, &then.state, |action| standing.allows_as_of(action, &then.state, time).is_ok());
    // Without an entity tag: nothing can be changed as of then.
    Ok(Json(view).into_response())
}

/// Change a group's settings, all or none.
#[utoipa::path(patch, path = "/groups/{id}", tag = "groups", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn change_group(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<GroupId>,
    Json(body): Json<ChangeGroup>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let ChangeGroup { name, description, privacy, membership, members_invite, member_list_public, history } = body;
    let changes = Changes { name, description, privacy, membership, members_invite, member_list_public, history };
    let done = app.execute::<Group>(&caller, &group::stream(id), group::Command::ChangeGroup { by, changes }, None).await?;
    Ok(Done::new(id.0, &done))
}

/// Show the group by a picture that the caller uploaded: admins.
///
/// Who sees the group sees the picture. If it is not the caller's, or is no picture, or not there any more: 422 `unknown_media`.
#[utoipa::path(put, path = "/groups/{id}/picture", tag = "groups", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn set_group_picture(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<GroupId>,
    Json(body): Json<ShowPicture>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    by.may(Action::Administer)?;
    let picture = app.picture(body.media_id, caller.person()).await?;
    let command = group::Command::SetPicture { by, picture: Some(picture) };
    Ok(Done::new(id.0, &app.execute::<Group>(&caller, &group::stream(id), command, None).await?))
}

/// Show the group by no picture: admins.
#[utoipa::path(delete, path = "/groups/{id}/picture", tag = "groups", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn remove_group_picture(State(app): State<App>, caller: Caller, Path(id): Path<GroupId>) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let command = group::Command::SetPicture { by, picture: None };
    Ok(Done::new(id.0, &app.execute::<Group>(&caller, &group::stream(id), command, None).await?))
}

/// Give a member a role, or take it away with `member`.
#[utoipa::path(
    put,
    path = "/groups/{id}/members/{person}/role",
    tag = "groups",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn give_role(
    State(app): State<App>,
    caller: Caller,
    Path((id, person)): Path<(GroupId, PersonId)>,
    Json(body): Json<GiveRole>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    bind(&app, &caller, &by, person, body.role).await?;
    let to = app.standing(Some(person), id).await?;
    let command = group::Command::GiveRole { by, to, role: body.role };
    let done = app.execute::<Group>(&caller, &group::stream(id), command, None).await?;
    Ok(Done::new(id.0, &done))
}

/// Whoever is to hold a role, or a higher one, is bound first.
async fn bind(app: &App, call: &Call, by: &Standing, person: PersonId, role: Role) -> Result<(), Problem> {
    by.may(Action::Administer)?;
    let id = by.group_id();
    if app.standing(Some(person), id).await?.role().unwrap_or(Role::Member) >= role {
        return Ok(());
    }
    let current = app.executor().load::<Group>(&group::stream(id)).await?.revision;
    if call.if_match().is_some() && call.if_match() != current {
        return Err(ExecuteError::<group::Error>::PreconditionFailed { current }.into());
    }
    let command = membership::Command::BindMember { by: Some(by.clone()) };
    app.execute::<Membership>(&call.part("bind"), &membership::stream(id, person), command, by.scope()).await?;
    Ok(())
}
