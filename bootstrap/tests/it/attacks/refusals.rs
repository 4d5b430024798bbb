//! Whoever asks for what he doesn't get hears of it at once, and is served after it.

use std::time::{Duration, Instant};

use libp2p::identity::Keypair;
use moim_protocol::{ice_wire, limits::ASKED_PER_PEER, names, presence::State, time_wire};

use super::{
    ATTACKER, Siege,
    dht::junk,
    raw::{KAD, Raw, field, prefixed, put_value, put_value_of},
};
use crate::{
    client::Client,
    network::{presence, put, topic},
    process::Node,
    soon,
};

/// Nobody waits longer for an answer, or the end of the stream.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Requests that are refused, of every kind, to a node that has a newer presence of this peer.
fn refused(node: &Node, keypair: &Keypair, there: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let record = |kind, (key, value): (Vec<u8>, Vec<u8>)| (kind, put_value(&key, &value));
    let mut all: Vec<_> = junk().into_iter().map(|it| record("junk", it)).collect();
    let old = presence(keypair, 1, State::Here);
    all.push((
        "older than there is",
        put_value(old.key.as_ref(), &old.value),
    ));
    let mut forged = there.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let node_id = node.peer_id().to_bytes();
    all.push((
        "of the node itself, it says",
        put_value_of(old.key.as_ref(), &forged, &node_id),
    ));
    // Types: PING, and one there isn't.
    all.push(("ping", prefixed(&[8, 5])));
    all.push(("unknown type", prefixed(&[8, 99])));
    all.push((
        "no record in it",
        prefixed(&[vec![8, 0], field(2, &old.key.to_vec())].concat()),
    ));
    all.push(("no protobuf", prefixed(&[0xff; 20])));
    all.push(("too large", [vec![0x80, 0x80, 0x40], vec![0; 100]].concat()));
    all
}

#[tokio::test]
async fn every_refusal_ends_its_stream_within_a_second() {
    let node = Node::start().await;
    let keypair = Keypair::generate_ed25519();
    let mut honest = Client::with_key(keypair.clone()).await;
    let address = node.address("tcp");
    honest.connect(&address).await;
    honest.identify().await;
    let kad = &mut honest.swarm.behaviour_mut().kad;
    kad.add_address(&node.peer_id(), address.clone());
    let there = presence(&keypair, 2, State::Here);
    assert!(put(&mut honest, there.clone()).await);

    let mut raw = Raw::connect(ATTACKER, node.port("tcp"), &keypair)
        .await
        .unwrap();
    // All of them several times, which is more than kad takes streams at one time.
    for (kind, request) in (0..4).flat_map(|_| refused(&node, &keypair, &there.value)) {
        let started = Instant::now();
        // The asker may still have something to say, or not.
        let id = raw.next_id() + 2;
        let open = raw.stream(KAD, &request);
        let (closed_id, closed) = raw.request(KAD, &request);
        raw.send(&[open, closed].concat()).await.unwrap();
        let answers = soon(kind, raw.ended(&[id, closed_id])).await.unwrap();
        assert!(answers.values().all(Vec::is_empty), "{kind}: {answers:?}");
        assert!(
            started.elapsed() < WAIT_MAX,
            "{kind}: {:?}",
            started.elapsed()
        );
    }
    // What is in order is answered on the same connection.
    let newer = presence(&keypair, 3, State::Here);
    let request = put_value(newer.key.as_ref(), &newer.value);
    assert_eq!(raw.ask([request]).await, 1);
    let providers = prefixed(&[vec![8, 3], field(2, &topic().provider_key())].concat());
    assert_eq!(raw.ask([providers]).await, 1);
    node.assert_alive().await;
}

#[tokio::test]
async fn who_asks_for_servers_or_the_time_without_end_is_told_to_wait() {
    const QUESTIONS: usize = 400;
    let siege = Siege::lay().await;
    let port = siege.node.port("tcp");
    let protocols = [
        (names::ICE_SERVERS_PROTOCOL, ice_wire::Request::Get.encode()),
        (names::TIME_PROTOCOL, time_wire::Request::Get.encode()),
    ];
    let busy = |answer: &Vec<u8>| String::from_utf8_lossy(answer).contains("\"busy\"");
    for (protocol, question) in protocols {
        let mut raw = Raw::connect(ATTACKER, port, &Keypair::generate_ed25519())
            .await
            .unwrap();
        let started = Instant::now();
        let questions = vec![question.clone(); QUESTIONS];
        let answers = raw.ask_by(protocol, questions).await;
        let told = answers.iter().filter(|answer| !busy(answer)).count();
        let allowed = ASKED_PER_PEER.burst as u64 + started.elapsed().as_secs() + 1;
        assert_eq!(answers.len(), QUESTIONS, "each is answered");
        assert!(told as u64 <= allowed, "{protocol}: {told} of {allowed}");
        assert!(told >= ASKED_PER_PEER.burst as usize, "{protocol}: {told}");

        // It is that peer's share, and nobody else's.
        let mut another = Raw::connect([127, 0, 0, 67], port, &Keypair::generate_ed25519())
            .await
            .unwrap();
        let answers = another.ask_by(protocol, [question.clone()]).await;
        assert!(!answers.iter().any(busy), "{answers:?}");
        let extra = format!("{told} answered, the others told to wait; another is answered");
        let asking = async {
            loop {
                raw.ask_by(protocol, vec![question.clone(); QUESTIONS])
                    .await;
            }
        };
        let attack = format!("{QUESTIONS} questions by {protocol}, and more");
        siege.judge_amid(asking, &attack, 16, &extra).await;
    }
}
