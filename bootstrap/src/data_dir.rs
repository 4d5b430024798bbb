//! The directory with the node's state: made, locked, and written to so that a crash or a full disk
//! leaves the old file or the new one, never half of either.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Its lock says that a node uses the directory; its content says nothing.
const LOCK_FILE: &str = "lock";

/// The open and locked data directory. The lock is held until this is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the data directory can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// It doesn't exist and can't be made.
    #[error(
        "data directory {}: can't create it: {source}; create it yourself or choose another one \
         with --data-dir",
        .path.display()
    )]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The block list is gone, and it had entries.
    #[error(
        "{} is missing, so everybody whom it blocked would be let in again; restore it from a copy, or make \
         an empty file of this name to block nobody",
        .0.display()
    )]
    BlockListGone(PathBuf),
    /// Another node uses it.
    #[error(
        "data directory {} is in use by another bootstrap node; stop that one, or give this one \
         a directory of its own with --data-dir",
        .0.display()
    )]
    InUse(PathBuf),
    /// A file in it can't be read.
    #[error("{}: can't read it: {source}; check its owner and mode", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing can be written into it.
    #[error(
        "{}: can't write it: {source}; the data directory has to be writable and have space left \
         (choose another one with --data-dir)",
        .path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory if it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// If it can't be made or written to, or is in use by another node.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        create(path)?;
        let lock_path = path.join(LOCK_FILE);
        let write_error = |source| DataDirError::Write {
            path: lock_path.clone(),
            source,
        };
        let lock =
            open_private(&lock_path, OpenOptions::new().create(true)).map_err(write_error)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.into(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.into())),
            // Some network file systems know no locks. That is worth a word but no refusal.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(
                    path = %path.display(),
                    "file system without locks: see to it that only one node uses this directory"
                );
                Ok(Self {
                    path: path.into(),
                    _lock: lock,
                })
            }
            Err(TryLockError::Error(source)) => Err(write_error(source)),
        }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in the directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Content of a file, `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// If it is there and can't be read.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DataDirError> {
        let path = self.file(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Read { path, source }),
        }
    }

    /// Creates or replaces a file in one step, readable by its owner only (mode 0600).
    ///
    /// # Errors
    ///
    /// If it can't be written; what was there before is then untouched.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), DataDirError> {
        write(&self.path, name, content)
    }
}

/// Makes a data directory, for its owner only, if it is missing.
///
/// # Errors
///
/// If it can't be made.
pub(crate) fn create(path: &Path) -> Result<(), DataDirError> {
    create_private_dir(path).map_err(|source| DataDirError::Create {
        path: path.into(),
        source,
    })
}

/// [`DataDir::write`] for what may be written beside a running node.
///
/// # Errors
///
/// See there.
pub(crate) fn write(dir: &Path, name: &str, content: &[u8]) -> Result<(), DataDirError> {
    let path = dir.join(name);
    let temporary = dir.join(format!("{name}.new"));
    let result = write_and_rename(&temporary, &path, content).and_then(|()| sync(dir));
    result.map_err(|source| {
        // Best effort: what is left over is harmless and replaced by the next attempt.
        let _ = fs::remove_file(&temporary);
        DataDirError::Write { path, source }
    })
}

/// Makes a rename in a directory outlive a power failure.
fn sync(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

fn write_and_rename(temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new`: never write a secret into a file that somebody else made and can read.
    let mut file = open_private(temporary, OpenOptions::new().create_new(true))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// Opens a file to write, with `options` besides, that only the owner of its directory may read.
pub(crate) fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let file = options.open(path)?;
    give_to_owner(path)?;
    Ok(file)
}

/// Gives a file to the owner of the directory it is in. What an administrator's command writes has to be
/// readable for the node, which may run as somebody else.
fn give_to_owner(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, chown};
        let directory = path
            .parent()
            .map_or_else(|| fs::metadata("."), fs::metadata)?;
        if directory.uid() != fs::metadata(path)?.uid() {
            return match chown(path, Some(directory.uid()), Some(directory.gid())) {
                // Who may not give files away writes for others who can read them, or can't help it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                result => result,
            };
        }
    }
    Ok(())
}

/// Makes a folder and those above it for their owner only, where they are missing.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_read_back_and_replaced_in_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("a/b")).unwrap();
        assert_eq!(data.read("x").unwrap(), None);
        data.write("x", b"one").unwrap();
        data.write("x", b"two").unwrap();
        assert_eq!(data.read("x").unwrap().unwrap(), b"two");
        assert!(!data.file("x.new").exists());
    }

    #[test]
    fn a_left_over_temporary_file_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(data.file("x.new"), b"half").unwrap();
        data.write("x", b"whole").unwrap();
        assert_eq!(data.read("x").unwrap().unwrap(), b"whole");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("new")).unwrap();
        data.write("secret", b"s").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.file("secret")), 0o600);
        assert_eq!(mode(&dir.path().join("new")), 0o700);
    }

    #[test]
    fn a_second_node_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(
            DataDir::open(dir.path()),
            Err(DataDirError::InUse(_))
        ));
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"").unwrap();
        let error = DataDir::open(&path.join("below")).unwrap_err();
        assert!(matches!(error, DataDirError::Create { .. }));
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
