//! Streams of programs' own: `/moim/stream/1.0.0`.
//!
//! The driver chooses the connection and counts places, [`behaviour`] opens and takes raw streams, [`handshake`] exchanges
//! the headers, and [`Duplex`] is what programs get.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{PeerId, Stream};
use moim_protocol::{limits::STREAMS_WAITING_MAX, stream_wire::ProtocolName};
use tokio::sync::mpsc;

pub use self::duplex::Duplex;
use self::{chunks::Chunks, places::Place};
use crate::{error::AcceptError, snapshot::Path};

pub(crate) mod behaviour;
pub(crate) mod chunks;
mod duplex;
pub(crate) mod handshake;
pub(crate) mod places;

/// A stream on the connection that was chosen for it, before any header.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) stream: Stream,
    pub(crate) peer: PeerId,
    pub(crate) path: Path,
    pub(crate) place: Place,
}

impl Raw {
    /// With chunks instead of bytes.
    fn into_parts(
        self,
    ) -> (
        Chunks<Stream>,
        impl FnOnce(Chunks<Stream>, ProtocolName) -> Duplex,
    ) {
        let Self {
            stream,
            peer,
            path,
            place,
        } = self;
        let finish = move |chunks, protocol| Duplex::new(chunks, peer, protocol, path, place);
        (Chunks::new(stream), finish)
    }
}

/// The programs' ends of protocols; `None` once the peer has stopped.
type Speakers = Option<HashMap<ProtocolName, mpsc::Sender<Duplex>>>;

/// The protocols that programs here speak on streams that others open. One list for a peer and all its handles.
#[derive(Clone)]
pub(crate) struct Accepted(Arc<Mutex<Speakers>>);

impl Default for Accepted {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(HashMap::new()))))
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.lock().as_ref().map(|all| all.len());
        f.debug_tuple("Accepted").field(&names).finish()
    }
}

impl Accepted {
    fn lock(&self) -> MutexGuard<'_, Speakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn accept(&self, protocol: ProtocolName) -> Result<Incoming, AcceptError> {
        let mut speakers = self.lock();
        let speakers = speakers.as_mut().ok_or(AcceptError::Stopped)?;
        if speakers.contains_key(&protocol) {
            return Err(AcceptError::AlreadyAccepted);
        }
        let (sender, receiver) = mpsc::channel(STREAMS_WAITING_MAX);
        speakers.insert(protocol.clone(), sender);
        Ok(Incoming {
            protocol,
            receiver,
            accepted: self.clone(),
        })
    }

    /// The end of the program that speaks a protocol, if there is one.
    fn speaker(&self, protocol: &ProtocolName) -> Option<mpsc::Sender<Duplex>> {
        self.lock().as_ref()?.get(protocol).cloned()
    }

    /// The peer stops: no more streams come.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }
}

/// The streams that others open for one protocol, in the order of their coming. Dropped: they are refused from then on.
///
/// [`limits::STREAMS_WAITING_MAX`](crate::limits::STREAMS_WAITING_MAX) of them wait here; what comes beyond is refused
/// with `busy`.
#[derive(Debug)]
pub struct Incoming {
    protocol: ProtocolName,
    receiver: mpsc::Receiver<Duplex>,
    accepted: Accepted,
}

impl Incoming {
    /// The protocol that these streams speak.
    pub fn protocol(&self) -> &ProtocolName {
        &self.protocol
    }

    /// The next stream, or `None` once the peer has stopped. Cancel-safe.
    pub async fn next(&mut self) -> Option<Duplex> {
        self.receiver.recv().await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(speakers) = self.accepted.lock().as_mut() {
            speakers.remove(&self.protocol);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ProtocolName {
        name.parse().expect("valid")
    }

    #[test]
    fn a_protocol_is_accepted_by_one_program_at_a_time() {
        let accepted = Accepted::default();
        let chess = accepted.accept(name("chess/1")).expect("free");
        let again = accepted.accept(name("chess/1"));
        assert!(matches!(again, Err(AcceptError::AlreadyAccepted)));
        assert!(accepted.speaker(&name("chess/1")).is_some());
        assert!(accepted.speaker(&name("chess/2")).is_none());
        drop(chess);
        assert!(accepted.speaker(&name("chess/1")).is_none());
        accepted.accept(name("chess/1")).expect("free again");
    }

    #[test]
    fn nobody_accepts_anything_at_a_peer_that_has_stopped() {
        let accepted = Accepted::default();
        let mut chess = accepted.accept(name("chess/1")).expect("free");
        accepted.close();
        let next = futures::executor::block_on(chess.next());
        assert!(next.is_none());
        let late = accepted.accept(name("chess/2"));
        assert!(matches!(late, Err(AcceptError::Stopped)));
    }
}
