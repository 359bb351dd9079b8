//! `circolo media check`: what the log tells of is compared with what lies there, beside a running server.

use super::{files, picture};
use circolo_tests::server::{Server, Storage, binary};
use serde_json::{Value, json};
use std::{fs, process::Command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_missing_or_cut_off_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { folder: folder.path().join("data"), database: None };
    let server = Server::start(&storage).await;
    let (token, client) = (storage.token("ann", ""), reqwest::Client::new());
    let post = |path: &str| client.post(format!("{}{path}", server.url())).bearer_auth(&token);
    assert_eq!(post("/v1/people").json(&json!({ "display_name": "Ann" })).send().await.unwrap().status(), 201);
    let sent = post("/v1/media?name=face.png").header("content-type", "image/png").body(picture(800, 600)).send().await.unwrap();
    assert_eq!(sent.status(), 201);
    let uploaded: Value = sent.json().await.unwrap();
    let read = client.get(format!("{}/v1/media/{}", server.url(), uploaded["id"].as_str().unwrap())).bearer_auth(&token);
    let read = read.header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!((read.status().as_u16(), &*read.bytes().await.unwrap()), (206, b"PNG".as_slice()));

    let data = storage.folder.display().to_string();
    let check = || {
        let output = Command::new(binary()).args(["media", "check", "--data", &data]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = check();
    assert_eq!((code, told.lines().next()), (Some(0), Some("3 files are told of, 0 lie there besides")), "{told}");
    let lying = files(&storage.folder.join("media"));
    let of = |part: &str| lying.iter().find(|(path, _)| path.extension().is_some_and(|name| name == part)).unwrap();
    fs::remove_file(of("small").0).unwrap();
    let (whole, bytes) = of("whole");
    fs::write(whole, &bytes[..bytes.len() - 1]).unwrap();
    let (code, told) = check();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("small of media") && told.contains("is missing") && told.contains("is not as long as it was"), "{told}");
    fs::write(whole, bytes).unwrap();
    fs::write(of("small").0, of("small").1).unwrap();
    assert_eq!(check().0, Some(0));
    let elsewhere = Command::new(binary()).args(["media", "check", "--data", &data, "--media", "ftp://example.org"]).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(2));
    server.stop().await;
}
