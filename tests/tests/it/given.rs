//! What stories begin with: people in groups, questions with answers, all of it over HTTP.

use circolo_tests::{
    actor::{Actor, Reply},
    world::World,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// An id that nothing has.
pub const UNKNOWN: Uuid = Uuid::from_u128(0xdead_beef);

/// Creates a group; its path.
pub async fn found(admin: &Actor, privacy: &str, membership: &str) -> String {
    let body = json!({ "name": "Alpine Club", "description": "Up and down", "privacy": privacy, "membership": membership });
    admin.post("/v1/groups", body).await.expect(201).location().to_owned()
}

/// Invites a person, who accepts.
pub async fn admit(admin: &Actor, group: &str, person: &Actor) {
    invite(admin, group, person).await.expect(200);
    person.post(&format!("{group}/invitations/{}/accept", person.id()), ()).await.expect(200).expect_json(json!({ "status": "member" }));
}

/// Invites a person.
pub async fn invite(by: &Actor, group: &str, person: &Actor) -> Reply {
    by.post(&format!("{group}/invitations"), json!({ "person_id": person.id() })).await
}

/// Gives a member a role.
pub async fn promote(admin: &Actor, group: &str, person: &Actor, role: &str) {
    admin.put(&format!("{group}/members/{}/role", person.id()), json!({ "role": role })).await.expect(200);
}

/// Bans a person.
pub async fn ban(by: &Actor, group: &str, person: &Actor) -> Reply {
    by.put(&format!("{group}/bans/{}", person.id()), json!({ "reason": "spam" })).await
}

/// Asks a question; its path.
pub async fn ask(member: &Actor, group: &str, title: &str) -> String {
    let body = json!({ "title": title, "body": "Who knows?" });
    member.post(&format!("{group}/questions"), body).await.expect(201).location().to_owned()
}

/// What one posts to offer something: a pair of used skis, to be picked up.
pub fn listing(title: &str, amount: i64) -> Value {
    json!({
        "title": title, "description": "178 cm", "category": "skis", "condition": "used",
        "price": { "amount_minor": amount, "currency": "EUR" }, "pickup": "In Chur",
    })
}

/// Offers something; its path.
pub async fn offer(member: &Actor, group: &str, title: &str, amount: i64) -> String {
    member.post(&format!("{group}/listings"), listing(title, amount)).await.expect(201).location().to_owned()
}

/// Answers a question; the answer's id.
pub async fn answer(member: &Actor, question: &str, body: &str) -> Uuid {
    member.post(&format!("{question}/answers"), json!({ "body": body })).await.expect(201).id()
}

/// Writes a post in a group or on a page; its path.
pub async fn write(by: &Actor, place: &str, text: &str) -> String {
    by.post(&format!("{place}/posts"), json!({ "text": text })).await.expect(201).location().to_owned()
}

/// Comments on a post; the comment's id.
pub async fn comment(by: &Actor, post: &str, text: &str) -> Uuid {
    by.post(&format!("{post}/comments"), json!({ "text": text })).await.expect(201).id()
}

/// The same actor, who from now on reads nothing older than the log is at this moment.
pub async fn up_to_date(world: &World, actor: &Actor) -> Actor {
    actor.with("circolo-min-position", &world.store().head().await.unwrap().0.to_string())
}

/// One field of each item of a list.
pub fn column(reply: &Reply, field: &str) -> Vec<Value> {
    reply.items().into_iter().map(|mut item| item[field].take()).collect()
}

/// The statuses that the members' lists show of `person` to `reader`.
pub async fn listed(world: &World, reader: &Actor, group: &str, person: &Actor) -> Vec<&'static str> {
    let reader = up_to_date(world, reader).await;
    let mut found = Vec::new();
    for status in ["member", "invited", "requested", "banned"] {
        let reply = reader.get(&format!("{group}/members?status={status}")).await.expect(200);
        if column(&reply, "person_id").contains(&json!(person.id())) {
            found.push(status);
        }
    }
    found
}

/// Those who act in a table of rights, in the order of its columns, those whom it is about, and who set everything up.
pub struct Cast {
    pub founder: Actor,
    pub roles: Vec<Actor>,
    others: Vec<(&'static str, Actor)>,
}

impl Cast {
    /// The first two roles are nobody signed in, and somebody who has not registered.
    pub async fn new(world: &World, roles: &[&str], others: &[&'static str]) -> Self {
        let mut cast =
            Self { founder: world.person("founder").await, roles: vec![world.anonymous(), world.stranger(roles[1])], others: vec![] };
        for name in &roles[2..] {
            cast.roles.push(world.person(name).await);
        }
        for name in others {
            cast.others.push((name, world.person(&format!("another {name}")).await));
        }
        cast
    }

    /// Somebody whom it is about.
    pub fn other(&self, name: &str) -> &Actor {
        self.others.iter().find(|(other, _)| *other == name).map(|(_, actor)| actor).unwrap()
    }

    /// The path with the ids of those whom it is about: `{member}`.
    pub fn named(&self, path: String) -> String {
        self.others.iter().fold(path, |path, (name, other)| path.replace(&format!("{{{name}}}"), &other.id().to_string()))
    }
}
