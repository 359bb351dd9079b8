//! Who may do what on a page, over HTTP, from one table: role x endpoint -> status.

use crate::care::pages::{hire, open_page};
use crate::given::{Cast, UNKNOWN, comment, write};
use axum::http::Method;
use circolo_domain::Span;
use circolo_tests::{
    actor::Actor,
    world::{Backend, World},
};
use serde_json::{Value, json};

/// In the order of the table's columns. A `blocker` blocks the page; the first owner is somebody else.
const ROLES: [&str; 8] = ["anonymous", "stranger", "person", "fan", "blocker", "care_agent", "editor", "owner"];

/// An endpoint of a page, of the post that it made or of a fan's comment under that, and the status for each of [`ROLES`].
///
/// `{fan}` wrote the comment and has a conversation with the page, `{agent}` is on its staff, `{new}` somebody registered.
const TABLE: &[(&str, &str, &str)] = &[
    ("GET", "page", EVERYONE),
    ("GET", "page/feed", EVERYONE),
    ("GET", "page/response-rate", EVERYONE),
    ("PATCH", "page", OWNERS),
    // Nobody uploaded what the body names: whose right it is learns that.
    ("PUT", "page/picture", "401 403 403 403 403 403 403 422"),
    ("DELETE", "page/picture", OWNERS),
    ("PUT", "page/staff/{new}", OWNERS),
    ("DELETE", "page/staff/{agent}", OWNERS),
    ("POST", "page/staff/{new}/accept", OTHERS),
    ("POST", "page/staff/{new}/decline", OTHERS),
    ("PUT", "page/followers/me", FANS),
    ("DELETE", "page/followers/me", FANS),
    ("PUT", "page/blocks/me", FANS),
    ("DELETE", "page/blocks/me", FANS),
    ("POST", "page/messages", "401 403 201 201 201 201 201 201"),
    ("POST", "page/posts", "401 403 403 403 403 403 201 201"),
    ("GET", "page/conversations", CARE),
    ("GET", "page/conversations?status=done", CARE),
    ("GET", "page/conversations/{fan}/messages", CARE),
    ("POST", "page/conversations/{fan}/messages", "401 403 403 403 403 201 403 201"),
    ("POST", "page/conversations/{fan}/done", CARE),
    ("POST", "page/conversations/{fan}/spam", CARE),
    ("POST", "page/conversations/{fan}/reopen", CARE),
    ("POST", "page/conversations/{new}/done", "401 403 403 403 403 404 403 404"),
    ("GET", "page/unanswered-comments", STAFF),
    ("GET", "page/expiring-replies?hours=168", CARE),
    ("GET", "page/response-rate/messages", STAFF),
    ("GET", "post", EVERYONE),
    ("GET", "post/comments", EVERYONE),
    ("GET", "post/versions", STAFF),
    ("PATCH", "post", "401 403 403 403 403 403 200 200"),
    ("DELETE", "post", "401 403 403 403 403 403 200 200"),
    ("PUT", "post/reaction", FANS),
    ("PUT", "post/reaction as the page", STAFF),
    ("POST", "post/comments", "401 403 201 201 201 201 201 201"),
    ("POST", "post/comments as the page", "401 403 403 403 403 201 201 201"),
    ("PATCH", "comment", "401 403 403 403 403 403 403 403"),
    ("DELETE", "comment?reason=spam", STAFF),
    ("PUT", "comment/reaction", FANS),
    ("PUT", "comment/reaction as the page", STAFF),
    ("POST", "comment/private-reply", "401 403 403 403 403 201 403 201"),
];

const EVERYONE: &str = "200 200 200 200 200 200 200 200";
const FANS: &str = "401 403 200 200 200 200 200 200";
const CARE: &str = "401 403 403 403 403 200 403 200";
const STAFF: &str = "401 403 403 403 403 200 200 200";
/// What only the person in the address may do, who is none of these.
const OTHERS: &str = "401 403 403 403 403 403 403 403";
const OWNERS: &str = "401 403 403 403 403 403 403 200";

fn whose<'a>(cast: &'a Cast, name: &str) -> &'a Actor {
    &cast.roles[ROLES.iter().position(|role| *role == name).unwrap()]
}

/// A page to which everybody is what the table says.
struct Place {
    page: String,
    post: String,
    comment: String,
}

impl Place {
    async fn new(cast: &Cast, number: usize) -> Self {
        let founder = &cast.founder;
        let page = open_page(founder, &format!("forno.{number}")).await;
        for role in ["care_agent", "editor", "owner"] {
            hire(founder, &page, whose(cast, role), role).await.expect(200);
        }
        hire(founder, &page, cast.other("agent"), "care_agent").await.expect(200);
        whose(cast, "fan").put(&format!("{page}/followers/me"), ()).await.expect(200);
        whose(cast, "blocker").put(&format!("{page}/blocks/me"), ()).await.expect(200);
        let fan = cast.other("fan");
        fan.post(&format!("{page}/messages"), json!({ "text": "Open on Sunday?" })).await.expect(201);
        let post = write(founder, &page, "Fresh bread").await;
        let comment = format!("/v1/comments/{}", comment(fan, &post, "With nuts?").await);
        Self { page, post, comment }
    }

    fn path(&self, endpoint: &str, cast: &Cast) -> String {
        let endpoint = endpoint.trim_end_matches(AS_PAGE);
        let things = [("page", &self.page), ("post", &self.post), ("comment", &self.comment)];
        let (thing, place) = things.into_iter().find(|(thing, _)| endpoint.starts_with(thing)).unwrap();
        cast.named(endpoint.replacen(thing, place, 1))
    }

    fn body(&self, method: &str, endpoint: &str) -> Option<Value> {
        let as_page = endpoint.ends_with(AS_PAGE).then(|| self.page.rsplit('/').next().unwrap());
        let mut body = match (method, endpoint.trim_end_matches(AS_PAGE)) {
            ("PATCH", "page") => json!({ "name": "Forno Nuovo" }),
            ("PUT", "page/picture") => json!({ "media_id": UNKNOWN }),
            ("PUT", "page/staff/{new}") => json!({ "role": "editor" }),
            ("PUT", "post/reaction" | "comment/reaction") => json!({ "kind": "love" }),
            ("PATCH", _) | ("POST", "post/comments" | "comment/private-reply") => json!({ "text": "!" }),
            ("POST", endpoint) if endpoint.ends_with("messages") || endpoint.ends_with("posts") => json!({ "text": "!" }),
            _ => return None,
        };
        if let Some(page) = as_page {
            body["as_page"] = json!(page);
        }
        Some(body)
    }
}

const AS_PAGE: &str = " as the page";

// Rights do not depend on where log and read models are.
#[tokio::test]
async fn rights_on_a_page_are_as_the_table_says() {
    let world = World::start(Backend::Memory).await.unwrap();
    let cast = Cast::new(&world, &ROLES, &["fan", "agent", "new"]).await;
    let mut pages = 0;
    let mut place = Place::new(&cast, pages).await;
    let mut wrong = Vec::new();
    for (method, endpoint, statuses) in TABLE {
        let expected = statuses.split(' ').map(|status| status.parse::<u16>().unwrap());
        for ((role, caller), expected) in ROLES.iter().zip(&cast.roles).zip(expected) {
            let caller = if *method == "GET" { crate::given::up_to_date(&world, caller).await } else { caller.clone() };
            let sent: Method = method.parse().unwrap();
            let path = place.path(endpoint, &cast);
            let reply = match place.body(method, endpoint) {
                Some(body) => caller.send(sent, &path, body).await,
                None => caller.send(sent, &path, ()).await,
            };
            if reply.status != expected {
                wrong.push(format!("{role}: {method} {endpoint} should be {expected}, but {reply}"));
            }
            // The next one finds everything as it was.
            if *method != "GET" && reply.status.is_success() {
                pages += 1;
                // A day for each: nobody founds so many pages in one.
                world.clock().advance(Span::hours(24));
                place = Place::new(&cast, pages).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every endpoint of a page is in the table, but for those that take none or are the caller's own.
#[test]
fn no_endpoint_of_a_page_is_forgotten() {
    let description: Value = serde_json::from_str(&circolo::server::openapi_json()).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let Some(rest) = path.strip_prefix("/v1/pages/{id}") else { continue };
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "parameters") {
            let endpoint = format!("page{rest}");
            let shape = |endpoint: &str| {
                endpoint.split(['?', ' ']).next().unwrap().replace(['{', '}'], "{").split('{').step_by(2).collect::<String>()
            };
            let listed = TABLE.iter().any(|(m, e, _)| m.eq_ignore_ascii_case(method) && shape(e) == shape(&endpoint));
            assert!(listed, "{method} {path} is missing in the table");
        }
    }
}
