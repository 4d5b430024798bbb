//! A kad node for tests.

use std::{collections::HashSet, future::Future, time::Duration};

use futures::{StreamExt as _, future};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::upgrade::Version,
    identity::Keypair,
    kad::{self, GetProvidersOk, QueryResult, Record},
    noise,
    swarm::{self, SwarmEvent},
    tcp, yamux,
};
use moim_protocol::{
    UnixMillis, limits,
    presence::{Presence, State, presence_record_key},
    topic::{Topic, TopicHash},
};

pub(crate) type Kad = moim_dht::Behaviour;

/// No test waits longer than this for anything.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    pub(crate) keypair: Keypair,
    pub(crate) swarm: Swarm<Kad>,
}

impl Node {
    pub(crate) fn new(mode: kad::Mode) -> Self {
        let keypair = Keypair::generate_ed25519();
        let kad = Kad::new(keypair.public().to_peer_id(), 7);
        Self::with_kad(keypair, kad, mode)
    }

    pub(crate) fn with_kad(keypair: Keypair, mut kad: Kad, mode: kad::Mode) -> Self {
        let id = keypair.public().to_peer_id();
        let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair).unwrap())
            .multiplex(yamux::Config::default())
            .boxed();
        kad.set_mode(Some(mode));
        let config = swarm::Config::with_tokio_executor()
            .with_substream_upgrade_protocol_override(Version::V1Lazy)
            .with_idle_connection_timeout(DEADLINE);
        Self {
            swarm: Swarm::new(transport, kad, id, config),
            keypair,
        }
    }

    pub(crate) fn client() -> Self {
        Self::new(kad::Mode::Client)
    }

    /// A server that listens, and its address.
    pub(crate) async fn server() -> (Self, Multiaddr) {
        Self::new(kad::Mode::Server).listening().await
    }

    pub(crate) async fn listening(mut self) -> (Self, Multiaddr) {
        let anywhere = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        self.swarm.listen_on(anywhere).unwrap();
        let address = self
            .until(|event| match event {
                SwarmEvent::NewListenAddr { address, .. } => Some(address),
                _ => None,
            })
            .await;
        (self, address)
    }

    pub(crate) fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    pub(crate) fn kad(&mut self) -> &mut Kad {
        self.swarm.behaviour_mut()
    }

    /// Drives this node until an event is what is looked for.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(SwarmEvent<kad::Event>) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::Behaviour(event) = &event {
                    moim_dht::trim_addresses(self.swarm.behaviour_mut(), event);
                }
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search)
            .await
            .expect("in time")
    }

    /// Drives this node until the result of a query of this kind is complete.
    pub(crate) async fn result<T>(
        &mut self,
        mut wanted: impl FnMut(QueryResult, bool) -> Option<T>,
    ) -> T {
        self.until(|event| match event {
            SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { result, step, .. }) => {
                wanted(result, step.last)
            }
            _ => None,
        })
        .await
    }

    /// Connects to a server and takes it into the routing table. (With identify beside it, kad
    /// would do the latter by itself.)
    pub(crate) async fn join(&mut self, server: &mut Self, address: &Multiaddr) {
        self.swarm.dial(address.clone()).unwrap();
        let id = server.id();
        self.kad().add_address(&id, address.clone());
        let joined = self.until(|event| match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == id => Some(()),
            _ => None,
        });
        meanwhile(joined, server).await;
    }

    /// This node's presence in the topic, as a kad record.
    pub(crate) fn presence(&self, sequence: u64, state: State) -> Record {
        let wall = wall();
        let presence = Presence {
            peer: self.id(),
            topic: topic(),
            name: "Ann".parse().unwrap(),
            addresses: vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()],
            sequence,
            issued: wall,
            expires: wall.saturating_add(limits::PRESENCE_TTL),
            state,
        };
        let signed = presence.sign(&self.keypair).unwrap();
        Record::new(
            presence_record_key(topic(), &self.id()),
            signed.into_bytes(),
        )
    }

    pub(crate) async fn providers(&mut self, server: &mut Self) -> HashSet<PeerId> {
        self.kad().get_providers(topic().provider_key().into());
        let mut found = HashSet::new();
        let search = self.result(|result, is_last| match result {
            QueryResult::GetProviders(Ok(result)) => {
                if let GetProvidersOk::FoundProviders { providers, .. } = result {
                    found.extend(providers);
                }
                is_last.then_some(())
            }
            QueryResult::GetProviders(Err(error)) => panic!("{error}"),
            _ => None,
        });
        meanwhile(search, server).await;
        found
    }
}

/// Runs `work` while `server` does its own.
pub(crate) async fn meanwhile<T>(work: impl Future<Output = T>, server: &mut Node) -> T {
    let serving = server.until(|_| None::<T>);
    match future::select(std::pin::pin!(work), std::pin::pin!(serving)).await {
        future::Either::Left((result, _)) | future::Either::Right((result, _)) => result,
    }
}

pub(crate) fn topic() -> TopicHash {
    Topic::new("global-chat").unwrap().hash()
}

pub(crate) fn wall() -> UnixMillis {
    let since = web_time::SystemTime::now().duration_since(web_time::SystemTime::UNIX_EPOCH);
    UnixMillis::from_epoch(since.unwrap())
}
