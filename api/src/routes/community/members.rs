//! Who is in a group, or wants to be; and one's own invitations.

use crate::{
    App, Problem,
    caller::{Caller, MaybeCaller},
    extract::{Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{GroupId, Timestamp, access::Action, group};
use circolo_projections::memberships::{self, InvitationRow, ListedPerson, PeopleThen, Status};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_members)).routes(routes!(list_my_invitations))
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

/// List members, or for moderators those invited, requesting or banned. Latest first. The past is for registered callers.
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
            let (look, stream) = (app.look_back(&caller, time).await?, group::stream(id));
            let then = if let Some(known) = look.known::<PeopleThen>(&stream) {
                known
            } else {
                let then = PeopleThen::fold(look.past(), id).await?;
                let size = then.size();
                look.keep(&stream, then, size)
            };
            standing.allows_as_of(action, &then.group, time)?;
            memberships::as_of(app.db(), &then, (status, time), (before, limit)).await?
        }
    };
    Ok(Listing::page(list, page.limit, rows, |row| row.position, |row| MemberItem::new(page.status, row)))
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
    let Listing { items: rows, next } = Listing::page("invitations", page.limit, rows, |row| row.position, |row| row);
    let mut items = vec![];
    for row in rows {
        let Ok(group) = row.group_id.parse() else { continue };
        // One that its maker could not make today is as if it had been revoked.
        if app.standing(Some(caller.person()), group).await?.invitation().is_some() {
            items.push(InvitationItem::from(row));
        }
    }
    Ok(Listing { items, next })
}
