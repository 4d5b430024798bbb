//! Records that are no records, providers that provide nothing, and questions without end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use libp2p::identity::Keypair;
use moim_protocol::{
    UnixMillis, limits,
    presence::{Presence, State, presence_record_key},
    record::record_key,
};

use super::{
    ATTACKER, Assault, Siege,
    raw::{DATA, KAD, Raw, add_provider, find_node, frame, put_value},
};
use crate::{
    network::{presence, topic, wall},
    until,
};

/// An address of another attacker.
pub(super) fn attacker(number: usize) -> [u8; 4] {
    let [a, b, c, d] = ATTACKER;
    [a, b, c, d + (number % 8) as u8]
}

/// Bytes that make no sense, others for each number.
fn garbage(number: usize, length: usize) -> Vec<u8> {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let next = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    next.take(length).collect()
}

/// A presence that was signed for this time, with its key.
fn dated(issued: UnixMillis) -> (Vec<u8>, Vec<u8>) {
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let presence = Presence {
        peer,
        topic: topic(),
        name: "Eve".parse().unwrap(),
        addresses: vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()],
        sequence: 1,
        issued,
        expires: issued.saturating_add(limits::PRESENCE_TTL),
        state: State::Here,
    };
    let signed = presence.sign(&keypair).unwrap();
    (presence_record_key(topic(), &peer), signed.into_bytes())
}

/// What no server should keep, of every kind.
pub(super) fn junk() -> Vec<(Vec<u8>, Vec<u8>)> {
    let genuine = presence(&Keypair::generate_ed25519(), 1, State::Here);
    let mut forged = genuine.value.clone();
    *forged.last_mut().unwrap() ^= 1;
    let day = 24 * 60 * 60 * 1000;
    let mut all = vec![
        (genuine.key.to_vec(), forged),
        // Signed, but by another than the key says.
        (record_key("menu"), genuine.value.clone()),
        dated(UnixMillis(wall().0 - day)),
        dated(UnixMillis(wall().0 + day)),
        dated(UnixMillis((1 << 53) - day)),
        dated(UnixMillis(0)),
        (record_key("menu"), Vec::new()),
        (Vec::new(), genuine.value),
    ];
    all.extend((0..8).map(|n| (record_key(format!("{n}")), garbage(n, 1_000))));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_junk_records() {
    const RECORDS: usize = 100_000;
    const PER_CONNECTION: usize = 30;
    let siege = Siege::lay().await;
    let (port, junk) = (siege.node.port("tcp"), Arc::new(junk()));
    let sent = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (sent, junk) = (Arc::clone(&sent), Arc::clone(&junk));
            tokio::spawn(async move {
                while sent.load(Ordering::Relaxed) < RECORDS {
                    let keypair = Keypair::generate_ed25519();
                    let Ok(mut raw) = Raw::connect(attacker(worker), port, &keypair).await else {
                        continue;
                    };
                    let (mut streams, mut numbers) = (Vec::new(), Vec::new());
                    for _ in 0..PER_CONNECTION {
                        let number = sent.fetch_add(1, Ordering::Relaxed);
                        let (key, value) = &junk[number % junk.len()];
                        let (id, bytes) = raw.request(KAD, &put_value(key, value));
                        streams.extend(bytes);
                        numbers.push(id);
                    }
                    // It ends the stream of each.
                    if raw.send(&streams).await.is_ok() {
                        raw.ended(&numbers).await.unwrap();
                    }
                }
            })
        })
        .collect();
    siege
        .judge(
            "100,000 garbage, forged, expired and future records",
            16,
            "",
        )
        .await;
    for worker in workers {
        tokio::time::timeout(std::time::Duration::from_secs(180), worker)
            .await
            .unwrap()
            .unwrap();
    }
    until("the refusals in the metrics", async || {
        siege.node.metric("moim_bootstrap_dht_refused_total").await >= RECORDS as u64 / 2
    })
    .await;
    // Those of the honest, and none besides.
    assert!(siege.node.metric("moim_bootstrap_dht_records").await < 20);
    siege.node.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identities_announce_themselves_under_one_key() {
    let siege = Siege::lay().await;
    let key = topic().provider_key();
    let mut held = Vec::new();
    for number in 0..1_000 {
        let keypair = Keypair::generate_ed25519();
        let port = siege.node.port("tcp");
        let mut raw = Raw::connect(attacker(number), port, &keypair)
            .await
            .unwrap();
        let stream = raw.stream(KAD, &add_provider(&key, &keypair));
        raw.send(&stream).await.unwrap();
        held.push(raw);
    }
    until("the flood to arrive", async || {
        siege.node.metric("moim_bootstrap_dht_providers").await >= 100
    })
    .await;
    let listed = siege.node.metric("moim_bootstrap_dht_providers").await;
    let extra = format!("{listed} of 1,000 listed");
    siege
        .judge(
            "1,000 identities announced under the topic of the honest",
            96,
            &extra,
        )
        .await;
}

impl Assault {
    /// Asks over one connection as fast as the node takes it, again and again when it hangs up.
    pub(super) fn ask(
        &mut self,
        port: u16,
        keypair: Keypair,
        question: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) {
        let (stop, question) = (Arc::clone(&self.stop), Arc::new(question));
        let asked = Arc::new(AtomicUsize::new(0));
        self.wage(move || {
            let (stop, question) = (Arc::clone(&stop), Arc::clone(&question));
            let (keypair, asked) = (keypair.clone(), Arc::clone(&asked));
            async move {
                // It may be turned away, for connecting too fast.
                if let Ok(raw) = Raw::connect(ATTACKER, port, &keypair).await {
                    let next = || question(asked.fetch_add(1, Ordering::Relaxed));
                    ask_without_end(raw, &stop, next).await;
                }
            }
        });
    }
}

/// Asks until told to stop, or until the node hangs up.
async fn ask_without_end(mut raw: Raw, stop: &AtomicBool, mut question: impl FnMut() -> Vec<u8>) {
    let id = raw.next_id();
    raw.next_id();
    let mut hello = Some({
        let mut opened = raw.stream(KAD, &[]);
        // The stream of before, not the next.
        opened[4..8].copy_from_slice(&id.to_be_bytes());
        opened
    });
    raw.send_all(|| {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(hello) = hello.take() {
            return Some(hello);
        }
        let many: Vec<_> = (0..50).flat_map(|_| question()).collect();
        Some([frame(DATA, 0, id, many.len() as u32), many].concat())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_keys_at_line_rate_from_one_peer() {
    let siege = Siege::lay().await;
    let mut assault = Assault::default();
    assault.ask(
        siege.node.port("tcp"),
        Keypair::generate_ed25519(),
        |number| find_node(&garbage(number, 32)),
    );
    until("the node to have enough of it", async || {
        siege.node.rejected("dht-rate").await != 0
    })
    .await;
    siege
        .judge("random keys asked for by one peer at line rate", 16, "")
        .await;
    assault.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_provides_every_key_there_is() {
    let siege = Siege::lay().await;
    let mut assault = Assault::default();
    let keypair = Keypair::generate_ed25519();
    let announced = keypair.clone();
    assault.ask(siege.node.port("tcp"), keypair, move |number| {
        let key = [&[0x12, 0x20], &garbage(number, 32)[..]].concat();
        add_provider(&key, &announced)
    });
    until("the node to have enough of it", async || {
        siege.node.rejected("dht-rate").await != 0
    })
    .await;
    siege
        .judge("keys without end provided by one peer", 16, "")
        .await;
    assault.end().await;
}
