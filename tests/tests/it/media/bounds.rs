//! What is not taken in, and how much is.

use super::{document, picture, send, stored};
use circolo::config::{Http, MediaLimits};
use circolo_domain::{Span, testing::NOON};
use circolo_tests::{
    actor::Reply,
    stories,
    world::{Backend, World, settings},
};
use futures::future::join_all;
use serde_json::json;

stories!(what_is_not_what_it_claims_is_refused);

const KIB: u64 = 1_024;

fn limited(limits: impl FnOnce(MediaLimits) -> MediaLimits) -> Http {
    let settings = settings();
    Http { media: limits(settings.media.clone()), ..settings }
}

async fn what_is_not_what_it_claims_is_refused(world: World) {
    let ann = world.person("Ann").await;
    let png = picture(64, 64);
    for (claim, file) in [
        ("text/html", b"<html><script>alert(1)</script>".to_vec()),
        ("image/svg+xml", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec()),
        ("application/json", b"{}".to_vec()),
        ("application/octet-stream", png.clone()),
        ("", png.clone()),
    ] {
        let refused = send(&ann, claim, &file, "").await.expect_problem(415, "unsupported_media_type");
        assert_eq!(refused.json()["details"]["types"][0], "image/jpeg");
    }
    for (claim, file) in [
        ("image/jpeg", png.clone()),
        ("image/png", document("not a picture")),
        ("application/pdf", b"<html><script>alert(1)</script>".to_vec()),
        ("image/gif", b"GI".to_vec()),
        ("application/zip", vec![]),
    ] {
        send(&ann, claim, &file, "").await.expect_problem(415, "media_type_mismatch");
    }
    for length in [30, png.len() / 2, png.len() - 20] {
        send(&ann, "image/png", &png[..length], "").await.expect_problem(422, "unreadable_media");
    }
    let mut bomb = png.clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let refused = send(&ann, "image/png", &bomb, "").await;
    assert!(["unreadable_media", "too_many_pixels"].contains(&refused.json()["code"].as_str().unwrap()), "{refused}");
    refused.expect(422);
    for query in ["?name=%00", "?name=", "?colour=red", &format!("?name={}", "x".repeat(256))] {
        send(&ann, "image/png", &png, query).await.expect_problem(400, "bad_query");
    }
    send(&world.stranger("zoe"), "image/png", &png, "").await.expect_problem(403, "not_registered");
    send(&world.anonymous(), "image/png", &png, "").await.expect_problem(401, "unauthenticated");
    assert_eq!(stored(&world).len(), 0, "nothing of it was kept");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_while_it_comes() {
    let http = limited(|limits| MediaLimits { image_limit: 100 * KIB, file_limit: 300 * KIB, image_pixels: 10_000, ..limits });
    let world = World::with(Backend::Sqlite, http).await.unwrap();
    let ann = world.person("Ann").await;
    let large = |length: usize| [document("large"), vec![b'x'; length]].concat();
    send(&ann, "application/pdf", &large(200_000), "").await.expect(201);
    let refused = send(&ann, "application/pdf", &large(400_000), "").await.expect_problem(413, "body_too_large");
    assert_eq!(refused.json()["details"], json!({ "limit": 300 * KIB }));
    let declared = ann.with("content-length", "400000");
    send(&declared, "application/pdf", &large(10), "").await.expect_problem(413, "body_too_large");
    // A family has a limit of its own.
    send(&ann, "image/png", &[picture(9, 9), vec![0; 110_000]].concat(), "").await.expect_problem(413, "body_too_large");
    send(&ann, "image/png", &picture(101, 100), "").await.expect_problem(422, "too_many_pixels");
    send(&ann, "image/png", &picture(100, 100), "").await.expect(201);
    assert_eq!(stored(&world).len(), 2);
}

/// The codes of those that were refused.
fn refusals(replies: &[Reply]) -> Vec<String> {
    replies.iter().filter(|reply| reply.status != 201).map(|reply| reply.json()["code"].as_str().unwrap().to_owned()).collect()
}

async fn quotas(backend: Backend) {
    // Whatever is smaller counts for 64 KiB.
    let http = limited(|limits| MediaLimits {
        media_per_day: 5 * 64 * KIB,
        media_in_all: 7 * 64 * KIB,
        uploads: 256.try_into().unwrap(),
        ..limits
    });
    let Some(world) = World::with(backend, http).await else { return };
    let ann = world.person("Ann").await;
    let file = document("small");
    let day = async || join_all((0..12).map(|_| send(&ann, "application/pdf", &file, ""))).await;
    let first = day().await;
    assert_eq!(refusals(&first), ["media_quota_of_the_day"; 7], "five have room, however many come at one moment");
    let refused = first.into_iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(refused.json()["details"], json!({ "per_day": 5 * 64 * KIB, "until": NOON.plus(Span::hours(24)) }));
    assert_eq!((refused.header("retry-after"), stored(&world).len()), ("86400", 5));
    // Others have room of their own.
    send(&world.person("Bea").await, "application/pdf", &file, "").await.expect(201);
    world.clock().advance(Span::hours(24));
    let second = day().await;
    assert_eq!(refusals(&second), ["media_quota"; 10], "two more are all that may lie there");
    assert_eq!(
        second.iter().find(|reply| reply.status == 409).unwrap().json()["details"],
        json!({ "in_all": 7 * 64 * KIB, "stored": 7 * 64 * KIB })
    );
    // What is swept gives its room back.
    world.clock().advance(Span::hours(48));
    world.settled().await;
    assert_eq!(world.app().sweep(false).await.unwrap().unused, 8);
    assert_eq!((stored(&world).len(), refusals(&day().await)), (0, vec!["media_quota_of_the_day".to_owned(); 7]));
}

#[tokio::test]
async fn a_person_has_so_much_room_on_sqlite() {
    quotas(Backend::Sqlite).await;
}

#[tokio::test]
async fn a_person_has_so_much_room_on_postgres() {
    quotas(Backend::Postgres).await;
}
