//! Who is in a group and how they came in: members, invitations, requests, bans.

use crate::{
    App, Problem,
    answer::Done,
    call::Call,
    caller::{Caller, MaybeCaller},
    extract::{Json, OptionalJson, Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::{Failures, Field},
};
use axum::extract::State;
use circolo_domain::{
    GroupId, PersonId, Reason, Timestamp,
    access::{Action, Standing},
    group::{self, Departure, Group},
    membership::{self, Command, Membership},
};
use circolo_projections::{
    memberships::{self, InvitationRow, ListedPerson, Status},
    past,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_members))
        .routes(routes!(remove_member))
        .routes(routes!(invite_member))
        .routes(routes!(accept_invitation))
        .routes(routes!(decline_invitation))
        .routes(routes!(revoke_invitation))
        .routes(routes!(list_my_invitations))
        .routes(routes!(join_group))
        .routes(routes!(leave_group))
        .routes(routes!(approve_request))
        .routes(routes!(refuse_request))
        .routes(routes!(withdraw_request))
        .routes(routes!(ban_member, unban_member))
}

/// Which people of the group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MemberStatus {
    #[default]
    Member,
    Invited,
    Requested,
    Banned,
}

/// Which page of which list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListMembers {
    /// Whom to list; all but `member` is for moderators.
    #[serde(default)]
    #[param(inline)]
    status: MemberStatus,
    /// As it was then, from what was recorded by then; who may read it is decided by today's rights.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Timestamp>,
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// A person in a list of a group's people.
#[derive(Debug, Serialize, ToSchema)]
struct MemberItem {
    /// The person.
    person_id: String,
    /// How others see them.
    display_name: Option<String>,
    /// `member`, `moderator` or `admin`, for members.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Since when: joined, invited or asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Who invited them.
    #[serde(skip_serializing_if = "Option::is_none")]
    inviter: Option<String>,
    /// Why they are banned.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Until when they are banned; for good if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl MemberItem {
    fn new(status: MemberStatus, row: ListedPerson) -> Self {
        let is = |wanted| status == wanted;
        Self {
            person_id: row.person_id,
            display_name: row.display_name,
            role: is(MemberStatus::Member).then_some(row.role),
            since: match status {
                MemberStatus::Member => row.joined,
                MemberStatus::Invited => row.invited,
                MemberStatus::Requested => row.requested,
                MemberStatus::Banned => None,
            },
            inviter: row.inviter.filter(|_| is(MemberStatus::Invited)),
            reason: row.ban_reason.filter(|_| is(MemberStatus::Banned)),
            until: row.banned_until.filter(|until| is(MemberStatus::Banned) && *until < i64::MAX).map(Timestamp::from_micros),
        }
    }
}

/// An open invitation of the caller.
#[derive(Debug, Serialize, ToSchema)]
struct InvitationItem {
    /// The group.
    group_id: String,
    /// Its name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// `public`, `closed` or `secret`.
    privacy: String,
    /// Who invited.
    inviter: Option<String>,
    /// How others see the inviter.
    inviter_name: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    invited_at: Option<Timestamp>,
}

impl From<InvitationRow> for InvitationItem {
    fn from(row: InvitationRow) -> Self {
        let InvitationRow { group_id, name, description, privacy, inviter, inviter_name, invited, .. } = row;
        Self { group_id, name, description, privacy, inviter, inviter_name, invited_at: invited }
    }
}

/// Whom to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InviteMember {
    /// A registered person.
    #[schema(value_type = Uuid)]
    person_id: PersonId,
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WithReason {
    /// Up to 5,000 characters.
    #[schema(value_type = Option<String>, max_length = 5000)]
    reason: Option<Reason>,
}

/// Why, in the query string.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReasonParam {
    /// Up to 5,000 characters.
    #[param(value_type = Option<String>, max_length = 5000)]
    reason: Option<Reason>,
}

/// A ban.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BanMember {
    /// Up to 5,000 characters.
    #[schema(value_type = String, max_length = 5000)]
    reason: Reason,
    /// Until when; for good if absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Executes `command` on the membership of `person` and tells how things stand then.
async fn execute(app: &App, call: &Call, by: &Standing, person: PersonId, command: Command) -> Result<Done, Problem> {
    let group = by.group_id();
    let done = app.execute::<Membership>(call, &membership::stream(group, person), command, by.scope()).await?;
    answer(app, group, person, &done).await
}

async fn answer(app: &App, group: GroupId, person: PersonId, done: &circolo_events::Done) -> Result<Done, Problem> {
    let standing = app.standing(Some(person), group).await?;
    Ok(Done::new(person.0, done).with_status(standing.membership().status(app.now())))
}

/// Ends a membership: through the group's stream if a role goes with it, else on the membership's own.
async fn depart(app: &App, call: &Call, by: Standing, who: Standing, departure: Departure, otherwise: Command) -> Result<Done, Problem> {
    let Some(person) = who.person() else { return Err(Problem::not_found()) };
    let group = by.group_id();
    let (of_group, of_person) = (group::stream(group), membership::stream(group, person));
    // A role may have come or gone since: a repeat finds its first outcome on whichever stream it was.
    if call.keyed() {
        let first = app.repeated::<Group>(call, &of_group).await?;
        let first = if first.is_some() { first } else { app.repeated::<Membership>(call, &of_person).await? };
        if let Some(done) = first {
            return answer(app, group, person, &done).await;
        }
    }
    if who.group().holds_role(person) {
        let command = group::Command::Depart { by: by.clone(), who, departure };
        let done = app.execute::<Group>(call, &of_group, command, by.scope()).await?;
        // Without a change the role was of an earlier episode, and is not in the way.
        if done.changed || done.repeated {
            return answer(app, group, person, &done).await;
        }
    }
    execute(app, call, &by, person, otherwise).await
}

/// List members, or for moderators those invited, requesting or banned. Latest first.
#[utoipa::path(
    get,
    path = "/groups/{id}/members",
    tag = "members",
    params(("id" = Uuid, Path,), ListMembers),
    responses((status = 200, body = Listing<MemberItem>), Failures)
)]
async fn list_members(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<GroupId>,
    Query(page): Query<ListMembers>,
) -> Result<Listing<MemberItem>, Problem> {
    let (list, status, action) = match page.status {
        MemberStatus::Member => ("members", Status::Member, Action::ReadMembers),
        MemberStatus::Invited => ("invited", Status::Invited, Action::Moderate),
        MemberStatus::Requested => ("requested", Status::Requested, Action::Moderate),
        MemberStatus::Banned => ("banned", Status::Banned, Action::Moderate),
    };
    let before = page.after.map(|after| after.read(list)).transpose()?;
    let standing = app.standing(caller.person(), id).await?;
    standing.allows(action)?;
    let limit = page.limit.and_one();
    let rows = match page.as_of {
        None => memberships::of_group(app.db(), id, status, app.now(), before, limit).await?,
        Some(time) => {
            let past = app.past(time).await?;
            let own = past.stream(&group::stream(id)).await?;
            standing.allows_as_of(action, &Arc::new(past::state::<Group>(&own)), time)?;
            memberships::as_of(app.db(), past, &own, id, (status, time), (before, limit)).await?
        }
    };
    Ok(Listing::page(list, page.limit, rows, |row| row.position, |row| MemberItem::new(page.status, row)))
}

/// Take a member out; they may come back.
#[utoipa::path(
    delete,
    path = "/groups/{id}/members/{person}",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,), ReasonParam),
    responses((status = 200, body = Done), Failures)
)]
async fn remove_member(
    State(app): State<App>,
    caller: Caller,
    Path((id, person)): Path<(GroupId, PersonId)>,
    Query(ReasonParam { reason }): Query<ReasonParam>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let who = app.standing(Some(person), id).await?;
    let departure = Departure::Removed { reason: reason.as_ref().map(|reason| reason.as_str().to_owned().into()) };
    let otherwise = Command::RemoveMember { by: by.clone(), who: who.clone(), reason };
    depart(&app, &caller, by, who, departure, otherwise).await
}

/// Invite somebody; or admit them, if they asked and the caller may approve.
#[utoipa::path(
    post,
    path = "/groups/{id}/invitations",
    tag = "members",
    params(("id" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn invite_member(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<GroupId>,
    Json(body): Json<InviteMember>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    by.allows(Action::Invite)?;
    if !app.is_registered(body.person_id).await? {
        let message = "no person is registered under this id".to_owned();
        return Err(Problem::invalid(vec![Field { field: "person_id".into(), code: "unknown_person".into(), message }]));
    }
    let command = Command::InviteMember { by: by.clone() };
    execute(&app, &caller, &by, body.person_id, command).await
}

/// Accept one's own invitation.
#[utoipa::path(
    post,
    path = "/groups/{id}/invitations/{person}/accept",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn accept_invitation(State(app): State<App>, caller: Caller, Path((id, person)): Path<(GroupId, PersonId)>) -> Result<Done, Problem> {
    let by = own(&app, &caller, id, person).await?;
    let command = Command::AcceptInvitation { by: by.clone() };
    execute(&app, &caller, &by, person, command).await
}

/// Turn one's own invitation down.
#[utoipa::path(
    post,
    path = "/groups/{id}/invitations/{person}/decline",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn decline_invitation(
    State(app): State<App>,
    caller: Caller,
    Path((id, person)): Path<(GroupId, PersonId)>,
) -> Result<Done, Problem> {
    let by = own(&app, &caller, id, person).await?;
    let command = Command::DeclineInvitation { by: by.clone() };
    execute(&app, &caller, &by, person, command).await
}

/// The caller's standing for what only `person` may do.
async fn own(app: &App, caller: &Caller, group: GroupId, person: PersonId) -> Result<Standing, Problem> {
    let by = app.standing(Some(caller.person()), group).await?;
    by.allows(Action::See)?;
    if person == caller.person() { Ok(by) } else { Err(Problem::forbidden("not_yours", "only the invited person may do this")) }
}

/// Take an invitation back: the inviter, or a moderator.
#[utoipa::path(
    delete,
    path = "/groups/{id}/invitations/{person}",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn revoke_invitation(State(app): State<App>, caller: Caller, Path((id, person)): Path<(GroupId, PersonId)>) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let command = Command::RevokeInvitation { by: by.clone() };
    execute(&app, &caller, &by, person, command).await
}

/// Which page of the caller's invitations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListInvitations {
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// List one's own open invitations, latest first.
#[utoipa::path(
    get,
    path = "/me/invitations",
    tag = "members",
    params(ListInvitations),
    responses((status = 200, body = Listing<InvitationItem>), Failures)
)]
async fn list_my_invitations(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<ListInvitations>,
) -> Result<Listing<InvitationItem>, Problem> {
    let before = page.after.map(|after| after.read("invitations")).transpose()?;
    let rows = memberships::invitations(app.db(), caller.person(), before, page.limit.and_one()).await?;
    Ok(Listing::page("invitations", page.limit, rows, |row| row.position, InvitationItem::from))
}

/// Join an open group, or ask to join; `status` says which it came to.
#[utoipa::path(post, path = "/groups/{id}/join", tag = "members", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn join_group(State(app): State<App>, caller: Caller, Path(id): Path<GroupId>) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let command = Command::JoinGroup { by: by.clone() };
    execute(&app, &caller, &by, caller.person(), command).await
}

/// Leave. The last admin stays.
#[utoipa::path(post, path = "/groups/{id}/leave", tag = "members", params(("id" = Uuid, Path,)), responses((status = 200, body = Done), Failures))]
async fn leave_group(State(app): State<App>, caller: Caller, Path(id): Path<GroupId>) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let otherwise = Command::LeaveGroup { by: by.clone() };
    depart(&app, &caller, by.clone(), by, Departure::Left, otherwise).await
}

/// Let somebody in who asked. The first decision stands; a second moderator gets 409 with the outcome.
#[utoipa::path(
    post,
    path = "/groups/{id}/requests/{person}/approve",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn approve_request(State(app): State<App>, caller: Caller, Path((id, person)): Path<(GroupId, PersonId)>) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let command = Command::ApproveRequest { by: by.clone() };
    execute(&app, &caller, &by, person, command).await
}

/// Do not let somebody in who asked.
#[utoipa::path(
    post,
    path = "/groups/{id}/requests/{person}/refuse",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    request_body(content = Option<WithReason>),
    responses((status = 200, body = Done), Failures)
)]
async fn refuse_request(
    State(app): State<App>,
    caller: Caller,
    Path((id, person)): Path<(GroupId, PersonId)>,
    OptionalJson(WithReason { reason }): OptionalJson<WithReason>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let command = Command::RefuseRequest { by: Some(by.clone()), reason };
    execute(&app, &caller, &by, person, command).await
}

/// Take one's own request back.
#[utoipa::path(
    delete,
    path = "/groups/{id}/requests/me",
    tag = "members",
    params(("id" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn withdraw_request(State(app): State<App>, caller: Caller, Path(id): Path<GroupId>) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let command = Command::WithdrawRequest { by: by.clone() };
    execute(&app, &caller, &by, caller.person(), command).await
}

/// Ban somebody: every way in is closed to them.
#[utoipa::path(
    put,
    path = "/groups/{id}/bans/{person}",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn ban_member(
    State(app): State<App>,
    caller: Caller,
    Path((id, person)): Path<(GroupId, PersonId)>,
    Json(BanMember { reason, until }): Json<BanMember>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    by.allows(Action::Moderate)?;
    if !app.is_registered(person).await? {
        return Err(Problem::not_found());
    }
    let who = app.standing(Some(person), id).await?;
    let departure = Departure::Banned { reason: reason.as_str().to_owned().into(), until };
    let otherwise = Command::BanMember { by: by.clone(), who: who.clone(), reason, until };
    depart(&app, &caller, by, who, departure, otherwise).await
}

/// Lift a ban.
#[utoipa::path(
    delete,
    path = "/groups/{id}/bans/{person}",
    tag = "members",
    params(("id" = Uuid, Path,), ("person" = Uuid, Path,)),
    responses((status = 200, body = Done), Failures)
)]
async fn unban_member(State(app): State<App>, caller: Caller, Path((id, person)): Path<(GroupId, PersonId)>) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    let command = Command::UnbanMember { by: by.clone() };
    execute(&app, &caller, &by, person, command).await
}
