//! `moim-bootstrap block`: the block list.

use std::io::{self, Write};

use clap::Subcommand;
use thiserror::Error;

use crate::{
    block_list::{self, Entry, EntryError, file},
    config::Config,
    data_dir::DataDirError,
};

/// What to do with the block list.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[non_exhaustive]
pub enum BlockCommand {
    /// Block a peer or a range of addresses; a running node closes their connections
    Add {
        /// A peer id, an IP address, or a range like 192.0.2.0/24 or 2001:db8::/32
        entry: String,
    },
    /// Print who is blocked
    List,
    /// Block no longer
    Remove {
        /// As it was added
        entry: String,
    },
}

/// Why the block list can't be shown or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The file can't be read or written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What was to be blocked isn't anybody.
    #[error("{reason}")]
    Entry {
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be removed isn't there.
    #[error("{entry} is not on the block list; `moim-bootstrap block list` shows what is")]
    NotThere {
        /// The entry.
        entry: String,
    },
    /// stdout is closed.
    #[error("can't write to stdout: {0}")]
    Output(#[from] io::Error),
}

impl From<EntryError> for BlockError {
    fn from(error: EntryError) -> Self {
        Self::Entry {
            reason: error.to_string(),
        }
    }
}

impl BlockCommand {
    pub(super) fn run(&self, config: &Config, out: &mut dyn Write) -> Result<(), BlockError> {
        let dir = &config.data_dir;
        match self {
            Self::Add { entry } => {
                let entry: Entry = entry.parse()?;
                if file::edit(dir, |text| block_list::with(text, entry))? {
                    writeln!(out, "{entry} is blocked")?;
                } else {
                    writeln!(out, "{entry} was blocked already")?;
                }
            }
            Self::List => {
                for (number, entry) in block_list::entries(&file::read(dir)?) {
                    match entry {
                        Ok(entry) => writeln!(out, "{entry}")?,
                        Err(error) => writeln!(
                            io::stderr(),
                            "{}, line {number}: {error}; the line is ignored",
                            dir.join(file::FILE).display()
                        )?,
                    }
                }
            }
            Self::Remove { entry } => {
                let entry: Entry = entry.parse()?;
                if !file::edit(dir, |text| block_list::without(text, entry))? {
                    return Err(BlockError::NotThere {
                        entry: entry.to_string(),
                    });
                }
                writeln!(out, "{entry} is blocked no longer")?;
            }
        }
        Ok(())
    }
}
