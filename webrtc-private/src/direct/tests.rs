//! Dials in memory. The server is the first connection of its world, as its address says; it learns of
//! dials by what they describe it with, as a real one does by the first packet.

use std::collections::VecDeque;

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    executor::block_on,
    future::{Either, join, select},
};
use futures_timer::Delay;
use libp2p_core::{
    Endpoint, StreamMuxer as _, Transport as _, muxing::StreamMuxerExt as _, transport::PortUse,
    upgrade::OutboundConnectionUpgrade as _,
};

use super::{
    authenticate::Encrypted,
    fingerprint::{Fingerprint, prologue},
    *,
};
use crate::{
    backend::{
        DataChannel as _, PeerConnection as _, SdpKind,
        mock::{MockChannel, MockConnection, Network, World, sdp},
    },
    config::Reachable,
};

/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Long enough for both versions to be tried.
const SHORT: Duration = Duration::from_secs(1);

const V1: &str = "ice-ufrag:libp2p+webrtc+v1/";
const V2: &str = "ice-ufrag:libp2p+webrtc+v2/";

type Muxer = Connection<MockConnection>;
type MockStream = crate::Stream<MockChannel>;
type Dialled = Result<(PeerId, Muxer), Error>;

fn address() -> Multiaddr {
    // All zeros, as the fingerprint of connection 0.
    let hash = "A".repeat(43);
    format!("/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/uEiA{hash}")
        .parse()
        .unwrap()
}

fn try_dial(
    world: &World,
    identity: &Keypair,
    timeout: Duration,
    address: Multiaddr,
) -> Result<BoxFuture<'static, Dialled>, TransportError<Error>> {
    Transport::new(world.clone(), identity.clone(), timeout).dial(
        address,
        DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        },
    )
}

fn dial(world: &World, identity: &Keypair, timeout: Duration) -> BoxFuture<'static, Dialled> {
    try_dial(world, identity, timeout, address()).expect("an address of ours")
}

fn fingerprint_of(id: usize) -> Fingerprint {
    sdp::fingerprint(&sdp(id)).unwrap()
}

/// The server's side of the Noise handshake.
fn begin(noise: libp2p_noise::Config, stream: MockStream) -> BoxFuture<'static, Begun> {
    noise.upgrade_outbound(stream, "/noise")
}

type Begun = Result<(PeerId, libp2p_noise::Output<MockStream>), libp2p_noise::Error>;

/// Waits for a dial of this version, and connects. With the number of who has dialled.
async fn accept(
    world: &World,
    mut connection: MockConnection,
    version: &str,
) -> (Encrypted<MockConnection>, usize) {
    let handshake = connection.open_negotiated(0).unwrap();
    let dialler = std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        world
            .described_with(version)
            .map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    connection
        .set_remote(SdpKind::Offer, sdp(dialler))
        .await
        .unwrap();
    let ours = connection.create_answer().await.unwrap();
    connection.set_local(SdpKind::Answer, ours).await.unwrap();
    let candidate = r#"{"candidate":"candidate:1"}"#.to_owned();
    connection.add_candidate(candidate).await.unwrap();
    let accepted = Encrypted {
        peer: connection,
        handshake,
        prologue: prologue(fingerprint_of(dialler), fingerprint_of(0)),
        early: VecDeque::new(),
    };
    (accepted, dialler)
}

/// A server of this version with a dial to it, and what came of both.
fn connected(world: &World, version: &str) -> (Muxer, Muxer) {
    let [client, server] = [(); 2].map(|()| Keypair::generate_ed25519());
    let connection = world.connection(&[], &Reachable::default()).unwrap();
    let serve = async {
        let (accepted, _) = accept(world, connection, version).await;
        accepted.authenticate(begin, &server).await
    };
    let (dialled, served) = block_on(join(dial(world, &client, TIMEOUT), serve));
    let ((to, dialled), (from, served)) = (dialled.unwrap(), served.unwrap());
    assert_eq!(to, server.public().to_peer_id());
    assert_eq!(from, client.public().to_peer_id());
    (dialled, served)
}

/// Why a dial fails to a server that does this.
fn failed<F: Future>(
    world: &World,
    timeout: Duration,
    serve: impl FnOnce(MockConnection) -> F,
) -> Error {
    let connection = world.connection(&[], &Reachable::default()).unwrap();
    let dialled = dial(world, &Keypair::generate_ed25519(), timeout);
    let error = match block_on(select(dialled, Box::pin(serve(connection)))) {
        Either::Left((dialled, _)) => dialled.unwrap_err(),
        Either::Right((_, dialled)) => block_on(dialled).unwrap_err(),
    };
    assert_eq!(world.open_connections(), 0, "nothing leaks");
    error
}

/// Somebody who is there and does nothing.
async fn nobody(_connection: MockConnection) {
    std::future::pending().await
}

/// Runs both ends while something happens on their streams.
fn drive<T>(left: &mut Muxer, right: &mut Muxer, work: impl Future<Output = T>) -> T {
    let muxers = std::future::poll_fn(|cx| {
        for muxer in [&mut *left, &mut *right] {
            assert!(Pin::new(muxer).poll(cx).is_pending(), "it stays connected");
        }
        Poll::<()>::Pending
    });
    match block_on(select(Box::pin(work), muxers)) {
        Either::Left((done, _)) => done,
        Either::Right(((), _)) => unreachable!("it never ends"),
    }
}

/// Both ends of a stream that the first opens.
fn opened(left: &mut Muxer, right: &mut Muxer) -> (MockStream, MockStream) {
    block_on(async {
        let left = std::future::poll_fn(|cx| left.poll_outbound_unpin(cx)).await;
        let right = std::future::poll_fn(|cx| right.poll_inbound_unpin(cx)).await;
        (left.unwrap(), right.unwrap())
    })
}

#[test]
fn a_server_of_version_two_is_asked_once() {
    let world = World::new(Network::Open, 1);
    let (client, server) = connected(&world, V2);
    assert_eq!(world.connections_made(), 2);
    drop(client);
    assert_eq!(world.open_connections(), 0, "the server notices");
    drop(server);
}

#[test]
fn a_server_of_version_one_is_found_after_a_while() {
    let world = World::new(Network::Open, 1);
    let (_client, _server) = connected(&world, V1);
    assert_eq!(world.connections_made(), 3);
    assert_eq!(world.open_connections(), 2, "the other attempt is closed");
}

#[test]
fn a_slow_server_of_version_two_is_waited_for_where_version_one_is_forbidden() {
    let world = World::new(Network::Open, 1);
    world.forbid_munging();
    let connection = world.connection(&[], &Reachable::default()).unwrap();
    let [client, server] = [(); 2].map(|()| Keypair::generate_ed25519());
    let serve = async {
        Delay::new(SHORT).await;
        let (accepted, _) = accept(&world, connection, V2).await;
        accepted.authenticate(begin, &server).await
    };
    let (dialled, served) = block_on(join(dial(&world, &client, TIMEOUT), serve));
    assert_eq!(dialled.unwrap().0, server.public().to_peer_id());
    served.unwrap();
    assert_eq!(world.connections_made(), 3, "version one was tried");
}

#[test]
fn streams_work_both_ways_and_nothing_is_left_of_the_handshake() {
    let world = World::new(Network::Open, 1);
    let (mut client, mut server) = connected(&world, V2);
    for round in 0..20_u8 {
        let (mut ours, mut theirs) = if round % 2 == 0 {
            opened(&mut client, &mut server)
        } else {
            let (theirs, ours) = opened(&mut server, &mut client);
            (ours, theirs)
        };
        let said = vec![round; 40_000];
        let heard = drive(&mut client, &mut server, async {
            let (_, heard) = join(
                async {
                    ours.write_all(&said).await.unwrap();
                    ours.close().await.unwrap();
                },
                async {
                    let mut heard = Vec::new();
                    theirs.read_to_end(&mut heard).await.unwrap();
                    theirs.close().await.unwrap();
                    heard
                },
            )
            .await;
            ours.read_to_end(&mut Vec::new()).await.unwrap();
            heard
        });
        assert_eq!(heard, said);
    }
    drive(
        &mut client,
        &mut server,
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            match world.open_channels() {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }),
    );
}

#[test]
fn a_dead_address_takes_no_longer_than_it_may() {
    let world = World::new(Network::Open, 1);
    let error = failed(&world, SHORT, nobody);
    assert!(
        matches!(error, Error::Timeout(Step::Connecting)),
        "{error:?}"
    );
    assert_eq!(world.connections_made(), 3, "both versions were tried");
    assert!(error.to_string().contains("looking for a way"), "{error}");
}

#[test]
fn where_version_one_is_forbidden_a_server_that_has_nothing_else_is_not_reached() {
    let world = World::new(Network::Open, 1);
    world.forbid_munging();
    let error = failed(&world, SHORT, async |connection| {
        accept(&world, connection, V1).await
    });
    assert!(
        matches!(error, Error::Timeout(Step::Connecting)),
        "{error:?}"
    );
}

#[test]
fn a_network_that_lets_nothing_through_is_named() {
    let world = World::new(Network::Shut, 1);
    let error = failed(&world, TIMEOUT, async |connection| {
        accept(&world, connection, V2).await
    });
    assert!(error.to_string().contains("nobody answers"), "{error}");
}

#[test]
fn somebody_in_between_is_noticed() {
    let world = World::new(Network::Open, 1);
    let error = failed(&world, TIMEOUT, async |connection| {
        let (mut accepted, _) = accept(&world, connection, V2).await;
        // What it sees of the dialler is the certificate of whoever is in between.
        accepted.prologue = prologue(fingerprint_of(77), fingerprint_of(0));
        let identity = Keypair::generate_ed25519();
        let outcome = accepted.authenticate(begin, &identity).await;
        assert!(outcome.is_err());
    });
    assert!(matches!(error, Error::Noise(_)), "{error:?}");
    assert!(error.to_string().contains("proving who"), "{error}");
}

#[test]
fn a_server_that_does_not_prove_who_it_is_is_given_up() {
    let world = World::new(Network::Open, 1);
    let error = failed(&world, SHORT, async |connection| {
        let _accepted = accept(&world, connection, V2).await;
        std::future::pending::<()>().await
    });
    assert!(
        matches!(error, Error::Timeout(Step::Authenticating)),
        "{error:?}"
    );
}

#[test]
fn a_server_that_leaves_during_the_handshake_is_noticed() {
    let world = World::new(Network::Open, 1);
    let error = failed(&world, TIMEOUT, async |connection| {
        let (mut accepted, _) = accept(&world, connection, V2).await;
        accepted.handshake.send(&[0xff; 40]).unwrap();
        accepted.peer.close();
    });
    assert!(
        matches!(
            error,
            Error::Noise(_)
                | Error::Closed {
                    step: Step::Authenticating | Step::Connecting,
                    ..
                }
        ),
        "{error:?}"
    );
}

#[test]
fn addresses_of_others_are_left_to_them_and_bad_ones_are_not() {
    let world = World::new(Network::Open, 1);
    let identity = Keypair::generate_ed25519();
    let me = identity.public().to_peer_id();
    for (address, ours) in [
        ("/ip4/192.0.2.1/udp/1/quic-v1".to_owned(), false),
        (format!("{}/p2p/{me}/p2p-circuit", address()), false),
        (format!("{}/p2p/{me}", address()), true),
        ("/ip4/192.0.2.1/udp/1/webrtc-direct".to_owned(), true),
        ("/dns/a/udp/1/webrtc-direct".to_owned(), true),
    ] {
        let dialled = try_dial(&world, &identity, SHORT, address.parse().unwrap());
        let others = matches!(dialled, Err(TransportError::MultiaddrNotSupported(_)));
        assert_eq!(others, !ours, "{address}");
    }
    let mut transport = Transport::new(world.clone(), identity, SHORT);
    let refused = transport.listen_on(ListenerId::next(), address());
    assert!(matches!(
        refused,
        Err(TransportError::MultiaddrNotSupported(_))
    ));
    assert_eq!(world.connections_made(), 0, "nothing was done yet");
}
