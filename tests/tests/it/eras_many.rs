//! Hundreds of changes of privacy and of comings and goings: every list still answers, and shows what can be read.

use crate::given::{answer, ask, column, comment, found, offer, up_to_date, write};
use circolo_domain::Span;
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(every_list_outlives_hundreds_of_eras_and_stays);

/// More than a compound SELECT of SQLite takes terms.
const CHANGES: usize = 520;
/// More than count.
const STAYS: usize = 25;

/// What was written at one moment: a question with an answer, a post with a comment, a listing.
struct Things {
    question: String,
    post: String,
    listing: String,
}

async fn everything(member: &Actor, group: &str, what: &str) -> Things {
    let question = ask(member, group, what).await;
    answer(member, &question, what).await;
    let post = write(member, group, what).await;
    comment(member, &post, what).await;
    Things { question, post, listing: offer(member, group, what, 80).await }
}

/// What every list of the group and of the seller shows of one field, newest first; the feed has it thrice.
async fn lists(reader: &Actor, group: &str, seller: &str) -> Vec<(String, Vec<Value>)> {
    let paths = ["questions?", "catalogue?", "catalogue?sort=price_desc&currency=EUR&"].map(|list| format!("{group}/{list}limit=100"));
    let mut found = vec![];
    for path in paths.into_iter().chain([format!("{seller}?limit=100")]) {
        let reply = reader.get(&path).await;
        if reply.status != 401 {
            found.push((path, column(&reply.expect(200), "title")));
        }
    }
    found
}

async fn every_list_outlives_hundreds_of_eras_and_stays(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "closed", "open").await;
    ann.patch(&group, json!({ "history": "since_joining" })).await.expect(200);
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let mut things = vec![("closed, long ago", everything(&ann, &group, "closed, long ago").await)];
    for change in 0..CHANGES {
        world.clock().advance(Span::days(1));
        let privacy = if change % 2 == 0 { "public" } else { "closed" };
        ann.patch(&group, json!({ "privacy": privacy })).await.expect(200);
        match change {
            100 => things.push(("public, long ago", everything(&ann, &group, "public, long ago").await)),
            518 => things.push(("public, lately", everything(&ann, &group, "public, lately").await)),
            _ => {}
        }
    }
    for step in ["leave", "join"].into_iter().cycle().take(2 * STAYS) {
        world.clock().advance(Span::minutes(1));
        bea.post(&format!("{group}/{step}"), ()).await.expect(200);
    }
    things.push(("closed, lately", everything(&ann, &group, "closed, lately").await));
    world.clock().advance(Span::days(1));
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    let seller = format!("/v1/people/{}/catalogue", ann.id());
    // What was public long ago is one with what was closed then.
    let all = vec!["closed, long ago", "public, long ago", "public, lately", "closed, lately"];
    let nobody = world.anonymous();
    for (reader, expected) in
        [(&ann, all), (&bea, vec!["public, lately", "closed, lately"]), (&cleo, vec!["public, lately"]), (&nobody, vec!["public, lately"])]
    {
        let reader = up_to_date(&world, reader).await;
        for (what, thing) in &things {
            let reads = expected.contains(what);
            for path in [&thing.question, &thing.post, &thing.listing] {
                assert_eq!(reader.get(path).await.status == 200, reads, "{what}: {path}");
            }
            if reads {
                assert_eq!(column(&reader.get(&format!("{}/comments", thing.post)).await, "text"), [json!(what)]);
                assert_eq!(reader.get(&thing.question).await.json()["answers"]["items"][0]["body"], json!(what));
            }
        }
        let newest: Vec<Value> = expected.iter().rev().map(|what| json!(what)).collect();
        for (list, shown) in lists(&reader, &group, &seller).await {
            assert_eq!(shown, newest, "{list}");
        }
        let feed = reader.get(&format!("{group}/feed?limit=100")).await.expect(200);
        assert_eq!(feed.items().len(), 3 * newest.len());
    }
}
