//! A client of the relay that takes its answer when its reservation is over.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{future::Future, pin::Pin, time::Duration};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::poll_fn};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxer as _, StreamMuxerBox, SubstreamBox},
        transport::{Boxed, DialOpts, PortUse},
    },
    identity::Keypair,
    quic, relay,
    swarm::{self, SwarmEvent},
};
use moim_connection_guard::{Behaviour, Limits, Panics, RelayServer, Transport};

const DEADLINE: Duration = Duration::from_secs(30);

/// Long enough to ask twice.
const RESERVATION: Duration = Duration::from_secs(2);

/// multistream-select's greeting, and the name of the relay's protocol.
const AGREEMENT: &[u8] = b"\x13/multistream/1.0.0\n\x20/libp2p/circuit/relay/0.2.0/hop\n";

/// RESERVE.
const QUESTION: &[u8] = &[2, 8, 0];

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(DEADLINE, future).await;
    result.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

fn transport(keypair: &Keypair, grants: Option<u32>) -> Boxed<(PeerId, StreamMuxerBox)> {
    let mut config = quic::Config::new(keypair);
    if let Some(grants) = grants {
        config.max_stream_data = grants;
    }
    quic::tokio::Transport::new(config)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed()
}

type Relay = Swarm<Behaviour<RelayServer>>;

async fn relay() -> (Relay, Multiaddr) {
    let keypair = Keypair::generate_ed25519();
    let config = relay::Config {
        reservation_duration: RESERVATION,
        ..relay::Config::default()
    };
    let mut relay = relay::Behaviour::new(keypair.public().to_peer_id(), config);
    relay.set_status(Some(relay::Status::Enable));
    // What is owed is what this is about, not how long.
    let limits = Limits {
        stall: DEADLINE,
        silence: DEADLINE,
        ..Limits::default()
    };
    let panics = Panics::default();
    let mut swarm = Swarm::new(
        Transport::new(transport(&keypair, None), limits, panics.clone()).boxed(),
        Behaviour::new(RelayServer::new(relay), panics),
        keypair.public().to_peer_id(),
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(DEADLINE),
    );
    let address = "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap();
    swarm.listen_on(address).unwrap();
    let address = soon("an address", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    })
    .await;
    swarm.add_external_address(address.clone());
    (swarm, address)
}

/// Drives the relay until it reports what is wanted.
async fn until(relay: &mut Relay, what: &str, wanted: impl Fn(&relay::Event) -> bool) {
    soon(what, async {
        loop {
            if let SwarmEvent::Behaviour(event) = relay.select_next_some().await
                && wanted(&event)
            {
                return;
            }
        }
    })
    .await;
}

async fn ask(muxer: &mut StreamMuxerBox) -> SubstreamBox {
    let opening = poll_fn(|cx| Pin::new(&mut *muxer).poll_outbound(cx));
    let mut stream = opening.await.unwrap();
    stream
        .write_all(&[AGREEMENT, QUESTION].concat())
        .await
        .unwrap();
    stream.flush().await.unwrap();
    stream
}

/// The whole answer of the relay.
async fn answer(mut stream: SubstreamBox) -> Vec<u8> {
    stream
        .read_exact(&mut vec![0; AGREEMENT.len()])
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_renewal_that_is_taken_after_the_end_of_the_reservation_is_a_new_one() {
    let (mut relay, address) = relay().await;
    // As much as it takes to agree on the protocol, and the beginning of an answer.
    let grants = AGREEMENT.len() as u32 + 8;
    let mut client = transport(&Keypair::generate_ed25519(), Some(grants));
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let dial = client.dial(address, options).unwrap();
    let (to_taking, taking) = tokio::sync::oneshot::channel::<()>();
    let client = tokio::spawn(async move {
        let _transport = client;
        let (_, mut muxer) = dial.await.unwrap();
        let first = ask(&mut muxer).await;
        assert!(!answer(first).await.is_empty());
        let held = ask(&mut muxer).await;
        taking.await.unwrap();
        assert!(!answer(held).await.is_empty());
        // The connection goes on.
        let third = ask(&mut muxer).await;
        assert!(!answer(third).await.is_empty());
    });
    let is_accepted = |event: &_| matches!(event, relay::Event::ReservationReqAccepted { .. });
    until(&mut relay, "the reservation", is_accepted).await;
    until(&mut relay, "its end", |event| {
        matches!(event, relay::Event::ReservationTimedOut { .. })
    })
    .await;
    to_taking.send(()).unwrap();
    until(&mut relay, "the renewal", is_accepted).await;
    until(&mut relay, "one more", is_accepted).await;
    client.await.unwrap();
}
