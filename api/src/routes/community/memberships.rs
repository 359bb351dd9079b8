//! How people come into a group and out of it: invitations, requests, departures, bans. Who is there, `members.rs` lists.

use crate::{
    App, Problem,
    answer::Done,
    call::Call,
    caller::Caller,
    extract::{Json, OptionalJson, Path, Query},
    problem::{Failures, Field},
};
use axum::extract::State;
use circolo_domain::{
    Decider, GroupId, PersonId, Reason, Rejection, TextOwner, Timestamp,
    access::{Action, Standing},
    allowance::Act,
    group::{self, Departure, Group},
    membership::{self, Command, Membership},
};
use circolo_events::ExecuteError;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(remove_member))
        .routes(routes!(invite_member))
        .routes(routes!(accept_invitation))
        .routes(routes!(decline_invitation))
        .routes(routes!(revoke_invitation))
        .routes(routes!(join_group))
        .routes(routes!(leave_group))
        .routes(routes!(approve_request))
        .routes(routes!(refuse_request))
        .routes(routes!(withdraw_request))
        .routes(routes!(ban_member, unban_member))
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
    /// Until when; for good if absent. Of two bans the longer stands.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Whether this one stands even if it is the shorter.
    #[serde(default)]
    replace: bool,
}

/// Executes `command` on the membership of `person` and tells how things stand then.
async fn execute(app: &App, call: &Call, by: &Standing, person: PersonId, command: Command) -> Result<Done, Problem> {
    let group = by.group_id();
    let done = app.execute::<Membership>(call, &membership::stream(group, person), command, by.scope()).await?;
    answer(app, group, person, &done).await
}

/// How things stand; for a command that was repeated, how they stood after the first time. What came since, the caller may not know.
async fn answer(app: &App, group: GroupId, person: PersonId, done: &circolo_events::Done) -> Result<Done, Problem> {
    let stream = membership::stream(group, person);
    let status = match done.revision.filter(|_| done.repeated) {
        Some(first) => app.executor().load_at::<Membership>(&stream, first).await?.status(app.now()),
        None => app.standing(Some(person), group).await?.status(),
    };
    Ok(Done::new(person.0, done).with_status(status))
}

/// Ends a membership: through the group's stream if a role goes with it or might, else on the membership's own.
async fn depart(app: &App, call: &Call, by: PersonId, who: PersonId, departure: Departure, otherwise: Otherwise) -> Result<Done, Problem> {
    let group = otherwise.group;
    let (of_group, of_person) = (group::stream(group), membership::stream(group, who));
    // A role may have come or gone since: a repeat finds its first outcome on whichever stream it was.
    if call.keyed() {
        if let Some(done) = app.repeated::<Group>(call, &of_group).await? {
            return Ok(departed(who, &departure, &done));
        }
        if let Some(done) = app.repeated::<Membership>(call, &of_person).await? {
            return answer(app, group, who, &done).await;
        }
    }
    for _ in 0..ROUNDS {
        let (by, who) = (app.standing(Some(by), group).await?, app.standing(Some(who), group).await?);
        let person = who.person().ok_or_else(Problem::not_found)?;
        if who.group().holds_role(person) || who.membership().is_bound() {
            let command = group::Command::Depart { by: by.clone(), who: who.clone(), departure: departure.clone() };
            let done = app.execute::<Group>(call, &of_group, command, by.scope()).await?;
            // Without a change the role was of an earlier episode, and is not in the way.
            if done.changed || done.repeated {
                return Ok(departed(person, &departure, &done));
            }
        }
        let scope = by.scope();
        match app.attempt::<Membership>(call, &of_person, (otherwise.command)(by, who), scope).await? {
            Ok(done) => return answer(app, group, person, &done).await,
            // They were given a role meanwhile, or their departure is under way.
            Err(ExecuteError::Rejected(membership::Error::HoldsRole)) => {}
            Err(refused) => return Err(refused.into()),
        }
    }
    Err(Problem::try_later("busy", "others kept changing this at the same time"))
}

/// How often a departure looks again which stream decides.
const ROUNDS: usize = 5;

/// What ends the membership of somebody without a role.
struct Otherwise {
    group: GroupId,
    command: Box<dyn Fn(Standing, Standing) -> Command + Send + Sync>,
}

fn departed(person: PersonId, departure: &Departure, done: &circolo_events::Done) -> Done {
    let status = if matches!(departure, Departure::Banned { .. }) { "banned" } else { "none" };
    Done::new(person.0, done).with_status(status)
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
    let owner = TextOwner::Decisions(person.0);
    let departure = Departure::Removed { reason: reason.as_ref().map(|reason| reason.owned_by(owner)) };
    let command = Box::new(move |by, who| Command::RemoveMember { by, who, reason: reason.clone() });
    depart(&app, &caller, caller.person(), person, departure, Otherwise { group: id, command }).await
}

/// Invite somebody; or admit them, if they asked and the caller may approve.
///
/// A person invites at most 100 times in 24 hours, over all groups: then it is 429 `too_many_invitations`, with the moment of
/// the next in `details.until`.
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
    let who = app.standing(Some(body.person_id), id).await?;
    who.whole()?;
    let invites = |counted| Command::InviteMember { by: by.clone(), who: who.clone(), counted };
    let stream = membership::stream(id, body.person_id);
    // Only who is going to be invited takes a place: who is let in, or was invited, takes none.
    let uncounted = who.membership().decide(&invites(false), &caller.context(&stream, app.now()));
    if uncounted != Err(membership::Error::NotCounted) {
        let done = invite(&app, &caller, &by, body.person_id, invites(false)).await;
        // Unless they declined, or whatever else makes an invitation of it, at this moment.
        if !done.as_ref().is_err_and(|problem| problem.code() == membership::Error::NotCounted.code()) {
            return done;
        }
    }
    app.take_place(&caller, caller.person(), Act::Invitation).await?;
    invite(&app, &caller, &by, body.person_id, invites(true)).await
}

async fn invite(app: &App, call: &Call, by: &Standing, person: PersonId, command: Command) -> Result<Done, Problem> {
    let sees = by.allows(Action::Moderate).is_ok();
    if sees { execute(app, call, by, person, command).await } else { invite_unseeing(app, call, by, person, command).await }
}

/// Invites for somebody who may not see the queues: whatever stands there, the answer is the same. The revision would tell it,
/// so they have none to compare and get none.
async fn invite_unseeing(app: &App, call: &Call, by: &Standing, person: PersonId, command: Command) -> Result<Done, Problem> {
    if call.if_match().is_some() {
        return Err(ExecuteError::<membership::Error>::PreconditionFailed { current: None }.into());
    }
    let stream = membership::stream(by.group_id(), person);
    let done = app.execute::<Membership>(call, &stream, command, by.scope()).await?;
    let position = if done.changed { done.position } else { app.store().head().await? };
    Ok(Done::new(person.0, &circolo_events::Done { revision: None, position, ..done }).with_status("invited"))
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
    let command = Box::new(|by, _| Command::LeaveGroup { by });
    depart(&app, &caller, caller.person(), caller.person(), Departure::Left, Otherwise { group: id, command }).await
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
    Json(BanMember { reason, until, replace }): Json<BanMember>,
) -> Result<Done, Problem> {
    let by = app.standing(Some(caller.person()), id).await?;
    by.allows(Action::Moderate)?;
    if !app.is_registered(person).await? {
        return Err(Problem::not_found());
    }
    let departure = Departure::Banned { reason: reason.owned_by(TextOwner::Decisions(person.0)), until };
    let command = Box::new(move |by, who| Command::BanMember { by, who, reason: reason.clone(), until, replace });
    depart(&app, &caller, caller.person(), person, departure, Otherwise { group: id, command }).await
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
