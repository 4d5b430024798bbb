//! A relay for the example `peer`: `cargo run --example relay`, in the folder of this crate.

#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, Transport as _,
    core::upgrade::Version,
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    relay: relay::Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let keypair = Keypair::generate_ed25519();
    let me = keypair.public().to_peer_id();
    let transport = tcp::tokio::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair)?)
        .multiplex(yamux::Config::default())
        .boxed();
    let about = identify::Config::new("/example/1.0.0".to_owned(), keypair.public());
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(about),
        relay: relay::Behaviour::new(me, relay::Config::default()),
    };
    let config = swarm::Config::with_tokio_executor();
    let mut swarm = Swarm::new(transport, behaviour, me, config);
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse::<Multiaddr>()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            println!("{}", address.clone().with(Protocol::P2p(me)));
            // A reservation names the addresses that others are known to reach the relay by.
            swarm.add_external_address(address);
        }
    }
}
