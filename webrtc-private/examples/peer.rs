//! Two programs that nobody can dial meet through a relay and are connected directly. In the folder of
//! this crate:
//!
//! ```text
//! cargo run --example relay                      prints the relay's address
//! cargo run --example peer -- RELAY              waits there, and prints its peer id
//! cargo run --example peer -- RELAY PEER_ID      dials it
//! ```

#![expect(clippy::print_stdout, reason = "an example")]

use std::{error::Error, time::Duration};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use moim_webrtc::{Config, Event, address::is_direct, backend::native::Native};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::client::Behaviour,
    webrtc: moim_webrtc::Behaviour,
}

fn swarm(keypair: &Keypair) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    let me = keypair.public().to_peer_id();
    let (circuits, relay) = relay::client::new(me);
    let (webrtc, webrtc_behaviour) = moim_webrtc::new(me, Native, Config::default());
    let relayed = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = tcp::tokio::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let webrtc = webrtc.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    // The relay client takes `…/p2p-circuit/webrtc` too, so it comes after this crate's transport.
    let others = OrTransport::new(relayed, tcp).map(|either, _| either.into_inner());
    let transport = OrTransport::new(webrtc, others).map(|either, _| either.into_inner());
    let about = identify::Config::new("/example/1.0.0".to_owned(), keypair.public());
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(about),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(1))),
        relay,
        webrtc: webrtc_behaviour,
    };
    let config =
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    Ok(Swarm::new(transport.boxed(), behaviour, me, config))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer RELAY [PEER_ID]";
    let circuit = arguments
        .next()
        .ok_or(usage)?
        .parse::<Multiaddr>()?
        .with(Protocol::P2pCircuit);
    let keypair = Keypair::generate_ed25519();
    let mut swarm = swarm(&keypair)?;
    swarm.listen_on(Multiaddr::empty().with(Protocol::WebRTC))?;
    if let Some(peer) = arguments.next() {
        let peer: PeerId = peer.parse()?;
        swarm.dial(circuit.with(Protocol::P2p(peer)))?;
    } else {
        swarm.listen_on(circuit)?;
    }
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => println!("reached by {address}"),
            SwarmEvent::ConnectionEstablished {
                peer_id, endpoint, ..
            } if !is_direct(endpoint.get_remote_address()) => {
                println!("connected to {peer_id} through the relay");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Webrtc(Event::Connected { peer, .. })) => {
                println!("connected to {peer} directly");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Webrtc(Event::Failed {
                peer, error, ..
            })) => {
                println!("not connected to {peer} directly: {error}");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                peer,
                result: Ok(round_trip),
                ..
            })) => println!("{peer}: {round_trip:?}"),
            _ => {}
        }
    }
}
