//! One event that cannot be read costs the thing it is about, everywhere, and nothing else; passed over, all is whole again.

use crate::given::{admit, answer, found, listing, offer, up_to_date};
use circolo_domain::{
    GroupId, PageId, PersonId, StreamName, allowance, conversation, fan, group, membership, page, person, reaction, stance::Voice, username,
};
use circolo_events::{Append, Expected, Metadata, NewEvent, Position};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

stories! {
    every_sort_of_stream_costs_itself_alone,
    a_secret_group_stays_unknown,
    what_its_envelope_shows_to_be_public_is_read,
    reactions_go_on_and_come_back,
}

/// Long enough for anything on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Writes an event that nobody here knows to the end of a stream, as a newer server might.
pub async fn poison(world: &World, stream: &StreamName, scope: Option<Value>) -> Position {
    let held = world.store().read(stream, 0, 1_000).await.unwrap();
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{stream} {}", held.len()).as_bytes());
    let metadata = Metadata {
        actor: None,
        command: "Test".to_owned(),
        command_id: id,
        fingerprint: None,
        correlation: id,
        causation: None,
        scope: scope.map(|scope| serde_json::from_value(scope).unwrap()),
        concerns: vec![],
    };
    let event = NewEvent {
        id,
        event_type: format!("{}.pinned.v1", stream.category()),
        data: r#"{"words":"of another time"}"#.to_owned(),
        metadata: serde_json::to_string(&metadata).unwrap(),
        recorded_at: world.clock().now(),
        texts: vec![],
    };
    let expected = Expected::of(held.last().map(|stored| stored.revision));
    let appended = world.store().append(Append { stream: stream.clone(), expected, events: vec![event] }).await.unwrap();
    world.app().executor().settled().await;
    appended.position
}

/// Others write to the log as well.
async fn shared(world: &World) {
    world.app().executor().share_log().await.unwrap();
}

/// Decides that the event is passed over.
pub async fn skip(world: &World, position: Position) {
    let op = world.signed_in("op", "operator");
    let path = format!("/v1/operator/events/{position}/skip");
    op.post(&path, json!({ "reason": "written by a mistaken script" })).await.expect(200);
}

/// Waits until no read model leaves anything out, which is so by itself.
async fn mended(world: &World) {
    let op = world.signed_in("op", "operator");
    let whole = async {
        loop {
            let builds = up_to_date(world, &op).await.get("/v1/operator/projections").await.expect(200).items();
            if builds.iter().filter(|build| build["state"] == "live").all(|build| build["incomplete"] == false) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.unwrap();
}

/// People and one thing of each sort.
struct Town {
    ann: Actor,
    bob: Actor,
    group: String,
    other: String,
    question: String,
    post: String,
    comment: String,
    listing: String,
    page: String,
}

fn id(path: &str) -> Uuid {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

async fn town(world: &World) -> Town {
    let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
    let (group, other) = (found(&ann, "public", "request").await, found(&ann, "closed", "request").await);
    for group in [&group, &other] {
        admit(&ann, group, &bob).await;
    }
    let asked = json!({ "title": "How warm?", "body": "How warm should it be?" });
    let question = ann.post(&format!("{group}/questions"), asked.clone()).await.expect(201).location().to_owned();
    ann.post(&format!("{other}/questions"), asked).await.expect(201);
    let post = ann.post(&format!("{group}/posts"), json!({ "text": "Warm bread" })).await.expect(201).location().to_owned();
    let comment = bob.post(&format!("{post}/comments"), json!({ "text": "Good" })).await.expect(201).id();
    bob.put(&format!("{post}/reaction"), json!({ "kind": "like" })).await.expect(200);
    let listing = offer(&ann, &group, "Skis", 80).await;
    let page = ann.post("/v1/pages", json!({ "name": "Forno", "username": "forno" })).await.expect(201).location().to_owned();
    ann.post(&format!("{page}/posts"), json!({ "text": "Fresh bread" })).await.expect(201);
    bob.put(&format!("{page}/followers/me"), ()).await.expect(200);
    bob.post(&format!("{page}/messages"), json!({ "text": "Open today?" })).await.expect(201);
    Town { ann, bob, group, other, question, post, comment: format!("/v1/comments/{comment}"), listing, page }
}

/// What is asked of a thing.
enum Ask {
    Get(String),
    Post(String, Value),
    Put(String, Value),
    Patch(String, Value),
}

async fn ask(who: &Actor, what: &Ask) -> Reply {
    match what {
        Ask::Get(path) => who.get(path).await,
        Ask::Post(path, body) => who.post(path, body.clone()).await,
        Ask::Put(path, body) => who.put(path, body.clone()).await,
        Ask::Patch(path, body) => who.patch(path, body.clone()).await,
    }
}

/// A stream, and what is closed with it.
type Closed<'a> = (StreamName, Vec<(&'a Actor, Ask)>);

fn get(path: &str) -> Ask {
    Ask::Get(path.to_owned())
}

fn who(actor: &Actor) -> PersonId {
    PersonId(actor.id())
}

impl Town {
    /// A stream of each sort, what of it is closed by an event that cannot be read, and to whom.
    fn streams(&self) -> Vec<Closed<'_>> {
        [self.things(), self.places(), self.beside_page()].into_iter().flatten().collect()
    }

    /// Of what is written in a group.
    fn things(&self) -> Vec<Closed<'_>> {
        let Self { ann, bob, question, post, comment, listing: offered, .. } = self;
        let named = |category: &str, path: &str| StreamName::stored(format!("{category}-{}", id(path)));
        vec![
            (
                named("question", question),
                vec![
                    (bob, get(question)),
                    (bob, Ask::Post(format!("{question}/answers"), json!({ "body": "Very" }))),
                    (ann, Ask::Post(format!("{question}/close"), Value::Null)),
                ],
            ),
            (
                named("post", post),
                vec![
                    (bob, get(post)),
                    (ann, get(&format!("{post}/versions"))),
                    (ann, Ask::Patch(post.clone(), json!({ "text": "Warmer bread" }))),
                    (bob, Ask::Post(format!("{post}/comments"), json!({ "text": "Better" }))),
                ],
            ),
            (named("comment", comment), vec![(bob, Ask::Patch(comment.clone(), json!({ "text": "Very good" })))]),
            (
                named("listing", offered),
                vec![
                    (bob, get(offered)),
                    (bob, get(&format!("{offered}/history"))),
                    (ann, Ask::Patch(offered.clone(), json!({ "price": { "amount_minor": 70, "currency": "EUR" } }))),
                ],
            ),
            (
                reaction::stream(id(post), Voice::Person(who(bob))),
                vec![(bob, Ask::Put(format!("{post}/reaction"), json!({ "kind": "love" })))],
            ),
        ]
    }

    /// Of the group and the page themselves, and of who is in them.
    fn places(&self) -> Vec<Closed<'_>> {
        let Self { ann, bob, group, page, .. } = self;
        let (in_group, on_page) = (GroupId(id(group)), PageId(id(page)));
        vec![
            (
                membership::stream(in_group, who(bob)),
                vec![
                    (bob, get(group)),
                    (bob, Ask::Post(format!("{group}/posts"), json!({ "text": "As a member" }))),
                    (ann, Ask::Put(format!("{group}/members/{}/role", bob.id()), json!({ "role": "moderator" }))),
                ],
            ),
            (
                group::stream(in_group),
                vec![
                    (bob, get(group)),
                    (ann, get(group)),
                    (bob, get(&format!("{group}/questions"))),
                    (ann, get(&format!("{group}/members"))),
                    (ann, Ask::Patch(group.clone(), json!({ "name": "Bakers" }))),
                    (bob, Ask::Post(format!("{group}/listings"), listing("Boots", 20))),
                ],
            ),
            (
                page::stream(on_page),
                vec![
                    (bob, get(page)),
                    (ann, get(&format!("{page}/conversations"))),
                    (ann, Ask::Post(format!("{page}/posts"), json!({ "text": "More bread" }))),
                    (bob, Ask::Post(format!("{page}/messages"), json!({ "text": "And tomorrow?" }))),
                ],
            ),
        ]
    }

    /// Of what is between a person and a page, of names, and of people.
    fn beside_page(&self) -> Vec<Closed<'_>> {
        let Self { ann, bob, question, page, .. } = self;
        let on_page = PageId(id(page));
        let messages = format!("{page}/conversations/{}/messages", bob.id());
        vec![
            (
                conversation::stream(on_page, who(bob)),
                vec![
                    (ann, get(&messages)),
                    (bob, get(&format!("/v1/me/conversations/{}/messages", id(page)))),
                    (ann, Ask::Post(messages.clone(), json!({ "text": "Yes", "purpose": "reply" }))),
                ],
            ),
            (fan::stream(on_page, who(bob)), vec![(bob, Ask::Put(format!("{page}/blocks/me"), Value::Null))]),
            (
                username::stream(&username::Name::parse("forno").unwrap()),
                vec![(bob, Ask::Post("/v1/pages".to_owned(), json!({ "name": "Il forno", "username": "forno" })))],
            ),
            (
                allowance::stream(who(bob)),
                vec![(bob, Ask::Post("/v1/groups".to_owned(), json!({ "name": "Bobs", "privacy": "public", "membership": "open" })))],
            ),
            (
                person::stream(who(bob)),
                vec![
                    (ann, get(&format!("/v1/people/{}", bob.id()))),
                    (bob, get("/v1/me")),
                    (bob, Ask::Post(format!("{question}/answers"), json!({ "body": "Hot" }))),
                ],
            ),
        ]
    }

    /// What goes on whatever cannot be read of the streams above, and what it must hold.
    async fn goes_on(&self, world: &World, told: &str) {
        let (ann, bob, nobody) = (up_to_date(world, &self.ann).await, up_to_date(world, &self.bob).await, world.anonymous());
        for who in [&ann, &bob, &nobody] {
            let changes = who.get("/v1/changes?after=0&limit=100").await.expect(200);
            assert!(!changes.items().is_empty(), "{told}: {changes}");
            assert!(!changes.to_string().contains("of another time"), "{told}: {changes}");
        }
        let mut events = bob.listen("/v1/changes?after=0").await;
        let (mut place, last) = (String::new(), bob.get("/v1/changes?after=0&limit=100").await.expect(200).items().pop().unwrap());
        while Some(place.as_str()) != last["place"].as_str() {
            place = events.change().await.0;
        }
        let feed = bob.get("/v1/me/feed").await.expect(200).items();
        let of = |place: &str| feed.iter().filter(|item| item.to_string().contains(&id(place).to_string())).count();
        assert!(of(&self.other) > 0 && of(&self.page) > 0, "{told}: {feed:?}");
        let now = world.clock().now();
        for (who, path) in [
            (&nobody, "/v1/groups".to_owned()),
            (&ann, "/v1/groups?q=alpine".to_owned()),
            (&bob, self.other.clone()),
            (&bob, format!("{}/questions", self.other)),
            (&bob, format!("{}/members?as_of={now}", self.other)),
            (&bob, format!("{}?as_of={now}", self.other)),
            (&ann, format!("{}/feed", self.page)),
            (&ann, format!("/v1/people/{}", ann.id())),
            (&ann, format!("/v1/people/{}/catalogue", ann.id())),
            (&ann, "/v1/me/staff-offers".to_owned()),
            (&bob, "/v1/me/invitations".to_owned()),
            (&world.signed_in("eve", "analyst"), "/v1/events?limit=100".to_owned()),
        ] {
            who.get(&path).await.expect(200);
        }
        // Written by somebody else, in another place.
        ann.post(&format!("{}/posts", self.other), json!({ "text": "Meanwhile" })).await.expect(201);
        answer_in(&ann, &self.other).await;
    }
}

async fn answer_in(ann: &Actor, group: &str) {
    let question = ann.get(&format!("{group}/questions")).await.expect(200).items().pop().unwrap();
    answer(ann, &format!("/v1/questions/{}", question["id"].as_str().unwrap()), "So so").await;
}

async fn every_sort_of_stream_costs_itself_alone(world: World) {
    shared(&world).await;
    let town = town(&world).await;
    for (stream, asked) in town.streams() {
        let position = poison(&world, &stream, None).await;
        for (who, what) in &asked {
            let reply = ask(&up_to_date(&world, who).await, what).await.expect_problem(503, "unreadable");
            assert!(!reply.header("retry-after").is_empty(), "{reply}");
            assert!(!reply.to_string().contains("pinned"), "{reply}");
        }
        town.goes_on(&world, stream.as_str()).await;
        world.settled().await;
        skip(&world, position).await;
        mended(&world).await;
        for (who, what) in &asked {
            let reply = ask(&up_to_date(&world, who).await, what).await;
            // Names are given once.
            let whole = reply.status.is_success() || reply.status.as_u16() == 409;
            assert!(whole, "{stream}: {reply}");
        }
        town.goes_on(&world, stream.as_str()).await;
    }
    world.settled().await;
    assert_eq!(world.aside().await, [], "nothing is left aside");
    let op = world.signed_in("op", "operator");
    op.post("/v1/operator/events/1/skip", json!({ "reason": "none" })).await.expect_problem(409, "readable");
    town.bob.post("/v1/operator/events/1/skip", json!({ "reason": "none" })).await.expect_problem(403, "scope_needed");
}

async fn a_secret_group_stays_unknown(world: World) {
    shared(&world).await;
    let (ann, bob, zoe) = (world.person("Ann").await, world.person("Bob").await, world.person("Zoe").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bob).await;
    let asked = json!({ "title": "How?", "body": "How should it be?" });
    let question = ann.post(&format!("{group}/questions"), asked.clone()).await.expect(201).location().to_owned();
    let (in_group, within) = (group::stream(GroupId(id(&group))), membership::stream(GroupId(id(&group)), PersonId(bob.id())));
    let of_question = StreamName::stored(format!("question-{}", id(&question)));
    let made_up = |path: &str, of: &str| path.replace(&id(of).to_string(), &Uuid::from_u128(7).to_string());
    for stream in [in_group, within, of_question] {
        let position = poison(&world, &stream, None).await;
        for who in [&zoe, &world.anonymous()] {
            for (path, of) in
                [(&group, &group), (&format!("{group}/questions"), &group), (&format!("{group}/feed"), &group), (&question, &question)]
            {
                let (real, unknown) = (who.get(path).await, who.get(&made_up(path, of)).await);
                assert_eq!(real.visible(), unknown.visible(), "{stream}: {real}");
                assert_eq!(real.status, 404, "{real}");
            }
        }
        for (path, of, body) in
            [(format!("{group}/questions"), &group, asked.clone()), (format!("{question}/answers"), &question, json!({ "body": "So" }))]
        {
            let (real, unknown) = (zoe.post(&path, body.clone()).await, zoe.post(&made_up(&path, of), body).await);
            assert_eq!(real.visible(), unknown.visible(), "{stream}: {real}");
        }
        let changes = zoe.get("/v1/changes?after=0&limit=100").await.expect(200);
        assert!(!changes.to_string().contains(&id(&group).to_string()), "{changes}");
        // Of those within, the group or the person is closed, or the question alone.
        let reply = up_to_date(&world, &bob).await.get(&question).await.expect_problem(503, "unreadable");
        assert!(!reply.to_string().contains("How"), "{reply}");
        skip(&world, position).await;
        up_to_date(&world, &bob).await.get(&question).await.expect(200);
    }
}

async fn what_its_envelope_shows_to_be_public_is_read(world: World) {
    shared(&world).await;
    let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
    let group = found(&ann, "public", "open").await;
    let asked = json!({ "title": "How?", "body": "How should it be?" });
    let question = ann.post(&format!("{group}/questions"), asked).await.expect(201).location().to_owned();
    let stream = group::stream(GroupId(id(&group)));
    let scope = |privacy: &str| Some(json!({ "owner": { "group": id(&group) }, "privacy": privacy, "era": 0 }));
    poison(&world, &stream, scope("public")).await;
    for who in [&up_to_date(&world, &ann).await, &up_to_date(&world, &bob).await, &world.anonymous()] {
        who.get(&question).await.expect(200);
        assert_eq!(who.get(&format!("{group}/questions")).await.expect(200).items().len(), 1);
        who.get(&group).await.expect_problem(503, "unreadable");
        let changes = who.get("/v1/changes?after=0&limit=100").await.expect(200);
        assert!(changes.to_string().contains("question.posted"), "{changes}");
    }
    for who in [&ann, &bob] {
        who.post(&format!("{question}/answers"), json!({ "body": "So" })).await.expect_problem(503, "unreadable");
    }
    // It may be closed by now.
    poison(&world, &stream, scope("closed")).await;
    for who in [&ann, &bob, &world.anonymous()] {
        who.get(&question).await.expect_problem(503, "unreadable");
    }
    // Or secret: then it is as if it had never been there, but for those who are in it.
    poison(&world, &stream, scope("secret")).await;
    up_to_date(&world, &ann).await.get(&group).await.expect_problem(503, "unreadable");
    for who in [&bob, &world.anonymous()] {
        who.get(&group).await.expect_problem(404, "not_found");
        who.get(&question).await.expect_problem(404, "not_found");
        let listed = up_to_date(&world, who).await.get("/v1/groups").await.expect(200);
        assert!(!listed.to_string().contains("Alpine"), "{listed}");
    }
}

async fn reactions_go_on_and_come_back(world: World) {
    shared(&world).await;
    let (ann, bob, eve) = (world.person("Ann").await, world.person("Bob").await, world.person("Eve").await);
    let group = found(&ann, "public", "request").await;
    for who in [&bob, &eve] {
        who.post(&format!("{group}/join"), ()).await.expect(200).expect_json(json!({ "status": "requested" }));
    }
    let position = poison(&world, &membership::stream(GroupId(id(&group)), PersonId(bob.id())), None).await;
    ann.patch(&group, json!({ "privacy": "secret" })).await.expect(200);
    world.settled().await;
    assert!(!world.aside().await.is_empty(), "what cannot be read is put aside");
    let requests = format!("{group}/members?status=requested");
    let names = |reply: &Reply| reply.items().iter().map(|item| item["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let left = up_to_date(&world, &ann).await.get(&requests).await.expect(200);
    assert!(!names(&left).contains(&eve.id().to_string()), "the request of whom can be read is refused: {left}");
    skip(&world, position).await;
    let refused = async {
        while !world.aside().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    let stream = membership::stream(GroupId(id(&group)), PersonId(bob.id()));
    let types: Vec<String> = world.store().read(&stream, 0, 10).await.unwrap().into_iter().map(|stored| stored.event.event_type).collect();
    assert_eq!(types, ["membership.requested.v1", "membership.pinned.v1", "membership.request_refused.v1"]);
}
