use std::net::IpAddr;

use libp2p::{Multiaddr, identity::Keypair};
use moim_protocol::{
    presence::{Presence, presence_record_key},
    record::{self, record_key},
    topic::Topic,
};
use serde_json::json;

use super::*;

mod bounds;
mod durable;
mod sources;

/// A wall clock some time after 1970.
const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

fn start() -> Time {
    Time {
        now: Instant::now(),
        wall: WALL,
    }
}

impl Time {
    fn plus(self, duration: Duration) -> Self {
        Self {
            now: self.now + duration,
            wall: self.wall.saturating_add(duration),
        }
    }

    fn plus_secs(self, seconds: u64) -> Self {
        self.plus(Duration::from_secs(seconds))
    }
}

fn store() -> Store {
    Store::new(PeerId::random(), 7, StoreLimits::default())
}

fn topic() -> TopicHash {
    Topic::new("global-chat").unwrap().hash()
}

fn addresses() -> Vec<Multiaddr> {
    vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()]
}

struct Peer {
    keypair: Keypair,
    id: PeerId,
}

impl Peer {
    fn new() -> Self {
        let keypair = Keypair::generate_ed25519();
        let id = keypair.public().to_peer_id();
        Self { keypair, id }
    }

    /// A connection of this peer, from this address.
    fn from(&self, store: &Store, ip: &str) -> Sender {
        let ip: IpAddr = ip.parse().unwrap();
        Sender {
            peer: self.id,
            origin: store.origin(Whence::Network(ip.into()), &self.id),
        }
    }

    /// This peer's presence in [`topic`], signed at `time`, as a kad record.
    fn presence(&self, state: State, sequence: u64, time: Time) -> Record {
        self.presence_at(state, sequence, time, addresses())
    }

    fn presence_at(
        &self,
        state: State,
        sequence: u64,
        time: Time,
        addresses: Vec<Multiaddr>,
    ) -> Record {
        let presence = Presence {
            peer: self.id,
            topic: topic(),
            name: "Ann".parse().unwrap(),
            addresses,
            sequence,
            issued: time.wall,
            expires: time.wall.saturating_add(limits::PRESENCE_TTL),
            state,
        };
        let signed = presence.sign(&self.keypair).unwrap();
        Record::new(presence_record_key(topic(), &self.id), signed.into_bytes())
    }

    /// A value under `key`, signed at `time`.
    fn value(&self, key: &str, value: serde_json::Value, sequence: u64, time: Time) -> Record {
        let record = record::Record {
            key: key.parse().unwrap(),
            value,
            publisher: self.id,
            sequence,
            issued: time.wall,
            expires: time.wall.saturating_add(limits::RECORD_TTL_DEFAULT),
        };
        Record::new(
            record_key(key),
            record.sign(&self.keypair).unwrap().into_bytes(),
        )
    }

    fn provides(&self, time: Time) -> ProviderRecord {
        ProviderRecord {
            key: topic().provider_key().into(),
            provider: self.id,
            expires: Some(time.now + limits::PROVIDER_TTL),
            addresses: addresses(),
        }
    }
}

fn provider_ids(store: &Store, time: Time) -> Vec<PeerId> {
    let key = topic().provider_key().into();
    store
        .providers_at(&key, time.now)
        .into_iter()
        .map(|record| record.provider)
        .collect()
}

fn held(store: &Store, record: &Record, time: Time) -> bool {
    let seen = store.records.live(record.key.as_ref(), time.now);
    seen.is_some_and(|seen| seen.value == Some(record.value.as_slice()))
}

#[test]
fn a_signed_value_is_kept_until_it_expires() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    let record = peer.value("menu", json!({"soup": 1}), 1, t);
    store.put_at(record.clone(), t).unwrap();
    assert!(held(&store, &record, t));
    assert!(held(
        &store,
        &record,
        t.plus(limits::RECORD_TTL_DEFAULT - Duration::from_secs(1))
    ));
    assert!(!held(&store, &record, t.plus(limits::RECORD_TTL_DEFAULT)));
    store.sweep_at(t.plus(limits::RECORD_TTL_DEFAULT).now);
    assert_eq!(store.stats().records, 0);
    // Its sequence number is remembered for as long as it could be put again.
    let end = limits::RECORD_TTL_DEFAULT + limits::CLOCK_SKEW_MAX * 2;
    store.sweep_at(t.plus(end).now);
    assert_eq!(store.stats().record_bytes, 0);
}

#[test]
fn a_kept_record_names_its_signer_and_ends_when_it_was_signed_to() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    let mut record = peer.presence(State::Here, 1, t);
    record.publisher = Some(PeerId::random());
    record.expires = Some(t.now + limits::RECORD_TTL_MAX);
    store.put_at(record.clone(), t).unwrap();
    let kept = store.records.live(record.key.as_ref(), t.now).unwrap();
    assert_eq!(kept.publisher(), Some(peer.id));
    assert_eq!(kept.expires, t.now + limits::PRESENCE_TTL);
}

#[test]
fn what_is_not_admitted_is_refused_and_counted() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    let good = peer.presence(State::Here, 1, t);
    let mut flipped = good.clone();
    *flipped.value.last_mut().unwrap() ^= 1;
    let mut other_key = good.clone();
    other_key.key = presence_record_key(topic(), &PeerId::random()).into();
    let records = [
        Record::new(b"/elsewhere".to_vec(), good.value.clone()),
        Record::new(b"".to_vec(), good.value.clone()),
        Record::new(good.key.to_vec(), vec![]),
        Record::new(good.key.to_vec(), vec![0xff; 20_000]),
        flipped,
        other_key,
        peer.presence(State::Here, 1, t.plus_secs(3600)),
    ];
    let count = records.len() as u64;
    for record in records {
        store.put_at(record, t).unwrap_err();
    }
    let too_late = t.plus_secs(3600);
    store.put_at(good, too_late).unwrap_err();
    let stats = store.stats();
    assert_eq!((stats.records, stats.refused_total), (0, count + 1));
    assert_eq!(provider_ids(&store, t), []);
}

#[test]
fn the_higher_sequence_number_wins_whatever_comes_first() {
    let (peer, t) = (Peer::new(), start());
    let old = peer.value("k", json!(1), 1, t);
    let new = peer.value("k", json!(2), 2, t);
    let mut store = store();
    store.put_at(old.clone(), t).unwrap();
    store.put_at(new.clone(), t).unwrap();
    assert!(held(&store, &new, t));
    store.put_at(old, t).unwrap_err();
    assert!(held(&store, &new, t));
    assert_eq!(store.stats().records, 1);
}

#[test]
fn of_equal_sequence_numbers_all_servers_keep_the_same() {
    let (peer, t) = (Peer::new(), start());
    let a = peer.value("k", json!("a"), 1, t);
    let b = peer.value("k", json!("b"), 1, t);
    let winner = if a.value > b.value { &a } else { &b };
    for order in [[&a, &b], [&b, &a]] {
        let mut store = store();
        for record in order {
            let _ = store.put_at(record.clone(), t);
        }
        assert!(held(&store, winner, t));
    }
}

#[test]
fn the_same_record_again_is_fine_and_lives_no_longer() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    let record = peer.presence(State::Here, 1, t);
    store.put_at(record.clone(), t).unwrap();
    store.put_at(record.clone(), t.plus_secs(100)).unwrap();
    assert!(held(&store, &record, t.plus_secs(119)));
    assert!(!held(&store, &record, t.plus_secs(120)));
    assert_eq!(provider_ids(&store, t.plus_secs(120)), []);
}

#[test]
fn an_expired_presence_can_not_be_brought_back_by_playing_it_again() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    let record = peer.presence(State::Here, 1, t);
    store.put_at(record.clone(), t).unwrap();
    // With and without the sweep in between, and for as long as admission would take it.
    store.put_at(record.clone(), t.plus_secs(121)).unwrap_err();
    store.sweep_at(t.plus_secs(130).now);
    assert_eq!(store.stats().records, 0);
    for seconds in [130, 400, 700] {
        store
            .put_at(record.clone(), t.plus_secs(seconds))
            .unwrap_err();
    }
    assert_eq!(provider_ids(&store, t.plus_secs(130)), []);
    store
        .put_at(
            peer.presence(State::Here, 2, t.plus_secs(700)),
            t.plus_secs(700),
        )
        .unwrap();
    assert_eq!(provider_ids(&store, t.plus_secs(700)), [peer.id]);
}

#[test]
fn a_presence_makes_its_peer_a_provider_with_the_signed_addresses() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    store.put_at(peer.presence(State::Here, 1, t), t).unwrap();
    let providers = store.providers_at(&topic().provider_key().into(), t.now);
    assert_eq!(providers.len(), 1);
    assert_eq!(providers[0].provider, peer.id);
    assert_eq!(providers[0].addresses, addresses());
    assert_eq!(providers[0].expires, Some(t.now + limits::PRESENCE_TTL));
    let stats = store.stats();
    assert_eq!((stats.provider_keys, stats.providers), (1, 1));
}

#[test]
fn a_presence_without_addresses_lists_nobody() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    store.put_at(peer.presence(State::Here, 1, t), t).unwrap();
    store
        .put_at(peer.presence_at(State::Here, 2, t, vec![]), t)
        .unwrap();
    assert_eq!(provider_ids(&store, t), []);
}

#[test]
fn left_takes_effect_at_once_and_stays() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    let here = peer.presence(State::Here, 1, t);
    store.put_at(here.clone(), t).unwrap();
    store.put_at(peer.presence(State::Left, 2, t), t).unwrap();
    assert_eq!(provider_ids(&store, t), []);

    // Neither the older presence nor an ADD_PROVIDER brings it back, as long as the older one
    // could be replayed.
    for seconds in [0, 60, 121, 400, 700] {
        let t = t.plus_secs(seconds);
        store.sweep_at(t.now);
        store.put_at(here.clone(), t).unwrap_err();
        store.add_provider_at(&peer.provides(t), t).unwrap_err();
        assert_eq!(provider_ids(&store, t), []);
    }

    // A new one does.
    let t = t.plus_secs(700);
    store.put_at(peer.presence(State::Here, 3, t), t).unwrap();
    assert_eq!(provider_ids(&store, t), [peer.id]);
    store.add_provider_at(&peer.provides(t), t).unwrap();
}

#[test]
fn left_may_come_before_the_presence_it_ends() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    store.put_at(peer.presence(State::Left, 2, t), t).unwrap();
    store
        .put_at(peer.presence(State::Here, 1, t), t)
        .unwrap_err();
    assert_eq!(provider_ids(&store, t), []);
}

#[test]
fn a_stock_provider_record_is_kept_for_its_time() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    let mut record = peer.provides(t);
    record.expires = Some(t.now + limits::RECORD_TTL_MAX);
    store.add_provider_at(&record, t).unwrap();
    assert_eq!(provider_ids(&store, t.plus_secs(119)), [peer.id]);
    assert_eq!(provider_ids(&store, t.plus_secs(120)), []);
    store.sweep_at(t.plus_secs(120).now);
    assert_eq!(store.stats().providers, 0);
}

#[test]
fn a_provider_needs_a_hash_to_provide_and_an_address() {
    let (mut store, peer, t) = (store(), Peer::new(), start());
    for key in [&b""[..], b"x", b"\x12\x20short", &[0x12, 0], &[0x12; 200]] {
        let record = ProviderRecord {
            key: RecordKey::new(&key),
            ..peer.provides(t)
        };
        store.add_provider_at(&record, t).unwrap_err();
    }
    let nowhere = ProviderRecord {
        addresses: vec![],
        ..peer.provides(t)
    };
    store.add_provider_at(&nowhere, t).unwrap_err();
    assert_eq!(store.stats().providers, 0);
    assert_eq!(store.stats().refused_total, 6);
}

#[test]
fn a_sample_has_room_for_newcomers_and_fits_an_answer() {
    let (mut store, t) = (store(), start());
    for _ in 0..1000 {
        let peer = PeerId::random();
        let addresses = (0..8)
            .map(|n| {
                format!("/ip4/192.0.2.{n}/tcp/1/ws/p2p/{peer}")
                    .parse()
                    .unwrap()
            })
            .collect();
        let record = ProviderRecord {
            provider: peer,
            addresses,
            ..Peer::new().provides(t)
        };
        store.add_provider_at(&record, t).unwrap();
    }
    let newcomer = Peer::new();
    store
        .put_at(newcomer.presence(State::Here, 1, t), t)
        .unwrap();
    let key = topic().provider_key().into();
    let sample = store.providers_at(&key, t.now);
    assert!(sample.iter().any(|record| record.provider == newcomer.id));
    assert!(
        (10..=SAMPLE_MAX).contains(&sample.len()),
        "{}",
        sample.len()
    );
    let bytes: usize = sample
        .iter()
        .flat_map(|r| &r.addresses)
        .map(Multiaddr::len)
        .sum();
    assert!(bytes <= SAMPLE_BYTES_MAX, "{bytes}");

    // Different answers show different members.
    let seen: std::collections::HashSet<_> = (0..50)
        .flat_map(|_| store.providers_at(&key, t.now))
        .map(|record| record.provider)
        .collect();
    assert!(seen.len() > 100, "{}", seen.len());
}

#[test]
fn what_the_local_peer_provides_is_listed_first_and_apart() {
    let (peer, t) = (Peer::new(), start());
    let mut store = Store::new(peer.id, 7, StoreLimits::default());
    let own = ProviderRecord::new(topic().provider_key(), peer.id, vec![]);
    RecordStore::add_provider(&mut store, own.clone()).unwrap();
    store
        .put_at(Peer::new().presence(State::Here, 1, t), t)
        .unwrap();
    assert_eq!(provider_ids(&store, t)[0], peer.id);
    assert_eq!(store.provided().count(), 1);
    // Once it has signed addresses, those are told instead.
    store.put_at(peer.presence(State::Here, 1, t), t).unwrap();
    let listed = store.providers_at(&own.key, t.now);
    let own_entries: Vec<_> = listed.iter().filter(|r| r.provider == peer.id).collect();
    assert_eq!(own_entries.len(), 1);
    assert_eq!(own_entries[0].addresses, addresses());
    store.remove_provider(&own.key, &peer.id);
    assert_eq!(store.provided().count(), 0);
    assert!(!provider_ids(&store, t).contains(&peer.id));
}

#[test]
fn the_local_peer_provides_a_bounded_number_of_keys() {
    let peer = PeerId::random();
    let mut store = Store::new(peer, 7, StoreLimits::default());
    let own = |n: usize| ProviderRecord::new(n.to_be_bytes().to_vec(), peer, vec![]);
    for n in 0..PROVIDED_MAX {
        RecordStore::add_provider(&mut store, own(n)).unwrap();
    }
    RecordStore::add_provider(&mut store, own(0)).unwrap();
    RecordStore::add_provider(&mut store, own(PROVIDED_MAX)).unwrap_err();
}

#[test]
fn the_trait_speaks_of_this_moment() {
    let (peer, t) = (Peer::new(), Time::read());
    let mut store = store();
    let record = peer.value("k", json!(1), 1, t);
    RecordStore::put(&mut store, record.clone()).unwrap();
    assert_eq!(
        RecordStore::get(&store, &record.key).unwrap().value,
        record.value
    );
    assert_eq!(store.records().count(), 1);
    RecordStore::add_provider(&mut store, peer.provides(t)).unwrap();
    assert_eq!(
        RecordStore::providers(&store, &topic().provider_key().into()).len(),
        1
    );
    RecordStore::remove(&mut store, &record.key);
    assert!(RecordStore::get(&store, &record.key).is_none());
    assert!(store.records.is_consistent());
}
