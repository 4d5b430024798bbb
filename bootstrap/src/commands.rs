//! What `moim-bootstrap` does besides running a node: the subcommands.

use clap::Subcommand;

pub use self::block::{BlockCommand, BlockError};
use crate::config::Config;

mod block;

/// A subcommand.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show or change who gets nothing from this node
    #[command(subcommand)]
    Block(BlockCommand),
}

impl Command {
    /// Does it, and says on stdout what was done.
    ///
    /// # Errors
    ///
    /// Says why it can't be done.
    pub fn run(self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Block(command) => Ok(command.run(config)?),
        }
    }
}
