//! The store and the settings in real kad nodes that talk to each other over libp2p's memory
//! transport, with Noise and yamux as on the wire.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{collections::HashSet, future::Future, time::Duration};

use futures::{StreamExt as _, future};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{transport::MemoryTransport, upgrade::Version},
    identity::Keypair,
    kad::{
        self, GetProvidersOk, ProviderRecord, PutRecordError, QueryResult, Quorum, Record,
        store::RecordStore as _,
    },
    noise,
    swarm::{self, SwarmEvent},
    yamux,
};
use moim_protocol::{
    UnixMillis, limits,
    presence::{Presence, State, presence_record_key},
    record,
    topic::{Topic, TopicHash},
};

type Kad = moim_dht::Behaviour;

/// No test waits longer than this for anything.
const DEADLINE: Duration = Duration::from_secs(20);

struct Node {
    keypair: Keypair,
    swarm: Swarm<Kad>,
}

impl Node {
    fn new(mode: kad::Mode) -> Self {
        let keypair = Keypair::generate_ed25519();
        let id = keypair.public().to_peer_id();
        let transport = MemoryTransport::new()
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair).unwrap())
            .multiplex(yamux::Config::default())
            .boxed();
        let mut kad = Kad::new(id, 7);
        kad.set_mode(Some(mode));
        let config = swarm::Config::with_tokio_executor()
            .with_substream_upgrade_protocol_override(Version::V1Lazy)
            .with_idle_connection_timeout(DEADLINE);
        Self {
            swarm: Swarm::new(transport, kad, id, config),
            keypair,
        }
    }

    fn client() -> Self {
        Self::new(kad::Mode::Client)
    }

    /// A server that listens, and its address.
    async fn server() -> (Self, Multiaddr) {
        let mut node = Self::new(kad::Mode::Server);
        node.swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
        let address = node
            .until(|event| match event {
                SwarmEvent::NewListenAddr { address, .. } => Some(address),
                _ => None,
            })
            .await;
        (node, address)
    }

    fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    fn kad(&mut self) -> &mut Kad {
        self.swarm.behaviour_mut()
    }

    /// Drives this node until an event is what is looked for.
    async fn until<T>(&mut self, mut wanted: impl FnMut(SwarmEvent<kad::Event>) -> Option<T>) -> T {
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
    async fn result<T>(&mut self, mut wanted: impl FnMut(QueryResult, bool) -> Option<T>) -> T {
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
    async fn join(&mut self, server: &mut Self, address: &Multiaddr) {
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
    fn presence(&self, sequence: u64, state: State) -> Record {
        let wall = wall();
        let presence = Presence {
            peer: self.id(),
            topic: topic(),
            name: "Ann".to_owned(),
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

    async fn providers(&mut self, server: &mut Self) -> HashSet<PeerId> {
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
async fn meanwhile<T>(work: impl Future<Output = T>, server: &mut Node) -> T {
    let serving = server.until(|_| None::<T>);
    match future::select(std::pin::pin!(work), std::pin::pin!(serving)).await {
        future::Either::Left((result, _)) | future::Either::Right((result, _)) => result,
    }
}

fn topic() -> TopicHash {
    Topic::new("global-chat").unwrap().hash()
}

fn wall() -> UnixMillis {
    let since = web_time::SystemTime::now().duration_since(web_time::SystemTime::UNIX_EPOCH);
    UnixMillis(since.unwrap().as_millis() as u64)
}

#[tokio::test]
async fn an_acknowledged_presence_is_found_at_once_and_a_left_ends_it() {
    let (mut server, address) = Node::server().await;
    let (mut member, mut seeker) = (Node::client(), Node::client());
    member.join(&mut server, &address).await;
    seeker.join(&mut server, &address).await;

    for (state, sequence) in [(State::Here, 1), (State::Left, 2)] {
        let record = member.presence(sequence, state);
        member.kad().put_record(record, Quorum::One).unwrap();
        let stored = member.result(|result, _| match result {
            QueryResult::PutRecord(result) => Some(result),
            _ => None,
        });
        meanwhile(stored, &mut server).await.unwrap();

        let found = seeker.providers(&mut server).await;
        assert_eq!(
            found.contains(&member.id()),
            state == State::Here,
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn an_invalid_record_is_not_acknowledged() {
    let (mut server, address) = Node::server().await;
    let mut client = Node::client();
    client.join(&mut server, &address).await;

    let good = client.presence(1, State::Here);
    let mut forged = good.clone();
    *forged.value.last_mut().unwrap() ^= 1;
    let mut elsewhere = good.clone();
    elsewhere.key = b"/somewhere/else".to_vec().into();
    let mut of_somebody_else = good.clone();
    of_somebody_else.key = presence_record_key(topic(), &server.id()).into();
    let huge = Record::new(good.key.to_vec(), vec![b'x'; 15_000]);

    // All at once: each takes its time-out.
    let records = [forged, elsewhere, of_somebody_else, huge];
    let count = records.len();
    for record in records {
        let to = vec![server.id()];
        client
            .kad()
            .put_record_to(record, to.into_iter(), Quorum::One);
    }
    let mut refused = 0;
    let all_refused = client.result(|result, _| {
        if let QueryResult::PutRecord(result) = result {
            let error = result.unwrap_err();
            let PutRecordError::QuorumFailed { success, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(success, []);
            refused += 1;
        }
        (refused == count).then_some(())
    });
    meanwhile(all_refused, &mut server).await;
    assert_eq!(server.kad().store_mut().stats().records, 0);
    assert_eq!(server.kad().store_mut().stats().refused_total, 4);
}

#[tokio::test]
async fn a_peer_whose_records_were_refused_is_still_served() {
    let (mut server, address) = Node::server().await;
    let mut client = Node::client();
    client.join(&mut server, &address).await;

    // All at once: each one not answered takes its time-out.
    const RECORDS: usize = 40;
    for n in 0..RECORDS {
        let record = Record::new(format!("/nobody/knows/{n}").into_bytes(), vec![]);
        client
            .kad()
            .put_record_to(record, vec![server.id()].into_iter(), Quorum::One);
    }
    let mut refused = 0;
    let all_refused = client.result(|result, _| {
        if let QueryResult::PutRecord(result) = result {
            result.unwrap_err();
            refused += 1;
        }
        (refused == RECORDS).then_some(())
    });
    meanwhile(all_refused, &mut server).await;

    let record = client.presence(1, State::Here);
    client.kad().put_record(record, Quorum::One).unwrap();
    let stored = client.result(|result, _| match result {
        QueryResult::PutRecord(result) => Some(result),
        _ => None,
    });
    meanwhile(stored, &mut server).await.unwrap();
}

#[tokio::test]
async fn providers_are_not_dialled_for_a_query_as_if_they_were_servers() {
    let (mut server, address) = Node::server().await;
    // Somebody who would notice: a server by itself, but nobody here knows that.
    let (mut provider, provider_address) = Node::server().await;
    let record = ProviderRecord::new(
        topic().provider_key(),
        provider.id(),
        vec![provider_address.with_p2p(provider.id()).unwrap()],
    );
    server.kad().store_mut().add_provider(record).unwrap();

    let mut seeker = Node::client();
    seeker.join(&mut server, &address).await;
    let found = {
        let search = seeker.providers(&mut server);
        let visited = provider.until(|event| match event {
            SwarmEvent::IncomingConnection { .. } => Some(()),
            _ => None,
        });
        match future::select(std::pin::pin!(search), std::pin::pin!(visited)).await {
            future::Either::Left((found, _)) => found,
            future::Either::Right(((), _)) => panic!("the provider was dialled"),
        }
    };
    assert!(found.contains(&provider.id()));
    // Where it is was known as long as the query ran.
    assert_eq!(seeker.kad().addresses_of(provider.id()), []);
}

/// Fills the server's routing table with peers that announce more than anybody needs.
fn fill_table(server: &mut Node) {
    for _ in 0..200 {
        let peer = PeerId::random();
        let announced: Vec<Multiaddr> = (0..50)
            .map(|n| {
                format!("/ip4/192.0.2.{n}/udp/8469/webrtc-direct")
                    .parse()
                    .unwrap()
            })
            .collect();
        for address in moim_dht::table_addresses(&announced, None) {
            server.kad().add_address(&peer, address);
        }
    }
}

#[tokio::test]
async fn of_a_thousand_providers_every_answer_shows_some_and_the_newcomer() {
    let (mut server, address) = Node::server().await;
    fill_table(&mut server);
    for _ in 0..1000 {
        let provider = PeerId::random();
        let addresses = (0..8)
            .map(|n| {
                format!("/ip4/192.0.2.{n}/tcp/8469/ws/p2p/{provider}")
                    .parse()
                    .unwrap()
            })
            .collect();
        let record = ProviderRecord::new(topic().provider_key(), provider, addresses);
        server.kad().store_mut().add_provider(record).unwrap();
    }
    let newcomer = Node::client();
    server
        .kad()
        .store_mut()
        .put(newcomer.presence(1, State::Here))
        .unwrap();

    let mut seeker = Node::client();
    seeker.join(&mut server, &address).await;
    let first = seeker.providers(&mut server).await;
    assert!(first.contains(&newcomer.id()));
    assert!(first.len() >= 10, "{}", first.len());
    let mut all = first.clone();
    for _ in 0..10 {
        all.extend(seeker.providers(&mut server).await);
    }
    assert!(
        all.len() > first.len() + 20,
        "{} after {}",
        all.len(),
        first.len()
    );
}

#[tokio::test]
async fn the_largest_value_comes_through_beside_a_full_routing_table() {
    let (mut server, address) = Node::server().await;
    fill_table(&mut server);
    let publisher = Keypair::generate_ed25519();
    let key = "k".repeat(limits::RECORD_KEY_BYTES_MAX);
    let record = record::Record {
        key: key.clone(),
        // Two quotation marks are part of the JSON.
        value: "v".repeat(limits::RECORD_VALUE_BYTES_MAX - 2).into(),
        publisher: publisher.public().to_peer_id(),
        sequence: 1,
        issued: wall(),
        expires: wall().saturating_add(limits::RECORD_TTL_DEFAULT),
    };
    let record = Record::new(
        record::record_key(&key),
        record.sign(&publisher).unwrap().into_bytes(),
    );
    server.kad().store_mut().put(record.clone()).unwrap();

    let mut seeker = Node::client();
    seeker.join(&mut server, &address).await;
    seeker.kad().get_record(record.key.clone());
    let found = seeker.result(|result, is_last| match result {
        QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
            Some(Some(found.record))
        }
        QueryResult::GetRecord(_) if is_last => Some(None),
        _ => None,
    });
    let found = meanwhile(found, &mut server).await.expect("found");
    assert_eq!(found.value, record.value);
    assert_eq!(found.publisher, Some(publisher.public().to_peer_id()));
}

#[tokio::test]
async fn addresses_that_kad_collects_by_itself_are_trimmed() {
    let (mut server, _) = Node::server().await;
    let peer = PeerId::random();
    let last: Multiaddr = "/ip4/192.0.2.99/tcp/1".parse().unwrap();
    for n in 0..=99 {
        let address = format!("/ip4/192.0.2.{n}/tcp/1").parse().unwrap();
        server.kad().add_address(&peer, address);
        server
            .until(|event| match event {
                SwarmEvent::Behaviour(kad::Event::RoutingUpdated { .. }) => Some(()),
                _ => None,
            })
            .await;
    }
    let bucket = server.kad().kbucket(peer).unwrap();
    let entry = bucket.iter().next().unwrap();
    let addresses = entry.node.value;
    let bytes: usize = addresses.iter().map(Multiaddr::len).sum();
    assert!(bytes <= moim_dht::TABLE_ADDRESSES_BYTES_MAX, "{bytes}");
    assert!(
        addresses
            .iter()
            .any(|a| *a == last.clone().with_p2p(peer).unwrap())
    );
}
