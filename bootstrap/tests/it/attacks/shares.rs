//! Stores that are filled: what gives way is what the one who fills them put, whoever signed it.

use std::{collections::HashSet, time::Duration};

use libp2p::{
    PeerId,
    identity::Keypair,
    kad::{GetProvidersOk, QueryResult},
};
use moim_protocol::{
    UnixMillis, limits,
    presence::{Presence, State, presence_record_key},
    record::{Record, record_key},
    topic::Topic,
};
use tokio::task::JoinHandle;

use super::{
    ATTACKER, Assault, Siege,
    raw::{KAD, Raw, add_provider, get_value, put_value},
};
use crate::{
    client::Client,
    network::{presence, put, topic, wall},
    process::{Node, command},
    until,
};

/// A node whose store is soon full.
async fn siege_of_a_small_store() -> Siege {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path(), &["--limit-loopback", "--store-memory=1"]);
    command.env_remove("RUST_LOG");
    Siege::lay_to(Node::start_command(data, command).await).await
}

/// PUT_VALUE of a presence of somebody made up.
fn made_up() -> Vec<u8> {
    let record = presence(&Keypair::generate_ed25519(), 1, State::Here);
    put_value(record.key.as_ref(), &record.value)
}

/// PUT_VALUE of a value of somebody made up that lives so long.
fn value(number: usize, life: Duration) -> Vec<u8> {
    let (key, signed) = signed_value(number, life);
    put_value(&key, &signed)
}

/// A value of somebody made up that lives so long, under its key in the DHT.
fn signed_value(number: usize, life: Duration) -> (Vec<u8>, Vec<u8>) {
    let keypair = Keypair::generate_ed25519();
    let key = format!("filled/{number}");
    let issued: UnixMillis = wall();
    let record = Record {
        key: key.parse().unwrap(),
        value: serde_json::json!(number),
        publisher: keypair.public().to_peer_id(),
        sequence: 1,
        issued,
        expires: issued.saturating_add(life),
    };
    let signed = record.sign(&keypair).unwrap();
    (record_key(&key).to_vec(), signed.as_bytes().to_vec())
}

/// An honest member that stays, and announces itself.
struct Member {
    keypair: Keypair,
    running: JoinHandle<()>,
}

impl Member {
    async fn join(node: &Node) -> Self {
        let keypair = Keypair::generate_ed25519();
        let mut client = joined(node, keypair.clone()).await;
        assert!(put(&mut client, presence(&keypair, 1, State::Here)).await);
        let running = tokio::spawn(async move { client.run().await });
        Self { keypair, running }
    }

    fn id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn joined(node: &Node, keypair: Keypair) -> Client {
    let mut client = Client::with_key(keypair).await;
    let address = node.address("tcp");
    client.connect(&address).await;
    client.identify().await;
    let kad = &mut client.swarm.behaviour_mut().kad;
    kad.add_address(&node.peer_id(), address);
    client
}

/// In how many of twenty answers one of these members is named.
async fn named(node: &Node, members: &[PeerId]) -> usize {
    let mut guest = joined(node, Keypair::generate_ed25519()).await;
    let mut count = 0;
    for _ in 0..20 {
        let kad = &mut guest.swarm.behaviour_mut().kad;
        kad.get_providers(topic().provider_key().into());
        let mut is_named = false;
        let asked = guest.result(|result| match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                is_named |= members.iter().any(|it| providers.contains(it));
                None
            }
            QueryResult::GetProviders(_) => Some(()),
            _ => None,
        });
        asked.await;
        count += usize::from(is_named);
    }
    count
}

async fn is_full(node: &Node, what: &str) -> bool {
    let metric = format!("moim_bootstrap_dht_full{{what=\"{what}\"}}");
    node.metric(&metric).await == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presences_of_made_up_peers_over_one_connection() {
    for count in [1_100, 10_000] {
        let siege = Siege::lay().await;
        let before = Member::join(&siege.node).await;
        let mut put = 0;
        // As fast as one peer may.
        while put < count {
            let keypair = Keypair::generate_ed25519();
            let port = siege.node.port("tcp");
            let mut raw = Raw::connect(ATTACKER, port, &keypair).await.unwrap();
            let some = (count - put).min(1_900);
            assert_eq!(raw.ask((0..some).map(|_| made_up())).await, some);
            put += some;
        }
        let after = Member::join(&siege.node).await;
        let named = [
            named(&siege.node, &[before.id()]).await,
            named(&siege.node, &[after.id()]).await,
        ];
        let extra = format!("named in {} and {} of 20 answers", named[0], named[1]);
        assert_eq!(named, [20, 20]);
        let attack = format!("{count} presences of made-up peers, 1,900 a connection, and more");
        let mut assault = Assault::default();
        let port = siege.node.port("tcp");
        assault.ask(port, Keypair::generate_ed25519(), |_| made_up());
        siege.judge(&attack, 64, &extra).await;
        assault.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_records_for_all_the_keys_that_a_hundred_and_thirty_peers_may_provide() {
    /// An answer has room for each of them, and for the honest.
    const ADDRESSES: usize = 4;
    let siege = Siege::lay().await;
    let mut held = Vec::new();
    for number in 0..130_usize {
        let keypair = Keypair::generate_ed25519();
        let port = siege.node.port("tcp");
        let [a, b, c, d] = ATTACKER;
        let address = [a, b, c, d + (number % ADDRESSES) as u8];
        let mut raw = Raw::connect(address, port, &keypair).await.unwrap();
        let requests = (0..limits::PROVIDER_KEYS_PER_PEER_MAX).map(|n| {
            let mut key = topic().provider_key();
            key[2..10].copy_from_slice(&(number as u64).to_be_bytes());
            key[10..18].copy_from_slice(&(n as u64).to_be_bytes());
            // The topic of the honest, too.
            let key = if n == 0 { topic().provider_key() } else { key };
            add_provider(&key, &keypair)
        });
        raw.ask(requests).await;
        held.push(raw);
    }
    until("the flood to arrive", async || {
        siege.node.metric("moim_bootstrap_dht_providers").await >= 32_768
    })
    .await;
    until("the node to say that it is full", async || {
        is_full(&siege.node, "providers").await
    })
    .await;
    assert_eq!(siege.node.get_json("/health").await["store"], "full");
    let named = named(&siege.node, &siege.room.members()).await;
    assert_eq!(named, 20);
    let extra = format!("named in {named} of 20 answers");
    siege
        .judge(
            "33,280 provider records of 130 peers at 4 addresses",
            96,
            &extra,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_under_many_keys_in_a_store_that_is_soon_full() {
    for (life, word) in [
        (limits::RECORD_TTL_MAX, "longest"),
        (limits::RECORD_TTL_MIN, "shortest"),
    ] {
        let siege = siege_of_a_small_store().await;
        let (port, keypair) = (siege.node.port("tcp"), Keypair::generate_ed25519());
        let mut raw = Raw::connect(ATTACKER, port, &keypair).await.unwrap();
        raw.ask((0..1_800).map(|number| value(number, life))).await;
        until("the node to say that it is full", async || {
            is_full(&siege.node, "values").await
        })
        .await;
        assert_eq!(siege.node.get_json("/health").await["store"], "full");
        assert!(!is_full(&siege.node, "presences").await);
        // What is worth keeping is kept.
        let honest = Keypair::generate_ed25519();
        let mut client = joined(&siege.node, honest.clone()).await;
        for number in 0..50 {
            let record = crate::store::value(&honest, &format!("mine {number}"), 100);
            assert!(put(&mut client, record).await, "{number}");
        }
        let attack = format!("1,800 values with the {word} lives, in 1 MiB, and more");
        let mut assault = Assault::default();
        assault.ask(port, keypair, move |number| value(1_800 + number, life));
        siege
            .judge(&attack, 16, "50 of 50 honest values kept")
            .await;
        assault.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_in_more_topics_than_there_is_room_for() {
    let siege = siege_of_a_small_store().await;
    let member = Member::join(&siege.node).await;
    let (port, keypair) = (siege.node.port("tcp"), Keypair::generate_ed25519());
    let peer = keypair.public().to_peer_id();
    let mut raw = Raw::connect(ATTACKER, port, &keypair).await.unwrap();
    let announced = keypair.clone();
    let in_topic = move |number: usize| {
        let topic = Topic::new(&format!("topic {number}")).unwrap().hash();
        let issued = wall();
        let presence = Presence {
            peer,
            topic,
            name: "Eve".parse().unwrap(),
            addresses: vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()],
            sequence: 1,
            issued,
            expires: issued.saturating_add(limits::PRESENCE_TTL),
            state: State::Here,
        };
        let signed = presence.sign(&announced).unwrap();
        put_value(&presence_record_key(topic, &peer), signed.as_bytes())
    };
    raw.ask((0..1_500).map(&in_topic)).await;
    until("the node to say that it is full", async || {
        is_full(&siege.node, "presences").await
    })
    .await;
    let named = named(&siege.node, &[member.id()]).await;
    assert_eq!(named, 20);
    let extra = format!("named in {named} of 20 answers");
    let mut assault = Assault::default();
    assault.ask(port, keypair, move |number| in_topic(1_500 + number));
    siege
        .judge("one peer in 1,500 topics, in 1 MiB, and more", 16, &extra)
        .await;
    assault.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presences_of_the_honest_put_again_by_one_who_then_fills_the_store() {
    let siege = siege_of_a_small_store().await;
    let member = Member::join(&siege.node).await;
    let (port, keypair) = (siege.node.port("tcp"), Keypair::generate_ed25519());
    let mut raw = Raw::connect(ATTACKER, port, &keypair).await.unwrap();
    // A newer one, which he may have heard in the room.
    let newer = presence(&member.keypair, 2, State::Here);
    let request = put_value(newer.key.as_ref(), &newer.value);
    assert_eq!(raw.ask([request]).await, 1);
    raw.ask((0..1_500).map(|_| made_up())).await;
    until("the node to say that it is full", async || {
        is_full(&siege.node, "presences").await
    })
    .await;
    let named = named(&siege.node, &[member.id()]).await;
    assert_eq!(named, 20);
    let extra = format!("named in {named} of 20 answers");
    let mut assault = Assault::default();
    assault.ask(port, keypair, |_| made_up());
    siege
        .judge(
            "others' presences put again, then 1,500, in 1 MiB, and more",
            16,
            &extra,
        )
        .await;
    assault.end().await;
}

/// As much of a signed value as makes it known.
const MARK_BYTES: usize = 32;

/// How many of these values the node has.
async fn kept(siege: &Siege, values: &[(Vec<u8>, Vec<u8>)]) -> usize {
    let port = siege.node.port("tcp");
    let keypair = Keypair::generate_ed25519();
    let mut raw = Raw::connect([127, 0, 0, 80], port, &keypair).await.unwrap();
    let marks: HashSet<_> = values
        .iter()
        .map(|(_, value)| &value[value.len() - MARK_BYTES..])
        .collect();
    assert_eq!(marks.len(), values.len());
    let questions = values.iter().map(|(key, _)| get_value(key));
    let answers = raw.ask_by(KAD, questions).await;
    let has_one = |answer: &&Vec<u8>| answer.windows(MARK_BYTES).any(|some| marks.contains(some));
    answers.iter().filter(has_one).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_sites_that_fill_the_store_leave_a_fourth_its_part() {
    const SITES: u8 = 3;
    /// More than there is room for, of each site.
    const VALUES: usize = 1_800;
    let siege = siege_of_a_small_store().await;
    let port = siege.node.port("tcp");
    let connect = async |last: u8| {
        let keypair = Keypair::generate_ed25519();
        Raw::connect([127, 0, 0, last], port, &keypair)
            .await
            .unwrap()
    };
    let mut numbers = 0..;
    let mut some = || {
        let numbers = numbers.by_ref().take(VALUES);
        numbers
            .map(|number| signed_value(number, limits::RECORD_TTL_MAX))
            .collect::<Vec<_>>()
    };
    let honest = some();
    let puts = honest.iter().map(|(key, value)| put_value(key, value));
    connect(79).await.ask(puts).await;
    let alone = kept(&siege, &honest).await;
    // Each of them as two peers, one after the other.
    for _ in 0..2 {
        for site in 0..SITES {
            let puts = some()
                .into_iter()
                .map(|(key, value)| put_value(&key, &value));
            connect(ATTACKER[3] + site).await.ask(puts).await;
        }
    }
    assert!(is_full(&siege.node, "values").await);
    let left = kept(&siege, &honest).await;
    let all = siege.node.metric("moim_bootstrap_dht_records").await as usize;
    assert!(alone < VALUES, "it filled the store: {alone}");
    assert!(alone.abs_diff(all) <= all / 20, "{alone} before, {all} now");
    // One may just have given way.
    assert!(
        (left + 1) * usize::from(SITES + 1) >= alone,
        "{left} of {all}"
    );
    let extra = format!("a fourth that had put {alone} keeps {left} of {all}");
    siege
        .judge("values of 3 sites, 3,600 of each, in 1 MiB", 16, &extra)
        .await;
}
