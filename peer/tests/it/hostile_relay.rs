//! Bootstrap nodes that promise reservations of impossible times.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::join_all};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, SwarmBuilder,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    identify, noise, ping,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, Stream, SubstreamProtocol, SwarmEvent, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
    tcp, yamux,
};
use moim_peer::{BootstrapSource, PeerEvent, Room};
use n0_future::time::timeout;
use tokio::sync::mpsc;

use crate::common::{PATIENCE, TestPeer, builder, server};

/// Circuit Relay v2, section "Hop protocol".
const HOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop");

/// Answers RESERVE by what it is told to.
struct Hop {
    answer: Vec<u8>,
    asked: mpsc::Sender<ConnectionId>,
}

struct HopHandler {
    answer: Vec<u8>,
    asked: mpsc::Sender<ConnectionId>,
    id: ConnectionId,
}

impl Hop {
    fn handler(&self, id: ConnectionId) -> HopHandler {
        HopHandler {
            answer: self.answer.clone(),
            asked: self.asked.clone(),
            id,
        }
    }
}

impl NetworkBehaviour for Hop {
    type ConnectionHandler = HopHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(id))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(id))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

impl ConnectionHandler for HopHandler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(HOP), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Infallible>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: stream,
            ..
        }) = event
        {
            tokio::spawn(reply(stream, self.answer.clone()));
            // Nobody has to count all of them.
            let _ = self.asked.try_send(self.id);
        }
    }
}

async fn reply(mut stream: Stream, answer: Vec<u8>) -> std::io::Result<()> {
    // RESERVE has two bytes after its length.
    stream.read_exact(&mut [0; 3]).await?;
    stream.write_all(&answer).await?;
    stream.flush().await?;
    stream.close().await
}

#[derive(NetworkBehaviour)]
struct Hostile {
    hop: Hop,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

pub(crate) fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [
        vec![tag << 3 | 2],
        varint(bytes.len() as u64),
        bytes.to_vec(),
    ]
    .concat()
}

/// STATUS with OK, a reservation until `expire`, and limits of a circuit if there are any.
fn answer(expire: u64, limit: Option<(u64, u64)>) -> Vec<u8> {
    // /ip4/192.0.2.1/tcp/1
    let address = [4, 192, 0, 2, 1, 6, 0, 1];
    let reservation = [vec![8], varint(expire), field(2, &address)].concat();
    let limit = limit.map_or_else(Vec::new, |(duration, data)| {
        let limit = [vec![8], varint(duration), vec![16], varint(data)].concat();
        field(4, &limit)
    });
    let message = [vec![8, 2], field(3, &reservation), limit, vec![40, 100]].concat();
    [varint(message.len() as u64), message].concat()
}

/// Starts such a bootstrap node. Its address, and who asks it for a reservation on which connection.
async fn hostile(answer: Vec<u8>) -> (BootstrapSource, mpsc::Receiver<ConnectionId>) {
    let (asked, asking) = mpsc::channel(1);
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("noise")
        .with_behaviour(|key| Hostile {
            hop: Hop { answer, asked },
            identify: identify::Behaviour::new(identify::Config::new(
                "/test/1".to_owned(),
                key.public(),
            )),
            ping: ping::Behaviour::default(),
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("valid");
    swarm.listen_on(listen).expect("it listens");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let source = format!("{address}/p2p/{}", swarm.local_peer_id());
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (source.parse().expect("valid"), asking)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_time_of_a_reservation_costs_a_peer_more_than_that_connection() {
    let (mut honest, source) = server().await;
    let honest_room = honest.join("global-chat", "Honest").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    // Each with whether the connection it was said on can't be used any more.
    let answers = [
        (answer(u64::MAX, None), true),
        (
            answer(u64::MAX / 8 * 7, Some((u32::MAX.into(), u64::MAX))),
            true,
        ),
        (answer(i64::MAX as u64, Some((0, 0))), false),
        (answer(0, None), false),
        (answer(now - 1_000_000, Some((u64::MAX, 0))), false),
        (answer(now, Some((0, u64::MAX))), false),
        (answer(now + 3, None), false),
    ];
    let peers = join_all(answers.map(async |(answer, is_deadly)| {
        let (hostile, mut asking) = hostile(answer).await;
        let peer = TestPeer::start(builder(&source).bootstrap([hostile, source.clone()])).await;
        let first = timeout(PATIENCE, asking.recv()).await.expect("it asks");
        let mut latest = first;
        // What can't be used is given up, and the node is dialled again: the peer knows what became of it.
        while is_deadly && latest == first {
            latest = timeout(PATIENCE, asking.recv())
                .await
                .expect("it asks again");
        }
        peer
    }))
    .await;
    for (n, mut peer) in peers.into_iter().enumerate() {
        let room = peer.join("global-chat", &format!("Peer {n}")).await;
        let text = format!("hello from {n}");
        hears(&mut honest, &room, &text).await;
        hears(&mut peer, &honest_room, &format!("welcome {n}")).await;
    }
}

/// Says it in the room, again if nobody was there yet, until `peer` has heard it.
pub(crate) async fn hears(peer: &mut TestPeer, room: &Room, text: &str) {
    let is_it = |event: &PeerEvent| {
        matches!(event, PeerEvent::RoomMessage(message) if message.text.as_str() == text)
            .then_some(())
    };
    let waiting = peer.expect(text, is_it);
    let saying = async {
        loop {
            room.say(text).await.expect("said");
            n0_future::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = waiting => {}
        () = saying => {}
    }
}
