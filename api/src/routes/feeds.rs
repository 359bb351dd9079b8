//! Feeds: a group's, a page's, and a person's own over all that they are in and follow.

use super::{
    community::{
        posts::{self, PostView},
        questions::{self, QuestionItem},
    },
    market::listings::{self, ListingView},
};
use crate::{
    App, Problem,
    call::Call,
    caller::MaybeCaller,
    extract::{Path, Query},
    listing::{Cursor, Limit, Listing},
    problem::Failures,
};
use axum::extract::State;
use circolo_domain::{
    GroupId, PageId, PersonId, ThingKind,
    access::{Action, Key},
};
use circolo_projections::{
    feeds::{self, FeedItem},
    figures::Viewer,
    memberships, pages,
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, str::FromStr};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// How many standings are looked up at a time; they are in memory once somebody has read.
const LOOKUPS: usize = 16;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read_group_feed)).routes(routes!(read_page_feed)).routes(routes!(read_home_feed))
}

/// Which page of a feed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReadFeed {
    /// How many.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended.
    after: Option<Cursor>,
}

/// Things by their ids, as a feed shows them.
pub(crate) type Shown<T> = Vec<(String, T)>;

macro_rules! feed_entries {
    ($($(#[$doc:meta])* $kind:ident($view:ty) = $read:path),* $(,)?) => {
        /// Something in a feed. Kinds are open: pass over those that you do not know.
        #[derive(Debug, Serialize, ToSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        enum FeedEntry {
            $($(#[$doc])* $kind($view),)*
        }

        /// What stands at these places: one query for each kind.
        async fn contents(app: &App, viewer: Viewer<'_>, items: &[FeedItem]) -> Result<HashMap<String, FeedEntry>, Problem> {
            let mut found = HashMap::new();
            $({
                let kind = ThingKind::$kind.word();
                let ids = items.iter().filter(|item| item.kind == kind).map(|item| item.id.clone()).collect();
                found.extend($read(app, viewer, ids).await?.into_iter().map(|(id, view)| (id, FeedEntry::$kind(view))));
            })*
            Ok(found)
        }
    };
}

// One line per kind.
feed_entries! {
    /// A post.
    Post(PostView) = posts::in_feed,
    /// A question.
    Question(QuestionItem) = questions::in_feed,
    /// Something that is or was for sale.
    Listing(ListingView) = listings::in_feed,
}

/// A page of what somebody with `keys` may read: one query for the places, one for each kind of content on it.
async fn read(app: &App, list: &str, reader: Option<PersonId>, keys: &[Key], page: ReadFeed) -> Result<Listing<FeedEntry>, Problem> {
    let before = page.after.map(|after| after.read(list)).transpose()?;
    let items = feeds::newest(app.db(), keys, before, page.limit.and_one()).await?;
    let shown = &items[..items.len().min(page.limit.get())];
    let mut contents = contents(app, Viewer { person: reader, keys }, shown).await?;
    let found = Listing::page(list, page.limit, items, |item| item.position, |item| contents.remove(&item.id));
    // What was removed since its place was read is left out.
    Ok(Listing { items: found.items.into_iter().flatten().collect(), next: found.next })
}

/// Read a group's feed, newest first.
#[utoipa::path(
    get,
    path = "/groups/{id}/feed",
    tag = "feeds",
    params(("id" = Uuid, Path,), ReadFeed),
    responses((status = 200, body = Listing<FeedEntry>), Failures)
)]
async fn read_group_feed(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<GroupId>,
    Query(page): Query<ReadFeed>,
) -> Result<Listing<FeedEntry>, Problem> {
    let standing = app.standing(caller.person(), id).await?;
    standing.allows(Action::Read)?;
    read(&app, "group_feed", caller.person(), &standing.keys(), page).await
}

/// Read a page's feed, newest first.
#[utoipa::path(
    get,
    path = "/pages/{id}/feed",
    tag = "feeds",
    params(("id" = Uuid, Path,), ReadFeed),
    responses((status = 200, body = Listing<FeedEntry>), Failures)
)]
async fn read_page_feed(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<PageId>,
    Query(page): Query<ReadFeed>,
) -> Result<Listing<FeedEntry>, Problem> {
    let standing = app.page_standing(caller.call(), id).await?;
    standing.sees()?;
    read(&app, "page_feed", caller.person(), &standing.keys(), page).await
}

/// Read one's own feed over the groups one is in and the pages one follows, newest first.
#[utoipa::path(get, path = "/me/feed", tag = "feeds", params(ReadFeed), responses((status = 200, body = Listing<FeedEntry>), Failures))]
async fn read_home_feed(State(app): State<App>, caller: MaybeCaller, Query(page): Query<ReadFeed>) -> Result<Listing<FeedEntry>, Problem> {
    let person = caller.needed()?;
    let keys = keys_of(&app, person, caller.call()).await?;
    read(&app, "home_feed", Some(person), &keys, page).await
}

/// The keys to all that somebody is in and follows. The read models say where to look, the streams what they may read there.
async fn keys_of(app: &App, person: PersonId, call: Option<&Call>) -> Result<Vec<Key>, Problem> {
    let groups = memberships::groups_of(app.db(), person).await?;
    let pages = pages::followed_by(app.db(), person).await?;
    let of_group = |id: GroupId| async move {
        let standing = app.standing(Some(person), id).await?;
        // Of what cannot be read, what everybody may read is left.
        Ok::<_, Problem>(if standing.role().is_some() || standing.whole().is_err() { standing.keys() } else { vec![] })
    };
    let of_page = |id: PageId| async move { Ok::<_, Problem>(app.page_standing(call, id).await?.keys()) };
    let groups = stream::iter(ids(&groups)).map(of_group).buffered(LOOKUPS);
    let pages = stream::iter(ids(&pages)).map(of_page).buffered(LOOKUPS);
    let (mut keys, of_pages): (Vec<Vec<Key>>, Vec<Vec<Key>>) = futures::try_join!(groups.try_collect(), pages.try_collect())?;
    keys.extend(of_pages);
    Ok(keys.into_iter().flatten().collect())
}

fn ids<T: FromStr>(texts: &[String]) -> Vec<T> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}
