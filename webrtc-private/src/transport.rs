//! The half of the pair that makes connections.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{
    SinkExt as _, StreamExt as _,
    channel::{mpsc, oneshot},
    future::{self, BoxFuture, Either},
};
use libp2p_core::{
    Multiaddr,
    multiaddr::Protocol,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use libp2p_identity::PeerId;

use crate::{
    address,
    backend::Backend,
    config::Config,
    error::{Error, OpenError, Step},
    muxer::{Connection, StateChange, Teller},
    report::{Report, Reports, Role},
    session,
};

/// What the transport asks of the behaviour: a stream to signal on.
#[derive(Debug)]
pub(crate) struct DialRequest {
    pub(crate) peer: PeerId,
    pub(crate) relayed: Multiaddr,
    pub(crate) reply: oneshot::Sender<Result<Opened, OpenError>>,
}

/// A signalling stream.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: libp2p_swarm::Stream,
    /// Resolves when another session is to be preferred.
    pub(crate) superseded: oneshot::Receiver<()>,
}

/// What the behaviour tells the transport.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A peer wants to signal, over this circuit if the connection to it is a relayed one.
    Inbound {
        peer: PeerId,
        circuit: Option<Multiaddr>,
        opened: Box<Opened>,
    },
    /// A relay takes connections for us.
    CircuitUp(Multiaddr),
    /// It does no longer.
    CircuitDown(Multiaddr),
}

/// Dials and listens on [`/webrtc` addresses](crate::address). It makes the connection; the streams to
/// signal on come from the [behaviour](crate::Behaviour), because only a behaviour sees the connections
/// of a swarm.
pub struct Transport<B: Backend> {
    backend: B,
    config: Config,
    reports: Reports,
    opens: mpsc::Sender<DialRequest>,
    notices: mpsc::Receiver<Notice>,
    changes: mpsc::Sender<StateChange>,
    listener: Option<Listener>,
    /// Circuits that are up, whether anybody listens or not.
    circuits: BTreeSet<Multiaddr>,
    events: VecDeque<TransportEvent<Upgrade<B>, Error>>,
    waker: Option<Waker>,
}

type Upgrade<B> =
    BoxFuture<'static, Result<(PeerId, Connection<<B as Backend>::Connection>), Error>>;

#[derive(Debug)]
struct Listener {
    id: ListenerId,
}

impl<B: Backend> fmt::Debug for Transport<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("listener", &self.listener)
            .field("circuits", &self.circuits)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Transport<B> {
    pub(crate) fn new(
        backend: B,
        config: Config,
        reports: Reports,
        opens: mpsc::Sender<DialRequest>,
        notices: mpsc::Receiver<Notice>,
        changes: mpsc::Sender<StateChange>,
    ) -> Self {
        Self {
            backend,
            config,
            reports,
            opens,
            notices,
            changes,
            listener: None,
            circuits: BTreeSet::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    fn emit(&mut self, event: TransportEvent<Upgrade<B>, Error>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::CircuitUp(circuit) => {
                if let Some(listen_addr) = address::from_circuit(&circuit)
                    && self.circuits.insert(listen_addr.clone())
                    && let Some(Listener { id: listener_id }) = self.listener
                {
                    self.emit(TransportEvent::NewAddress {
                        listener_id,
                        listen_addr,
                    });
                }
            }
            Notice::CircuitDown(circuit) => {
                if let Some(listen_addr) = address::from_circuit(&circuit)
                    && self.circuits.remove(&listen_addr)
                    && let Some(Listener { id: listener_id }) = self.listener
                {
                    self.emit(TransportEvent::AddressExpired {
                        listener_id,
                        listen_addr,
                    });
                }
            }
            Notice::Inbound {
                peer,
                circuit,
                opened,
            } => {
                // Nobody listens: dropping the stream tells the other side.
                let Some(Listener { id: listener_id }) = self.listener else {
                    return;
                };
                let upgrade = self.answer(peer, *opened);
                let local_addr = Multiaddr::empty().with(Protocol::WebRTC);
                // With the circuit, because identify tells it to the peer, and js-libp2p expects an
                // address there that begins with a host: it fails at a bare `/webrtc`.
                let send_back_addr = circuit
                    .and_then(|circuit| address::from_circuit(&circuit))
                    .unwrap_or_else(|| local_addr.clone())
                    .with(Protocol::P2p(peer));
                self.emit(TransportEvent::Incoming {
                    listener_id,
                    upgrade,
                    local_addr,
                    send_back_addr,
                });
            }
        }
    }

    fn answer(&self, peer: PeerId, Opened { stream, superseded }: Opened) -> Upgrade<B> {
        let (backend, config, reports) = (
            self.backend.clone(),
            self.config.clone(),
            self.reports.clone(),
        );
        let teller = Teller::new(peer, Role::Answerer, self.changes.clone());
        Box::pin(async move {
            let connection = backend
                .connection(&config.ice_servers.get(), &config.reachable)
                .map_err(refused)?;
            let session = Box::pin(session::connect(
                connection,
                stream,
                Role::Answerer,
                config.timeout,
                config.reachable.clone(),
            ));
            let (report, result) = unless_superseded(session, superseded).await?;
            if let Err(error) = &result {
                tracing::debug!(%peer, %error, "answered in vain");
            }
            reports.put(peer, report, &result);
            result.map(|connection| (peer, connection.tell(teller)))
        })
    }
}

/// Runs a session until it is over, or another is to be preferred.
async fn unless_superseded<T>(
    session: impl Future<Output = T> + Unpin,
    superseded: oneshot::Receiver<()>,
) -> Result<T, Error> {
    match future::select(session, superseded).await {
        Either::Left((ended, _)) => Ok(ended),
        Either::Right((Ok(()), _)) => Err(Error::Superseded),
        // The behaviour has forgotten about it, which is no reason to stop.
        Either::Right((Err(_), session)) => Ok(session.await),
    }
}

/// A dial under way.
struct Request {
    peer: PeerId,
    relayed: Multiaddr,
    opens: mpsc::Sender<DialRequest>,
}

impl Request {
    async fn offer<B: Backend>(
        mut self,
        backend: B,
        config: &Config,
        report: &mut Report,
    ) -> Result<Connection<B::Connection>, Error> {
        let (reply, opened) = oneshot::channel();
        let request = DialRequest {
            peer: self.peer,
            relayed: self.relayed,
            reply,
        };
        self.opens.send(request).await.map_err(|_| Error::Gone)?;
        let Opened { stream, superseded } = opened.await.map_err(|_| Error::Gone)??;
        let connection = backend
            .connection(&config.ice_servers.get(), &config.reachable)
            .map_err(refused)?;
        let session = Box::pin(session::connect(
            connection,
            stream,
            Role::Offerer,
            config.timeout,
            config.reachable.clone(),
        ));
        let (outcome, result) = unless_superseded(session, superseded).await?;
        *report = outcome;
        result
    }
}

fn refused(source: crate::backend::BackendError) -> Error {
    Error::Backend {
        step: Step::Describing,
        source,
    }
}

impl<B: Backend> libp2p_core::Transport for Transport<B> {
    type Output = (PeerId, Connection<B::Connection>);
    type Error = Error;
    type ListenerUpgrade = Upgrade<B>;
    type Dial = Upgrade<B>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        if !address::is_webrtc(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        if address != Multiaddr::empty().with(Protocol::WebRTC) {
            return Err(TransportError::Other(Error::Address(
                "listen on plain /webrtc; the circuits are found by themselves",
            )));
        }
        if self.listener.is_some() {
            return Err(TransportError::Other(Error::Address(
                "there is a listener already",
            )));
        }
        self.listener = Some(Listener { id });
        for listen_addr in self.circuits.clone() {
            self.emit(TransportEvent::NewAddress {
                listener_id: id,
                listen_addr,
            });
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        if self
            .listener
            .as_ref()
            .is_none_or(|listener| listener.id != id)
        {
            return false;
        }
        self.listener = None;
        for listen_addr in self.circuits.clone() {
            self.emit(TransportEvent::AddressExpired {
                listener_id: id,
                listen_addr,
            });
        }
        self.emit(TransportEvent::ListenerClosed {
            listener_id: id,
            reason: Ok(()),
        });
        true
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        if !address::is_webrtc(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        // Not `MultiaddrNotSupported` from here on: the relay client takes every address that has
        // `/p2p-circuit` in it, and would make a relayed connection of it without a word.
        let address::Target { peer, relayed } =
            address::target(&address, None).map_err(TransportError::Other)?;
        let (backend, config, reports) = (
            self.backend.clone(),
            self.config.clone(),
            self.reports.clone(),
        );
        let request = Request {
            peer,
            relayed,
            opens: self.opens.clone(),
        };
        let teller = Teller::new(peer, Role::Offerer, self.changes.clone());
        Ok(Box::pin(async move {
            let mut report = Report::new(Role::Offerer);
            let result = request.offer(backend, &config, &mut report).await;
            reports.put(peer, report, &result);
            result.map(|connection| (peer, connection.tell(teller)))
        }))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            match self.notices.poll_next_unpin(cx) {
                Poll::Ready(Some(notice)) => self.on_notice(notice),
                Poll::Ready(None) | Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}
