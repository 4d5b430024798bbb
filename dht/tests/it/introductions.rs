//! Who one is, asked for and told without end.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::upgrade::Version,
    identify,
    identity::{Keypair, PublicKey},
    noise,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use moim_dht::{INTRODUCTIONS_PER_PEER, Introductions};

/// No test waits longer than this for anything.
const DEADLINE: Duration = Duration::from_secs(20);

fn config(key: PublicKey) -> identify::Config {
    identify::Config::new("/test/1".to_owned(), key)
}

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(PublicKey) -> B) -> Swarm<B> {
    let keypair = Keypair::generate_ed25519();
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(DEADLINE);
    let id = keypair.public().to_peer_id();
    Swarm::new(transport, behaviour(keypair.public()), id, config)
}

/// Introduces itself to a node again and again, until it hangs up or has heard it `most` times; says how often it has.
async fn push(node: PeerId, address: Multiaddr, most: u32) -> u32 {
    let mut stranger = swarm(|key| identify::Behaviour::new(config(key)));
    stranger.dial(address).unwrap();
    let mut pushed = 0;
    loop {
        match stranger.select_next_some().await {
            SwarmEvent::Behaviour(identify::Event::Pushed { .. }) => {
                pushed += 1;
                if pushed == most {
                    return pushed;
                }
                stranger.behaviour_mut().push([node]);
            }
            SwarmEvent::Behaviour(identify::Event::Received { .. }) => {
                stranger.behaviour_mut().push([node]);
            }
            SwarmEvent::ConnectionClosed { .. } => return pushed,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_peer_that_introduces_itself_without_end_loses_the_connection() {
    let mut node = swarm(|key| Introductions::new(config(key)));
    node.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = node.select_next_some().await {
            break address;
        }
    };
    let id = *node.local_peer_id();
    let burst = INTRODUCTIONS_PER_PEER.burst;
    for (most, is_closed) in [(burst / 2, false), (burst * 10, true)] {
        let pushed = tokio::time::timeout(DEADLINE, async {
            tokio::select! {
                pushed = push(id, address.clone(), most) => pushed,
                never = async {
                    loop {
                        node.select_next_some().await;
                    }
                } => never,
            }
        });
        let pushed = pushed.await.expect("in time");
        assert_eq!(pushed < most, is_closed, "{pushed} of {most}");
        // Some are under way when it is closed.
        assert!(pushed < 2 * burst, "{pushed}");
        assert_eq!(node.behaviour().over_rate_total() > 0, is_closed);
    }
}
