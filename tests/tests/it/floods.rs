//! What anybody could make the server remember, compute or hold back from others.

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request},
};
use circolo::config::Http;
use circolo_tests::{
    actor::Actor,
    server::{Server, Storage, binary},
    world::{Backend, World, settings},
};
use serde_json::json;
use std::{net::SocketAddr, num::NonZeroUsize};

async fn world(http: Http) -> World {
    World::with(Backend::Memory, http).await.unwrap()
}

/// The metrics without what is measured: names and labels.
async fn series(actor: &Actor) -> Vec<String> {
    let text = actor.get("/metrics").await.expect(200).bytes;
    let text = String::from_utf8(text.to_vec()).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[tokio::test]
async fn whatever_callers_make_up_becomes_no_label() {
    let world = world(settings()).await;
    let (nobody, ann) = (world.anonymous(), world.person("ann").await);
    series(&nobody).await;
    let mark = "MADEUP";
    for number in 0..600 {
        let method = Method::from_bytes(format!("{mark}{number}").as_bytes()).unwrap();
        nobody.send(method, "/v1/people", ()).await.expect_problem(405, "method_not_allowed");
    }
    for path in ["/v1/{}", "/docs/{}", "/console/{}", "/v1/groups/{}", "/v1/changes?{}=1", "/v1/search?q={}"] {
        ann.get(&path.replace("{}", mark)).await;
        ann.with("x-request-id", mark).with("idempotency-key", mark).post(&path.replace("{}", mark), json!({ mark: mark })).await;
    }
    let after = series(&nobody).await;
    assert!(after.iter().all(|line| !line.contains(mark)), "{:?}", after.iter().find(|line| line.contains(mark)));
    let refused = |line: &&String| line.contains("status=\"405\"") && line.contains("method=\"other\"") && line.contains("_count");
    assert_eq!(after.iter().filter(refused).count(), 1, "{after:#?}");
}

#[tokio::test]
async fn everything_counts_but_health() {
    for path in ["/docs/", "/docs/swagger-ui-bundle.js", "/console", "/openapi.json", "/v1/nowhere", "/nowhere", "/v1/people", "/docs"] {
        let nobody = world(Http { rate_limit: 3, ..settings() }).await.anonymous();
        for _ in 0..3 {
            assert_ne!(nobody.get(path).await.status, 429, "{path}");
        }
        nobody.get(path).await.expect_problem(429, "rate_limited");
        // A token that nobody has seen is not looked at.
        nobody.with("authorization", "Bearer a.b.c").get(path).await.expect_problem(429, "rate_limited");
        for _ in 0..100 {
            nobody.get("/health/ready").await.expect(200);
            nobody.get("/health/live").await.expect(200);
            nobody.get("/metrics").await.expect(200);
        }
    }
}

#[tokio::test]
async fn many_people_behind_one_address_use_up_their_own_requests_alone() {
    let world = world(Http { rate_limit: 3, ..settings() }).await;
    for number in 0..20 {
        world.stranger(&format!("person-{number}")).get("/v1/groups").await.expect(200);
    }
    for _ in 0..3 {
        world.anonymous().with("authorization", "Bearer a.b.c").get("/v1/groups").await.expect_problem(401, "bad_token");
    }
    world.anonymous().with("authorization", "Bearer a.b.c").get("/v1/groups").await.expect_problem(429, "rate_limited");
    // Whoever is known by now is served, and whoever is not has to wait.
    world.stranger("person-1").get("/v1/groups").await.expect(200);
    world.stranger("somebody-else").get("/v1/groups").await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn fixed_files_are_compressed_once_and_sent_once() {
    let world = world(settings()).await;
    let nobody = world.anonymous();
    for path in ["/docs/", "/docs/swagger-ui-bundle.js", "/console", "/console/console.js", "/openapi.json"] {
        let plain = nobody.get(path).await.expect(200);
        let packed = nobody.with("accept-encoding", "gzip").get(path).await.expect(200);
        assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"), "{path}");
        assert!(packed.bytes.len() < plain.bytes.len(), "{path}");
        assert_eq!((packed.header("vary"), packed.header("etag")), ("accept-encoding", plain.header("etag")), "{path}");
        // The very same bytes: nothing was compressed for this answer.
        let again = nobody.with("accept-encoding", "gzip").get(path).await.expect(200);
        assert_eq!(again.bytes.as_ptr(), packed.bytes.as_ptr(), "{path}");
        let known = nobody.with("if-none-match", plain.header("etag")).get(path).await.expect(304);
        assert!(known.bytes.is_empty() && known.header("content-security-policy").starts_with("default-src"), "{path}");
    }
}

#[tokio::test]
async fn those_who_wait_for_changes_have_their_share() {
    let http = Http { listeners: NonZeroUsize::new(100).unwrap(), behind_proxy: true, ..settings() };
    let world = world(http).await;
    let (ann, nobody) = (world.person("ann").await, world.anonymous());
    let at = |host: usize| nobody.with("x-forwarded-for", &format!("203.0.113.{host}"));
    let mut streams = vec![];
    for host in 0..5 {
        for _ in 0..10 {
            streams.push(at(host).listen("/v1/changes").await);
        }
        at(host).get("/v1/changes?after=0&limit=1").await.expect(200);
        let refused = at(host).with("accept", "text/event-stream").get("/v1/changes").await;
        assert_eq!(refused.expect_problem(429, "too_many_listeners").header("retry-after"), "5");
    }
    // The rest is for those with a token, some for each.
    at(9).get("/v1/changes?wait=1").await.expect_problem(503, "busy");
    for name in ["bea", "cem"] {
        let person = world.person(name).await;
        streams.extend([person.listen("/v1/changes").await, person.listen("/v1/changes").await]);
        person.with("accept", "text/event-stream").get("/v1/changes").await.expect_problem(429, "too_many_listeners");
    }
    let mut mine = ann.listen("/v1/changes").await;
    drop(streams);
    at(9).listen("/v1/changes").await;
    mine.next().await.unwrap();
}

#[tokio::test]
async fn metrics_are_told_on_this_machine_alone_or_for_a_token() {
    let from = |address: &str| {
        let mut request = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(address.parse::<SocketAddr>().unwrap()));
        request
    };
    let open = world(settings()).await;
    for near in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        open.anonymous().raw(from(near)).await.expect(200);
        for header in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
            open.anonymous().with(header, "127.0.0.1").raw(from(near)).await.expect_problem(403, "metrics_not_here");
        }
    }
    for far in ["192.0.2.1:1", "[2001:db8::1]:1", "10.0.0.1:1"] {
        open.anonymous().raw(from(far)).await.expect_problem(403, "metrics_not_here");
    }
    let guarded = world(Http { metrics_token: Some("s3cret".into()), ..settings() }).await;
    let nobody = guarded.anonymous();
    for address in ["127.0.0.1:1", "192.0.2.1:1"] {
        nobody.raw(from(address)).await.expect_problem(401, "unauthenticated");
        nobody.with("authorization", "Bearer s3cre").raw(from(address)).await.expect_problem(401, "bad_token");
        nobody.with("authorization", "Bearer s3cret").raw(from(address)).await.expect(200);
    }
    // It is a token for that and nothing else.
    nobody.with("authorization", "Bearer s3cret").get("/v1/groups").await.expect_problem(401, "bad_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_have_a_listener_of_their_own_if_one_wants() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let arguments: Vec<String> = storage.arguments().into_iter().chain(["--metrics-listen", "127.0.0.1:0"].map(str::to_owned)).collect();
    let server = Server::start_on(binary(), &arguments).await;
    let line = server.says("metrics      http://").await;
    let metrics = line.split_whitespace().last().unwrap().to_owned();
    let get = async |url: &str| reqwest::Client::new().get(url).header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
    let answer = get(&metrics).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("circolo_projection_position{"));
    assert_eq!(get(&metrics.replace("/metrics", "/health/ready")).await.status(), 200);
    assert_eq!(get(&metrics.replace("/metrics", "/v1/groups")).await.status(), 404);
    assert_eq!(get(&format!("{}/metrics", server.url())).await.status(), 403);
    server.stop().await;
}
