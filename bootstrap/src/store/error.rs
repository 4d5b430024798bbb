//! Why the store can't be used.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Name of the database in the data directory.
pub(crate) const STORE_FILE: &str = "store.redb";

/// Why the store can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What is in it makes no sense.
    #[error(
        "the store is damaged: {0}; `moim-bootstrap store check` says more. To start with an empty \
         one, move {STORE_FILE} in the data directory away: peers put their records again in time"
    )]
    Damaged(String),
    /// It was written by a newer version of this program.
    #[error(
        "the store has schema {found}, this version of moim-bootstrap knows up to {known}; use the \
         newer version again, or move {STORE_FILE} in the data directory away"
    )]
    Newer {
        /// Its schema.
        found: u64,
        /// The newest we know.
        known: u64,
    },
    /// The system or the database refuses.
    #[error("{}: {source}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// What the database says of this file.
    pub(super) fn of_database(path: &Path, error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(text) => Self::Damaged(text),
            // Not a database, or half of one.
            redb::Error::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Damaged(error.to_string())
            }
            error => Self::at(path, error),
        }
    }

    /// What the system says of this file.
    pub(super) fn at(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Database {
            path: path.into(),
            source: error.into(),
        }
    }
}
