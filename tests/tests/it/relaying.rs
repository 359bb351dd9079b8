//! What a node hands on to the one that moves the read models: only what an operator asks, only so much, and only for so long.

use circolo_tests::{
    postgres::shared_by_nodes,
    server::{Server, Storage, binary},
    wire::Wire,
};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Stands where the other node would be reached: counts who asks, and answers without an end.
async fn babbler() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, asked) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(babble(stream));
        }
    });
    (url, asked)
}

async fn babble(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").await;
    while stream.write_all(&[b' '; 8_192]).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_asks_another_only_for_operators_and_within_bounds() {
    let Some(database) = shared_by_nodes().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: Some(database) };
    let (elsewhere, asked) = babbler().await;
    let start = async |arguments: &[&str]| {
        let all: Vec<String> = storage.arguments().into_iter().chain(arguments.iter().map(|text| (*text).to_owned())).collect();
        Server::start_on(binary(), &all).await
    };
    let first = start(&["--advertise", &elsewhere]).await;
    let leads = reqwest::get(format!("{}/health/ready", first.url())).await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(leads["leads"], true, "{leads}");
    let second = start(&["--request-timeout", "1"]).await;
    let path = "/v1/operator/projections/people/verify";
    let client = reqwest::Client::new();
    let post = async |scope: Option<&str>, body: Vec<u8>| {
        let mut request = client.post(format!("{}{path}", second.url())).header("content-type", "application/json").body(body);
        if let Some(scope) = scope {
            request = request.bearer_auth(storage.token("ann", scope));
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(post(None, b"{}".to_vec()).await, (401, "unauthenticated".to_owned()));
    for scope in ["", "analyst", "analyst:unmask"] {
        assert_eq!(post(Some(scope), b"{}".to_vec()).await, (403, "scope_needed".to_owned()), "{scope}");
    }
    assert_eq!(post(Some("operator"), vec![b' '; 300_000]).await, (413, "body_too_large".to_owned()));
    // A body that does not come.
    let mut slow = Wire::to(second.url()).await;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", storage.token("ann", "operator"));
    slow.send(format!("{head}content-type: application/json\r\ncontent-length: 10\r\n\r\n{{")).await;
    let answer = slow.answer().await;
    assert!(answer.status == 503 && answer.body.contains("\"code\":\"timeout\""), "{answer:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody else was asked until now");
    // An answer that does not end.
    assert_eq!(post(Some("operator"), b"{}".to_vec()).await, (503, "not_leading".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    second.stop().await;
    first.stop().await;
}
