//! Stories of listings: offering, editing, selling, offering again, withdrawing, and the catalogues of them.

use crate::given::{UNKNOWN, admit, column, found, listing, offer, promote, up_to_date};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{
    actor::{Actor, Reply},
    stories,
    world::World,
};
use serde_json::{Value, json};

stories!(
    something_is_offered_and_edited,
    a_broken_offer_is_refused_field_by_field,
    a_sale_is_for_seller_and_buyer,
    every_time_on_offer_is_kept,
    who_keeps_order_withdraws,
    a_key_repeats_and_a_stale_edit_is_refused,
    a_catalogue_is_filtered,
    a_catalogue_is_sorted_and_paged,
    prices_need_a_currency,
    a_seller_shows_what_the_reader_may_read,
    opening_a_group_opens_no_listing,
    closing_and_since_joining_bound_catalogues,
    the_read_models_are_what_the_log_says,
);

fn euros(amount: i64) -> Value {
    json!({ "amount_minor": amount, "currency": "EUR" })
}

async fn titles(world: &World, reader: &Actor, path: &str) -> Vec<Value> {
    column(&up_to_date(world, reader).await.get(path).await.expect(200), "title")
}

async fn something_is_offered_and_edited(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    let posted = ann.post(&format!("{group}/listings"), listing(" Skis ", 80)).await.expect(201).expect_json(json!({ "revision": 0 }));
    let path = format!("/v1/listings/{}", posted.id());
    assert_eq!((posted.location(), posted.header("etag")), (path.as_str(), "\"0\""));
    let mut item = json!({
        "id": posted.id(), "group_id": group.rsplit('/').next(), "seller": { "id": ann.id(), "display_name": "Ann" }, "title": "Skis",
        "description": "178 cm", "category": "skis", "condition": "used", "price": euros(80), "pickup": "In Chur", "delivery": null,
        "status": "for_sale", "listed_at": NOON.to_string(), "offered_at": NOON.to_string(), "sale": null, "withdrawal": null, "revision": 0,
    });
    let read = up_to_date(&world, &bea).await.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (item.clone(), "\"0\""));
    assert_eq!(ann.get(&format!("{group}/catalogue")).await.expect(200).items(), [item.clone()]);
    assert_eq!(bea.get(&format!("/v1/people/{}/catalogue", ann.id())).await.expect(200).items(), [item.clone()]);

    let edit = json!({ "title": "Touring skis", "condition": "refurbished", "pickup": null, "delivery": "By post", "price": euros(70) });
    ann.patch(&path, edit.clone()).await.expect(200).expect_json(json!({ "revision": 2 }));
    ann.patch(&path, edit.clone()).await.expect(200).expect_json(json!({ "revision": 2 }));
    ann.patch(&path, json!({ "price": euros(60) })).await.expect(200).expect_json(json!({ "revision": 3 }));
    ann.patch(&path, json!({})).await.expect(200).expect_json(json!({ "revision": 3 }));
    for (field, value) in edit.as_object().unwrap() {
        item[field] = value.clone();
    }
    (item["price"], item["revision"]) = (euros(60), json!(3));
    assert_eq!(ann.get(&path).await.expect(200).json(), item);
}

async fn a_broken_offer_is_refused_field_by_field(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let whole = listing("Skis", 80);
    for (field, value, at, code) in [
        ("title", json!(" "), "title", "empty"),
        ("title", json!("x".repeat(201)), "title", "too_long"),
        ("description", json!("x".repeat(5001)), "description", "too_long"),
        ("category", json!("Winter sports"), "category", "bad_slug"),
        ("condition", json!("mint"), "condition", "unknown_value"),
        ("price", euros(-1), "price.amount_minor", "out_of_range"),
        ("price", json!({ "amount_minor": 1, "currency": "XXX" }), "price.currency", "bad_currency"),
        ("price", json!({ "amount_minor": 1, "currency": "eur" }), "price.currency", "bad_currency"),
        ("price", json!({ "amount_minor": 1.5, "currency": "EUR" }), "price.amount_minor", "wrong_type"),
        ("price", json!({ "amount_minor": 1 }), "price.currency", "missing"),
        ("price", json!(80), "price", "wrong_type"),
        ("price", json!([80, "EUR"]), "price", "wrong_type"),
        ("pickup", json!(""), "pickup", "empty"),
        ("delivery", json!("x".repeat(1001)), "delivery", "too_long"),
        ("photo", json!("x"), "photo", "unknown_field"),
    ] {
        let mut body = whole.clone();
        body[field] = value;
        let reply = ann.post(&format!("{group}/listings"), body).await.expect_problem(422, "invalid_request");
        let named = &reply.json()["fields"][0];
        assert_eq!((&named["field"], &named["code"]), (&json!(at), &json!(code)), "{reply}");
    }
    for field in ["title", "description", "category", "condition", "price"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(field);
        ann.post(&format!("{group}/listings"), body).await.expect_problem(422, "invalid_request");
    }
    assert_eq!(titles(&world, &ann, &format!("{group}/catalogue")).await, Vec::<Value>::new());
    let path = offer(&ann, &group, "Skis", 80).await;
    ann.patch(&path, json!({ "title": null, "price": { "amount_minor": 1, "currency": "?" } })).await.expect(422);
    ann.post(&format!("{path}/sold"), json!({ "price": 7 })).await.expect_problem(422, "invalid_request");
    ann.post(&format!("{path}/sold"), json!({ "to": "Bea" })).await.expect_problem(422, "invalid_request");
    let unknown = ann.post(&format!("{path}/sold"), json!({ "to": UNKNOWN })).await.expect_problem(422, "invalid_request");
    assert_eq!(unknown.json()["fields"][0]["code"], "unknown_person");
    ann.post(&format!("{path}/sold"), json!({ "to": ann.id() })).await.expect_problem(422, "sold_to_seller");
    ann.get(&format!("{path}/history?limit=0")).await.expect_problem(400, "bad_query");
    ann.get("/v1/listings/skis").await.expect_problem(400, "bad_path");
}

async fn a_sale_is_for_seller_and_buyer(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    cleo.post(&format!("{group}/join"), ()).await.expect(200);
    promote(&ann, &group, &cleo, "admin").await;
    let path = offer(&ann, &group, "Skis", 80).await;
    world.clock().advance(Span::hours(30));
    let sale = json!({ "to": bea.id(), "price": euros(75) });
    ann.post(&format!("{path}/sold"), sale.clone()).await.expect(200).expect_json(json!({ "revision": 1 }));
    ann.post(&format!("{path}/sold"), sale).await.expect(200).expect_json(json!({ "revision": 1 }));
    let again = ann.post(&format!("{path}/sold"), json!({ "to": cleo.id() })).await.expect_problem(409, "already_sold");
    let told = json!({ "sold_at": NOON.plus(Span::hours(30)), "sold_to": bea.id(), "price": euros(75) });
    assert_eq!(again.json()["details"], told);
    ann.patch(&path, json!({ "title": "Boots" })).await.expect_problem(409, "already_sold");

    let sold = format!("{group}/catalogue?status=sold");
    for (reader, buyer) in [
        (&ann, json!(bea.id())),
        (&bea, json!(bea.id())),
        (&cleo, Value::Null),
        (&world.stranger("zoe"), Value::Null),
        (&world.anonymous(), Value::Null),
    ] {
        let reader = up_to_date(&world, reader).await;
        let seen = json!({ "sold_at": NOON.plus(Span::hours(30)), "price": euros(75), "to": buyer, "seconds_on_offer": 30 * 3600 });
        reader.get(&path).await.expect(200).expect_json(json!({ "status": "sold", "sale": seen, "price": euros(80) }));
        assert_eq!(reader.get(&sold).await.expect(200).items()[0]["sale"], seen);
        assert_eq!(reader.get(&format!("{path}/history")).await.expect(200).items()[0]["sold_to"], buyer);
    }
    let of_ann = format!("/v1/people/{}/catalogue?status=sold", ann.id());
    assert_eq!(column(&cleo.get(&of_ann).await.expect(200), "sale")[0]["to"], Value::Null);
    assert_eq!(column(&bea.get(&of_ann).await.expect(200), "sale")[0]["to"], json!(bea.id()));
    assert_eq!(titles(&world, &ann, &format!("{group}/catalogue")).await, Vec::<Value>::new());
}

async fn every_time_on_offer_is_kept(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let path = offer(&ann, &group, "Skis", 80).await;
    let hour = |n: i64| NOON.plus(Span::hours(n)).to_string();
    let act = async |action: &str, body: Value| {
        world.clock().advance(Span::hours(1));
        ann.post(&format!("{path}/{action}"), body).await.expect(200);
    };
    world.clock().advance(Span::hours(1));
    ann.patch(&path, json!({ "price": euros(70) })).await.expect(200);
    act("sold", json!({ "price": euros(65) })).await;
    act("available", json!({})).await;
    act("available", json!({})).await;
    act("withdraw", json!({})).await;
    ann.post(&format!("{path}/sold"), ()).await.expect_problem(409, "listing_withdrawn");
    act("available", json!({})).await;
    let episode = |n: i64, from: i64, until: Option<i64>, outcome: Value, first: i64, price: i64, sold: Value| {
        json!({
            "kind": "episode", "episode": n, "offered_at": hour(from), "ended_at": until.map(hour), "outcome": outcome,
            "first_price": euros(first), "price": euros(price), "sold_price": sold, "sold_to": null,
            "seconds_on_offer": until.map(|until| (until - from) * 3600),
        })
    };
    let expected = [
        episode(1, 0, Some(2), json!("sold"), 80, 70, euros(65)),
        json!({ "kind": "price", "episode": 1, "changed_at": hour(1), "price": euros(70) }),
        episode(2, 3, Some(5), json!("withdrawn"), 70, 70, Value::Null),
        episode(3, 6, None, Value::Null, 70, 70, Value::Null),
    ];
    let anonymous = up_to_date(&world, &world.anonymous()).await;
    assert_eq!(anonymous.get(&format!("{path}/history")).await.expect(200).items(), expected);
    assert_eq!(pages(&anonymous, &format!("{path}/history?limit=1")).await, expected);
    // What is for sale again still tells its last sale, and stands first as what came last.
    anonymous.get(&path).await.expect(200).expect_json(json!({ "status": "for_sale", "offered_at": hour(6), "listed_at": hour(0) }));
    offer(&ann, &group, "Boots", 40).await;
    act("sold", json!({})).await;
    act("available", json!({})).await;
    assert_eq!(titles(&world, &anonymous, &format!("{group}/catalogue")).await, ["Skis", "Boots"]);
}

/// All items of a list, page by page.
async fn pages(reader: &Actor, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut reply: Reply = reader.get(path).await.expect(200);
    loop {
        items.extend(reply.items());
        let Some(next) = reply.json()["next"].as_str().map(str::to_owned) else { return items };
        assert!(items.len() < 1000, "does it end?");
        let joint = if path.contains('?') { '&' } else { '?' };
        reply = reader.get(&format!("{path}{joint}after={next}")).await.expect(200);
    }
}

async fn who_keeps_order_withdraws(world: World) {
    let (ann, bea, cleo) = (world.person("Ann").await, world.person("Bea").await, world.person("Cleo").await);
    let group = found(&ann, "public", "open").await;
    for person in [&bea, &cleo] {
        person.post(&format!("{group}/join"), ()).await.expect(200);
    }
    let path = offer(&bea, &group, "Skis", 80).await;
    let withdraw = format!("{path}/withdraw");
    cleo.post(&withdraw, json!({ "reason": "mine!" })).await.expect_problem(403, "not_the_seller");
    ann.post(&withdraw, ()).await.expect_problem(422, "reason_needed");
    ann.post(&withdraw, json!({ "reason": " " })).await.expect_problem(422, "invalid_request");
    for _ in 0..2 {
        ann.post(&withdraw, json!({ "reason": "counterfeit" })).await.expect(200).expect_json(json!({ "revision": 1 }));
    }
    bea.post(&withdraw, ()).await.expect(200).expect_json(json!({ "revision": 1 }));
    bea.post(&format!("{path}/available"), ()).await.expect_problem(409, "withdrawn_by_moderator");
    for (reader, inside) in [(&ann, true), (&bea, true), (&cleo, false), (&world.anonymous(), false)] {
        let seen = up_to_date(&world, reader).await.get(&path).await.expect(200).json();
        let (title, reason) = if inside { (json!("Skis"), json!("counterfeit")) } else { (Value::Null, Value::Null) };
        assert_eq!((&seen["status"], &seen["title"], &seen["pickup"].is_null()), (&json!("withdrawn"), &title, &!inside));
        assert_eq!(seen["withdrawal"], json!({ "withdrawn_at": NOON, "reason": reason }));
    }
    for catalogue in [format!("{group}/catalogue"), format!("/v1/people/{}/catalogue", bea.id())] {
        for status in ["for_sale", "sold"] {
            assert_eq!(titles(&world, &bea, &format!("{catalogue}?status={status}")).await, Vec::<Value>::new());
        }
    }
    // Who left the group no longer acts on what they offered there.
    let other = offer(&cleo, &group, "Boots", 40).await;
    cleo.post(&format!("{group}/leave"), ()).await.expect(200);
    cleo.post(&format!("{other}/sold"), ()).await.expect_problem(403, "members_only");
}

async fn a_key_repeats_and_a_stale_edit_is_refused(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let keyed = ann.with("idempotency-key", "once");
    let first = keyed.post(&format!("{group}/listings"), listing("Skis", 80)).await.expect(201);
    let again = keyed.post(&format!("{group}/listings"), listing("Skis", 80)).await.expect(201);
    assert_eq!((first.location(), first.json()), (again.location(), again.json()));
    keyed.post(&format!("{group}/listings"), listing("Skis", 81)).await.expect_problem(409, "key_reused");
    ann.patch(first.location(), json!({ "price": euros(70) })).await.expect(200);
    let stale = ann.with("if-match", "\"0\"");
    stale.patch(first.location(), json!({ "price": euros(60) })).await.expect_problem(412, "revision_changed");
    assert_eq!(titles(&world, &ann, &format!("{group}/catalogue")).await, ["Skis"]);
}

/// A group with ten listings, 100 to 1,000 in steps of 100, two of them at one price, and one in another currency.
async fn market(ann: &Actor) -> String {
    let group = found(ann, "public", "open").await;
    for n in 1..=10 {
        let mut body = listing(&format!("L{n}"), if n == 6 { 500 } else { n * 100 });
        body["category"] = json!(if n % 2 == 0 { "bikes" } else { "skis" });
        body["condition"] = json!(["new", "refurbished", "used"][usize::try_from(n).unwrap() % 3]);
        if n > 7 {
            body["pickup"] = Value::Null;
            body["delivery"] = json!("By post");
        }
        ann.post(&format!("{group}/listings"), body).await.expect(201);
    }
    let mut body = listing("L11", 50);
    body["price"]["currency"] = json!("CHF");
    ann.post(&format!("{group}/listings"), body).await.expect(201);
    group
}

async fn a_catalogue_is_filtered(world: World) {
    let ann = world.person("Ann").await;
    let group = market(&ann).await;
    for catalogue in [format!("{group}/catalogue"), format!("/v1/people/{}/catalogue", ann.id())] {
        for (filter, expected) in [
            ("category=bikes", &["L10", "L8", "L6", "L4", "L2"][..]),
            ("category=boats", &[]),
            ("condition=new", &["L9", "L6", "L3"]),
            ("condition=used&category=bikes", &["L8", "L2"]),
            ("pickup=false", &["L10", "L9", "L8"]),
            ("delivery=true&category=skis", &["L9"]),
            ("pickup=true&delivery=false&category=bikes", &["L6", "L4", "L2"]),
            ("pickup=true&delivery=true", &[]),
            ("currency=CHF", &["L11"]),
            ("currency=EUR&min_price=300&max_price=500", &["L6", "L5", "L4", "L3"]),
            ("currency=EUR&min_price=300&max_price=500&category=bikes&sort=price_desc", &["L6", "L4"]),
            ("currency=EUR&min_price=900", &["L10", "L9"]),
            ("currency=EUR&min_price=500&max_price=300", &[]),
            ("status=sold", &[]),
        ] {
            assert_eq!(titles(&world, &ann, &format!("{catalogue}?{filter}")).await, expected, "{catalogue}?{filter}");
        }
        for bad in
            ["category=Bikes", "condition=mint", "pickup=maybe", "min_price=x", "currency=euro", "sort=oldest", "status=gone", "colour=red"]
        {
            ann.get(&format!("{catalogue}?{bad}")).await.expect_problem(400, "bad_query");
        }
    }
}

async fn a_catalogue_is_sorted_and_paged(world: World) {
    let ann = world.person("Ann").await;
    let group = market(&ann).await;
    let reader = up_to_date(&world, &ann).await;
    for catalogue in [format!("{group}/catalogue"), format!("/v1/people/{}/catalogue", ann.id())] {
        for (sort, expected) in [
            ("sort=newest", &["L11", "L10", "L9", "L8", "L7", "L6", "L5", "L4", "L3", "L2", "L1"][..]),
            ("sort=price_asc&currency=EUR", &["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10"]),
            ("sort=price_desc&currency=EUR", &["L10", "L9", "L8", "L7", "L6", "L5", "L4", "L3", "L2", "L1"]),
        ] {
            for limit in [1, 3, 100] {
                let items = pages(&reader, &format!("{catalogue}?{sort}&limit={limit}")).await;
                let seen: Vec<Value> = items.into_iter().map(|mut item| item["title"].take()).collect();
                assert_eq!(seen, expected, "{catalogue}?{sort}&limit={limit}");
            }
        }
        let first = reader.get(&format!("{catalogue}?limit=1")).await.expect(200);
        assert!(first.header("link").contains("rel=\"next\""), "{first}");
        let next = first.json()["next"].as_str().unwrap().to_owned();
        reader.get(&format!("{catalogue}?sort=price_asc&currency=EUR&after={next}")).await.expect_problem(400, "bad_cursor");
    }
    // Sold, the price that was paid counts, and who asked for less sold for more.
    for (title, paid) in [("L1", 900), ("L9", 100), ("L5", 500)] {
        let all = pages(&reader, &format!("{group}/catalogue")).await;
        let listing = all.iter().find(|item| item["title"] == title).unwrap()["id"].as_str().unwrap().to_owned();
        ann.post(&format!("/v1/listings/{listing}/sold"), json!({ "price": euros(paid) })).await.expect(200);
    }
    let sold = format!("{group}/catalogue?status=sold");
    assert_eq!(titles(&world, &ann, &sold).await, ["L5", "L9", "L1"]);
    assert_eq!(titles(&world, &ann, &format!("{sold}&sort=price_asc&currency=EUR")).await, ["L9", "L5", "L1"]);
    assert_eq!(titles(&world, &ann, &format!("{sold}&min_price=500&currency=EUR")).await, ["L5", "L1"]);
}

async fn prices_need_a_currency(world: World) {
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    for catalogue in [format!("{group}/catalogue"), format!("/v1/people/{}/catalogue", ann.id())] {
        for query in ["min_price=1", "max_price=1", "sort=price_asc", "sort=price_desc"] {
            ann.get(&format!("{catalogue}?{query}")).await.expect_problem(400, "currency_needed");
            ann.get(&format!("{catalogue}?{query}&currency=EUR")).await.expect(200);
        }
    }
}

async fn a_seller_shows_what_the_reader_may_read(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    for (privacy, membership) in [("public", "open"), ("closed", "request"), ("secret", "invite_only")] {
        let group = found(&ann, privacy, membership).await;
        offer(&ann, &group, privacy, 80).await;
        if privacy == "secret" {
            admit(&ann, &group, &bea).await;
        }
    }
    let catalogue = format!("/v1/people/{}/catalogue", ann.id());
    assert_eq!(titles(&world, &ann, &catalogue).await, ["secret", "closed", "public"]);
    assert_eq!(titles(&world, &bea, &catalogue).await, ["secret", "public"]);
    assert_eq!(titles(&world, &world.person("Cleo").await, &catalogue).await, ["public"]);
    assert_eq!(titles(&world, &bea, &format!("/v1/people/{}/catalogue", bea.id())).await, Vec::<Value>::new());
    bea.get(&format!("/v1/people/{UNKNOWN}/catalogue")).await.expect_problem(404, "not_found");
    world.stranger("zoe").get(&catalogue).await.expect_problem(403, "not_registered");
    world.anonymous().get(&catalogue).await.expect_problem(401, "unauthenticated");
}

async fn opening_a_group_opens_no_listing(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "closed", "open").await;
    let before = offer(&ann, &group, "among us", 80).await;
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    ann.patch(&group, json!({ "privacy": "public" })).await.expect(200);
    offer(&ann, &group, "to all", 70).await;
    // A new price and a new episode are no new listing.
    ann.patch(&before, json!({ "price": euros(60) })).await.expect(200);
    ann.post(&format!("{before}/sold"), ()).await.expect(200);
    ann.post(&format!("{before}/available"), ()).await.expect(200);
    let of_ann = format!("/v1/people/{}/catalogue?sort=price_asc&currency=EUR", ann.id());
    let of_group = format!("{group}/catalogue?sort=price_asc&currency=EUR");
    for path in [&of_ann, &of_group] {
        assert_eq!(titles(&world, &bea, path).await, ["among us", "to all"]);
    }
    let cleo = world.person("Cleo").await;
    for path in [&of_ann, &of_group] {
        assert_eq!(titles(&world, &cleo, path).await, ["to all"]);
    }
    assert_eq!(titles(&world, &world.anonymous(), &of_group).await, ["to all"]);
    for path in [before.clone(), format!("{before}/history")] {
        cleo.get(&path).await.expect_problem(403, "members_only");
        world.anonymous().get(&path).await.expect_problem(401, "unauthenticated");
        bea.get(&path).await.expect(200);
    }
    cleo.post(&format!("{group}/join"), ()).await.expect(200);
    cleo.get(&before).await.expect_problem(403, "before_your_time");
    assert_eq!(titles(&world, &cleo, &of_ann).await, ["to all"]);
}

async fn closing_and_since_joining_bound_catalogues(world: World) {
    let (ann, bea) = (world.person("Ann").await, world.person("Bea").await);
    let group = found(&ann, "public", "open").await;
    offer(&ann, &group, "early", 80).await;
    world.clock().advance(Span::minutes(1));
    bea.post(&format!("{group}/join"), ()).await.expect(200);
    let late = offer(&ann, &group, "late", 70).await;
    let (of_group, of_ann) = (format!("{group}/catalogue"), format!("/v1/people/{}/catalogue", ann.id()));
    ann.patch(&group, json!({ "privacy": "closed", "history": "since_joining" })).await.expect(200);
    for path in [&of_group, &of_ann] {
        assert_eq!(titles(&world, &bea, path).await, ["late"]);
        assert_eq!(titles(&world, &ann, path).await, ["late", "early"]);
    }
    let cleo = world.person("Cleo").await;
    assert_eq!(titles(&world, &cleo, &of_ann).await, Vec::<Value>::new());
    cleo.get(&of_group).await.expect_problem(403, "members_only");
    cleo.get(&late).await.expect_problem(403, "members_only");
    // Who leaves reads nothing here any longer, not even on the seller's side.
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    assert_eq!(titles(&world, &bea, &of_ann).await, Vec::<Value>::new());
}

async fn the_read_models_are_what_the_log_says(world: World) {
    let ann = world.person("Ann").await;
    let group = market(&ann).await;
    let listings = pages(&up_to_date(&world, &ann).await, &format!("{group}/catalogue")).await;
    for (n, listing) in listings.iter().enumerate() {
        let path = format!("/v1/listings/{}", listing["id"].as_str().unwrap());
        for action in ["sold", "available", "withdraw", "available", "sold"].iter().take(n % 6) {
            ann.post(&format!("{path}/{action}"), ()).await.expect(200);
        }
    }
    world.settled().await;
    let verified = world.app().projector().verify("listings").await.unwrap();
    assert_eq!(verified.different, 0, "{:?}", verified.differences);
    assert!(verified.rows > 30, "{verified:?}");
}
