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
        "the identity in {location} is broken: {reason}; restore it from a backup, or move it away to start as a new peer"
    )]
    Broken {
        /// File or database entry.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The storage does not work.
    #[error("cannot {action} the identity in {location}: {reason}")]
    Storage {
        /// `read` or `write`.
        action: &'static str,
        /// File or database entry.
        location: String,
        /// What the platform said.
        reason: String,
    },
}
