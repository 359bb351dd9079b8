//! Stories of questions: asking, answering, accepting, closing, and the lists of them.

use crate::given::{UNKNOWN, admit, answer, ask, column, found, promote, up_to_date};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{stories, world::World};
use serde_json::{Value, json};

stories!(
    a_question_is_asked_and_answered,
    an_answer_is_accepted_and_another_one,
    a_closed_question_takes_no_answers,
    who_may_ask_and_answer,
    who_may_read,
    unanswered_and_old_questions_are_listed,
    a_group_counts_its_questions,
);

async fn a_question_is_asked_and_answered(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    let body = json!({ "title": " How warm? ", "body": "The dough\nI mean." });
    let asked = ann.post(&format!("{group}/questions"), body).await.expect(201).expect_json(json!({ "revision": 0 }));
    let path = format!("/v1/questions/{}", asked.id());
    assert_eq!((asked.location(), asked.header("etag")), (path.as_str(), "\"0\""));
    assert_eq!(asked.header("circolo-position"), asked.json()["position"].to_string());
    let group_id = group.rsplit('/').next();
    let mut item = json!({
        "id": asked.id(), "group_id": group_id, "author": { "id": ann.id(), "display_name": "Ann" }, "title": "How warm?",
        "body": "The dough\nI mean.", "asked_at": NOON.to_string(), "answer_count": 0, "accepted": null, "closed": false, "revision": 0,
    });
    let read = ann.get(&path).await.expect(200).expect_json(item.clone()).expect_json(json!({ "answers": { "items": [] } }));
    assert_eq!(read.header("etag"), "\"0\"");
    assert_eq!(ann.get(&format!("{group}/questions")).await.expect(200).items(), [item.clone()]);

    world.clock().advance(Span::minutes(1));
    let answered = bea.post(&format!("{path}/answers"), json!({ "body": "26 °C" })).await.expect(201).expect_json(json!({ "revision": 1 }));
    assert_eq!((answered.location(), answered.header("etag")), (path.as_str(), "\"1\""));
    let later = NOON.plus(Span::minutes(1));
    (item["answer_count"], item["revision"]) = (json!(1), json!(1));
    let answers =
        json!([{ "id": answered.id(), "author": { "id": bea.id(), "display_name": "Bea" }, "body": "26 °C", "answered_at": later }]);
    bea.get(&path).await.expect(200).expect_json(item.clone()).expect_json(json!({ "answers": { "items": answers } }));
    assert_eq!(bea.get(&format!("{group}/questions")).await.expect(200).items(), [item]);
}

async fn an_answer_is_accepted_and_another_one(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    for person in [&bea, &cleo] {
        person.post(&format!("{group}/join"), ()).await.expect(200);
    }
    let question = ask(&bea, &group, "Which way?").await;
    let (left, right) = (answer(&cleo, &question, "left").await, answer(&cleo, &question, "right").await);
    let accepted = format!("{question}/accepted");
    bea.delete(&accepted).await.expect_problem(404, "nothing_accepted");
    bea.put(&accepted, json!({ "answer_id": UNKNOWN })).await.expect_problem(422, "no_such_answer");
    cleo.put(&accepted, json!({ "answer_id": left })).await.expect_problem(403, "not_the_asker");
    bea.put(&accepted, json!({ "answer_id": left })).await.expect(200).expect_json(json!({ "revision": 3 }));
    bea.put(&accepted, json!({ "answer_id": left })).await.expect(200).expect_json(json!({ "revision": 3 }));
    bea.get(&question).await.expect(200).expect_json(json!({ "accepted": left }));
    ann.put(&accepted, json!({ "answer_id": right })).await.expect(200).expect_json(json!({ "revision": 4 }));
    ann.get(&question).await.expect(200).expect_json(json!({ "accepted": right }));
    cleo.delete(&accepted).await.expect_problem(403, "not_the_asker");
    bea.delete(&accepted).await.expect(200).expect_json(json!({ "revision": 5 }));
    bea.get(&question).await.expect(200).expect_json(json!({ "accepted": null }));
    // An answer to another question is none to this one.
    let other = ask(&bea, &group, "Which other way?").await;
    bea.put(&format!("{other}/accepted"), json!({ "answer_id": left })).await.expect_problem(422, "no_such_answer");
}

async fn a_closed_question_takes_no_answers(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    for person in [&bea, &cleo] {
        person.post(&format!("{group}/join"), ()).await.expect(200);
    }
    let question = ask(&bea, &group, "Still open?").await;
    let act = |action: &str| format!("{question}/{action}");
    cleo.post(&act("close"), ()).await.expect_problem(403, "not_the_asker");
    bea.post(&act("reopen"), ()).await.expect(200).expect_json(json!({ "revision": 0 }));
    for _ in 0..2 {
        bea.post(&act("close"), ()).await.expect(200).expect_json(json!({ "revision": 1 }));
    }
    bea.get(&question).await.expect(200).expect_json(json!({ "closed": true }));
    cleo.post(&act("answers"), json!({ "body": "Too late?" })).await.expect_problem(409, "question_closed");
    cleo.post(&act("reopen"), ()).await.expect_problem(403, "not_the_asker");
    for _ in 0..2 {
        ann.post(&act("reopen"), ()).await.expect(200).expect_json(json!({ "revision": 2 }));
    }
    answer(&cleo, &question, "In time.").await;
    up_to_date(&world, &bea).await.get(&question).await.expect(200).expect_json(json!({ "closed": false, "answer_count": 1 }));
}

async fn who_may_ask_and_answer(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let question = ask(&ann, &group, "Anybody?").await;
    let (ask_here, text) = (json!({ "title": "May I?", "body": "?" }), json!({ "body": "Me" }));
    let (questions, answers) = (format!("{group}/questions"), format!("{question}/answers"));
    for (path, body) in [(&questions, &ask_here), (&answers, &text)] {
        bea.post(path, body.clone()).await.expect_problem(403, "members_only");
        world.stranger("zoe").post(path, body.clone()).await.expect_problem(403, "not_registered");
        world.anonymous().post(path, body.clone()).await.expect_problem(401, "unauthenticated");
    }
    ann.post(&format!("/v1/groups/{UNKNOWN}/questions"), ask_here).await.expect_problem(404, "not_found");
    ann.post(&format!("/v1/questions/{UNKNOWN}/answers"), text).await.expect_problem(404, "not_found");
    for action in ["close", "reopen"] {
        bea.post(&format!("{question}/{action}"), ()).await.expect_problem(403, "members_only");
        ann.post(&format!("/v1/questions/{UNKNOWN}/{action}"), ()).await.expect_problem(404, "not_found");
    }
    ann.get(&format!("/v1/questions/{UNKNOWN}")).await.expect_problem(404, "not_found");
}

async fn who_may_read(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let public = ask(&ann, &found(&ann, "public", "open").await, "In public").await;
    let closed_group = found(&ann, "closed", "request").await;
    let closed = ask(&ann, &closed_group, "Among us").await;
    let (bea, anonymous, stranger) =
        (up_to_date(&world, &bea).await, up_to_date(&world, &world.anonymous()).await, up_to_date(&world, &world.stranger("zoe")).await);
    for reader in [&bea, &anonymous, &stranger] {
        reader.get(&public).await.expect(200).expect_json(json!({ "title": "In public" }));
    }
    for path in [&closed, &format!("{closed_group}/questions")] {
        bea.get(path).await.expect_problem(403, "members_only");
        stranger.get(path).await.expect_problem(403, "not_registered");
        anonymous.get(path).await.expect_problem(401, "unauthenticated");
    }
    let seen = bea.get(&closed_group).await.expect(200);
    assert!(seen.json().get("questions").is_none() && seen.json().get("answers").is_none(), "numbers are for readers: {seen}");
}

async fn unanswered_and_old_questions_are_listed(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let titles = async |query: &str| -> Vec<Value> {
        let reader = up_to_date(&world, &ann).await;
        column(&reader.get(&format!("{group}/questions?limit=100{query}")).await.expect(200), "title")
    };
    let first = ask(&ann, &group, "first").await;
    world.clock().advance(Span::hours(5));
    ask(&ann, &group, "second").await;
    world.clock().advance(Span::hours(5));
    ask(&ann, &group, "third").await;
    assert_eq!(titles("").await, ["third", "second", "first"]);
    assert_eq!(titles("&status=all").await, ["third", "second", "first"]);
    assert_eq!(titles("&older_than_hours=5").await, ["second", "first"]);
    assert_eq!(titles("&older_than_hours=0").await, ["third", "second", "first"]);
    answer(&ann, &first, "Here").await;
    assert_eq!(titles("&status=unanswered").await, ["third", "second"]);
    assert_eq!(titles("&status=unanswered&older_than_hours=5").await, ["second"]);
    assert_eq!(titles("&status=unanswered&older_than_hours=6").await, Vec::<Value>::new());
}

async fn a_group_counts_its_questions(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    promote(&ann, &group, &bea, "moderator").await;
    let question = ask(&bea, &group, "How many?").await;
    for number in 1..=3 {
        answer(&ann, &question, &number.to_string()).await;
    }
    ask(&ann, &group, "And you?").await;
    let counts = json!({ "members": 2, "questions": 2, "answers": 3 });
    up_to_date(&world, &bea).await.get(&group).await.expect(200).expect_json(counts);
}
