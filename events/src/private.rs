//! Folders and files that only their owner may look into: what people wrote lies in them as they wrote it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Makes the folder, and those it lies in, unless they are there.
pub fn folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// How a file is opened for writing that nobody else may read, should it have to be made.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes everybody's rights to a file away but its owner's.
pub fn only_owner(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Makes a file, or empties the one that is there.
pub fn create(path: &Path) -> io::Result<File> {
    options().truncate(true).open(path)
}

/// Makes an empty file, unless there is one. Whoever opens it by a library then finds it with its rights.
pub fn reserve(path: &Path) -> io::Result<File> {
    options().truncate(false).open(path)
}

/// Makes a file with this content, whole and on the disk, or not at all; one that is there is kept, and the error says so
/// ([`io::ErrorKind::AlreadyExists`]).
pub fn publish(path: &Path, content: &[u8]) -> io::Result<()> {
    through_draft(path, content, |draft| {
        let linked = fs::hard_link(draft, path);
        fs::remove_file(draft)?;
        linked
    })
}

/// Gives a file this content, whole and on the disk: who reads it meanwhile, or after a crash, finds the old or the new one.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    through_draft(path, content, |draft| fs::rename(draft, path))
}

fn through_draft(path: &Path, content: &[u8], name: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
    let draft = PathBuf::from(draft);
    let written = create(&draft).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(error) = written {
        // It may not be there.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    let named = name(&draft);
    // The name of a file is part of its folder: without this a crash takes it away, also from whoever found the file there.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    named
}

/// What in `folder`, itself included, others than its owner may look into. Empty where a system has no such rights.
pub fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = |path: &Path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
        // Into a folder of one's own nobody comes, whatever the files in it say.
        if !open(folder) {
            return vec![];
        }
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found: Vec<PathBuf> = files.filter(|path| path.is_file() && open(path)).collect();
        found.sort();
        found.insert(0, folder.to_owned());
        found
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        vec![]
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    fn rights(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner_and_what_is_there_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("a/b");
        folder(&made).unwrap();
        reserve(&made.join("log")).unwrap();
        assert_eq!([rights(&dir.path().join("a")), rights(&made), rights(&made.join("log"))], [0o700, 0o700, 0o600]);
        assert!(open_to_others(&made).is_empty());
        for (path, mode) in [(made.clone(), 0o755), (made.join("log"), 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        folder(&made).unwrap();
        reserve(&made.join("log")).unwrap();
        reserve(&made.join("key")).unwrap();
        assert_eq!([rights(&made), rights(&made.join("log")), rights(&made.join("key"))], [0o755, 0o644, 0o600]);
        assert_eq!(open_to_others(&made), [made.clone(), made.join("log")]);
    }

    #[test]
    fn a_file_is_published_once_and_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        publish(&path, b"first").unwrap();
        assert_eq!(publish(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, b"third").unwrap();
        assert_eq!((fs::read(&path).unwrap(), rights(&path)), (b"third".to_vec(), 0o600));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    }
}
