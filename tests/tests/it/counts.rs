//! Every figure equals what its reader can list, whatever eras the acts are of: comments, replies, answers, reactions, a group's
//! figures, what is unanswered, what is accepted; and a revision is told to those alone who may read all that it counts.

use crate::changes::feed;
use crate::given::{admit, answer, ask, comment, found, offer, promote, up_to_date, write};
use circolo_domain::Span;
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

stories!(
    every_figure_is_what_its_reader_lists,
    a_reader_of_two_stays_counts_what_they_list,
    what_is_taken_back_in_another_era_leaves_the_figures_true,
    figures_are_the_same_after_a_rebuild,
    an_asker_who_may_not_read_all_learns_of_no_hidden_act,
);

/// A reaction that stands, and a question that was asked in that moment: who reads it may know of the reaction.
struct Reaction {
    thing: String,
    kind: &'static str,
    witness: String,
}

/// A group, and what was done in it.
#[derive(Default)]
struct Scene {
    group: String,
    /// Paths.
    posts: Vec<String>,
    questions: Vec<String>,
    listings: Vec<String>,
    /// Ids, by the path of the post.
    comments: Vec<(String, String)>,
    /// The path of the thing, and a witness to each act upon it that its stream counts.
    acts: Vec<(String, String)>,
    reactions: Vec<Reaction>,
}

impl Scene {
    /// In the present era: something new of each kind, and something more to everything that is there.
    async fn act(&mut self, world: &World, by: &Actor, kinds: [&'static str; 2]) {
        world.clock().advance(Span::minutes(1));
        let witness = ask(by, &self.group, "witness").await;
        for question in &self.questions {
            if by.get(question).await.status == 200 {
                answer(by, question, "!").await;
                self.acts.push((question.clone(), witness.clone()));
            }
        }
        for post in &self.posts {
            if by.get(post).await.status != 200 {
                continue;
            }
            let new = comment(by, post, "!").await.to_string();
            for (of, id) in &self.comments {
                let reply = json!({ "text": "!", "reply_to": id });
                if of == post {
                    // Who may not read the comment cannot reply to it.
                    by.post(&format!("{post}/comments"), reply).await;
                }
            }
            self.comments.push((post.clone(), new));
        }
        for (path, kind) in self.reactable().into_iter().zip(kinds.iter().cycle()) {
            if by.put(&format!("{path}/reaction"), json!({ "kind": kind })).await.status == 200 {
                self.reacted(&path, by, kind, &witness);
            }
        }
        self.posts.push(write(by, &self.group, "post").await);
        self.listings.push(offer(by, &self.group, "skis", 80).await);
        self.questions.push(witness);
    }

    /// The paths of all that one may react to.
    fn reactable(&self) -> Vec<String> {
        self.posts.iter().cloned().chain(self.comments.iter().map(|(_, id)| format!("/v1/comments/{id}"))).collect()
    }

    fn reacted(&mut self, path: &str, by: &Actor, kind: &'static str, witness: &str) {
        let thing = format!("{path} {}", by.id());
        // Who says again what stands does nothing.
        if self.reactions.iter().any(|reaction| reaction.thing == thing && reaction.kind == kind) {
            return;
        }
        self.reactions.retain(|reaction| reaction.thing != thing);
        self.reactions.push(Reaction { thing, kind, witness: witness.to_owned() });
    }
}

/// What a reader sees of a scene, each address asked once.
struct Seen<'a> {
    scene: &'a Scene,
    name: &'a str,
    reader: Actor,
}

impl Seen<'_> {
    async fn reads(&self, path: &str) -> bool {
        self.reader.get(path).await.status == 200
    }

    async fn all(&self, path: &str, items: fn(&Value) -> &Value) -> Vec<Value> {
        let (mut found, mut after) = (vec![], String::new());
        loop {
            let page = self.reader.get(&format!("{path}limit=7{after}")).await.expect(200).json();
            let list = items(&page);
            found.extend(list["items"].as_array().unwrap().iter().cloned());
            match list["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    }

    async fn reactions(&self, path: &str) -> Value {
        let mut counts = BTreeMap::from(["like", "love", "care", "laugh", "wow", "sad"].map(|kind| (kind, 0)));
        for reaction in self.scene.reactions.iter().filter(|reaction| reaction.thing.split(' ').next() == Some(path)) {
            if self.reads(&reaction.witness).await {
                *counts.get_mut(reaction.kind).unwrap() += 1;
            }
        }
        json!(counts)
    }

    /// Checks the figures of the post; how many comments and replies it has.
    async fn post(&self, path: &str) -> usize {
        let post = self.reader.get(path).await.expect(200).json();
        let standing = |items: &[Value]| items.iter().filter(|item| item["removal"].is_null()).count();
        let comments = self.all(&format!("{path}/comments?"), |page| page).await;
        let mut count = standing(&comments);
        for comment in &comments {
            let id = comment["id"].as_str().unwrap();
            let replies = self.all(&format!("{path}/comments?reply_to={id}&"), |page| page).await;
            assert_eq!(comment["reply_count"], standing(&replies), "{} and replies to {comment}", self.name);
            assert_eq!(comment["reactions"], self.reactions(&format!("/v1/comments/{id}")).await, "{} and {comment}", self.name);
            count += standing(&replies);
        }
        assert_eq!(post["comment_count"], count, "{} and comments on {post}", self.name);
        assert_eq!(post["reactions"], self.reactions(path).await, "{} and {post}", self.name);
        count
    }

    /// Checks the figures of the question; its answers.
    async fn question(&self, path: &str) -> usize {
        let question = self.reader.get(path).await.expect(200).json();
        let answers = self.all(&format!("{path}?"), |page| &page["answers"]).await;
        assert_eq!(question["answer_count"], answers.len(), "{} and {question}", self.name);
        let accepted = &question["accepted"];
        assert!(accepted.is_null() || answers.iter().any(|answer| answer["id"] == *accepted), "{} and {question}", self.name);
        let mut follows = true;
        for (_, witness) in self.scene.acts.iter().filter(|(of, _)| of == path) {
            follows &= self.reads(witness).await;
        }
        assert!(follows || question["revision"].is_null(), "{} is told of hidden acts: {question}", self.name);
        answers.len()
    }

    /// Checks everything; how much was counted in all.
    async fn check(&self) -> usize {
        let Self { scene: Scene { group, .. }, reader, name, .. } = self;
        let mut sum = 0;
        for post in &self.scene.posts {
            if self.reads(post).await {
                sum += self.post(post).await;
            }
        }
        let shown = reader.get(group).await.expect(200).json();
        if reader.get(&format!("{group}/questions")).await.status != 200 {
            assert!(shown.get("questions").is_none() && shown.get("answers").is_none(), "{name} and {shown}");
            return sum;
        }
        let listed = self.all(&format!("{group}/questions?"), |page| page).await;
        let (mut answers, mut unanswered) = (0, vec![]);
        for item in &listed {
            let given = self.question(&format!("/v1/questions/{}", item["id"].as_str().unwrap())).await;
            assert_eq!(item["answer_count"], given, "{name} and {item}");
            answers += given;
            if given == 0 {
                unanswered.push(item["id"].clone());
            }
        }
        assert_eq!((&shown["questions"], &shown["answers"]), (&json!(listed.len()), &json!(answers)), "{name} and {shown}");
        let waiting = self.all(&format!("{group}/questions?status=unanswered&"), |page| page).await;
        assert_eq!(waiting.iter().map(|item| item["id"].clone()).collect::<Vec<_>>(), unanswered, "{name} and what is unanswered");
        self.feed().await;
        sum + answers
    }

    /// What stands in the feed is what stands at the address, and the changes tell no revision that the address keeps back.
    async fn feed(&self) {
        let mut untold = BTreeSet::new();
        for mut item in self.all(&format!("{}/feed?", self.scene.group), |page| page).await {
            let kind = item.as_object_mut().unwrap().remove("kind").unwrap();
            let path = format!("/v1/{}s/{}", kind.as_str().unwrap(), item["id"].as_str().unwrap());
            let mut thing = self.reader.get(&path).await.expect(200).json();
            thing.as_object_mut().unwrap().remove("answers");
            assert_eq!(item, thing, "{} in the feed", self.name);
            if thing.get("revision").is_none() {
                untold.insert(thing["id"].as_str().unwrap().to_owned());
            }
        }
        for change in feed(&self.reader, "0").await.0 {
            let thing = if change["kind"] == "answer" { &change["parent_id"] } else { &change["id"] }.as_str().unwrap();
            assert!(!untold.contains(thing) || change.get("revision").is_none(), "{} is told {change}", self.name);
        }
    }
}

/// Those who read, and the scene they read of.
struct Story {
    scene: Scene,
    readers: Vec<(&'static str, Actor)>,
}

/// A group that went through these privacies, in each of which everything was done to everything, also by who came last.
async fn through(world: &World, privacies: &[&'static str], history: &str) -> Story {
    let tag = privacies.join("-") + history;
    let person = async |name: &str| world.person(&format!("{name} {tag}")).await;
    let (ann, max, mona) = (person("Ann").await, person("Max").await, person("Mona").await);
    let group = found(&ann, privacies[0], "invite_only").await;
    ann.patch(&group, json!({ "history": history })).await.expect(200);
    admit(&ann, &group, &max).await;
    admit(&ann, &group, &mona).await;
    promote(&ann, &group, &mona, "moderator").await;
    let mut readers = vec![("admin", ann.clone()), ("old member", max.clone()), ("moderator", mona.clone())];
    let mut scene = Scene { group, ..Scene::default() };
    for (era, privacy) in privacies.iter().enumerate() {
        if era > 0 {
            // A group's privacy changes once a day at most.
            world.clock().advance(Span::hours(25));
            ann.patch(&scene.group, json!({ "privacy": privacy })).await.expect(200);
        }
        let newcomer = person(["first newcomer", "second newcomer", "third newcomer"][era]).await;
        admit(&ann, &scene.group, &newcomer).await;
        scene.act(world, &max, ["like", "love"]).await;
        scene.act(world, &newcomer, ["wow", "sad"]).await;
        scene.act(world, &mona, ["care", "like"]).await;
        readers.push((["first newcomer", "second newcomer", "third newcomer"][era], newcomer));
    }
    readers.extend([("outsider", person("Otto").await), ("anonymous", world.anonymous())]);
    Story { scene, readers }
}

/// Checks what each reader sees; how much was counted for whom.
async fn checked(world: &World, Story { scene, readers }: &Story) -> Vec<usize> {
    let mut sums = vec![];
    for (name, reader) in readers {
        let reader = up_to_date(world, reader).await;
        if reader.get(&scene.group).await.status == 200 {
            sums.push(Seen { scene, name, reader }.check().await);
        }
    }
    sums
}

async fn every_figure_is_what_its_reader_lists(world: World) {
    for privacies in [["public", "closed", "public"], ["secret", "closed", "public"], ["public", "secret", "closed"]] {
        let story = through(&world, &privacies, "all").await;
        let sums = checked(&world, &story).await;
        // The table is no use if all see the same.
        assert!(BTreeSet::from_iter(&sums).len() > 1, "{privacies:?}: {sums:?}");
    }
    let alike = checked(&world, &through(&world, &["public"], "all").await).await;
    assert!(alike.iter().all(|sum| *sum == alike[0] && *sum > 0), "{alike:?}");
    let story = through(&world, &["public", "closed"], "since_joining").await;
    assert!(BTreeSet::from_iter(checked(&world, &story).await).len() > 2);
    // The past shows no more than the present.
    let (_, anonymous) = story.readers.last().unwrap();
    let then = world.clock().now();
    for (name, reader) in &story.readers {
        let reader = up_to_date(&world, reader).await;
        let path = format!("{}?as_of={then}", story.scene.group);
        if *name == "anonymous" {
            reader.get(&path).await.expect_problem(401, "unauthenticated");
            continue;
        }
        let (now, past) = (reader.get(&story.scene.group).await, reader.get(&path).await);
        for figure in ["members", "questions", "answers", "revision"] {
            assert_eq!(past.json().get(figure), now.json().get(figure), "{name} and {figure}: {past}");
        }
    }
    assert!(anonymous.get(&story.scene.group).await.expect(200).json().get("revision").is_none());
}

async fn a_reader_of_two_stays_counts_what_they_list(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "open").await;
    ann.patch(&group, json!({ "history": "since_joining" })).await.expect(200);
    let mut scene = Scene { group: group.clone(), ..Scene::default() };
    for (kind, step) in [("like", "join"), ("love", "leave"), ("care", "join"), ("wow", "leave")] {
        scene.act(&world, &ann, [kind, kind]).await;
        world.clock().advance(Span::minutes(1));
        if kind != "wow" {
            bea.post(&format!("{group}/{step}"), ()).await.expect(200);
        }
    }
    let readers = vec![("admin", ann), ("of two stays", bea)];
    let sums = checked(&world, &Story { scene, readers }).await;
    assert!(sums[1] > 0 && sums[1] < sums[0], "{sums:?}");
}

async fn what_is_taken_back_in_another_era_leaves_the_figures_true(world: World) {
    let mut story = through(&world, &["public", "closed", "public"], "all").await;
    let (_, max) = story.readers[1].clone();
    let (_, mona) = story.readers[2].clone();
    let scene = &mut story.scene;
    world.clock().advance(Span::minutes(1));
    let witness = ask(&max, &scene.group, "witness").await;
    // Reactions of all eras are withdrawn or change, comments and replies of all eras are removed.
    for (n, path) in scene.reactable().into_iter().enumerate() {
        if n % 2 == 0 {
            max.delete(&format!("{path}/reaction")).await.expect(200);
            let thing = format!("{path} {}", max.id());
            scene.reactions.retain(|reaction| reaction.thing != thing);
        } else {
            max.put(&format!("{path}/reaction"), json!({ "kind": "laugh" })).await.expect(200);
            scene.reacted(&path, &max, "laugh", &witness);
        }
    }
    for (post, id) in scene.comments.iter().step_by(3) {
        let replies = mona.get(&format!("{post}/comments?reply_to={id}&limit=100")).await.expect(200).items();
        for reply in replies.iter().step_by(2).map(|reply| reply["id"].as_str().unwrap()).chain([id.as_str()]) {
            mona.delete(&format!("/v1/comments/{reply}?reason=spam")).await.expect(200);
        }
    }
    let sums = checked(&world, &story).await;
    assert!(BTreeSet::from_iter(&sums).len() > 1, "{sums:?}");
}

async fn figures_are_the_same_after_a_rebuild(world: World) {
    let story = through(&world, &["closed", "public"], "all").await;
    let before = checked(&world, &story).await;
    world.settled().await;
    let op = world.signed_in("op", "operator");
    for name in ["comments", "groups", "posts", "questions", "reactions"] {
        op.post(&format!("/v1/operator/projections/{name}/verify"), json!({})).await.expect(202);
        world.app().projector().settled().await;
        let found = op.get(&format!("/v1/operator/projections/{name}/verification")).await.expect(200);
        let found = found.expect_json(json!({ "state": "done", "different": 0 })).json();
        assert!(found["compared"].as_i64() > Some(0), "{found}");
    }
    op.post("/v1/operator/projections/rebuild", json!({})).await.expect(202);
    world.app().projector().settled().await;
    assert_eq!(checked(&world, &story).await, before);
}

async fn an_asker_who_may_not_read_all_learns_of_no_hidden_act(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    for person in [&bea, &cleo] {
        person.post(&format!("{group}/join"), ()).await.expect(200);
    }
    let question = ask(&bea, &group, "to all").await;
    let public = answer(&cleo, &question, "heard by all").await;
    let post = write(&cleo, &group, "to all").await;
    let told = up_to_date(&world, &bea).await.get(&question).await.expect(200);
    assert_eq!((told.header("etag"), &told.json()["revision"]), ("\"1\"", &json!(1)));
    world.clock().advance(Span::hours(25));
    ann.patch(&group, json!({ "privacy": "closed" })).await.expect(200);
    let closed = answer(&cleo, &question, "among us").await;
    ann.put(&format!("{question}/accepted"), json!({ "answer_id": closed })).await.expect(200);
    ann.put(&format!("{post}/reaction"), json!({ "kind": "like" })).await.expect(200);
    world.clock().advance(Span::hours(25));
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    // Who asked leaves and comes back: what was written among members is not theirs any more.
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    bea.post(&format!("{group}/join"), ()).await.expect(200);

    let bea = up_to_date(&world, &bea).await;
    let read = bea.get(&question).await.expect(200);
    let shown = read.json();
    assert_eq!((&shown["answer_count"], &shown["accepted"], shown.get("revision")), (&json!(1), &Value::Null, None));
    assert_eq!(read.header("etag"), "");
    let ann = up_to_date(&world, &ann).await;
    ann.get(&question).await.expect(200).expect_json(json!({ "answer_count": 2, "accepted": closed, "revision": 3 }));
    let told: Vec<Value> =
        feed(&bea, "0").await.0.into_iter().filter(|change| question.ends_with(change["id"].as_str().unwrap())).collect();
    assert_eq!(told.iter().map(|change| change["action"].clone()).collect::<Vec<_>>(), ["posted"]);
    assert_eq!(told[0].get("revision"), None);

    for (reader, reactions) in [(&bea, 0), (&world.anonymous(), 0), (&cleo, 1), (&ann, 1)] {
        let given = feed(reader, "0").await.0.into_iter().filter(|change| change["action"] == "given").count();
        let shown = up_to_date(&world, reader).await.get(&post).await.expect(200).json();
        assert_eq!((given, &shown["reactions"]["like"], shown.get("revision").is_some()), (reactions, &json!(reactions), reactions == 1));
    }

    // Nothing that they do tells of it either.
    let accepted = format!("{question}/accepted");
    for seen in ["\"2\"", "\"3\"", "\"18446744073709551615\""] {
        let stale = bea.with("if-match", seen).post(&format!("{question}/close"), ()).await.expect_problem(412, "revision_changed");
        assert!(stale.json().get("details").is_none(), "{stale}");
    }
    bea.put(&accepted, json!({ "answer_id": closed })).await.expect_problem(422, "no_such_answer");
    bea.delete(&accepted).await.expect_problem(404, "nothing_accepted");
    let done = bea.put(&accepted, json!({ "answer_id": public })).await.expect(200);
    assert_eq!((done.json()["revision"].clone(), done.header("etag")), (Value::Null, ""));
    let again = bea.put(&accepted, json!({ "answer_id": public })).await.expect(200);
    assert_eq!(again.json()["position"], world.store().head().await.unwrap().0);
    up_to_date(&world, &bea).await.get(&question).await.expect(200).expect_json(json!({ "accepted": public }));
    assert_eq!(bea.post(&format!("{question}/answers"), json!({ "body": "!" })).await.expect(201).json()["revision"], Value::Null);
    // Who may read all of it goes on as ever.
    let tag = up_to_date(&world, &ann).await.get(&question).await.expect(200).header("etag").to_owned();
    ann.with("if-match", &tag).post(&format!("{question}/close"), ()).await.expect(200);
}
