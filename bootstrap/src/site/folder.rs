//! The page of `--web DIR`, read once.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use thiserror::Error;

use crate::limits;

/// The file at `/`.
pub(super) const INDEX: &str = "index.html";

/// Why the folder of `--web` can't be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebError {
    /// There is no page in it.
    #[error(
        "--web {}: the folder has no index.html; give the folder of a built page (`dist`, which \
         `trunk build --release` makes), or remove --web, or use `--web off`",
        .0.display()
    )]
    NoIndex(PathBuf),
    /// It leads out of itself.
    #[error(
        "--web: {} is a link that leads out of the folder, and everything in the folder is public; \
         copy the file there, or remove the link",
        .0.display()
    )]
    Outside(PathBuf),
    /// Something in it can't be read.
    #[error("--web: can't read {}: {source}; check the path, its owner and mode", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than any page.
    #[error(
        "--web {}: the folder has more than {} files or {} MiB; give the folder of a built page",
        .0.display(),
        limits::WEB_FILES_MAX,
        limits::WEB_BYTES_MAX / 1024 / 1024
    )]
    TooLarge(PathBuf),
}

/// All files of a folder with their paths in it. Hidden ones (`.git`, `.env`) are left out.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, Bytes)>, WebError> {
    let root = folder.canonicalize().map_err(|source| WebError::Read {
        path: folder.into(),
        source,
    })?;
    if !root.join(INDEX).is_file() {
        return Err(WebError::NoIndex(folder.into()));
    }
    let mut files = Vec::new();
    let mut bytes_left = limits::WEB_BYTES_MAX;
    let mut entries_left = limits::WEB_FILES_MAX;
    let mut folders = vec![(root.clone(), String::new())];
    while let Some((path, prefix)) = folders.pop() {
        let error = |source| WebError::Read {
            path: path.clone(),
            source,
        };
        for entry in fs::read_dir(&path).map_err(error)? {
            let entry = entry.map_err(error)?;
            // What has no name in UTF-8 can't be asked for.
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            entries_left = entries_left
                .checked_sub(1)
                .ok_or_else(|| WebError::TooLarge(folder.into()))?;
            let path = resolve(&root, &entry.path())?;
            let metadata = fs::metadata(&path).map_err(|source| WebError::Read {
                path: path.clone(),
                source,
            })?;
            if metadata.is_dir() {
                // A link to a folder further up would go round in circles until the count ends it.
                folders.push((path, format!("{prefix}{name}/")));
            } else if metadata.is_file() {
                let content = read_file(&path, bytes_left)?
                    .ok_or_else(|| WebError::TooLarge(folder.into()))?;
                bytes_left -= content.len();
                files.push((prefix.clone() + &name, content.into()));
            }
        }
    }
    Ok(files)
}

/// Where an entry really lies.
fn resolve(root: &Path, entry: &Path) -> Result<PathBuf, WebError> {
    let path = entry.canonicalize().map_err(|source| WebError::Read {
        path: entry.into(),
        source,
    })?;
    if path.starts_with(root) {
        Ok(path)
    } else {
        Err(WebError::Outside(entry.into()))
    }
}

/// The content, `None` if it has more than `bytes_max` bytes.
fn read_file(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, WebError> {
    let mut content = Vec::new();
    // One byte more than allowed tells too much from just enough.
    let limit = (bytes_max as u64).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut content))
        .map_err(|source| WebError::Read {
            path: path.into(),
            source,
        })?;
    Ok(Some(content).filter(|content| content.len() <= bytes_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(INDEX), "index").unwrap();
        folder
    }

    #[test]
    fn files_are_found_below_and_hidden_ones_are_not() {
        let folder = folder();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c.css"), "c").unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        fs::write(folder.path().join(".git/config"), "secret").unwrap();
        fs::write(folder.path().join(".env"), "secret").unwrap();
        let mut files = read(folder.path()).unwrap();
        files.sort();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a/b/c.css", INDEX]);
        assert_eq!(files[0].1, "c");
    }

    #[test]
    fn a_folder_without_an_index_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, WebError::NoIndex(_)));
        assert!(error.to_string().contains("trunk build"), "{error}");
        let error = read(&folder.path().join("absent")).unwrap_err();
        assert!(matches!(error, WebError::Read { .. }), "{error}");
    }

    #[test]
    fn too_much_is_refused() {
        let folder = folder();
        let file = File::create(folder.path().join("large")).unwrap();
        file.set_len(limits::WEB_BYTES_MAX as u64).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, WebError::TooLarge(_)), "{error}");

        let folder = self::folder();
        for number in 0..limits::WEB_FILES_MAX {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, WebError::TooLarge(_)), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_within_are_followed_and_links_out_are_refused() {
        use std::os::unix::fs::symlink;
        let folder = folder();
        symlink(INDEX, folder.path().join("same.html")).unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 2);

        // The folder itself may be one: `current` for the newest build.
        let beside = tempfile::tempdir().unwrap();
        symlink(folder.path(), beside.path().join("current")).unwrap();
        assert_eq!(read(&beside.path().join("current")).unwrap().len(), 2);

        symlink(".", folder.path().join("circle")).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, WebError::TooLarge(_)), "{error}");
        fs::remove_file(folder.path().join("circle")).unwrap();

        symlink("/etc/passwd", folder.path().join("out")).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, WebError::Outside(_)), "{error}");
        assert!(error.to_string().contains("out"), "{error}");
    }
}
