//! What Moim's node is compared with: the least that rust-libp2p makes a server of, with its own
//! defaults. With `--kad` it serves a DHT too, which keeps everything that comes, in memory.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use lexopt::{Arg::Long, Parser, ValueExt as _};
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify, kad,
    multiaddr::Protocol,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle},
    tcp, yamux,
};
use moim_protocol::names;
use serde_json::json;

/// Longer than any measurement: nobody is hung up on.
const LONG: Duration = Duration::from_secs(60 * 60);

/// More records than are put.
const MANY: usize = 10_000_000;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) kad: Toggle<kad::Behaviour<kad::store::MemoryStore>>,
}

/// Serves until it is killed. Says where on standard output, as Moim's node does.
pub(crate) async fn run(mut arguments: Parser) -> Result<()> {
    let (mut has_kad, mut join) = (false, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("kad") => has_kad = true,
            Long("join") => join = Some(arguments.value()?.parse::<Multiaddr>()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut swarm = new_swarm(has_kad).await?;
    let wanted = ["tcp/0", "tcp/0/ws", "udp/0/quic-v1"];
    for address in wanted {
        swarm.listen_on(format!("/ip4/127.0.0.1/{address}").parse()?)?;
    }
    let mut addresses = Vec::new();
    while addresses.len() < wanted.len() {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            swarm.add_external_address(address.clone());
            addresses.push(address.with(Protocol::P2p(*swarm.local_peer_id())));
        }
    }
    if let Some(address) = join {
        self::join(&mut swarm, address)?;
    }
    writeln!(std::io::stdout(), "{}", json!({ "addresses": addresses }))?;
    loop {
        let event = swarm.select_next_some().await;
        introduce(&mut swarm, &event);
    }
}

/// Tells kad where a peer that has introduced itself listens, as every program does with it.
pub(crate) fn introduce(swarm: &mut Swarm<Behaviour>, event: &SwarmEvent<BehaviourEvent>) {
    if let SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
        peer_id,
        info,
        ..
    })) = event
        && let Some(kad) = swarm.behaviour_mut().kad.as_mut()
    {
        for address in &info.listen_addrs {
            kad.add_address(peer_id, address.clone());
        }
    }
}

/// Enters the DHT of the server there.
pub(crate) fn join(swarm: &mut Swarm<Behaviour>, address: Multiaddr) -> Result<()> {
    let Some(Protocol::P2p(peer)) = address.iter().last() else {
        bail!("{address} does not name its peer");
    };
    let kad = &mut swarm.behaviour_mut().kad;
    let kad = kad.as_mut().context("who joins a DHT needs --kad")?;
    kad.add_address(&peer, address);
    kad.bootstrap()?;
    Ok(())
}

/// Everything as `SwarmBuilder` has it.
pub(crate) async fn new_swarm(has_kad: bool) -> Result<Swarm<Behaviour>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_quic()
        .with_dns()?
        .with_websocket(noise::Config::new, yamux::Config::default)
        .await?
        .with_behaviour(|key| {
            let local = key.public().to_peer_id();
            let kad = has_kad.then(|| {
                let store = kad::store::MemoryStoreConfig {
                    max_records: MANY,
                    ..Default::default()
                };
                let store = kad::store::MemoryStore::with_config(local, store);
                let config = kad::Config::new(StreamProtocol::new(names::KAD_PROTOCOL));
                let mut kad = kad::Behaviour::with_config(local, store, config);
                kad.set_mode(Some(kad::Mode::Server));
                kad
            });
            let identify = identify::Config::new("/moim-bench/1".to_owned(), key.public());
            Behaviour {
                identify: identify::Behaviour::new(identify),
                ping: ping::Behaviour::default(),
                kad: kad.into(),
            }
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(LONG))
        .build())
}
