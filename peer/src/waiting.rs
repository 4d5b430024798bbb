//! Connections from others that are being set up, so that nobody keeps others out by beginning many and saying nothing.
//!
//! Each [`Carrier`] has places of its own: forged beginnings by QUIC take nothing from TCP, nor circuits from either. When
//! all of one are taken, the oldest gives way of whoever has most of them. So who is not let in at once needs only to be
//! faster than as many others as there are places.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use futures::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    },
    multiaddr::Protocol,
};
use moim_protocol::rate::Source;

/// Connections of a carrier that are set up at once. Each may keep a Noise message of 64 KiB.
const PLACES: usize = 64;

/// By what a connection comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// WebSocket too.
    Tcp,
    Quic,
    /// Through a relay.
    Circuit,
    /// By WebRTC.
    Session,
}

impl Carrier {
    /// Of the address that it has come to.
    fn of(local: &Multiaddr) -> Self {
        let is_circuit = local.iter().any(|part| part == Protocol::P2pCircuit);
        local
            .iter()
            .find_map(|part| match part {
                Protocol::WebRTC | Protocol::WebRTCDirect => Some(Self::Session),
                Protocol::Quic | Protocol::QuicV1 => Some(Self::Quic),
                _ => None,
            })
            .unwrap_or(if is_circuit { Self::Circuit } else { Self::Tcp })
    }
}

/// Whether a relay has brought a connection, or the messages that led to it. The address has the relay's host or none.
pub(crate) fn is_relayed(remote: &Multiaddr) -> bool {
    let is_by_relay = |part| matches!(part, Protocol::P2pCircuit | Protocol::WebRTC);
    remote.iter().any(is_by_relay) || matches!(remote.iter().next(), Some(Protocol::P2p(_)))
}

/// Where a connection comes from, if that is an address of its own, and not of this machine, where everything may run.
pub(crate) fn source(remote: &Multiaddr) -> Option<Source> {
    if is_relayed(remote) {
        return None;
    }
    let source = Source::from(moim_dht::first_ip(remote)?);
    Some(source).filter(|source| !source.is_loopback())
}

/// Who waits, in the order of their coming. Pure but for `T`, which is how one is sent away.
#[derive(Debug)]
struct Waiting<T> {
    next: u64,
    all: BTreeMap<u64, (Carrier, Option<Source>, T)>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            next: 0,
            all: BTreeMap::new(),
        }
    }
}

impl<T> Waiting<T> {
    /// Gives a place, and who has to make room for it.
    fn enter(&mut self, carrier: Carrier, source: Option<Source>, who: T) -> (u64, Option<T>) {
        let of_carrier = self.all.iter().filter(|(_, (of, ..))| *of == carrier);
        let gone = if of_carrier.clone().count() < PLACES {
            None
        } else {
            let share = |source: Option<Source>| {
                let alike = of_carrier.clone().filter(|(_, (_, of, _))| *of == source);
                // Of those whom nobody can tell apart each may be somebody else.
                if source.is_some() { alike.count() } else { 1 }
            };
            // The last of all that are equal is taken, so the oldest has to come last.
            let by_age = of_carrier.clone().rev();
            let largest = by_age.max_by_key(|(_, (_, source, _))| share(*source));
            largest.map(|(number, _)| *number)
        };
        let gone = gone.and_then(|number| self.all.remove(&number));
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.all.insert(number, (carrier, source, who));
        (number, gone.map(|(.., who)| who))
    }

    /// It is set up, or never will be.
    fn leave(&mut self, number: u64) {
        self.all.remove(&number);
    }
}

type Shared = Arc<Mutex<Waiting<AbortHandle>>>;

fn lock(waiting: &Shared) -> MutexGuard<'_, Waiting<AbortHandle>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

type Connections = Boxed<(PeerId, StreamMuxerBox)>;
type SetUp = <Connections as libp2p::Transport>::ListenerUpgrade;

/// The transport around all others that sees to it.
#[derive(Debug)]
pub(crate) struct Transport {
    inner: Connections,
    waiting: Shared,
}

impl Transport {
    pub(crate) fn new(inner: Connections) -> Self {
        Self {
            inner,
            waiting: Shared::default(),
        }
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = Place;
    type Dial = <Connections as libp2p::Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = ready!(Pin::new(&mut self.inner).poll(cx));
        let comes = match &event {
            TransportEvent::Incoming {
                local_addr,
                send_back_addr,
                ..
            } => (Carrier::of(local_addr), source(send_back_addr)),
            // It has no upgrade.
            _ => (Carrier::Tcp, None),
        };
        let waiting = &self.waiting;
        Poll::Ready(event.map_upgrade(|upgrade| Place::new(waiting.clone(), comes, upgrade)))
    }
}

/// A connection that is being set up in its place.
pub(crate) struct Place {
    inner: Abortable<SetUp>,
    waiting: Shared,
    number: u64,
}

impl Place {
    fn new(waiting: Shared, (carrier, source): (Carrier, Option<Source>), inner: SetUp) -> Self {
        let (handle, registration) = AbortHandle::new_pair();
        let (number, gone) = lock(&waiting).enter(carrier, source, handle);
        if let Some(gone) = gone {
            gone.abort();
        }
        Self {
            inner: Abortable::new(inner, registration),
            waiting,
            number,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.waiting).leave(self.number);
    }
}

impl Future for Place {
    type Output = io::Result<(PeerId, StreamMuxerBox)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.inner.poll_unpin(cx));
        Poll::Ready(outcome.unwrap_or_else(|_| {
            Err(io::Error::other(
                "it took too long, and others wanted its place",
            ))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Option<Source> {
        source(&address.parse().expect("valid"))
    }

    #[test]
    fn each_carrier_is_known_by_its_address() {
        let relay = "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        for (address, carrier) in [
            ("/ip4/192.0.2.1/tcp/1".to_owned(), Carrier::Tcp),
            ("/ip4/192.0.2.1/tcp/1/ws".to_owned(), Carrier::Tcp),
            ("/ip4/192.0.2.1/udp/1/quic-v1".to_owned(), Carrier::Quic),
            (format!("{relay}/p2p-circuit"), Carrier::Circuit),
            ("/webrtc".to_owned(), Carrier::Session),
        ] {
            let parsed = address.parse().expect("valid");
            assert_eq!(Carrier::of(&parsed), carrier, "{address}");
        }
        assert_eq!(from(&format!("{relay}/p2p-circuit/webrtc")), None);
        assert_eq!(from("/ip4/127.0.0.1/tcp/1"), None);
        assert!(from("/ip4/192.0.2.1/tcp/1").is_some());
    }

    #[test]
    fn the_oldest_of_the_largest_source_gives_way() {
        let mut waiting = Waiting::default();
        let (bob, eve) = (from("/ip4/192.0.2.1/tcp/1"), from("/ip4/192.0.2.2/tcp/1"));
        assert_eq!(waiting.enter(Carrier::Tcp, bob, "bob").1, None);
        for _ in 1..PLACES {
            assert_eq!(waiting.enter(Carrier::Tcp, eve, "eve").1, None);
        }
        for _ in 0..1_000 {
            assert_eq!(waiting.enter(Carrier::Tcp, eve, "eve").1, Some("eve"));
        }
        // Somebody else has a place at once, and keeps it.
        let (ada, gone) = waiting.enter(Carrier::Tcp, from("/ip4/192.0.2.3/tcp/1"), "ada");
        assert_eq!(gone, Some("eve"));
        assert!(waiting.all.contains_key(&0) && waiting.all.contains_key(&ada));
        // The other carriers have their own.
        assert_eq!(waiting.enter(Carrier::Quic, eve, "eve").1, None);
        assert_eq!(waiting.all.len(), PLACES + 1);
    }

    #[test]
    fn of_those_behind_relays_the_oldest_gives_way() {
        let mut waiting = Waiting::default();
        for n in 0..PLACES {
            assert_eq!(waiting.enter(Carrier::Circuit, None, n).1, None);
        }
        let (ada, gone) = waiting.enter(Carrier::Circuit, None, 1_000);
        assert_eq!(gone, Some(0));
        for n in 1..PLACES {
            assert_eq!(waiting.enter(Carrier::Circuit, None, 0).1, Some(n));
            assert!(
                waiting.all.contains_key(&ada),
                "it has had {n} others' time"
            );
        }
        waiting.leave(ada);
        assert_eq!(waiting.enter(Carrier::Circuit, None, 0).1, None);
    }
}
