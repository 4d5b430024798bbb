//! Those who test whether a peer can be reached (AutoNAT v2), and say what they like.

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_stream::{Control, OpenStreamError};
use moim_peer::BootstrapSource;
use moim_protocol::names;
use n0_future::time::timeout;
use tokio::sync::{mpsc, watch};

use crate::{
    common::{PATIENCE, TestPeer, builder, server, test},
    hostile_relay::{field, varint},
    strangers::addresses,
};

const DIAL_REQUEST: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");
const DIAL_BACK: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-back");

/// OK, in `ResponseStatus` and `DialStatus`; and what says that a dial failed.
const OK: u64 = 200;
const DIAL_ERROR: u64 = 100;

#[derive(NetworkBehaviour)]
struct Liar {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// A bootstrap node that tests whoever asks for it, without a dial, and whose answer is always the same.
struct Tester {
    source: BootstrapSource,
    /// Tells the tested where it listens, for a connection on which it can be told the nonce.
    listens: watch::Sender<Option<Multiaddr>>,
    /// Addresses that it was asked to test, in the bytes of the request, when it has answered.
    tested: mpsc::Receiver<Vec<u8>>,
}

async fn tester(status: u64) -> Tester {
    let mut swarm: Swarm<Liar> = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("transport")
        .with_quic()
        .with_behaviour(|key| Liar {
            identify: identify::Behaviour::new(identify::Config::new(
                names::IDENTIFY_PROTOCOL.to_owned(),
                key.public(),
            )),
            ping: ping::Behaviour::default(),
            streams: libp2p_stream::Behaviour::new(),
        })
        .expect("behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    swarm
        .listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("valid"))
        .expect("listens");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let source = format!("{address}/p2p/{}", swarm.local_peer_id());
    let mut control = swarm.behaviour().streams.new_control();
    let mut requests = control.accept(DIAL_REQUEST).expect("nobody else's");
    let (answered, tested) = mpsc::channel(16);
    let (listens, mut listening) = watch::channel(None::<Multiaddr>);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = swarm.select_next_some() => {}
                changed = listening.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let address = listening.borrow_and_update().clone();
                    swarm.dial(address.expect("told")).expect("dials");
                }
            }
        }
    });
    tokio::spawn(async move {
        while let Some((peer, mut stream)) = requests.next().await {
            let mut length = [0];
            stream.read_exact(&mut length).await.expect("a request");
            let mut request = vec![0; length[0].into()];
            stream.read_exact(&mut request).await.expect("a request");
            if status == OK {
                dial_back(&mut control, peer, &request).await;
            }
            // dialResponse: status OK, the first address, and what became of the dial.
            let response = [vec![8], varint(OK), vec![16, 0, 24], varint(status)].concat();
            let message = field(2, &response);
            let message = [varint(message.len() as u64), message].concat();
            stream.write_all(&message).await.expect("answered");
            stream.close().await.expect("answered");
            let _ = answered.send(request).await;
        }
    });
    Tester {
        source: source.parse().expect("valid"),
        listens,
        tested,
    }
}

/// Shows the nonce, as if the address had been dialled: on whichever connection the other side takes it.
async fn dial_back(control: &mut Control, peer: PeerId, request: &[u8]) {
    let nonce = request.last_chunk::<8>().expect("the last field");
    let mut stream = loop {
        match control.open_stream(peer, DIAL_BACK).await {
            Ok(stream) => break stream,
            // The next one is tried.
            Err(OpenStreamError::UnsupportedProtocol(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let message = [&[9], &nonce[..]].concat();
    let message = [varint(message.len() as u64), message].concat();
    stream.write_all(&message).await.expect("sent");
    stream.flush().await.expect("sent");
    stream.read_exact(&mut [0]).await.expect("heard");
}

/// What a peer says of where it is, before and after it was told what its tests gave.
async fn told(status: u64) -> (Vec<String>, Vec<String>, Vec<u8>) {
    let (_server, source) = server().await;
    let mut tester = tester(status).await;
    // It dials by TCP too, from a port at which it does not listen.
    let ada = TestPeer::start(
        builder(&source)
            .bootstrap([tester.source.clone(), source])
            .listen(["/ip4/127.0.0.1/udp/0/quic-v1".parse().expect("valid")]),
    )
    .await;
    ada.connected().await;
    let before = addresses(&ada);
    let listens = before.iter().find(|address| address.contains("quic"));
    let listens = listens.expect("it listens").parse().expect("valid");
    tester.listens.send(Some(listens)).expect("it runs");
    let tested = timeout(PATIENCE, tester.tested.recv()).await;
    let tested = tested.expect("tested in time").expect("it runs");
    // The answer is here, and what the peer makes of it with the next round trip.
    let room = ada.join("global-chat", "Ada").await;
    room.say("here I am").await.expect("said");
    assert!(ada.peer.get("menu").await.is_ok());
    (before, addresses(&ada), tested)
}

#[test]
async fn who_calls_an_address_reachable_that_is_not_has_nobody_dial_it() {
    let (before, after, tested) = told(OK).await;
    // /ip4/127.0.0.1/tcp/…
    let tcp = [4, 127, 0, 0, 1, 6];
    assert!(
        tested.windows(tcp.len()).any(|some| some == tcp),
        "{tested:?}"
    );
    assert_eq!(after, before);
}

#[test]
async fn who_calls_nothing_reachable_hides_nobody() {
    let (before, after, _) = told(DIAL_ERROR).await;
    assert!(!before.is_empty());
    assert_eq!(after, before);
}
