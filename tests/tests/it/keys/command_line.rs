//! `circolo keys` as a person uses it.

use super::{LONG, Place, on_each_store, owner, people};
use circolo_tests::server::binary;
use std::process::{Command, Output};

on_each_store! {
    keys_are_counted_rotated_and_wrapped_anew,
    what_is_missing_is_named,
    keys_are_copied,
}

/// Runs `circolo keys` with these arguments.
fn circolo(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("keys").args(arguments);
    for name in ["CIRCOLO_DATA", "CIRCOLO_KEYS", "CIRCOLO_INSTALLATION_KEY", "CIRCOLO_KEYS_FROM", "CIRCOLO_KEYS_TO"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

/// What it printed, if all went well.
fn printed(arguments: &[&str]) -> String {
    let output = circolo(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it complained about.
fn refused(arguments: &[&str]) -> String {
    let output = circolo(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The options that name the store.
fn options(place: &Place) -> Vec<String> {
    let options = ["--data", place.path().to_str().unwrap(), "--keys", &place.keys_url()];
    options.map(str::to_owned).into()
}

fn with<'a>(action: &[&'a str], options: &'a [String]) -> Vec<&'a str> {
    action.iter().copied().chain(options.iter().map(String::as_str)).collect()
}

/// The numbers of the line that begins with this purpose, version and generation.
fn line(status: &str, begins: [&str; 3]) -> Vec<u64> {
    let mut lines = status.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find(|words| words.starts_with(&begins)).unwrap_or_else(|| panic!("no line {begins:?} in {status}"));
    found[3..].iter().map(|number| number.parse().unwrap()).collect()
}

async fn keys_are_counted_rotated_and_wrapped_anew(place: &Place) {
    let (ring, options) = (place.ring(LONG).await, options(place));
    ring.current(people(20).into_iter().chain([owner("page-x"), owner("installation")])).await.unwrap();
    ring.destroy(owner("person-000003")).await.unwrap();
    let run = |action: &[&str]| printed(&with(action, &options));
    let status = run(&["status"]);
    assert_eq!(line(&status, ["person", "1", "1"]), [19, 1]);
    assert_eq!(line(&status, ["installation", "1", "1"]), [1, 0]);
    assert!(status.contains("21 alive, 1 destroyed") && !status.contains("older generation"), "{status}");
    assert!(run(&["rotate", "page-x"]).contains("page-x is at version 2"));
    assert!(run(&["rotate"]).contains("21 owners have a new version"));
    assert!(refused(&with(&["rotate", "person-000003"], &options)).contains("was destroyed"));
    assert!(refused(&with(&["rotate", "person-nobody"], &options)).contains("person-nobody has no key"));
    assert!(refused(&with(&["rotate", "Nobody!"], &options)).contains("is not an owner"));
    let rewrapped = run(&["rewrap"]);
    assert!(rewrapped.contains("43 keys wrapped anew: all are under generation 2"), "{rewrapped}");
    let status = run(&["status"]);
    assert_eq!(line(&status, ["page", "3", "2"]), [1, 0]);
    assert_eq!(line(&status, ["person", "1", "1"]), [0, 1], "what is destroyed stays as it was");
    let file = std::fs::read_to_string(place.installation_file()).unwrap();
    assert_eq!(file.matches("-----BEGIN CIRCOLO INSTALLATION KEY-----").count(), 2);
    let block = printed(&["block"]);
    assert!(block.starts_with("-----BEGIN CIRCOLO") && !file.contains(&block), "{block}");
    std::fs::write(place.installation_file(), file + &block).unwrap();
    assert!(run(&["status"]).contains("43 are under an older generation than the newest"));
    assert!(run(&["rewrap"]).contains("generation 3 of the installation key, the newest there was"));
}

async fn what_is_missing_is_named(place: &Place) {
    let options = options(place);
    let told = refused(&with(&["status"], &options));
    assert!(told.contains("key store") && told.contains("without it nothing opens that was sealed"), "{told}");
    place.ring(LONG).await.current(people(2)).await.unwrap();
    std::fs::remove_file(place.installation_file()).unwrap();
    for action in ["status", "rotate", "rewrap"] {
        let told = refused(&with(&[action], &options));
        assert!(told.contains("installation-key.pem is missing"), "{told}");
    }
    assert!(!place.installation_file().exists(), "no other one is made in its place");
    let elsewhere = place.path().join("elsewhere");
    std::fs::write(&elsewhere, super::installation(1)).unwrap();
    let file = format!("file:{}", elsewhere.display());
    let command = format!("command:cat '{}'", elsewhere.display());
    for source in [&*file, &command] {
        assert!(printed(&with(&["status", "--installation-key", source], &options)).contains("2 alive"));
    }
    let told = refused(&with(&["rewrap", "--installation-key", &command], &options));
    assert!(told.contains("circolo keys block"), "{told}");
    std::fs::write(&elsewhere, printed(&["block"])).unwrap();
    let told = refused(&with(&["status", "--installation-key", &file], &options));
    assert!(told.contains("not the one that belongs to this key store"), "{told}");
    let told = refused(&["status", "--keys", "kurrentdb://u:s3cret@h"]);
    assert!(told.contains("is no place for keys") && !told.contains("s3cret"), "{told}");
}

async fn keys_are_copied(place: &Place) {
    let Some(target) = Place::new(if place.url.is_some() { "sqlite" } else { "postgres" }).await else { return };
    place.ring(LONG).await.current(people(5)).await.unwrap();
    let (from, to) = (place.keys_url(), target.keys_url());
    let copy = ["copy", "--from", &from, "--to", &to, "--data", place.path().to_str().unwrap()];
    assert!(printed(&copy).contains("5 keys copied and compared, 0 were there already"));
    assert!(printed(&copy).contains("0 keys copied and compared, 5 were there already"));
    let foreign = Place::new("sqlite").await.unwrap();
    foreign.ring(LONG).await.current(people(1)).await.unwrap();
    let told = refused(&["copy", "--from", &from, "--to", &foreign.keys_url(), "--data", place.path().to_str().unwrap()]);
    assert!(told.contains("the target holds another version 1 of the key of person-000000"), "{told}");
    let nowhere = format!("sqlite:{}", place.path().join("nowhere").display());
    let told = refused(&["copy", "--from", &nowhere, "--to", &to, "--data", place.path().to_str().unwrap()]);
    assert!(told.contains("--from") && told.contains("is missing"), "{told}");
}
