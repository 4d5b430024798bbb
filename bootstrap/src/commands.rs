//! What `moim-bootstrap` does instead of running a node, when told to.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Subcommand;
use thiserror::Error;

pub use self::{
    block::{BlockCommand, BlockError},
    init::{CheckError, InitError, check},
    store::{StoreCommand, StoreCommandError},
};
use crate::config::Config;

mod block;
mod init;
pub(crate) mod store;

/// A subcommand.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Show or change who gets nothing from this node
    #[command(subcommand)]
    Block(BlockCommand),
    /// Write a settings file with every setting and its default
    Init {
        /// Where to [default: moim-bootstrap.toml in the data directory]
        file: Option<PathBuf>,
    },
    /// Look after the DHT's store, while no node uses it
    #[command(subcommand)]
    Store(StoreCommand),
}

/// Why a subcommand failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A `block` command.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// `init`.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Nobody takes what it says.
    #[error("can't write the output")]
    Output(#[from] io::Error),
    /// A `store` command.
    #[error(transparent)]
    Store(#[from] StoreCommandError),
}

impl Command {
    /// Does it, and says on `out` what came of it.
    ///
    /// # Errors
    ///
    /// If it can't be done, or what was checked isn't as it should be.
    pub fn run(&self, config: &Config, out: &mut dyn Write) -> Result<(), CommandError> {
        match self {
            Self::Block(command) => command.run(config, out)?,
            Self::Init { file } => init::init(config, file.as_deref(), out)?,
            Self::Store(command) => command.run(config, out)?,
        }
        Ok(out.flush()?)
    }
}
