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
                    let written = self.written();
                    self.held.retain(|(batch, ..)| *batch <= written);
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
        // Not always the first: one connection may wait for a later batch than another, whose
        // answers came after.
        let written = self.written();
        let next = self.held.iter().position(|(batch, ..)| *batch <= written)?;
        let (_, _, answer) = self.held.remove(next)?;
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
        task::Waker,
    };

    use libp2p::{
        identity::Keypair,
        kad::{Record, store::RecordStore as _},
    };
    use moim_protocol::{
        UnixMillis, limits,
        record::{self, record_key},
    };

    use super::*;
    use crate::{journal::Batch, store::StoreLimits};

    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<VecDeque<Progress>>>);

    impl Journal for Disk {
        fn write(&mut self, _: Batch) {}

        fn poll(&mut self, _: &mut Context<'_>) -> Poll<Progress> {
            let next = self.0.lock().unwrap().pop_front();
            next.map_or(Poll::Pending, Poll::Ready)
        }
    }

    fn value(key: &str) -> Record {
        let keypair = Keypair::generate_ed25519();
        let since = web_time::SystemTime::now().duration_since(web_time::SystemTime::UNIX_EPOCH);
        let issued = UnixMillis::from_epoch(since.unwrap());
        let record = record::Record {
            key: key.parse().unwrap(),
            value: serde_json::json!(1),
            publisher: keypair.public().to_peer_id(),
            sequence: 1,
            issued,
            expires: issued.saturating_add(limits::RECORD_TTL_DEFAULT),
        };
        let signed = record.sign(&keypair).unwrap();
        Record::new(record_key(key), signed.into_bytes())
    }

    #[test]
    fn an_answer_that_is_due_does_not_wait_for_one_that_is_not() {
        let disk = Disk::default();
        let mut store = Store::new(PeerId::random(), 7, StoreLimits::default());
        store.restore::<Infallible>([]).unwrap();
        let mut writing = Writing::new(Box::new(disk.clone()));
        let (one, other) = (
            ConnectionId::new_unchecked(1),
            ConnectionId::new_unchecked(2),
        );
        let (peer, mut broken) = (PeerId::random(), VecDeque::new());
        let mut cx = Context::from_waker(Waker::noop());

        store.put(value("first")).unwrap();
        writing.on_accepted(peer, one, &mut store);
        assert_eq!(writing.poll(&mut store, &mut broken, &mut cx), None);
        // While that is written, another record comes, and is answered before the first.
        store.put(value("second")).unwrap();
        writing.on_accepted(peer, other, &mut store);
        assert_eq!(writing.hold(other, "second"), None);
        assert_eq!(writing.hold(one, "first"), None);
        assert_eq!(writing.poll(&mut store, &mut broken, &mut cx), None);

        disk.0
            .lock()
            .unwrap()
            .extend([Progress::Written, Progress::Stuck]);
        let answer = writing.poll(&mut store, &mut broken, &mut cx);
        assert_eq!(answer, Some("first"));
        assert_eq!(writing.poll(&mut store, &mut broken, &mut cx), None);
        // The other is told by the end of its connection.
        assert_eq!(broken, [(peer, other)]);
        assert!(writing.is_stuck());
    }
}
