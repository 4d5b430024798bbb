//! The key in a file that only its owner can read.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
};

use libp2p::identity::Keypair;

use super::IdentityError;
use crate::platform;

/// Loads the key from the file at `location` (protobuf, as libp2p-key defines it), or makes a new
/// one and keeps it there with mode 0600. Directories on the way are made.
///
/// # Errors
/// [`IdentityError`] when the file is not a key, or cannot be read or written.
pub async fn load_or_create(location: &str) -> Result<Keypair, IdentityError> {
    let path = Path::new(location);
    match fs::read(path) {
        Ok(bytes) => Keypair::from_protobuf_encoding(&bytes).map_err(|error| {
            tracing::debug!(%error, "what is kept is no key");
            IdentityError::Broken {
                location: location.to_owned(),
            }
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(path).map_err(|error| IdentityError::Storage {
                action: "write",
                location: location.to_owned(),
                source: error.into(),
            })
        }
        Err(error) => Err(IdentityError::Storage {
            action: "read",
            location: location.to_owned(),
            source: error.into(),
        }),
    }
}

/// Moves what is stored at `location` aside (`….broken-<Unix ms>`, never deleting it), makes a new
/// key there and returns it: the answer to [`IdentityError::Broken`] of somebody who would rather
/// be somebody new.
///
/// # Errors
/// [`IdentityError::Storage`] when the file cannot be moved or written.
pub async fn start_anew(location: &str) -> Result<Keypair, IdentityError> {
    let storage = |error: io::Error| IdentityError::Storage {
        action: "write",
        location: location.to_owned(),
        source: error.into(),
    };
    let aside = format!("{location}.broken-{}", platform::wall().0);
    match fs::rename(location, aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(storage(error));
        }
        Ok(()) | Err(_) => {}
    }
    create(Path::new(location)).map_err(storage)
}

fn create(path: &Path) -> io::Result<Keypair> {
    let keypair = Keypair::generate_ed25519();
    let bytes = keypair.to_protobuf_encoding().map_err(io::Error::other)?;
    write_private(path, &bytes)?;
    Ok(keypair)
}

/// Writes beside the target and renames, so that a crash or a full disk leaves no half key.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let temporary = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_survives_and_is_private() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("deep/identity.key");
        let location = path.to_str().expect("UTF-8");
        let first = load_or_create(location).await.expect("creates");
        let second = load_or_create(location).await.expect("loads");
        assert_eq!(first.public(), second.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("exists").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn a_broken_key_is_reported_and_kept() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("identity.key");
        fs::write(&path, b"not a key").expect("writes");
        let error = load_or_create(path.to_str().expect("UTF-8"))
            .await
            .expect_err("broken");
        assert!(matches!(error, IdentityError::Broken { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("still there"), b"not a key");
    }

    #[tokio::test]
    async fn an_unwritable_place_is_reported() {
        let error = load_or_create("/proc/nowhere/identity.key")
            .await
            .expect_err("unwritable");
        assert!(
            matches!(
                error,
                IdentityError::Storage {
                    action: "write",
                    ..
                }
            ),
            "{error}"
        );
    }
}
