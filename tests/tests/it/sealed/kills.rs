//! `kill -9` between a key and the event under it: what was acknowledged opens, and a key without an event harms nobody.

use circolo_tests::server::{Server, Storage};
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::Client;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// How often the server is killed.
const CYCLES: u64 = 20;

/// Registers somebody who has no key yet; their id, once that is acknowledged.
async fn register(client: &Client, url: &str, name: String, token: String) -> Option<(String, String)> {
    let request = client.post(format!("{url}/v1/people")).bearer_auth(token).json(&json!({ "display_name": name }));
    let answer = request.timeout(Duration::from_secs(20)).send().await.ok()?;
    assert!(answer.status().as_u16() == 201 || answer.status().as_u16() == 503, "{}", answer.status());
    let body: Value = answer.json().await.ok()?;
    Some((body["id"].as_str()?.to_owned(), name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_between_key_and_event_goes_on() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    // Tokens are signed by a key that is there before the first start.
    let tokens: Vec<String> = (0..CYCLES * 8).map(|number| storage.token(&format!("person {number}"), "")).collect();
    let (client, mut acknowledged) = (Client::new(), BTreeMap::new());
    for cycle in 0..CYCLES {
        let server = Server::start(&storage).await;
        let url = server.url().to_owned();
        let mut sent: FuturesUnordered<_> = (cycle * 8..cycle * 8 + 8)
            .map(|number| register(&client, &url, format!("Name {number}"), tokens[usize::try_from(number).unwrap()].clone()))
            .collect();
        // From before the first key to after the last event.
        let first = tokio::time::timeout(Duration::from_millis(cycle * 3 % 25), sent.next()).await;
        acknowledged.extend(first.ok().flatten().flatten());
        for _ in 0..cycle % 8 {
            acknowledged.extend(sent.next().await.flatten());
        }
        server.kill().await;
        while let Some(answer) = sent.next().await {
            acknowledged.extend(answer);
        }
    }
    let server = Server::start(&storage).await;
    let reader = storage.token("reader", "");
    register(&client, server.url(), "Reader".to_owned(), reader.clone()).await.unwrap();
    for (id, name) in &acknowledged {
        let answer = client.get(format!("{}/v1/people/{id}", server.url())).bearer_auth(&reader).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{name}");
        assert_eq!(answer.json::<Value>().await.unwrap()["display_name"], name.as_str());
    }
    assert!(!acknowledged.is_empty(), "it was always killed before anything was acknowledged");
    // Whose event did not come to be registers now, under the key that was made then or a new one.
    for (number, token) in tokens.iter().enumerate() {
        let sent = client
            .post(format!("{}/v1/people", server.url()))
            .bearer_auth(token)
            .json(&json!({ "display_name": format!("Name {number}") }));
        let status = sent.send().await.unwrap().status().as_u16();
        assert!([200, 201, 409].contains(&status), "{number}: {status}");
    }
    server.stop().await;
    storage.run(&["projections", "verify", "--all"]);
    storage.run(&["events", "check"]);
}
