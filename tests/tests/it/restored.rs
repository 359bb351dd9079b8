//! A log that was restored from an older copy and has gone on: whoever followed it is told, and misses nothing.

use circolo_tests::server::{Server, Storage};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Somebody with a token.
struct Person {
    client: Client,
    token: String,
}

impl Person {
    async fn group(&self, server: &Server, name: &str) {
        let body = json!({ "name": name, "privacy": "public", "membership": "open" }).to_string();
        let request = self.client.post(format!("{}/v1/groups", server.url())).header("content-type", "application/json").body(body);
        assert_eq!(request.bearer_auth(&self.token).send().await.unwrap().status(), StatusCode::CREATED);
    }

    async fn changes(&self, server: &Server, query: &str) -> (StatusCode, Value) {
        self.get(server, &format!("/v1/changes{query}")).await
    }

    async fn get(&self, server: &Server, path: &str) -> (StatusCode, Value) {
        let request = self.client.get(format!("{}{path}", server.url()));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        (answer.status(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// The place where the log ends.
    async fn here(&self, server: &Server) -> String {
        self.changes(server, "").await.1["next"].as_str().unwrap().to_owned()
    }
}

/// What the log of `folder` is in, as somebody keeps it who stops the server for it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_a_log_that_was_restored_and_has_gone_on_is_told_where_to_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
    let storage = Storage { folder: data.clone(), database: None };
    let server = Server::start(&storage).await;
    let ann = Person { client: Client::new(), token: storage.token("ann", "") };
    let body = json!({ "display_name": "Ann" }).to_string();
    let request = ann.client.post(format!("{}/v1/people", server.url())).header("content-type", "application/json").body(body);
    assert!(request.bearer_auth(&ann.token).send().await.unwrap().status().is_success());
    ann.group(&server, "Alps").await;
    let early = ann.here(&server).await;
    server.stop().await;
    copy(&data, &kept);
    let server = Server::start(&storage).await;
    for name in ["Andes", "Urals"] {
        ann.group(&server, name).await;
    }
    let late = ann.here(&server).await;
    let eve = Person { client: Client::new(), token: storage.token("eve", "analyst") };
    let cursor = eve.get(&server, "/v1/events?limit=100").await.1["next"].as_str().unwrap().to_owned();
    server.stop().await;
    fs::remove_dir_all(&data).unwrap();
    copy(&kept, &data);

    let server = Server::start(&storage).await;
    let (status, problem) = ann.changes(&server, &format!("?after={late}")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("ahead_of_log")));
    for name in ["Jura", "Vosges", "Tatra", "Rila"] {
        ann.group(&server, name).await;
    }
    // Past the place that was lost: without a mark, nothing would be told of what stands before it.
    let (status, problem) = ann.changes(&server, &format!("?after={late}")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("other_history")));
    assert_eq!(problem["details"]["next"], json!(ann.here(&server).await));
    // Whoever reads the events themselves, page by page, is told as well.
    let (status, problem) = eve.get(&server, &format!("/v1/events?after={cursor}")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("other_history")));
    let (_, page) = eve.get(&server, "/v1/events?limit=3").await;
    let (status, _) = eve.get(&server, &format!("/v1/events?after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(status, StatusCode::OK);
    let (_, all) = ann.changes(&server, &format!("?after={early}&limit=100")).await;
    let told = all["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "group").count();
    assert_eq!(told, 4, "{all}");
    server.kill().await;
}
