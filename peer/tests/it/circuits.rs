//! Circuits to a peer on which nobody says anything.

use std::{
    future, io,
    pin::Pin,
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncWrite, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{
        self, NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};
use n0_future::time::timeout;
use tokio::sync::oneshot;

use crate::{
    common::{PATIENCE, test},
    strangers::{addresses, behind, relay_with, running},
};

trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

/// Whose address it is.
fn last_peer(address: &Multiaddr) -> PeerId {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => peer,
        _ => panic!("{address} names nobody"),
    }
}

#[derive(NetworkBehaviour)]
struct Caller {
    relay: relay::client::Behaviour,
    ping: ping::Behaviour,
}

/// Somebody who calls others through relays, and perhaps says nothing to them.
fn caller(is_silent: bool) -> Swarm<Caller> {
    let keypair = Keypair::generate_ed25519();
    let me = keypair.public().to_peer_id();
    let (relayed, relay) = relay::client::new(me);
    let upgraded = |transport: Boxed<_>| {
        transport
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair).expect("a key"))
            .multiplex(yamux::Config::default())
            .boxed()
    };
    let direct = tcp::tokio::Transport::default();
    let direct = direct.map(|io, _| Box::pin(io) as Pin<Box<dyn Io>>).boxed();
    let relayed = relayed
        .map(|io, _| Box::pin(io) as Pin<Box<dyn Io>>)
        .boxed();
    let relayed = if is_silent {
        let silence = |io, _| async move {
            let _open = io;
            future::pending::<io::Result<(PeerId, StreamMuxerBox)>>().await
        };
        relayed.and_then(silence).boxed()
    } else {
        upgraded(relayed)
    };
    let transport = relayed.or_transport(upgraded(direct));
    let transport = transport.map(|either, _| either.into_inner()).boxed();
    let behaviour = Caller {
        relay,
        ping: ping::Behaviour::default(),
    };
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    Swarm::new(transport, behaviour, me, config)
}

/// Calls, and says how long it took until somebody answered.
async fn call(mut caller: Swarm<Caller>, through: &Multiaddr) -> Duration {
    let (began, callee) = (Instant::now(), last_peer(through));
    caller.dial(through.clone()).expect("dials");
    let answered = async {
        loop {
            match caller.select_next_some().await {
                SwarmEvent::Behaviour(CallerEvent::Ping(ping)) if ping.peer == callee => break,
                // As everybody does, at once: who is late may have made room for others.
                SwarmEvent::OutgoingConnectionError { .. } => {
                    caller.dial(through.clone()).expect("dials");
                }
                _ => {}
            }
        }
    };
    timeout(PATIENCE, answered)
        .await
        .expect("an answer in time");
    began.elapsed()
}

/// Silent circuits to a peer, as many as there are places for and more all the time.
#[test]
#[allow(clippy::print_stdout, reason = "the table is for people")]
async fn who_calls_by_a_relay_and_says_nothing_keeps_nobody_out() {
    const SILENT: usize = 70;
    let mut config = relay::Config {
        max_circuits: 10_000,
        max_circuits_per_peer: 10_000,
        ..relay::Config::default()
    };
    config.circuit_src_rate_limiters.clear();
    let (relay, node) = running(relay_with(config, &[]).await);
    let ada = behind(&relay).await;
    let own: Multiaddr = addresses(&ada)[0].parse().expect("valid");
    let own = own.with_p2p(ada.peer.id()).expect("an address of hers");
    let through = format!("{relay}/p2p-circuit/p2p/{}", ada.peer.id());
    let through: Multiaddr = through.parse().expect("valid");
    let quiet = call(caller(false), &through).await;

    let mut silent = caller(true);
    let (filled, is_filled) = oneshot::channel();
    let (to, mut filled) = (through.clone(), Some(filled));
    let flood = tokio::spawn(async move {
        let mut calls = 0;
        let mut next = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                _ = silent.select_next_some() => {}
                _ = next.tick() => {
                    let some = if calls == 0 { SILENT } else { 1 };
                    for _ in 0..some {
                        let call = DialOpts::peer_id(last_peer(&to))
                            .condition(PeerCondition::Always)
                            .addresses(vec![to.clone()])
                            .build();
                        // Some of those before may be over.
                        let _ = silent.dial(call);
                    }
                    calls += some;
                    if calls > 2 * SILENT && let Some(filled) = filled.take() {
                        let _ = filled.send(());
                    }
                }
            }
        }
    });
    timeout(PATIENCE, is_filled)
        .await
        .expect("in time")
        .expect("it goes on");
    let mut slowest = Duration::ZERO;
    for way in [&through, &own] {
        for _ in 0..3 {
            let took = call(caller(false), way).await;
            let bound = 3 * quiet + Duration::from_secs(2);
            assert!(took < bound, "{way}: {took:?}, in quiet {quiet:?}");
            slowest = slowest.max(took);
        }
    }
    println!(
        "{SILENT} silent circuits, and 20 a second more | others are answered within {slowest:?}; {quiet:?}"
    );
    flood.abort();
    node.abort();
}
