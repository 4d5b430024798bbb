//! The listening side of [`/webrtc-direct`](crate::direct).
//!
//! One UDP socket serves all clients of an address. Who a datagram is of is told by where it comes from;
//! the first of a client is a connectivity check whose STUN username says its username fragment and its password
//! (version 1 and 2 of the protocol). Nothing is made of a check that is not signed with what it says, nor of one that
//! does not come from where it says (`newcomers`), and the swarm is asked before a connection is made.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::future::{self, BoxFuture, Either, Pending, poll_fn};
use futures_timer::Delay;
use libp2p_core::{
    Multiaddr,
    multiaddr::Protocol,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    upgrade::OutboundConnectionUpgrade as _,
};
use libp2p_identity::{Keypair, PeerId};

pub use self::certificate::{Certificate, CertificateError};
use self::{clients::NewClient, listener::Listener};
use super::{Connection, Shared, agent::Agent, broken, budget::Ledger, channel::Channel};
use crate::{
    backend::{PeerConnection as _, SdpKind},
    direct::{
        Error,
        authenticate::{Encrypted, HANDSHAKE_CHANNEL, poll_connected},
        fingerprint::prologue,
        refused,
    },
    error::Step,
};

mod certificate;
mod clients;
pub(in crate::backend::native) mod dialler;
mod listener;
mod newcomers;

/// Listens on `/ip4|ip6/<ip>/udp/<port>/webrtc-direct`. It does not dial. It needs a tokio runtime.
pub struct Server {
    identity: Keypair,
    certificate: Certificate,
    timeout: Duration,
    ledger: Ledger,
    listeners: Vec<Listener>,
    events: VecDeque<TransportEvent<Upgrade, Error>>,
    waker: Option<Waker>,
}

type Upgrade = BoxFuture<'static, Result<Accepted, Error>>;
type Accepted = (PeerId, crate::Connection<Connection>);

impl Server {
    /// Serves as the peer with this key and this certificate, which is in its addresses. A handshake may
    /// take `timeout`.
    #[must_use]
    pub fn new(identity: Keypair, certificate: Certificate, timeout: Duration) -> Self {
        Self {
            identity,
            certificate,
            timeout,
            ledger: Ledger::new(false),
            listeners: Vec::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    /// Whether those who come from this machine may together cost no more than those of any other address.
    #[must_use]
    pub fn with_limit_loopback(mut self, limit_loopback: bool) -> Self {
        self.ledger = Ledger::new(limit_loopback);
        self
    }

    fn emit(&mut self, event: TransportEvent<Upgrade, Error>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn incoming(
        &self,
        listener_id: ListenerId,
        local_addr: Multiaddr,
        client: NewClient,
    ) -> TransportEvent<Upgrade, Error> {
        let (identity, certificate) = (self.identity.clone(), self.certificate.clone());
        let timeout = self.timeout;
        let send_back_addr = multiaddr(client.address);
        let upgrade = Box::pin(async move {
            let accepted = Box::pin(accept(client, identity, certificate));
            match future::select(accepted, Delay::new(timeout)).await {
                Either::Left((accepted, _)) => accepted,
                Either::Right(_) => Err(Error::Timeout(Step::Connecting)),
            }
        });
        TransportEvent::Incoming {
            listener_id,
            upgrade,
            local_addr,
            send_back_addr,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

/// `/ip4|ip6/<ip>/udp/<port>/webrtc-direct`.
fn multiaddr(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip())
        .with(Protocol::Udp(socket.port()))
        .with(Protocol::WebRTCDirect)
}

/// The socket address in such an address.
fn socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match (parts.next()?, parts.next()?, parts.next()) {
        (Protocol::Udp(port), Protocol::WebRTCDirect, None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// From the first check of a client to a connection with it.
async fn accept(
    client: NewClient,
    identity: Keypair,
    certificate: Certificate,
) -> Result<Accepted, Error> {
    let (mut peer, handshake) = prepare(client, &certificate).await?;
    let mut early = VecDeque::new();
    poll_fn(|cx| poll_connected(&mut peer, &mut early, Step::Connecting, cx)).await?;
    let fingerprint = |agent: &mut Agent| agent.remote_fingerprint();
    let theirs = peer.0.with(broken(), fingerprint).map_err(refused)?;
    let encrypted = Encrypted {
        peer,
        handshake,
        prologue: prologue(theirs, certificate.fingerprint()),
        early,
    };
    let begin = |noise: libp2p_noise::Config, stream| noise.upgrade_outbound(stream, "/noise");
    encrypted.authenticate(begin, &identity).await
}

/// Our side of a connection with a client whose first check is to be answered.
async fn prepare(
    client: NewClient,
    certificate: &Certificate,
) -> Result<(Connection, Channel), Error> {
    let NewClient {
        address,
        dialler,
        place,
        account,
    } = client;
    let agent = Agent::serving(&dialler, certificate.clone(), place, account).map_err(refused)?;
    let mut peer = Connection(Shared::new(agent));
    let handshake = peer.open_negotiated(HANDSHAKE_CHANNEL).map_err(refused)?;
    let set = peer.set_remote(SdpKind::Offer, dialler::offer(&dialler, address));
    set.await.map_err(refused)?;
    let answer = peer.create_answer().await.map_err(refused)?;
    let set = peer.set_local(SdpKind::Answer, answer);
    set.await.map_err(refused)?;
    Ok((peer, handshake))
}

impl libp2p_core::Transport for Server {
    type Output = Accepted;
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Pending<Result<Accepted, Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        let Some(socket) = socket_addr(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let listener = Listener::bind(id, socket, self.ledger.clone())
            .map_err(|source| TransportError::Other(Error::Socket(source)))?;
        self.listeners.push(listener);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.id() != id);
        let removed = self.listeners.len() < before;
        if removed {
            self.emit(TransportEvent::ListenerClosed {
                listener_id: id,
                reason: Ok(()),
            });
        }
        removed
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        let hash = self.certificate.certhash();
        for index in 0..self.listeners.len() {
            let Some(listener) = self.listeners.get_mut(index) else {
                break;
            };
            let listener_id = listener.id();
            let with_hash = |socket| multiaddr(socket).with(Protocol::Certhash(hash));
            match listener.poll(cx) {
                Poll::Ready(listener::Event::Up(socket)) => {
                    return Poll::Ready(TransportEvent::NewAddress {
                        listener_id,
                        listen_addr: with_hash(socket),
                    });
                }
                Poll::Ready(listener::Event::Down(socket)) => {
                    return Poll::Ready(TransportEvent::AddressExpired {
                        listener_id,
                        listen_addr: with_hash(socket),
                    });
                }
                Poll::Ready(listener::Event::Client(client)) => {
                    let local = with_hash(listener.local());
                    return Poll::Ready(self.incoming(listener_id, local, client));
                }
                Poll::Ready(listener::Event::Broken(error)) => {
                    self.listeners.remove(index);
                    return Poll::Ready(TransportEvent::ListenerClosed {
                        listener_id,
                        reason: Err(Error::Socket(error)),
                    });
                }
                Poll::Pending => {}
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
