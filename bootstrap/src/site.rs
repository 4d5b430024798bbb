//! The page that the node serves: the one in the program, another one from a folder, or none.
//!
//! Everything is in memory before the first request, so that no request reaches the disk: there is
//! no path to escape from a folder with, and no page whose index belongs to another build than its
//! program. A new build in the folder is served after a reload (SIGHUP) or a restart.

use std::{collections::HashMap, path::Path};

use axum::http::{HeaderName, HeaderValue};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

pub use self::folder::WebError;
use self::{compress::Effort, folder::INDEX};
use crate::{config::Web, limits};

mod answer;
mod compress;
mod folder;
mod kinds;
mod policy;

/// What is served where there is no page.
const ABSENT: &str = include_str!("site/absent.html");
/// For a folder, which is compressed at every start: a page of 3 MB in a tenth of a second.
const FOLDER_EFFORT: Effort = Effort { brotli: 5, gzip: 6 };

/// A file of the page that lies in the program.
#[derive(Debug)]
struct Embedded {
    path: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// The page in the program, of `build.rs`; empty if it was built without one.
static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// How a copy of a file is encoded (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Brotli,
    Gzip,
    Plain,
}

/// A copy of a file.
#[derive(Debug)]
struct Copy {
    coding: Coding,
    /// Strong, so different for every coding.
    etag: HeaderValue,
    content: Bytes,
}

/// A file with what is said about it.
#[derive(Debug)]
struct File {
    content_type: &'static str,
    cache_control: &'static str,
    /// The smallest first, the plain one last.
    copies: Vec<Copy>,
}

/// The files that are served, by path without the leading slash.
#[derive(Debug)]
pub(crate) struct Site {
    files: HashMap<String, File>,
    /// Headers of every answer.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it has the page, and not only the words that there is none.
    has_page: bool,
}

impl Site {
    /// Gets the page that the configuration asks for.
    ///
    /// # Errors
    ///
    /// If the folder of `--web` can't be served.
    pub(crate) fn open(web: &Web) -> Result<Self, WebError> {
        match web {
            Web::Own if EMBEDDED.is_empty() => Ok(Self::absent()),
            Web::Own => Ok(Self::embedded()),
            Web::Folder(path) => Self::folder(path),
            Web::Off => Ok(Self::absent()),
        }
    }

    /// Whether the page is served.
    pub(crate) fn has_page(&self) -> bool {
        self.has_page
    }

    fn embedded() -> Self {
        let files = EMBEDDED.iter().map(|file| {
            let copies = [
                (Coding::Brotli, file.brotli),
                (Coding::Gzip, file.gzip),
                (Coding::Plain, Some(file.plain)),
            ];
            let copies = copies
                .into_iter()
                .filter_map(|(coding, bytes)| Some((coding, Bytes::from_static(bytes?))));
            (file.path.to_owned(), copies.collect())
        });
        Self::new(files, true)
    }

    fn folder(path: &Path) -> Result<Self, WebError> {
        let files = folder::read(path)?;
        let mut bytes_left = limits::WEB_COMPRESSED_BYTES_MAX;
        let files = files.into_iter().map(|(path, content)| {
            let [brotli, gzip] = match bytes_left.checked_sub(content.len()) {
                Some(left) if kinds::is_compressible(&path) => {
                    bytes_left = left;
                    // Without a copy the file itself is sent.
                    compress::copies(&content, FOLDER_EFFORT).unwrap_or_default()
                }
                _ => [None, None],
            };
            let copies = [
                (Coding::Brotli, brotli.map(Bytes::from)),
                (Coding::Gzip, gzip.map(Bytes::from)),
                (Coding::Plain, Some(content)),
            ];
            let copies = copies
                .into_iter()
                .filter_map(|(coding, bytes)| Some((coding, bytes?)));
            (path, copies.collect())
        });
        Ok(Self::new(files, true))
    }

    fn absent() -> Self {
        let content = Bytes::from_static(ABSENT.as_bytes());
        let index = (INDEX.to_owned(), vec![(Coding::Plain, content)]);
        Self::new([index].into_iter(), false)
    }

    fn new(files: impl Iterator<Item = (String, Vec<(Coding, Bytes)>)>, has_page: bool) -> Self {
        let mut index = Bytes::new();
        let files = files
            .map(|(path, copies)| {
                if let Some((_, plain)) = copies.last().filter(|_| path == INDEX) {
                    index = plain.clone();
                }
                let file = File::new(&path, copies);
                (path, file)
            })
            .collect();
        Self {
            files,
            headers: policy::headers(&String::from_utf8_lossy(&index)),
            has_page,
        }
    }

    /// Whether there is a file at a request's path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The file of a request's path.
    fn find(&self, path: &str) -> Option<&File> {
        // The page's own places are in the fragment (`/#/t/topic`), which no server sees.
        match path.strip_prefix('/')? {
            "" => self.files.get(INDEX),
            name => self.files.get(name),
        }
    }
}

impl File {
    fn new(path: &str, copies: Vec<(Coding, Bytes)>) -> Self {
        let plain = copies.last().map(|(_, content)| content.as_ref());
        let digest = Sha256::digest(plain.unwrap_or_default());
        let name = data_encoding::HEXLOWER.encode(&digest[..ETAG_BYTES]);
        Self {
            content_type: kinds::content_type(path),
            cache_control: kinds::cache_control(path),
            copies: copies
                .into_iter()
                .map(|(coding, content)| Copy {
                    coding,
                    etag: coding.etag(&name),
                    content,
                })
                .collect(),
        }
    }
}

/// As much of a file's hash as its ETag has: enough that two builds never share one.
const ETAG_BYTES: usize = 16;

impl Coding {
    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Plain => None,
        }
    }

    fn etag(self, hash: &str) -> HeaderValue {
        let text = match self.name() {
            Some(coding) => format!("\"{hash}-{coding}\""),
            None => format!("\"{hash}\""),
        };
        // Hexadecimal digits and letters: always a header.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }
}
