//! Writes down what a store holds, and keeps an answer back until what it acknowledges is written.
//!
//! While one batch is written, the changes that come meanwhile make up the next: however slow the
//! disk, an acknowledgement waits for two batches at most, and a fast sequence of records costs few
//! writes.

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll},
};

use libp2p::{PeerId, swarm::ConnectionId};

use crate::{
    journal::{Journal, Progress},
    store::Store,
};

/// `T` is an answer on its way to a connection.
pub(super) struct Writing<T> {
    journal: Box<dyn Journal>,
    /// Number of the batch that is being collected.
    collecting: u64,
    /// Whether the batch before it is being written.
    is_busy: bool,
    is_stuck: bool,
    /// The connections whose answers wait, and for which batch.
    waits: HashMap<ConnectionId, (PeerId, u64)>,
    /// At most as many for each connection as it may have requests open.
    held: VecDeque<(u64, ConnectionId, T)>,
}

impl<T> Writing<T> {
    pub(super) fn new(journal: Box<dyn Journal>) -> Self {
        Self {
            journal,
            collecting: 1,
            is_busy: false,
            is_stuck: false,
            waits: HashMap::new(),
            held: VecDeque::new(),
        }
    }

    /// Whether nothing can be written for now.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Whether a batch is being written.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Number of the last batch that is written.
    fn written(&self) -> u64 {
        self.collecting
            .saturating_sub(1)
            .saturating_sub(self.is_busy.into())
    }

    /// Makes the answers to a connection wait for the record that has just been accepted on it.
    pub(super) fn on_accepted(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        store: &mut Store,
    ) {
        // What is accepted while nothing can be written is acknowledged without, see `set_stuck`.
        if self.is_stuck {
            return;
        }
        // A record that was there already may still be on its way to the disk.
        let batch = if store.has_changes() {
            self.collecting
        } else {
            self.collecting.saturating_sub(1)
        };
        if batch > self.written() {
            self.waits.insert(connection, (peer, batch));
        }
    }

    pub(super) fn on_closed(&mut self, connection: ConnectionId) {
        if self.waits.remove(&connection).is_some() {
            self.held.retain(|(_, held, _)| *held != connection);
        }
    }

    /// The answer, if it may go now. Otherwise it comes from [`poll`](Self::poll).
    pub(super) fn hold(&mut self, connection: ConnectionId, answer: T) -> Option<T> {
        let Some((_, batch)) = self.waits.get(&connection) else {
            return Some(answer);
        };
        self.held.push_back((*batch, connection, answer));
        None
    }

    /// Goes on with writing, and gives the next answer that has waited long enough. Who is in
    /// `broken` afterwards gets no answer any more.
    pub(super) fn poll(
        &mut self,
        store: &mut Store,
        broken: &mut VecDeque<(PeerId, ConnectionId)>,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        loop {
            if !self.is_busy {
                if !store.has_changes() {
                    break;
                }
                self.journal.write(store.take_batch());
                self.is_busy = true;
                self.collecting = self.collecting.saturating_add(1);
            }
            match self.journal.poll(cx) {
                Poll::Pending => break,
                Poll::Ready(Progress::Stuck) => {
                    self.is_stuck = true;
                    // Nobody knows when it will be written; their peers should know that it isn't.
                    let waits = self.waits.drain();
                    broken.extend(waits.map(|(connection, (peer, _))| (peer, connection)));
                    self.held.clear();
                }
                Poll::Ready(Progress::Written) => {
                    self.is_busy = false;
                    self.is_stuck = false;
                    let written = self.written();
                    self.waits.retain(|_, (_, batch)| *batch > written);
                }
            }
            store.set_stuck(self.is_stuck);
        }
        let written = self.written();
        let (_, _, answer) = self.held.pop_front_if(|(batch, ..)| *batch <= written)?;
        Some(answer)
    }
}
