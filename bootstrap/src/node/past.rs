//! What a node that starts again has from the one before.

use std::sync::Arc;

use moim_connection_guard::Panics;
use tokio::sync::watch;

use crate::block_list::BlockList;

/// What outlives a start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    pub(crate) panics: Panics,
    /// Times that the node was started anew.
    pub(crate) restarts: u32,
    /// The block list of the node before: its file may be gone meanwhile.
    pub(crate) blocked: Option<watch::Receiver<Arc<BlockList>>>,
    /// Panics in the event loop when it is told to.
    #[cfg(test)]
    pub(crate) sabotage: crate::restart::tests::Sabotage,
}
