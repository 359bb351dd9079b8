//! Stories of feeds: a group's, a page's, one's own.

use crate::care::pages::open_page;
use crate::given::{ask, column, found, up_to_date, write};
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::{Value, json};

stories!(
    a_group_and_a_page_have_their_feeds,
    ones_own_feed_is_of_all_that_one_is_in_and_follows,
    listings_are_in_feeds_until_they_are_withdrawn,
    pages_of_a_feed_neither_skip_nor_repeat,
    a_feed_opens_nothing_of_another_era,
);

/// What a feed holds, in its order: the texts of posts, the titles of questions.
async fn feed(world: &World, reader: &Actor, path: &str) -> Vec<String> {
    let items = up_to_date(world, reader).await.get(path).await.expect(200).items();
    let words = |item: &Value| item[if item["kind"] == "post" { "text" } else { "title" }].as_str().unwrap().to_owned();
    items.iter().map(words).collect()
}

async fn a_group_and_a_page_have_their_feeds(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    let page = open_page(&ann, "forno.roma").await;
    write(&ann, &group, "one").await;
    ask(&ann, &group, "two").await;
    let gone = write(&ann, &group, "three").await;
    write(&ann, &page, "four").await;
    ann.put(&format!("{gone}/reaction"), json!({ "kind": "love" })).await.expect(200);

    let of_group = format!("{group}/feed");
    let first = up_to_date(&world, &ann).await.get(&of_group).await.expect(200);
    assert_eq!(column(&first, "kind"), ["post", "question", "post"]);
    let item = &first.items()[0];
    assert_eq!(
        (&item["author"]["display_name"], &item["reactions"]["love"], &item["my_reaction"]),
        (&json!("Ann"), &json!(1), &json!("love"))
    );
    assert_eq!(first.items()[1]["answer_count"], json!(0));
    assert_eq!(feed(&world, &world.anonymous(), &of_group).await, ["three", "two", "one"]);
    assert_eq!(feed(&world, &bea, &format!("{page}/feed")).await, ["four"]);
    ann.delete(&gone).await.expect(200);
    assert_eq!(feed(&world, &bea, &of_group).await, ["two", "one"]);
    world.anonymous().get("/v1/me/feed").await.expect_problem(401, "unauthenticated");
    world.stranger("zoe").get("/v1/me/feed").await.expect_problem(403, "not_registered");
}

async fn ones_own_feed_is_of_all_that_one_is_in_and_follows(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let (open, closed, foreign) =
        (found(&ann, "public", "open").await, found(&ann, "closed", "open").await, found(&ann, "public", "open").await);
    let (page, other) = (open_page(&ann, "forno.roma").await, open_page(&ann, "forno.napoli").await);
    for group in [&open, &closed] {
        bea.post(&format!("{group}/join"), ()).await.expect(200);
    }
    bea.put(&format!("{page}/followers/me"), ()).await.expect(200);
    write(&ann, &open, "one").await;
    write(&ann, &page, "two").await;
    write(&ann, &foreign, "not hers").await;
    write(&ann, &other, "nor this").await;
    ask(&ann, &closed, "three").await;
    write(&ann, &open, "four").await;
    assert_eq!(feed(&world, &bea, "/v1/me/feed").await, ["four", "three", "two", "one"]);
    assert_eq!(feed(&world, &bea, "/v1/me/feed?limit=2").await, ["four", "three"]);
    bea.post(&format!("{closed}/leave"), ()).await.expect(200);
    assert_eq!(feed(&world, &bea, "/v1/me/feed").await, ["four", "two", "one"]);
    bea.delete(&format!("{page}/followers/me")).await.expect(200);
    assert_eq!(feed(&world, &bea, "/v1/me/feed").await, ["four", "one"]);
    assert_eq!(feed(&world, &world.person("Cleo").await, "/v1/me/feed").await, Vec::<String>::new());
}

async fn listings_are_in_feeds_until_they_are_withdrawn(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let price = json!({ "amount_minor": 4950, "currency": "EUR" });
    let skis = json!({ "title": "skis", "description": "Short", "category": "sport", "condition": "used", "price": price });
    let listing = ann.post(&format!("{group}/listings"), skis).await.expect(201).location().to_owned();
    write(&ann, &group, "post").await;
    let seen = up_to_date(&world, &ann).await.get("/v1/me/feed").await.expect(200);
    assert_eq!(column(&seen, "kind"), ["post", "listing"]);
    assert_eq!((&seen.items()[1]["price"], &seen.items()[1]["status"]), (&price, &json!("for_sale")));
    ann.post(&format!("{listing}/sold"), ()).await.expect(200);
    assert_eq!(feed(&world, &ann, &format!("{group}/feed")).await, ["post", "skis"]);
    ann.post(&format!("{listing}/withdraw"), ()).await.expect(200);
    assert_eq!(feed(&world, &ann, &format!("{group}/feed")).await, ["post"]);
    ann.post(&format!("{listing}/available"), ()).await.expect(200);
    assert_eq!(feed(&world, &ann, "/v1/me/feed").await, ["post", "skis"]);
}

async fn pages_of_a_feed_neither_skip_nor_repeat(world: World) {
    let ann = world.person("Ann").await;
    let mut groups = Vec::new();
    for _ in 0..5 {
        groups.push(found(&ann, "public", "open").await);
    }
    for n in 0..23_usize {
        // Busy and quiet ones.
        write(&ann, &groups[(n * n) % 5], &n.to_string()).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/me/feed?limit=4".to_owned());
    let mut late = 0;
    loop {
        let page = up_to_date(&world, &ann).await.get(&path).await.expect(200);
        seen.extend(column(&page, "text"));
        let Some(next) = page.json()["next"].as_str().map(str::to_owned) else { break };
        path = format!("/v1/me/feed?limit=4&after={next}");
        // Meanwhile more arrives.
        write(&ann, &groups[late % 5], "late").await;
        late += 1;
    }
    assert_eq!(seen, (0..23).rev().map(|n| json!(n.to_string())).collect::<Vec<_>>());
    ann.get(&format!("{}/feed?{}", groups[0], path.split_once('?').unwrap().1)).await.expect_problem(400, "bad_cursor");
}

async fn a_feed_opens_nothing_of_another_era(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "secret", "invite_only").await;
    write(&ann, &group, "in secret").await;
    ann.patch(&group, json!({ "privacy": "public", "membership": "open" })).await.expect(200);
    world.clock().advance(circolo_domain::Span::days(1));
    write(&ann, &group, "to all").await;
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    ann.patch(&group, json!({ "history": "since_joining", "privacy": "closed" })).await.expect(200);
    world.clock().advance(circolo_domain::Span::minutes(1));
    let cleo = world.person("Cleo").await;
    cleo.post(&format!("{group}/join"), ()).await.expect(200);
    write(&ann, &group, "for members").await;
    // Bea joined at the moment at which "to all" was written: the clock stood still.
    let expected: [(&Actor, &[&str]); 3] =
        [(&ann, &["for members", "to all", "in secret"]), (&bea, &["for members", "to all"]), (&cleo, &["for members"])];
    for (reader, expected) in expected {
        for path in ["/v1/me/feed", &format!("{group}/feed")] {
            assert_eq!(feed(&world, reader, path).await, expected, "{path}");
        }
    }
}
