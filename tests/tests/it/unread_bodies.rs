//! The answer to a request does not depend on how much of its body had come: what is there and may not be known answers as what is
//! not there, down to the connection.

use circolo_tests::{
    server::{Server, Storage},
    wire::{Answered, Wire},
};
use serde_json::{Value, json};
use std::time::Duration;

struct Secret {
    server: Server,
    /// A token of somebody who may not know of it.
    stranger: String,
    group: String,
    question: String,
    _folder: tempfile::TempDir,
}

impl Secret {
    async fn kept() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage { folder: folder.path().join("data"), database: None };
        let server = Server::start(&storage).await;
        let (ann, stranger) = (storage.token("ann", ""), storage.token("eve", ""));
        let client = reqwest::Client::new();
        let post = async |token: &str, path: &str, body: Value| {
            let request = client.post(format!("{}{path}", server.url())).bearer_auth(token).json(&body);
            let answer: Value = request.send().await.unwrap().json().await.unwrap();
            answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
        };
        for token in [&ann, &stranger] {
            post(token, "/v1/people", json!({ "display_name": "A" })).await;
        }
        let group = post(&ann, "/v1/groups", json!({ "name": "Moles", "privacy": "secret", "membership": "invite_only" })).await;
        let question = post(&ann, &format!("/v1/groups/{group}/questions"), json!({ "title": "Where?", "body": "?" })).await;
        Self { server, stranger, group, question, _folder: folder }
    }

    /// What is answered when head and body come in two packets; the body after `pause`, in which nothing may come.
    async fn answer(&self, request: &str, body: &str, pause: Option<Duration>) -> (Answered, String) {
        let mut wire = Wire::to(self.server.url()).await;
        let head =
            format!("{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n", self.stranger);
        wire.send(format!("{head}content-length: {}\r\n\r\n", body.len())).await;
        if let Some(pause) = pause {
            assert!(!wire.says_something(pause).await, "{request} is answered before its body has come");
        }
        wire.send(body).await;
        let answer = wire.answer().await;
        // The connection is as good as before.
        wire.send("GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let after = wire.to_its_end().await;
        (answer, after.lines().next().unwrap_or("hung up").to_owned())
    }
}

const NOBODYS: &str = "0198a000-0000-7000-8000-000000000001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_group_answers_as_a_made_up_one_however_the_request_comes() {
    let secret = Secret::kept().await;
    for (method, of, path, body) in [
        ("POST", &secret.group, "/v1/groups/{}/join", "{}"),
        ("POST", &secret.group, "/v1/groups/{}/questions", r#"{"title":"a","body":"b"}"#),
        ("PATCH", &secret.group, "/v1/groups/{}", r#"{"name":"Voles"}"#),
        ("POST", &secret.question, "/v1/questions/{}/answers", r#"{"body":"b"}"#),
        ("DELETE", &secret.question, "/v1/questions/{}", "{}"),
        ("GET", &secret.group, "/v1/groups/{}", "{}"),
    ] {
        let request = |id: &str| format!("{method} {}", path.replace("{}", id));
        let pause = Some(Duration::from_millis(100));
        let (known, unknown) = (secret.answer(&request(of), body, pause).await, secret.answer(&request(NOBODYS), body, pause).await);
        assert_eq!(known, unknown, "{method} {path}");
        assert!(!known.0.headers.contains_key("connection"), "{known:?}");
        assert_eq!(known.1, "HTTP/1.1 200 OK", "{method} {path}");
        for _ in 0..20 {
            for id in [of.as_str(), NOBODYS] {
                assert_eq!(secret.answer(&request(id), body, None).await, known, "{method} {path} of {id}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused_whatever_it_is_for() {
    let secret = Secret::kept().await;
    let large = 256 * 1024 + 1;
    let mut answers = vec![];
    for id in [secret.group.as_str(), NOBODYS] {
        let head = format!(
            "POST /v1/groups/{id}/join HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
            secret.stranger
        );
        // As it says, and as it turns out.
        let mut declared = Wire::to(secret.server.url()).await;
        declared.send(format!("{head}content-length: {large}\r\n\r\n")).await;
        let mut chunked = Wire::to(secret.server.url()).await;
        chunked.send(format!("{head}transfer-encoding: chunked\r\n\r\n{large:x}\r\n{}", " ".repeat(large))).await;
        answers.push((declared.answer().await, chunked.answer().await));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!((answers[0].0.status, answers[0].1.status), (413, 413));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_ends_alike() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let arguments: Vec<String> = storage.arguments().into_iter().chain(["--request-timeout", "1"].map(str::to_owned)).collect();
    let server = Server::start_on(circolo_tests::server::binary(), &arguments).await;
    let token = storage.token("ann", "");
    let mut answers = vec![];
    // The first is decided without its body, the second needs it.
    for path in [format!("/v1/groups/{NOBODYS}/join"), "/v1/people".to_owned()] {
        let mut wire = Wire::to(server.url()).await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        wire.send(format!("{head}content-length: 10\r\n\r\n{{")).await;
        answers.push(wire.answer().await);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].status == 503 && answers[0].body.contains("\"code\":\"timeout\""), "{:?}", answers[0]);
}

/// What was never asked for has to be looked for in the log; what others use is in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_group_is_not_told_from_a_made_up_one_by_the_time() {
    const STEP: Duration = Duration::from_millis(10);
    let secret = Secret::kept().await;
    let client = reqwest::Client::new();
    let (mut known, mut unknown) = (vec![], vec![]);
    for number in 0..100_u128 {
        for (times, id) in [(&mut known, secret.group.clone()), (&mut unknown, uuid::Uuid::from_u128(number).to_string())] {
            let request = client.get(format!("{}/v1/groups/{id}", secret.server.url())).bearer_auth(&secret.stranger);
            let begun = tokio::time::Instant::now();
            assert_eq!(request.send().await.unwrap().status(), 404);
            times.push(begun.elapsed());
        }
    }
    for times in [&mut known, &mut unknown] {
        times.sort();
        assert!(times[0] >= STEP, "an answer came before its time: {:?}", times[0]);
    }
    let (known, unknown) = (known[50], unknown[50]);
    assert!(known.abs_diff(unknown) < STEP / 2, "in the middle, {known:?} and {unknown:?}");
}
