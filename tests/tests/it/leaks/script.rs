//! What happens on the stage of the small world: groups of every history, with people of every kind in them, and pages.

use super::stage::Stage;
use axum::http::Method;
use serde_json::{Value, json};

/// People in groups; each is what happens to them.
pub const PEOPLE: &[&str] = &[
    "admin",
    "moderator",
    "author",
    "left",
    "rejoined",
    "removed",
    "banned",
    "banned unseen",
    "demoted",
    "former admin",
    "second",
    "third",
    "invited",
    "asking",
    "declined",
    "refused",
    "outsider",
];
/// People of pages.
pub const STAFF: &[&str] = &["owner", "editor", "care agent", "former staff"];

/// Groups: their privacy from time to time, whether newcomers read only what came since, and whether the list of members is hidden.
const HISTORIES: &[(&[&str], bool, bool)] = &[
    (&["public", "closed", "public"], false, false),
    (&["closed", "secret", "closed"], false, false),
    (&["secret", "public"], false, false),
    (&["public", "secret"], true, false),
    (&["closed", "public"], true, false),
    (&["closed"], true, true),
    (&["secret"], true, false),
];

/// Where the words of a group are.
#[derive(Default)]
struct Written {
    post: String,
    comment: String,
    question: String,
    listing: String,
}

/// Plays everything.
pub async fn play(stage: &mut Stage) {
    for name in PEOPLE.iter().chain(STAFF) {
        stage.enter(name).await;
    }
    for (number, (eras, since_joining, hidden)) in HISTORIES.iter().enumerate() {
        group(stage, eras, *since_joining, *hidden, number == 0).await;
    }
    pages(stage).await;
    avatars(stage).await;
    stage.everything_was_marked();
    stage.world.settled().await;
}

/// One person is shown by a picture, one was; one has uploaded one and shows it nowhere.
async fn avatars(stage: &mut Stage) {
    for name in ["author", "moderator", "owner"] {
        let picture = json!({ "media_id": stage.upload(name).await });
        if name != "owner" {
            stage.put(name, "/v1/me/avatar", picture).await.expect(200);
        }
    }
    stage.delete("moderator", "/v1/me/avatar").await.expect(200);
}

async fn group(stage: &mut Stage, eras: &[&str], since_joining: bool, hidden: bool, first: bool) {
    let policy = |privacy: &str| if privacy == "secret" { "invite_only" } else { "request" };
    let (name, description) = (stage.mark(), stage.mark());
    let body = json!({ "name": name, "description": description, "privacy": eras[0], "membership": policy(eras[0]) });
    let group = stage.post("admin", "/v1/groups", body).await.expect(201).location().to_owned();
    let settings = json!({ "history": if since_joining { "since_joining" } else { "all" }, "member_list_public": !hidden });
    stage.patch("admin", &group, settings).await.expect(200);
    for name in ["moderator", "author", "left", "rejoined", "removed", "banned", "demoted", "former admin"] {
        admit(stage, &group, name).await;
    }
    for (name, role) in [("moderator", "moderator"), ("demoted", "moderator"), ("former admin", "admin"), ("demoted", "member")] {
        let path = format!("{group}/members/{}/role", stage.actor(name).id());
        stage.put("admin", &path, json!({ "role": role })).await.expect(200);
    }
    let picture = json!({ "media_id": stage.upload("admin").await });
    stage.put("admin", &format!("{group}/picture"), picture).await.expect(200);
    let mut all = vec![everything(stage, &group, "left").await];
    departures(stage, &group).await;
    all.push(everything(stage, &group, "author").await);
    for (number, privacy) in eras.iter().enumerate().skip(1) {
        stage.another_day();
        let (name, description) = (stage.mark(), stage.mark());
        let body = json!({ "privacy": privacy, "membership": policy(privacy) });
        stage.patch("admin", &group, body).await.expect(200);
        stage.patch("admin", &group, json!({ "name": name, "description": description })).await.expect(200);
        admit(stage, &group, if number == 1 { "second" } else { "third" }).await;
        if number + 1 == eras.len() {
            admit(stage, &group, "rejoined").await;
        }
        let again = all.pop().unwrap();
        later(stage, &again).await;
        all.push(again);
        all.push(everything(stage, &group, "author").await);
    }
    let last = all.pop().unwrap();
    ends(stage, &last, first).await;
    queues(stage, &group, eras.last().unwrap()).await;
}

async fn admit(stage: &mut Stage, group: &str, name: &str) {
    let id = stage.actor(name).id();
    stage.post("admin", &format!("{group}/invitations"), json!({ "person_id": id })).await.expect(200);
    stage.post(name, &format!("{group}/invitations/{id}/accept"), Value::Null).await.expect(200);
}

/// One of everything that members write.
async fn everything(stage: &mut Stage, group: &str, author: &str) -> Written {
    let text = json!({ "text": stage.mark() });
    let post = stage.post(author, &format!("{group}/posts"), text).await.expect(201).location().to_owned();
    let text = json!({ "text": stage.mark() });
    let comment = stage.post(author, &format!("{post}/comments"), text).await.expect(201).id();
    let question = json!({ "title": stage.mark(), "body": stage.mark() });
    let question = stage.post(author, &format!("{group}/questions"), question).await.expect(201).location().to_owned();
    let listing = json!({
        "title": stage.mark(), "description": stage.mark(), "category": stage.mark(), "condition": "used",
        "price": { "amount_minor": 80, "currency": "EUR" }, "pickup": stage.mark(), "delivery": stage.mark(),
    });
    let listing = stage.post(author, &format!("{group}/listings"), listing).await.expect(201).location().to_owned();
    let written = Written { post, comment: comment.to_string(), question, listing };
    reactions(stage, &written, author).await;
    written
}

/// What others do to it: replies, answers, reactions.
async fn reactions(stage: &mut Stage, written: &Written, who: &str) {
    let reply = json!({ "text": stage.mark(), "reply_to": written.comment });
    stage.post(who, &format!("{}/comments", written.post), reply).await.expect(201);
    stage.put("moderator", &format!("{}/reaction", written.post), json!({ "kind": "like" })).await.expect(200);
    stage.put("moderator", &format!("/v1/comments/{}/reaction", written.comment), json!({ "kind": "sad" })).await.expect(200);
    let body = json!({ "body": stage.mark() });
    let answer = stage.post(who, &format!("{}/answers", written.question), body).await.expect(201).id();
    stage.put("moderator", &format!("{}/accepted", written.question), json!({ "answer_id": answer })).await.expect(200);
}

/// What happens in a later era to what was written before.
async fn later(stage: &mut Stage, written: &Written) {
    let text = json!({ "text": stage.mark() });
    stage.patch("author", &written.post, text).await.expect(200);
    let text = json!({ "text": stage.mark() });
    stage.patch("author", &format!("/v1/comments/{}", written.comment), text).await.expect(200);
    let edit = json!({
        "title": stage.mark(), "description": stage.mark(), "category": stage.mark(), "pickup": stage.mark(), "delivery": stage.mark(),
        "price": { "amount_minor": 70, "currency": "EUR" },
    });
    stage.patch("author", &written.listing, edit).await.expect(200);
    let text = json!({ "text": stage.mark() });
    stage.post("author", &format!("{}/comments", written.post), text).await.expect(201);
    stage.put("author", &format!("{}/reaction", written.post), json!({ "kind": "love" })).await.expect(200);
    stage.put("author", &format!("/v1/comments/{}/reaction", written.comment), json!({ "kind": "wow" })).await.expect(200);
    reactions(stage, written, "author").await;
}

/// How people left after the first time.
async fn departures(stage: &mut Stage, group: &str) {
    for name in ["left", "rejoined", "former admin"] {
        stage.post(name, &format!("{group}/leave"), Value::Null).await.expect(200);
    }
    let (removed, banned, unseen) = (stage.actor("removed").id(), stage.actor("banned").id(), stage.actor("banned unseen").id());
    let reason = stage.mark();
    stage.delete("admin", &format!("{group}/members/{removed}?reason={reason}")).await.expect(200);
    for id in [banned, unseen] {
        let reason = json!({ "reason": stage.mark() });
        stage.put("moderator", &format!("{group}/bans/{id}"), reason).await.expect(200);
    }
}

/// How things end.
async fn ends(stage: &mut Stage, last: &Written, first: bool) {
    stage.post("author", &format!("{}/sold", last.listing), json!({ "to": stage.actor("admin").id() })).await.expect(200);
    if first {
        let reason = stage.mark();
        stage.delete("moderator", &format!("/v1/comments/{}?reason={reason}", last.comment)).await.expect(200);
        let reason = stage.mark();
        stage.delete("moderator", &format!("{}?reason={reason}", last.post)).await.expect(200);
        stage.post("author", &format!("{}/available", last.listing), Value::Null).await.expect(200);
        let reason = json!({ "reason": stage.mark() });
        stage.post("moderator", &format!("{}/withdraw", last.listing), reason).await.expect(200);
        stage.post("moderator", &format!("{}/close", last.question), Value::Null).await.expect(200);
    }
}

/// Those who wait at the end.
async fn queues(stage: &mut Stage, group: &str, privacy: &str) {
    for name in ["invited", "declined"] {
        let id = stage.actor(name).id();
        stage.post("admin", &format!("{group}/invitations"), json!({ "person_id": id })).await.expect(200);
    }
    let declined = stage.actor("declined").id();
    stage.post("declined", &format!("{group}/invitations/{declined}/decline"), Value::Null).await.expect(200);
    if privacy != "secret" {
        for name in ["asking", "refused"] {
            stage.post(name, &format!("{group}/join"), Value::Null).await.expect(200);
        }
        let (refused, reason) = (stage.actor("refused").id(), json!({ "reason": stage.mark() }));
        stage.post("moderator", &format!("{group}/requests/{refused}/refuse"), reason).await.expect(200);
    }
}

/// Two pages with staff of every kind, and those who write to them.
async fn pages(stage: &mut Stage) {
    for _ in 0..2 {
        let (name, username) = (stage.mark(), stage.mark());
        let page = stage.post("owner", "/v1/pages", json!({ "name": name, "username": username })).await.expect(201).location().to_owned();
        let (name, username) = (stage.mark(), stage.mark());
        stage.patch("owner", &page, json!({ "name": name, "username": username })).await.expect(200);
        for (name, role) in [("editor", "editor"), ("care agent", "care_agent"), ("former staff", "care_agent")] {
            let path = format!("{page}/staff/{}", stage.actor(name).id());
            stage.put("owner", &path, json!({ "role": role })).await.expect(200);
            stage.post(name, &format!("{path}/accept"), Value::Null).await.expect(200);
        }
        let path = format!("{page}/staff/{}", stage.actor("outsider").id());
        stage.put("owner", &path, json!({ "role": "owner" })).await.expect(200);
        let picture = json!({ "media_id": stage.upload("owner").await });
        stage.put("owner", &format!("{page}/picture"), picture).await.expect(200);
        wall(stage, &page).await;
        inbox(stage, &page).await;
        let former = stage.actor("former staff").id();
        stage.delete("owner", &format!("{page}/staff/{former}")).await.expect(200);
    }
}

async fn wall(stage: &mut Stage, page: &str) {
    let text = json!({ "text": stage.mark() });
    let post = stage.post("editor", &format!("{page}/posts"), text).await.expect(201).location().to_owned();
    let text = json!({ "text": stage.mark() });
    stage.patch("editor", &post, text).await.expect(200);
    let own = page.rsplit('/').next().unwrap().to_owned();
    for who in ["outsider", "left"] {
        let text = json!({ "text": stage.mark() });
        let comment = stage.post(who, &format!("{post}/comments"), text).await.expect(201).id();
        if who == "left" {
            let reply = json!({ "text": stage.mark(), "reply_to": comment, "as_page": own });
            stage.post("care agent", &format!("{post}/comments"), reply).await.expect(201);
        }
        let text = json!({ "text": stage.mark() });
        stage.post("care agent", &format!("/v1/comments/{comment}/private-reply"), text).await.expect(201);
        stage.put(who, &format!("{post}/reaction"), json!({ "kind": "like" })).await.expect(200);
    }
    let text = json!({ "text": stage.mark() });
    stage.post("second", &format!("{post}/comments"), text).await.expect(201);
}

async fn inbox(stage: &mut Stage, page: &str) {
    for (who, end) in [("outsider", "done"), ("left", "spam"), ("second", "reopen")] {
        stage.put(who, &format!("{page}/followers/me"), Value::Null).await.expect(200);
        let text = json!({ "text": stage.mark() });
        stage.post(who, &format!("{page}/messages"), text).await.expect(201);
        let conversation = format!("{page}/conversations/{}", stage.actor(who).id());
        let text = json!({ "text": stage.mark(), "purpose": "care" });
        stage.post("former staff", &format!("{conversation}/messages"), text).await.expect(201);
        stage.post("care agent", &format!("{conversation}/done"), Value::Null).await.expect(200);
        if end != "done" {
            stage.post("care agent", &format!("{conversation}/{end}"), Value::Null).await.expect(200);
        }
    }
    let blocker = stage.actor("left");
    stage.send(&blocker, Method::PUT, &format!("{page}/blocks/me"), Value::Null).await.expect(200);
}
