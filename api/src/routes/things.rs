//! Things of whatever sort: whether somebody may read one now, as its own address decides it.

use crate::{
    App, Problem,
    call::Call,
    routes::{
        community::{comments, posts, questions},
        market::listings,
    },
};
use circolo_domain::{AnswerId, CommentId, GroupId, ListingId, PageId, PersonId, PostId, QuestionId, ThingKind, access::Action};
use uuid::Uuid;

/// Whether the caller may read this thing now; else the problem that its own address answers with.
pub(crate) async fn reads(app: &App, caller: Option<&Call>, kind: ThingKind, id: Uuid) -> Result<(), Problem> {
    match kind {
        ThingKind::Answer => questions::reads_answer(app, caller, AnswerId(id)).await,
        ThingKind::Comment => comments::reach(app, caller, CommentId(id)).await.map(drop),
        ThingKind::Group => Ok(app.standing(caller.map(Call::person), GroupId(id)).await?.allows(Action::See)?),
        ThingKind::Listing => {
            let (standing, _) = listings::standing(app, caller.map(Call::person), ListingId(id)).await?;
            Ok(standing.allows(Action::Read)?)
        }
        ThingKind::Page => Ok(app.page_standing(caller, PageId(id)).await?.sees()?),
        ThingKind::Person => person(app, caller, PersonId(id)).await,
        ThingKind::Post => Ok(posts::reach(app, caller, PostId(id)).await?.by.reads()?),
        ThingKind::Question => {
            let standing = questions::standing(app, caller.map(Call::person), QuestionId(id)).await?;
            Ok(standing.allows(Action::Read)?)
        }
        // They have no address of their own: they are named by two ids.
        ThingKind::Conversation | ThingKind::Membership => Err(Problem::not_found()),
    }
}

/// People are visible to everyone who is registered.
async fn person(app: &App, caller: Option<&Call>, id: PersonId) -> Result<(), Problem> {
    caller.ok_or_else(Problem::unauthenticated)?;
    let (exists, whole) = app.is_known(id).await?;
    whole?;
    if exists { Ok(()) } else { Err(Problem::not_found()) }
}

/// Whether such a problem says no more than that the caller may not read the thing, or that nobody can at the moment.
pub(crate) fn hides(problem: &Problem) -> bool {
    problem.status().is_client_error() || *problem == Problem::unreadable()
}
