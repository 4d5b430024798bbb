//! Who this peer is: a key in a directory that one `moim` uses at a time.
//!
//! **Invariant:** two running peers never have one key. A network sees them as one peer that is in
//! two places, and half of what is meant for one reaches the other. A lock in the directory, of the
//! same name as a bootstrap node's, keeps them apart.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use moim_peer::{Keypair, identity::load_or_create};

/// The key: libp2p's protobuf `PrivateKey` (libp2p specs, peer-ids).
const KEY_FILE: &str = "identity.key";

/// Locked while a peer (or a bootstrap node) uses the directory. Its content says nothing.
const LOCK_FILE: &str = "lock";

/// Which identity to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one in this directory and no other.
    Directory(PathBuf),
    /// A new one that is kept nowhere.
    Ephemeral,
    /// The one in the platform's data directory or, while another `moim` uses that, a new one.
    Platform,
}

/// An identity, its own for as long as this is held.
#[derive(Debug)]
pub(crate) struct Identity {
    /// `None`: somebody new.
    pub(crate) keypair: Option<Keypair>,
    /// What the user should know about the choice.
    pub(crate) notice: Option<String>,
    _lock: Option<File>,
}

impl Identity {
    /// Somebody new, kept nowhere.
    pub(crate) fn ephemeral() -> Self {
        Self {
            keypair: None,
            notice: None,
            _lock: None,
        }
    }

    /// Takes the chosen identity; makes it at the first time.
    pub(crate) async fn open(choice: Choice) -> anyhow::Result<Self> {
        match choice {
            Choice::Directory(directory) => match Self::in_directory(&directory).await? {
                Some(identity) => Ok(identity),
                None => bail!(
                    "the identity in {} is in use by another running peer; stop that one, name another directory with \
                     --data-dir, or start with --ephemeral",
                    directory.display()
                ),
            },
            Choice::Ephemeral => Ok(Self::ephemeral()),
            Choice::Platform => {
                let Some(directory) = platform_directory() else {
                    return Ok(Self::ephemeral().with_notice(
                        "this account has no home directory, so this peer is somebody new; --data-dir DIR keeps an identity",
                    ));
                };
                let in_use = "your identity is in use by another running moim, so this one is somebody new for now; \
                              --data-dir DIR keeps a second identity";
                let identity = Self::in_directory(&directory).await.context(
                    "--data-dir DIR keeps the identity elsewhere, --ephemeral does without",
                )?;
                Ok(identity.unwrap_or_else(|| Self::ephemeral().with_notice(in_use)))
            }
        }
    }

    fn with_notice(mut self, notice: &str) -> Self {
        self.notice = Some(notice.to_owned());
        self
    }

    /// The identity in `directory`, or `None` while another peer uses it.
    async fn in_directory(directory: &Path) -> anyhow::Result<Option<Self>> {
        create_private(directory).with_context(|| {
            format!(
                "cannot make the directory {} for the identity",
                directory.display()
            )
        })?;
        let path = directory.join(LOCK_FILE);
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Some network file systems know no locks. Then it is up to the user.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %path.display(), "no locks here: make sure that only one peer uses this directory");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let path = directory.join(KEY_FILE);
        let location = path
            .to_str()
            .with_context(|| format!("the path {} is not UTF-8", path.display()))?;
        let keypair = load_or_create(location).await?;
        Ok(Some(Self {
            keypair: Some(keypair),
            notice: None,
            _lock: Some(lock),
        }))
    }
}

fn platform_directory() -> Option<PathBuf> {
    // Beside the bootstrap node's, which is another peer.
    directories::ProjectDirs::from("", "", "moim")
        .map(|directories| directories.data_dir().join("peer"))
}

fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(identity: &Identity) -> moim_peer::PublicKey {
        identity.keypair.as_ref().unwrap().public()
    }

    #[tokio::test]
    async fn an_identity_is_kept_and_used_by_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let choice = Choice::Directory(directory.path().join("new"));
        let first = Identity::open(choice.clone()).await.unwrap();
        let error = Identity::open(choice.clone())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("in use") && error.contains("--ephemeral"),
            "{error}"
        );
        let key = public(&first);
        drop(first);
        assert_eq!(public(&Identity::open(choice).await.unwrap()), key);
    }

    #[tokio::test]
    async fn a_broken_identity_is_reported_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY_FILE), b"garbage").unwrap();
        let error = Identity::open(Choice::Directory(directory.path().into()))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        assert_eq!(
            fs::read(directory.path().join(KEY_FILE)).unwrap(),
            b"garbage"
        );
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Identity::open(Choice::Directory(file.path().join("below")))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("cannot make the directory"),
            "{error:#}"
        );
    }
}
