//! Runs the swarm, and does one thing at a time with it.

use std::time::Duration;

use futures::{
    StreamExt as _,
    channel::{mpsc, oneshot},
    future::{self, Either},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::ConnectedPoint,
    multiaddr::Protocol,
    swarm::{ConnectionId, SwarmEvent, dial_opts::DialOpts},
};
use moim_webrtc::address;
use web_time::Instant;

use super::{
    milliseconds,
    swarm::{Behaviour, BehaviourEvent},
};

/// How long anything may take: longer than what is measured gives itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where what came of a command goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, String>>;

/// What a peer is to do.
#[derive(Debug)]
pub(super) enum Command {
    Dial {
        address: Multiaddr,
        reply: Reply<f64>,
    },
    Upgrade {
        circuit: Multiaddr,
        reply: Reply<f64>,
    },
    Disconnect {
        peer: PeerId,
        reply: Reply<()>,
    },
}

/// Runs until nobody commands any more.
pub(super) async fn drive(mut swarm: Swarm<Behaviour>, mut commands: mpsc::Receiver<Command>) {
    loop {
        let command = match future::select(swarm.next(), commands.next()).await {
            Either::Left(_) => continue,
            Either::Right((Some(command), _)) => command,
            Either::Right((None, _)) => return,
        };
        // Who has asked may have gone.
        let _ = match command {
            Command::Dial { address, reply } => reply
                .send(in_time(dial(&mut swarm, address)).await)
                .map_err(drop),
            Command::Upgrade { circuit, reply } => reply
                .send(in_time(upgrade(&mut swarm, circuit)).await)
                .map_err(drop),
            Command::Disconnect { peer, reply } => reply
                .send(in_time(disconnect(&mut swarm, peer)).await)
                .map_err(drop),
        };
    }
}

/// Listens through a relay, for relayed and direct connections.
pub(super) async fn reserve(swarm: &mut Swarm<Behaviour>, relay: Multiaddr) -> Result<(), String> {
    in_time(async {
        for address in [
            Multiaddr::empty().with(Protocol::WebRTC),
            relay.with(Protocol::P2pCircuit),
        ] {
            swarm
                .listen_on(address)
                .map_err(|error| error.to_string())?;
        }
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } if address::is_webrtc(&address) => {
                    return Ok(());
                }
                SwarmEvent::ListenerClosed {
                    reason: Err(error), ..
                } => return Err(error.to_string()),
                _ => {}
            }
        }
    })
    .await
}

async fn in_time<T>(what: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match future::select(Box::pin(what), Delay::new(PATIENCE)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(format!("nothing within {} s", PATIENCE.as_secs())),
    }
}

async fn dial(swarm: &mut Swarm<Behaviour>, address: Multiaddr) -> Result<f64, String> {
    let since = Instant::now();
    let dial = DialOpts::from(address);
    let wanted = dial.connection_id();
    swarm.dial(dial).map_err(|error| error.to_string())?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { connection_id, .. } if connection_id == wanted => {
                return Ok(milliseconds(since));
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } if connection_id == wanted => return Err(error.to_string()),
            _ => {}
        }
    }
}

async fn upgrade(swarm: &mut Swarm<Behaviour>, circuit: Multiaddr) -> Result<f64, String> {
    let Some(Protocol::P2p(peer)) = circuit.iter().last() else {
        return Err("the circuit names no peer".to_owned());
    };
    swarm.dial(circuit).map_err(|error| error.to_string())?;
    let mut relayed = None;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } if peer_id == peer => match (is_direct(&endpoint), relayed) {
                (false, _) => relayed = Some((connection_id, Instant::now())),
                (true, Some((relayed, since))) => {
                    let time = milliseconds(since);
                    close(swarm, relayed).await;
                    return Ok(time);
                }
                (true, None) => return Err("direct before it was relayed".to_owned()),
            },
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(failed),
                error,
                ..
            } if failed == peer => return Err(error.to_string()),
            SwarmEvent::Behaviour(BehaviourEvent::Webrtc(moim_webrtc::Event::Failed {
                error,
                ..
            })) => return Err(error),
            _ => {}
        }
    }
}

fn is_direct(endpoint: &ConnectedPoint) -> bool {
    address::is_direct(match endpoint {
        ConnectedPoint::Dialer { address, .. } => address,
        ConnectedPoint::Listener { local_addr, .. } => local_addr,
    })
}

async fn close(swarm: &mut Swarm<Behaviour>, connection: ConnectionId) {
    if !swarm.close_connection(connection) {
        return;
    }
    loop {
        if let SwarmEvent::ConnectionClosed { connection_id, .. } = swarm.select_next_some().await
            && connection_id == connection
        {
            return;
        }
    }
}

async fn disconnect(swarm: &mut Swarm<Behaviour>, peer: PeerId) -> Result<(), String> {
    // Not connected: nothing to do.
    let _ = swarm.disconnect_peer_id(peer);
    while swarm.is_connected(&peer) {
        swarm.select_next_some().await;
    }
    Ok(())
}
