//! Two swarms in one process, of which one has handlers that panic, or another end that is silent.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    future::Future,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
    core::{
        Endpoint,
        transport::{MemoryTransport, PortUse},
        upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo, Version},
    },
    identity::Keypair,
    noise, ping,
    swarm::{
        self, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, Stream, SubstreamProtocol, SwarmEvent, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy, handler::ConnectionEvent,
    },
    yamux,
};
use moim_connection_guard::{Behaviour, Limits, Panics, Transport};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/fragile/1");
const DEADLINE: Duration = Duration::from_secs(30);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(DEADLINE, future).await;
    result.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

fn new_swarm<B: NetworkBehaviour>(
    behaviour: B,
    limits: Limits,
    panics: &Panics,
) -> Swarm<Behaviour<B>> {
    let keypair = Keypair::generate_ed25519();
    let transport = MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    Swarm::new(
        Transport::new(transport, limits, panics.clone()).boxed(),
        Behaviour::new(behaviour, panics.clone()),
        keypair.public().to_peer_id(),
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(DEADLINE),
    )
}

/// Listens, and gives the address.
async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
    soon("an address", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    })
    .await
}

/// Where the handler panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Nowhere,
    BehaviourEvent,
    Close,
    ConnectionEvent,
    Drop,
    InboundUpgrade,
    KeepAlive,
    ListenProtocol,
    OutboundUpgrade,
    Poll,
}

/// Opens a stream on each connection, and panics.
struct Fragile {
    at: At,
    told: Vec<(PeerId, ConnectionId)>,
}

impl Fragile {
    fn new(at: At) -> Self {
        let told = Vec::new();
        Self { at, told }
    }

    fn handler(&self) -> FragileHandler {
        FragileHandler {
            at: self.at,
            has_asked: false,
        }
    }
}

impl NetworkBehaviour for Fragile {
    type ConnectionHandler = FragileHandler;
    type ToSwarm = ();

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionEstablished(event) = event {
            self.told.push((event.peer_id, event.connection_id));
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        (): THandlerOutEvent<Self>,
    ) {
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.told.pop() {
            Some((peer_id, id)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(id),
                event: (),
            }),
            None => Poll::Pending,
        }
    }
}

struct FragileHandler {
    at: At,
    has_asked: bool,
}

impl FragileHandler {
    fn reach(&self, at: At) {
        assert_ne!(self.at, at, "as a protocol may");
    }
}

impl Drop for FragileHandler {
    fn drop(&mut self) {
        self.reach(At::Drop);
    }
}

impl ConnectionHandler for FragileHandler {
    type FromBehaviour = ();
    type ToBehaviour = ();
    type InboundProtocol = FragileUpgrade;
    type OutboundProtocol = FragileUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<FragileUpgrade> {
        self.reach(At::ListenProtocol);
        SubstreamProtocol::new(FragileUpgrade(self.at), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.reach(At::KeepAlive);
        // When there is nothing else, it is asked all the time.
        self.at != At::KeepAlive
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<FragileUpgrade, (), ()>> {
        self.reach(At::Poll);
        if std::mem::replace(&mut self.has_asked, true) || self.at == At::KeepAlive {
            return Poll::Pending;
        }
        let protocol = SubstreamProtocol::new(FragileUpgrade(self.at), ());
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Option<()>> {
        self.reach(At::Close);
        Poll::Ready(None)
    }

    fn on_behaviour_event(&mut self, (): ()) {
        self.reach(At::BehaviourEvent);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, FragileUpgrade, FragileUpgrade, (), ()>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(_)
        | ConnectionEvent::FullyNegotiatedOutbound(_) = event
        {
            self.reach(At::ConnectionEvent);
        }
    }
}

struct FragileUpgrade(At);

impl UpgradeInfo for FragileUpgrade {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

impl InboundUpgrade<Stream> for FragileUpgrade {
    type Output = Stream;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Stream, std::convert::Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        async move {
            assert_ne!(self.0, At::InboundUpgrade, "as an upgrade may");
            Ok(stream)
        }
        .boxed()
    }
}

impl OutboundUpgrade<Stream> for FragileUpgrade {
    type Output = Stream;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Stream, std::convert::Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        async move {
            assert_ne!(self.0, At::OutboundUpgrade, "as an upgrade may");
            Ok(stream)
        }
        .boxed()
    }
}

/// Drives both until the first has no connection any more.
async fn until_alone<A: NetworkBehaviour, B: NetworkBehaviour>(
    one: &mut Swarm<A>,
    other: &mut Swarm<B>,
) {
    soon("the connection to end", async {
        loop {
            tokio::select! {
                event = one.select_next_some() => {
                    if let SwarmEvent::ConnectionClosed { num_established: 0, .. } = event {
                        return;
                    }
                }
                _ = other.select_next_some() => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_closes_its_connection_wherever_it_does() {
    for at in [
        At::BehaviourEvent,
        At::ConnectionEvent,
        At::InboundUpgrade,
        At::KeepAlive,
        At::ListenProtocol,
        At::OutboundUpgrade,
        At::Poll,
    ] {
        let panics = Panics::default();
        let mut one = new_swarm(Fragile::new(at), Limits::default(), &panics);
        let mut other = new_swarm(
            Fragile::new(At::Nowhere),
            Limits::default(),
            &Panics::default(),
        );
        if at == At::KeepAlive {
            // It is asked only about connections without streams.
            let dummy = dummy::Behaviour;
            let mut other = new_swarm(dummy, Limits::default(), &Panics::default());
            other.dial(listen(&mut one).await).unwrap();
            until_alone(&mut one, &mut other).await;
        } else {
            other.dial(listen(&mut one).await).unwrap();
            until_alone(&mut one, &mut other).await;
        }
        let info = one.network_info();
        assert_eq!(info.connection_counters().num_connections(), 0, "{at:?}");
        assert_eq!(panics.total(), 1, "{at:?}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_at_its_end_does_not_keep_its_connection() {
    for at in [At::Close, At::Drop] {
        let panics = Panics::default();
        let mut one = new_swarm(Fragile::new(at), Limits::default(), &panics);
        let mut other = new_swarm(
            Fragile::new(At::Nowhere),
            Limits::default(),
            &Panics::default(),
        );
        other.dial(listen(&mut one).await).unwrap();
        let peer = *other.local_peer_id();
        soon("a connection", async {
            while !one.is_connected(&peer) {
                tokio::select! {
                    _ = one.select_next_some() => {}
                    _ = other.select_next_some() => {}
                }
            }
        })
        .await;
        one.disconnect_peer_id(peer).unwrap();
        until_alone(&mut one, &mut other).await;
        drop(one);
        // The handler ends with the connection's task.
        soon("the panic", async {
            while panics.total() != 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn other_connections_go_on() {
    let panics = Panics::default();
    let mut one = new_swarm(
        Fragile::new(At::OutboundUpgrade),
        Limits::default(),
        &panics,
    );
    let address = listen(&mut one).await;
    // Whoever does not speak the protocol meets no panic.
    let mut honest = new_swarm(
        ping::Behaviour::default(),
        Limits::default(),
        &Panics::default(),
    );
    honest.dial(address.clone()).unwrap();
    let peer = *honest.local_peer_id();
    for n in 1..4 {
        let mut hostile = new_swarm(
            Fragile::new(At::Nowhere),
            Limits::default(),
            &Panics::default(),
        );
        hostile.dial(address.clone()).unwrap();
        soon("the panic", async {
            while panics.total() != n || !one.is_connected(&peer) {
                tokio::select! {
                    _ = one.select_next_some() => {}
                    _ = honest.select_next_some() => {}
                    _ = hostile.select_next_some() => {}
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_one_that_pings_is_not() {
    let limits = Limits {
        silence: Duration::from_millis(400),
        ..Limits::default()
    };
    let panics = Panics::default();
    // It answers pings, which is enough.
    let mut one = new_swarm(ping::Behaviour::default(), limits, &panics);
    let config = ping::Config::new().with_interval(Duration::from_millis(40));
    let mut pinging = new_swarm(ping::Behaviour::new(config), Limits::default(), &panics);
    let address = listen(&mut one).await;
    pinging.dial(address.clone()).unwrap();
    let mut pings = 0;
    soon("thirty pings, for three times the silence allowed", async {
        while pings < 30 {
            tokio::select! {
                event = one.select_next_some() => assert!(
                    !matches!(event, SwarmEvent::ConnectionClosed { .. }),
                    "{event:?}"
                ),
                event = pinging.select_next_some() => {
                    if let SwarmEvent::Behaviour(ping::Event { result: Ok(_), .. }) = event {
                        pings += 1;
                    }
                }
            }
        }
    })
    .await;
    drop(pinging);

    let mut deaf = new_swarm(dummy::Behaviour, limits, &panics);
    let mut silent = new_swarm(dummy::Behaviour, Limits::default(), &panics);
    silent.dial(listen(&mut deaf).await).unwrap();
    until_alone(&mut deaf, &mut silent).await;
}
