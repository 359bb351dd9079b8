//! The installation key is made once, read from wherever it is, and missed by name.

use super::*;
use crate::sealing::secret::LENGTH;

fn random() -> Random {
    Random::system()
}

fn complaint(outcome: Result<InstallationKey, InstallationError>) -> String {
    outcome.unwrap_err().to_string()
}

#[test]
fn it_is_made_once_for_its_owner_alone_and_gains_generations() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let source = Source::in_folder(&data);
    let named = Source::File(data.join(FILE));
    for missing in [source.read(false, &random()), named.read(true, &random())] {
        assert!(complaint(missing).contains("installation-key.pem is missing"));
    }
    let first = source.read(true, &random()).unwrap();
    assert_eq!((first.newest(), source.read(true, &random()).unwrap()), (1, first.clone()));
    let second = source.add_generation(&random()).unwrap();
    assert_eq!((second.newest(), source.read(false, &random()).unwrap()), (2, second.clone()));
    assert_eq!(first.derive("keys", 1), second.derive("keys", 1));
    assert_eq!(first.derive("keys", 2), None);
    let derived = [second.derive("keys", 1), second.derive("keys", 2), second.derive("tokens", 1), second.derive("tokens", 2)];
    assert!(derived.iter().enumerate().all(|(index, one)| one.is_some() && !derived[..index].contains(one)));
    assert_eq!((second.derive("keys", 0), second.derive("keys", 3)), (None, None));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(data.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
}

#[test]
fn those_who_make_it_at_once_have_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::in_folder(dir.path());
    let made: Vec<InstallationKey> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| source.read(true, &random()).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(made.iter().all(|key| *key == made[0]));
}

#[test]
fn what_is_no_key_is_told_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let good = block(&Secret::new([1; LENGTH]));
    for (text, what) in [
        ("", "there is no block"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "there is no block"),
        (&format!("{BEGIN}\nAAAA\n{END}\n"), "does not hold 32 bytes"),
        (&format!("{BEGIN}\n&&&&\n{END}\n"), "not base64"),
        (&good[..good.len() - 10], "no end"),
        (&format!("{}{}", *good, *good), "twice"),
    ] {
        fs::write(&path, text).unwrap();
        let told = complaint(Source::File(path.clone()).read(true, &random()));
        assert!(told.contains(what) && told.contains(path.to_str().unwrap()), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[cfg(unix)]
#[test]
fn a_command_prints_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let (one, two) = (Secret::new([1; LENGTH]), Secret::new([2; LENGTH]));
    fs::write(&path, format!("# of 2026\n{}# of 2027\r\n{}", *block(&one), block(&two).replace('\n', "\r\n"))).unwrap();
    let source: Source = format!("command:cat '{}'", path.display()).parse().unwrap();
    assert_eq!(source.read(false, &random()).unwrap(), InstallationKey::new(one, vec![two]));
    assert!(complaint(source.add_generation(&random())).contains("where it is kept"));
    let failing: Source = "command:echo s3cret; exit 3".parse().unwrap();
    let told = complaint(failing.read(true, &random()));
    assert!(told.contains("exit status: 3") && !told.contains("s3cret"), "{told}");
    let other: Source = "command:echo s3cret".parse().unwrap();
    let told = complaint(other.read(true, &random()));
    assert!(told.contains("what the command printed holds no installation key") && !told.contains("s3cret"), "{told}");
}

#[test]
fn a_source_is_a_file_or_a_command() {
    assert_eq!("file:a/b".parse::<Source>().unwrap(), Source::File("a/b".into()));
    assert_eq!("command:age -d key.age".parse::<Source>().unwrap(), Source::Command("age -d key.age".to_owned()));
    for other in ["", "a/b", "file:", "command:", "env:X"] {
        assert!(other.parse::<Source>().is_err(), "{other}");
    }
}

#[test]
fn it_is_not_shown() {
    let key = InstallationKey::new(Secret::new([0xab; LENGTH]), vec![]);
    assert_eq!(format!("{key:?}"), "InstallationKey of 1 generations");
    let source: Source = "command:vault --token s3cret".parse().unwrap();
    assert_eq!(format!("{source:?}"), "what the command printed");
}
