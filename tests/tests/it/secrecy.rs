//! What one may not know of answers exactly as what does not exist: on every endpoint that takes a group or what is in it.

use crate::given::{UNKNOWN, admit, answer, ask, ban, comment, found, invite, offer, promote, write};
use axum::http::Method;
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};
use uuid::Uuid;

stories!(the_secret_answers_as_the_unknown_does, what_was_secret_answers_as_the_unknown_does, an_admin_reaches_what_is_kept_secret);

/// An endpoint that takes a group or what is in it.
struct Endpoint {
    method: Method,
    /// As the description has it: `/v1/groups/{id}/members/{person}`.
    path: String,
    body: Option<Value>,
}

/// All of them, from the description of the API, so that none is forgotten.
fn endpoints() -> Vec<Endpoint> {
    let description: Value = serde_json::from_str(&circolo::server::openapi_json()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let kinds = ["groups", "questions", "listings", "posts", "comments"];
        if !kinds.iter().any(|kind| path.starts_with(&format!("/v1/{kind}/{{id}}"))) {
            assert!(!path.contains("group") || path == "/v1/groups", "does {path} take a group?");
            continue;
        }
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = (!operation["requestBody"].is_null()).then(|| body(operation["operationId"].as_str().unwrap()));
            found.push(Endpoint { method, path: path.clone(), body });
        }
    }
    assert!(found.len() > 35, "are these all?");
    found
}

/// A body that the operation takes.
fn body(operation: &str) -> Value {
    match operation {
        "change_group" => json!({ "name": "Andes" }),
        "set_group_picture" => json!({ "media_id": UNKNOWN }),
        "give_role" => json!({ "role": "moderator" }),
        "invite_member" => json!({ "person_id": UNKNOWN }),
        "refuse_request" | "ban_member" => json!({ "reason": "spam" }),
        "post_listing" => crate::given::listing("Skis", 80),
        "edit_listing" => json!({ "title": "Boots" }),
        "mark_sold" => json!({}),
        "withdraw_listing" => json!({ "reason": "counterfeit" }),
        "post_question" => json!({ "title": "May I?", "body": "?" }),
        "post_answer" => json!({ "body": "!" }),
        "accept_answer" => json!({ "answer_id": UNKNOWN }),
        "write_post" | "edit_post" | "write_comment" | "edit_comment" | "reply_in_private" => json!({ "text": "!" }),
        "react_to_post" | "react_to_comment" => json!({ "kind": "like" }),
        other => panic!("{other} is new: add a body it takes"),
    }
}

/// A group with a question, a listing and people in it, as far as outsiders are concerned.
struct Hidden {
    group: Uuid,
    question: Uuid,
    listing: Uuid,
    post: Uuid,
    comment: Uuid,
    /// In the group.
    member: Uuid,
}

impl Hidden {
    /// What `writer` writes in the group.
    async fn of(group: &str, member: &Actor, writer: &Actor) -> Self {
        let id = |path: &str| path.rsplit('/').next().unwrap().parse().unwrap();
        let question = ask(writer, group, "in secret").await;
        answer(writer, &question, "hush").await;
        let listing = offer(writer, group, "in secret", 80).await;
        let post = write(writer, group, "in secret").await;
        let comment = comment(writer, &post, "hush").await;
        Self { group: id(group), question: id(&question), listing: id(&listing), post: id(&post), comment, member: member.id() }
    }

    /// The paths of an endpoint to the hidden thing and to an unknown one, for each person that it may name.
    fn paths(&self, endpoint: &Endpoint, caller: Option<Uuid>) -> Vec<(String, String)> {
        let id = match endpoint.path.split('/').nth(2) {
            Some("groups") => self.group,
            Some("questions") => self.question,
            Some("listings") => self.listing,
            Some("posts") => self.post,
            _ => self.comment,
        };
        let fill = |id: Uuid, person: Uuid| endpoint.path.replace("{id}", &id.to_string()).replace("{person}", &person.to_string());
        let people =
            if endpoint.path.contains("{person}") { [Some(self.member), caller, Some(UNKNOWN)] } else { [Some(UNKNOWN), None, None] };
        let queries: &[&str] = match endpoint.path.as_str() {
            "/v1/groups/{id}/members" => &["", "?status=banned", "?status=invited&limit=1"],
            "/v1/groups/{id}/questions" if endpoint.method == Method::GET => &["", "?status=unanswered&older_than_hours=1"],
            "/v1/groups/{id}/catalogue" => &["", "?status=sold&category=skis&pickup=true", "?sort=price_asc&currency=EUR&max_price=1"],
            "/v1/posts/{id}/comments" if endpoint.method == Method::GET => &["", "?limit=1"],
            "/v1/posts/{id}" | "/v1/comments/{id}" if endpoint.method == Method::DELETE => &["", "?reason=spam"],
            _ => &[""],
        };
        let paths = |person| queries.iter().map(move |query| (fill(id, person) + query, fill(UNKNOWN, person) + query));
        people.into_iter().flatten().flat_map(paths).collect()
    }
}

async fn send(actor: &Actor, endpoint: &Endpoint, path: &str) -> Reply {
    match &endpoint.body {
        Some(body) => actor.send(endpoint.method.clone(), path, body.clone()).await,
        None => actor.send(endpoint.method.clone(), path, ()).await,
    }
}

/// The same request with each combination of headers that a server might look at too early.
fn with_headers(actor: &Actor) -> Vec<Actor> {
    let seen = actor.with("if-match", "\"0\"");
    let keyed = actor.with("idempotency-key", "k");
    vec![actor.clone(), seen.with("idempotency-key", "both"), seen, keyed, actor.with("circolo-min-position", "1")]
}

async fn compare(hidden: &Hidden, outsiders: &[(&str, Actor)], skip: impl Fn(&Endpoint) -> bool) {
    for endpoint in endpoints().iter().filter(|endpoint| !skip(endpoint)) {
        for (who, outsider) in outsiders {
            let caller = (*who != "anonymous").then(|| outsider.id());
            for (secret, unknown) in hidden.paths(endpoint, caller) {
                for outsider in with_headers(outsider) {
                    let (secret, unknown) = (send(&outsider, endpoint, &secret).await, send(&outsider, endpoint, &unknown).await);
                    assert_eq!(secret.visible(), unknown.visible(), "{who}: {secret} but {unknown}");
                    assert!(secret.status.is_client_error(), "{who}: {secret}");
                }
            }
        }
    }
}

/// Everybody who may not know of a secret group, whatever they once were to it.
async fn outsiders(world: &World, admin: &Actor, group: &str) -> Vec<(&'static str, Actor)> {
    let mut outsiders =
        vec![("anonymous", world.anonymous()), ("stranger", world.stranger("zoe")), ("outsider", world.person("Otto").await)];
    for what in ["left", "removed", "banned", "banned unseen", "declined", "revoked"] {
        let person = world.person(what).await;
        let invitation = format!("{group}/invitations/{}", person.id());
        match what {
            "declined" | "revoked" => drop(invite(admin, group, &person).await.expect(200)),
            "banned unseen" => {}
            _ => admit(admin, group, &person).await,
        }
        let gone = match what {
            "left" => person.post(&format!("{group}/leave"), ()).await,
            "removed" => admin.delete(&format!("{group}/members/{}", person.id())).await,
            "declined" => person.post(&format!("{invitation}/decline"), ()).await,
            "revoked" => admin.delete(&invitation).await,
            _ => ban(admin, group, &person).await,
        };
        gone.expect(200);
        outsiders.push((what, person));
    }
    outsiders
}

async fn the_secret_answers_as_the_unknown_does(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    promote(&ann, &group, &bea, "moderator").await;
    let hidden = Hidden::of(&group, &bea, &ann).await;
    let outsiders = outsiders(&world, &ann, &group).await;
    compare(&hidden, &outsiders, |_| false).await;
}

async fn what_was_secret_answers_as_the_unknown_does(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    let hidden = Hidden::of(&group, &ann, &ann).await;
    ann.patch(&group, json!({ "privacy": "public", "membership": "open" })).await.expect(200);
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let outsiders = [("anonymous", world.anonymous()), ("stranger", world.stranger("zoe")), ("new member", bea.clone())];
    compare(&hidden, &outsiders, |endpoint| endpoint.path.starts_with("/v1/groups")).await;
}

/// The proof that the comparison above compares something: the same requests find the group.
async fn an_admin_reaches_what_is_kept_secret(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    let hidden = Hidden::of(&group, &bea, &ann).await;
    for endpoint in endpoints() {
        for (secret, unknown) in
            hidden.paths(&endpoint, Some(ann.id())).into_iter().filter(|(path, _)| !path.contains(&UNKNOWN.to_string()))
        {
            let (secret, unknown) = (send(&ann, &endpoint, &secret).await, send(&ann, &endpoint, &unknown).await);
            assert_ne!(secret.visible(), unknown.visible(), "{secret}");
            unknown.expect_problem(404, "not_found");
        }
    }
}
