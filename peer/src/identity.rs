//! Where a peer keeps its key between sessions: a file on native, IndexedDB in a browser.

use thiserror::Error;

#[cfg(not(target_arch = "wasm32"))]
#[path = "identity/native.rs"]
mod imp;

#[cfg(target_arch = "wasm32")]
#[path = "identity/browser.rs"]
mod imp;

pub use self::imp::{load_or_create, start_anew};

/// Why the key could not be loaded or kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// What is stored is not a key. It is never replaced silently: with it the peer id would go.
    #[error(
        "the identity in {location} is damaged: it must be a key, and is not; restore it from a backup, or move it away to start as a new peer"
    )]
    Broken {
        /// File or database entry.
        location: String,
    },
    /// The storage does not work.
    #[error("cannot {action} the identity in {location}")]
    Storage {
        /// `read` or `write`.
        action: &'static str,
        /// File or database entry.
        location: String,
        /// What is wrong with it.
        #[source]
        source: StorageFault,
    },
}

/// What is wrong with the place for identities.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageFault {
    /// The system refuses to read or write the file.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// This browser has no such storage, or none for this page.
    #[error("this browser has no storage for this page")]
    Missing,
    /// The browser does not do it. Its own words are in the log.
    #[error("the browser refused; its storage may be full")]
    Refused,
    /// The browser does not answer.
    #[error("the browser's storage does not answer")]
    Silent,
}
