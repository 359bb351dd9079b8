//! Who may do what, over HTTP, from one table: privacy x role x endpoint -> status.

use crate::given::{Cast, admit, ask, ban, comment, found, invite, listing, offer, promote, write};
use axum::http::Method;
use circolo_domain::Span;
use circolo_tests::{
    actor::Actor,
    world::{Backend, World},
};
use serde_json::{Value, json};
use std::time::Duration;

/// In the order of the table's columns. `guest` is invited; the last admin is somebody else.
const ROLES: [&str; 8] = ["anonymous", "stranger", "outsider", "guest", "banned", "member", "moderator", "admin"];

/// An endpoint of a group, its question or its listing, which is the founder's; the statuses in a public, a closed and a secret group, for each of [`ROLES`].
///
/// Whom it is about: `{me}` the caller, `{member}`, `{asking}` and `{invited}` others, `{banned}` somebody who is,
/// `{new}` somebody registered.
const TABLE: &[(&str, &str, [&str; 3])] = &[
    ("GET", "group", ["200 200 200 200 200 200 200 200", "200 200 200 200 200 200 200 200", "404 404 404 200 404 200 200 200"]),
    ("GET", "group/members", ["200 200 200 200 200 200 200 200", "200 200 200 200 200 200 200 200", "404 404 404 403 404 200 200 200"]),
    ("GET", "group/members?status=invited", [QUEUE, QUEUE, SECRET_QUEUE]),
    ("GET", "group/members?status=requested", [QUEUE, QUEUE, SECRET_QUEUE]),
    ("GET", "group/members?status=banned", [QUEUE, QUEUE, SECRET_QUEUE]),
    ("GET", "group/questions", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 403 404 200 200 200"]),
    ("GET", "question", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 404 404 200 200 200"]),
    ("GET", "group/feed", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 403 404 200 200 200"]),
    ("GET", "post", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 404 404 200 200 200"]),
    ("GET", "post/comments", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 404 404 200 200 200"]),
    ("GET", "post/versions", [MODERATORS, MODERATORS, "404 404 404 404 404 403 200 200"]),
    ("POST", "group/posts", ["401 403 403 403 403 201 201 201", "401 403 403 403 403 201 201 201", "401 403 404 403 404 201 201 201"]),
    ("PATCH", "post", [NOBODY, NOBODY, NOT_THE_AUTHOR]),
    ("DELETE", "post", ["401 403 403 403 403 403 422 422", "401 403 403 403 403 403 422 422", "401 403 404 404 404 403 422 422"]),
    ("DELETE", "post?reason=spam", [MODERATORS, MODERATORS, SECRET_QUESTION]),
    ("PUT", "post/reaction", [MEMBERS, MEMBERS, SECRET_MEMBERS]),
    ("DELETE", "post/reaction", [MEMBERS, MEMBERS, SECRET_MEMBERS]),
    ("POST", "post/comments", ["401 403 403 403 403 201 201 201", "401 403 403 403 403 201 201 201", "401 403 404 404 404 201 201 201"]),
    ("PATCH", "comment", [NOBODY, NOBODY, NOT_THE_AUTHOR]),
    ("DELETE", "comment?reason=spam", [MODERATORS, MODERATORS, SECRET_QUESTION]),
    ("PUT", "comment/reaction", [MEMBERS, MEMBERS, SECRET_MEMBERS]),
    ("DELETE", "comment/reaction", [MEMBERS, MEMBERS, SECRET_MEMBERS]),
    ("PATCH", "group", [ADMINS, ADMINS, SECRET_ADMINS]),
    ("PUT", "group/members/{member}/role", [ADMINS, ADMINS, SECRET_ADMINS]),
    ("POST", "group/invitations", ["401 403 403 403 403 200 200 200", "401 403 403 403 403 200 200 200", SECRET_ADMINS]),
    (
        "POST",
        "group/invitations/{me}/accept",
        ["401 403 404 200 403 200 200 200", "401 403 404 200 403 200 200 200", "401 403 404 200 404 200 200 200"],
    ),
    ("POST", "group/invitations/{me}/decline", [INVITED, INVITED, INVITED]),
    ("POST", "group/invitations/{member}/accept", [NOBODY, NOBODY, "401 403 404 403 404 403 403 403"]),
    ("POST", "group/invitations/{member}/decline", [NOBODY, NOBODY, "401 403 404 403 404 403 403 403"]),
    ("DELETE", "group/invitations/{invited}", [MODERATORS, MODERATORS, SECRET_MODERATORS]),
    ("POST", "group/join", ["401 403 200 200 403 200 200 200", "401 403 200 200 403 200 200 200", "401 403 404 200 404 200 200 200"]),
    ("POST", "group/requests/{asking}/approve", [MODERATORS, MODERATORS, "401 403 404 403 404 403 404 404"]),
    ("POST", "group/requests/{asking}/refuse", [MODERATORS, MODERATORS, "401 403 404 403 404 403 404 404"]),
    (
        "DELETE",
        "group/requests/me",
        ["401 403 404 404 404 404 404 404", "401 403 404 404 404 404 404 404", "401 403 404 404 404 404 404 404"],
    ),
    ("POST", "group/leave", ["401 403 404 404 404 200 200 200", "401 403 404 404 404 200 200 200", "401 403 404 404 404 200 200 200"]),
    ("DELETE", "group/members/{member}", [MODERATORS, MODERATORS, SECRET_MODERATORS]),
    ("PUT", "group/bans/{new}", [MODERATORS, MODERATORS, SECRET_MODERATORS]),
    ("DELETE", "group/bans/{banned}", [MODERATORS, MODERATORS, SECRET_MODERATORS]),
    ("POST", "group/questions", ["401 403 403 403 403 201 201 201", "401 403 403 403 403 201 201 201", "401 403 404 403 404 201 201 201"]),
    ("POST", "question/answers", ["401 403 403 403 403 201 201 201", "401 403 403 403 403 201 201 201", "401 403 404 404 404 201 201 201"]),
    ("PUT", "question/accepted", [MODERATORS, MODERATORS, SECRET_QUESTION]),
    ("DELETE", "question/accepted", [MODERATORS, MODERATORS, SECRET_QUESTION]),
    ("POST", "question/close", [MODERATORS, MODERATORS, SECRET_QUESTION]),
    ("POST", "question/reopen", [MODERATORS, MODERATORS, SECRET_QUESTION]),
    ("GET", "group/catalogue", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 403 404 200 200 200"]),
    (
        "GET",
        "group/catalogue?status=sold",
        ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 403 404 200 200 200"],
    ),
    ("GET", "listing", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 404 404 200 200 200"]),
    ("GET", "listing/history", ["200 200 200 200 200 200 200 200", "401 403 403 403 403 200 200 200", "404 404 404 404 404 200 200 200"]),
    ("POST", "group/listings", ["401 403 403 403 403 201 201 201", "401 403 403 403 403 201 201 201", "401 403 404 403 404 201 201 201"]),
    ("PATCH", "listing", [NOBODY, NOBODY, "401 403 404 404 404 403 403 403"]),
    ("POST", "listing/sold", [NOBODY, NOBODY, "401 403 404 404 404 403 403 403"]),
    ("POST", "listing/available", [NOBODY, NOBODY, "401 403 404 404 404 403 403 403"]),
    ("POST", "listing/withdraw", [MODERATORS, MODERATORS, SECRET_QUESTION]),
];

const QUEUE: &str = "401 403 403 403 403 403 200 200";
const SECRET_QUEUE: &str = "404 404 404 403 404 403 200 200";
const MODERATORS: &str = "401 403 403 403 403 403 200 200";
const SECRET_MODERATORS: &str = "401 403 404 403 404 403 200 200";
/// A question in a secret group is unknown to the invited, who know of the group.
const SECRET_QUESTION: &str = "401 403 404 404 404 403 200 200";
const MEMBERS: &str = "401 403 403 403 403 200 200 200";
const SECRET_MEMBERS: &str = "401 403 404 404 404 200 200 200";
const NOT_THE_AUTHOR: &str = "401 403 404 404 404 403 403 403";
const ADMINS: &str = "401 403 403 403 403 403 403 200";
const SECRET_ADMINS: &str = "401 403 404 403 404 403 403 200";
const INVITED: &str = "401 403 404 200 404 404 404 404";
const NOBODY: &str = "401 403 403 403 403 403 403 403";

/// A group in which everybody is what the table says.
struct Place {
    group: String,
    question: String,
    answer: Value,
    listing: String,
    /// Written by another member, as is the comment.
    post: String,
    comment: String,
}

impl Place {
    async fn new(world: &World, cast: &Cast, privacy: &str) -> Self {
        let Cast { founder, roles, .. } = cast;
        // A day for each: nobody founds so many groups in one.
        world.clock().advance(Span::hours(24));
        let group = found(founder, privacy, if privacy == "secret" { "invite_only" } else { "request" }).await;
        for role in ["member", "moderator", "admin"] {
            let person = &roles[ROLES.iter().position(|name| *name == role).unwrap()];
            admit(founder, &group, person).await;
            promote(founder, &group, person, role).await;
        }
        admit(founder, &group, cast.other("member")).await;
        invite(founder, &group, &roles[3]).await.expect(200);
        invite(founder, &group, cast.other("invited")).await.expect(200);
        ban(founder, &group, &roles[4]).await.expect(200);
        ban(founder, &group, cast.other("banned")).await.expect(200);
        if privacy != "secret" {
            cast.other("asking").post(&format!("{group}/join"), ()).await.expect(200);
        }
        let question = ask(founder, &group, "Which?").await;
        let answer = json!(crate::given::answer(founder, &question, "This").await);
        founder.put(&format!("{question}/accepted"), json!({ "answer_id": answer })).await.expect(200);
        let listing = offer(founder, &group, "Skis", 80).await;
        let post = write(cast.other("member"), &group, "Up").await;
        let comment = format!("/v1/comments/{}", comment(cast.other("member"), &post, "And down").await);
        // So that everybody reads all of it.
        world.app().projector().wait_for(world.store().head().await.unwrap(), Duration::from_secs(20)).await.unwrap();
        Self { group, question, answer, listing, post, comment }
    }

    fn path(&self, endpoint: &str, cast: &Cast, caller: &Actor, anonymous: bool) -> String {
        let mut path = endpoint.replacen("group", &self.group, 1);
        let things = [("question", &self.question), ("listing", &self.listing), ("post", &self.post), ("comment", &self.comment)];
        for (thing, place) in things {
            if endpoint.starts_with(thing) {
                path = endpoint.replacen(thing, place, 1);
            }
        }
        let me = if anonymous { cast.other("new").id() } else { caller.id() };
        cast.named(path.replace("{me}", &me.to_string()))
    }

    fn body(&self, method: &str, endpoint: &str, cast: &Cast) -> Option<Value> {
        Some(match (method, endpoint) {
            ("POST", "group/listings") => listing("Boots", 40),
            ("POST", "listing/withdraw") => json!({ "reason": "counterfeit" }),
            ("PATCH", "listing") => json!({ "title": "Boots" }),
            ("PATCH", "post" | "comment") | ("POST", "group/posts" | "post/comments") => json!({ "text": "Down" }),
            ("PUT", "post/reaction" | "comment/reaction") => json!({ "kind": "like" }),
            ("PATCH", _) => json!({ "description": "Over there" }),
            ("PUT", "group/members/{member}/role") => json!({ "role": "moderator" }),
            ("POST", "group/invitations") => json!({ "person_id": cast.other("new").id() }),
            ("PUT", "group/bans/{new}") => json!({ "reason": "spam" }),
            ("POST", "group/questions") => json!({ "title": "May I?", "body": "?" }),
            ("POST", "question/answers") => json!({ "body": "!" }),
            ("PUT", "question/accepted") => json!({ "answer_id": self.answer }),
            _ => return None,
        })
    }
}

// Rights do not depend on where log and read models are.
#[tokio::test]
async fn rights_are_as_the_table_says() {
    let world = World::start(Backend::Memory).await.unwrap();
    let cast = Cast::new(&world, &ROLES, &["member", "asking", "invited", "banned", "new"]).await;
    let mut wrong = Vec::new();
    for (number, privacy) in ["public", "closed", "secret"].into_iter().enumerate() {
        let mut place = Place::new(&world, &cast, privacy).await;
        for (method, endpoint, statuses) in TABLE {
            let expected = statuses[number].split(' ').map(|status| status.parse::<u16>().unwrap());
            for ((role, caller), expected) in ROLES.iter().zip(&cast.roles).zip(expected) {
                let path = place.path(endpoint, &cast, caller, *role == "anonymous");
                let sent: Method = method.parse().unwrap();
                let reply = match place.body(method, endpoint, &cast) {
                    Some(body) => caller.send(sent, &path, body).await,
                    None => caller.send(sent, &path, ()).await,
                };
                if reply.status != expected {
                    wrong.push(format!("{privacy}, {role}: {method} {endpoint} should be {expected}, but {reply}"));
                }
                // The next one finds everything as it was.
                if *method != "GET" && reply.status.is_success() {
                    place = Place::new(&world, &cast, privacy).await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
