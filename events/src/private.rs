//! Folders and files that only their owner may look into: what people wrote lies in them as they wrote it.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
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

/// Makes a file, or empties the one that is there.
pub fn create(path: &Path) -> io::Result<File> {
    options().truncate(true).open(path)
}

/// Makes an empty file, unless there is one. Whoever opens it by a library then finds it with its rights.
pub fn reserve(path: &Path) -> io::Result<File> {
    options().truncate(false).open(path)
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
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

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
}
