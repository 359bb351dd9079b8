//! A sealed log is opened with the keys that belong to it, or not at all: what is missing is said.

use circolo_tests::server::{Storage, binary};
use std::{fs, path::Path, process::Command};

/// What the program says that does not start.
fn refused(storage: &Storage, arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).args(storage.arguments()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} went on");
    String::from_utf8(output.stderr).unwrap()
}

fn simulated(folder: &Path, seed: &str) -> Storage {
    let storage = Storage { folder: folder.join(seed), database: None };
    storage.run(&["simulate", "--people", "20", "--groups", "2", "--days", "5", "--events", "300", "--seed", seed]);
    storage
}

const STARTS: [&[&str]; 3] =
    [&["serve", "--listen", "127.0.0.1:0"], &["projections", "rebuild", "--all"], &["projections", "verify", "--all"]];

#[test]
fn a_start_says_which_key_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = simulated(folder.path(), "1");
    let (keys, installation) = (storage.folder.join("keys.sqlite"), storage.folder.join("installation-key.pem"));
    let away = folder.path().join("away");
    for (missing, says) in [(&keys, "the key store"), (&installation, "the installation key")] {
        fs::rename(missing, &away).unwrap();
        for arguments in STARTS {
            let complaint = refused(&storage, arguments);
            assert!(complaint.contains(says) && complaint.contains("is missing"), "{arguments:?}: {complaint}");
            assert!(!missing.exists(), "{arguments:?} made another one");
        }
        fs::rename(&away, missing).unwrap();
    }
    storage.run(&["projections", "rebuild", "--all"]);
    storage.run(&["projections", "verify", "--all"]);
}

#[test]
fn keys_of_another_log_are_told_from_those_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, other) = (simulated(folder.path(), "1"), simulated(folder.path(), "2"));
    // With the installation key that belongs to them: they open, and nothing opens with them.
    for file in ["keys.sqlite", "installation-key.pem"] {
        fs::copy(other.folder.join(file), storage.folder.join(file)).unwrap();
    }
    for arguments in STARTS {
        let complaint = refused(&storage, arguments);
        assert!(complaint.contains("is not the one that belongs to this log"), "{arguments:?}: {complaint}");
    }
}
