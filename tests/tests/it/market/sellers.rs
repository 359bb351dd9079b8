//! What somebody sells over all groups, for whoever may read some of it.

use crate::given::{admit, found, offer};
use circolo_domain::Span;
use circolo_tests::{actor::Actor, stories, world::World};
use serde_json::json;

stories!(a_sellers_catalogue_leaves_nothing_out);

/// However many groups there are; and what a reader may not read is not even looked for.
async fn a_sellers_catalogue_leaves_nothing_out(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let catalogue = format!("/v1/people/{}/catalogue", ann.id());
    let mut open = vec![];
    for n in 0..210 {
        if n % 50 == 0 {
            world.clock().advance(Span::hours(24));
        }
        let group = found(&ann, "public", "open").await;
        open.push(offer(&ann, &group, &format!("Open {n}"), 10 + n).await);
    }
    world.clock().advance(Span::hours(24));
    let (ours, theirs) = (found(&ann, "secret", "invite_only").await, found(&ann, "secret", "invite_only").await);
    offer(&ann, &ours, "Ours", 5).await;
    offer(&ann, &theirs, "Theirs", 6).await;
    world.settled().await;
    let all = async |who: &Actor, query: &str| {
        let (mut items, mut next) = (vec![], String::new());
        loop {
            let page = who.get(&format!("{catalogue}?limit=90{query}{next}")).await.expect(200);
            items.extend(page.items().into_iter().map(|item| item["title"].as_str().unwrap().to_owned()));
            match page.json()["next"].as_str() {
                Some(cursor) => next = format!("&after={cursor}"),
                None => return items,
            }
        }
    };
    let newest: Vec<String> = (0..210).rev().map(|n| format!("Open {n}")).collect();
    assert_eq!(all(&bea, "").await, newest);
    assert_eq!(all(&ann, "").await, [vec!["Theirs".to_owned(), "Ours".to_owned()], newest.clone()].concat());
    admit(&ann, &ours, &bea).await;
    world.settled().await;
    let cheapest = all(&bea, "&sort=price_asc&currency=EUR").await;
    assert_eq!((cheapest.len(), &*cheapest[0], &*cheapest[1]), (211, "Ours", "Open 0"));
    ann.post(&format!("{}/sold", open[7]), json!({})).await.expect(200);
    world.settled().await;
    assert_eq!(all(&bea, "&status=sold").await, ["Open 7"]);
    assert_eq!(all(&bea, "").await.len(), 210);
}
