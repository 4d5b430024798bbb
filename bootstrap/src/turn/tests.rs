//! The server without sockets.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use libp2p::PeerId;
use md5::{Digest as _, Md5};

use super::{
    Counters, Credentials, Issued, Quotas, Settings,
    clock::Clock,
    credentials::{Client, REALM, Secrets},
    relay::{NoPort, Relay, Step},
    request,
};
use crate::{
    limits,
    stun::wire::{Message, Writer, attribute, unxor},
};

mod bounds;
mod data;

const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const CHANNEL_BIND: u16 = 0x0009;
const UDP: (u16, &[u8]) = (attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
const PEER: &str = "198.51.100.7:4000";
const CREDENTIALS_LIFE: Duration = Duration::from_secs(3_600);

struct Lab {
    relay: Relay,
    credentials: Credentials,
    counters: Counters,
    now: Instant,
    ports: u16,
}

/// Somebody at the server.
#[derive(Clone)]
struct User {
    client: Client,
    issued: Issued,
}

fn settings() -> Settings {
    Settings {
        quotas: Quotas {
            all: 8,
            per_peer: 2,
            per_address: 4,
        },
        bytes_per_second: 1_000_000,
        allocation_bytes_per_second: 100_000,
        allow_private: false,
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Lab {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let secrets = Secrets {
            passwords: [1; 32],
            nonces: [2; 32],
        };
        let clock = Clock::new(now, SystemTime::now());
        let credentials = Credentials::new(secrets, clock, CREDENTIALS_LIFE);
        let counters = Counters::default();
        let relay = Relay::new(settings, credentials.clone(), counters.clone(), now);
        Self {
            relay,
            credentials,
            counters,
            now,
            ports: 50_000,
        }
    }

    fn user(&self, client: &str) -> User {
        User {
            client: Client::Udp {
                socket: 0,
                address: address(client),
            },
            issued: self.credentials.issue(&PeerId::random(), self.now),
        }
    }

    /// What the server answers to a request, with the port that it may have asked for.
    fn ask(&mut self, client: Client, request: &[u8]) -> Vec<u8> {
        match self.relay.on_request(client, request, self.now).unwrap() {
            Step::ToClient(to, bytes) => {
                assert_eq!(to, client);
                bytes
            }
            Step::Open(opening) => {
                self.ports += 1;
                let ip = if opening.is_ipv6 {
                    "2001:db8::5"
                } else {
                    "203.0.113.5"
                };
                let relayed = SocketAddr::new(ip.parse().unwrap(), self.ports);
                self.relay.opened(opening, Ok(relayed), self.now)
            }
            other => panic!("{other:?}"),
        }
    }

    /// A signed request and the code of its refusal, or 0.
    fn request(&mut self, user: &User, method: u16, attributes: &[(u16, &[u8])]) -> u16 {
        let request = self.sign(user, method, attributes);
        let answer = self.ask(user.client, &request);
        error_code(&answer)
    }

    fn sign(&self, user: &User, method: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let nonce = self.credentials.nonce(user.client, self.now);
        sign(&user.issued, &nonce, method, attributes)
    }

    fn allocate(&mut self, user: &User) -> SocketAddr {
        let request = self.sign(user, ALLOCATE, &[UDP]);
        let answer = self.ask(user.client, &request);
        assert_eq!(error_code(&answer), 0);
        relayed(&answer)
    }

    fn permit(&mut self, user: &User, peer: &str) -> u16 {
        let request = self.sign_with_peers(user, CREATE_PERMISSION, &[peer], &[]);
        let answer = self.ask(user.client, &request);
        error_code(&answer)
    }

    fn bind(&mut self, user: &User, number: u16, peer: &str) -> u16 {
        let number = [number.to_be_bytes(), [0, 0]].concat();
        let number = (attribute::CHANNEL_NUMBER, &number[..]);
        let request = self.sign_with_peers(user, CHANNEL_BIND, &[peer], &[number]);
        let answer = self.ask(user.client, &request);
        error_code(&answer)
    }

    fn sign_with_peers(
        &self,
        user: &User,
        method: u16,
        peers: &[&str],
        others: &[(u16, &[u8])],
    ) -> Vec<u8> {
        let values: Vec<Vec<u8>> = peers.iter().map(|peer| xored(address(peer))).collect();
        let mut attributes: Vec<(u16, &[u8])> = values
            .iter()
            .map(|value| (attribute::XOR_PEER_ADDRESS, &value[..]))
            .collect();
        attributes.extend(others);
        self.sign(user, method, &attributes)
    }

    fn send(&mut self, user: &User, peer: &str, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let message = Writer::new(request::SEND_INDICATION, &TRANSACTION)
            .with_address(attribute::XOR_PEER_ADDRESS, address(peer))
            .with(attribute::DATA, data)
            .finish();
        self.data(user, &message)
    }

    fn data(&mut self, user: &User, message: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        match self.relay.on_data(user.client, message, self.now) {
            Step::ToPeer { to, data, .. } => Some((to, data.to_vec())),
            Step::Nothing => None,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.counters.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }
}

const TRANSACTION: [u8; 12] = [9; 12];

fn xored(address: SocketAddr) -> Vec<u8> {
    let bytes = Writer::new(0, &TRANSACTION)
        .with_address(attribute::XOR_PEER_ADDRESS, address)
        .finish();
    Message::parse(&bytes)
        .unwrap()
        .iter()
        .next()
        .unwrap()
        .value
        .to_vec()
}

fn key(issued: &Issued) -> [u8; 16] {
    Md5::digest(format!("{}:{REALM}:{}", issued.username, issued.password)).into()
}

fn sign(issued: &Issued, nonce: &str, method: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(method, &TRANSACTION);
    for (kind, value) in attributes {
        writer = writer.with(*kind, value);
    }
    writer
        .with(attribute::USERNAME, issued.username.as_bytes())
        .with(attribute::REALM, REALM.as_bytes())
        .with(attribute::NONCE, nonce.as_bytes())
        .sign(&key(issued))
}

fn value(message: &[u8], kind: u16) -> Option<Vec<u8>> {
    let message = Message::parse(message).unwrap();
    let mut all = message.iter().filter(|one| one.kind == kind);
    all.next().map(|one| one.value.to_vec())
}

fn error_code(message: &[u8]) -> u16 {
    match value(message, attribute::ERROR_CODE) {
        Some(error) => u16::from(error[2]) * 100 + u16::from(error[3]),
        None => 0,
    }
}

fn relayed(answer: &[u8]) -> SocketAddr {
    let value = value(answer, attribute::XOR_RELAYED_ADDRESS).unwrap();
    unxor(&value, &TRANSACTION).unwrap()
}

fn lifetime(answer: &[u8]) -> u32 {
    let value = value(answer, attribute::LIFETIME).unwrap();
    u32::from_be_bytes(value.try_into().unwrap())
}

#[test]
fn a_client_is_asked_for_credentials_and_then_has_a_port() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:5000");
    let bare = Writer::new(ALLOCATE, &TRANSACTION)
        .with(UDP.0, UDP.1)
        .finish();
    let challenge = lab.ask(user.client, &bare);
    assert_eq!(error_code(&challenge), 401);
    assert_eq!(
        value(&challenge, attribute::REALM).unwrap(),
        REALM.as_bytes()
    );
    assert!(
        challenge.len() <= 2 * bare.len(),
        "{} for {}",
        challenge.len(),
        bare.len()
    );
    let nonce = String::from_utf8(value(&challenge, attribute::NONCE).unwrap()).unwrap();
    let request = sign(&user.issued, &nonce, ALLOCATE, &[UDP]);
    let answer = lab.ask(user.client, &request);
    assert_eq!(relayed(&answer), address("203.0.113.5:50001"));
    assert_eq!(lifetime(&answer), 600);
    let mapped = value(&answer, attribute::XOR_MAPPED_ADDRESS).unwrap();
    assert_eq!(unxor(&mapped, &TRANSACTION), Some(user.client.address()));
    let message = Message::parse(&answer).unwrap();
    let signature = message.iter().last().unwrap();
    assert!(message.is_signed(signature, &key(&user.issued)));

    // The same request again, as if the answer had been lost, and another one.
    assert_eq!(lab.ask(user.client, &request), answer);
    let mut other = Writer::new(ALLOCATE, &[8; 12]).with(UDP.0, UDP.1);
    other = other
        .with(attribute::USERNAME, user.issued.username.as_bytes())
        .with(attribute::REALM, REALM.as_bytes())
        .with(attribute::NONCE, nonce.as_bytes());
    let other = other.sign(&key(&user.issued));
    assert_eq!(error_code(&lab.ask(user.client, &other)), 437);
}

#[test]
fn wrong_expired_and_foreign_credentials_are_refused() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:5000");
    let mut wrong = user.clone();
    wrong.issued.password = "guessed".to_owned();
    assert_eq!(lab.request(&wrong, ALLOCATE, &[UDP]), 401);
    let mut renamed = user.clone();
    renamed.issued.username = format!("9{}", user.issued.username);
    assert_eq!(lab.request(&renamed, ALLOCATE, &[UDP]), 401);
    let foreign = User {
        issued: Lab::new(settings()).user("192.0.2.1:5000").issued,
        ..user.clone()
    };
    // Of another secret.
    let mut other = Lab::new(settings());
    other.credentials = Credentials::new(
        Secrets {
            passwords: [3; 32],
            nonces: [2; 32],
        },
        Clock::new(other.now, SystemTime::now()),
        CREDENTIALS_LIFE,
    );
    let foreign = User {
        issued: other.user("192.0.2.1:5000").issued,
        ..foreign
    };
    assert_eq!(lab.request(&foreign, ALLOCATE, &[UDP]), 401);
    for username in ["", "peer", &"x".repeat(600)] {
        let mut nameless = user.clone();
        nameless.issued.username = username.to_owned();
        assert!(matches!(
            lab.request(&nameless, ALLOCATE, &[UDP]),
            400 | 401
        ));
    }
    // Nothing is left out unpunished.
    let half = Writer::new(ALLOCATE, &TRANSACTION)
        .with(attribute::USERNAME, b"1:a")
        .sign(b"");
    assert_eq!(error_code(&lab.ask(user.client, &half)), 400);

    let stale = lab.credentials.nonce(user.client, lab.now);
    let early = lab.now;
    lab.now += CREDENTIALS_LIFE;
    assert_eq!(lab.request(&user, ALLOCATE, &[UDP]), 401, "expired");
    let fresh = lab.user("192.0.2.1:5000");
    let late = sign(&fresh.issued, &stale, ALLOCATE, &[UDP]);
    let answer = lab.ask(fresh.client, &late);
    assert_eq!(error_code(&answer), 438);
    assert!(value(&answer, attribute::NONCE).is_some());
    assert_eq!(lab.request(&fresh, ALLOCATE, &[UDP]), 0);
    assert!(
        lab.refused()
            .contains("turn_refused_total{reason=\"Credentials\"}")
    );
    assert!(early < lab.now);
}

#[test]
fn an_allocation_outlives_its_credentials_but_not_its_own_time() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:5000");
    lab.allocate(&user);
    let hour = (attribute::LIFETIME, &3_600_u32.to_be_bytes()[..]);
    let end = lab.now + limits::TURN_ALLOCATION_LIFE_MAX;
    while lab.now + Duration::from_secs(1_800) < end {
        assert_eq!(lab.request(&user, REFRESH, &[hour]), 0);
        lab.now += Duration::from_secs(1_800);
        lab.relay.on_time(lab.now);
    }
    let other = User {
        issued: lab.user("192.0.2.1:5000").issued,
        ..user.clone()
    };
    assert_eq!(lab.request(&other, REFRESH, &[hour]), 441);
    let request = lab.sign(&user, REFRESH, &[hour]);
    let answer = lab.ask(user.client, &request);
    assert!(lifetime(&answer) <= 1_800, "{}", lifetime(&answer));
    lab.now = end;
    lab.relay.on_time(lab.now);
    assert_eq!(lab.relay.take_closed().len(), 1);
    assert_eq!(lab.request(&user, REFRESH, &[hour]), 401);
}

#[test]
fn a_port_is_given_back_when_it_is_not_wanted_or_prolonged() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:5000");
    let port = lab.allocate(&user);
    let none = (attribute::LIFETIME, &0_u32.to_be_bytes()[..]);
    let request = lab.sign(&user, REFRESH, &[none]);
    let answer = lab.ask(user.client, &request);
    assert_eq!(lifetime(&answer), 0);
    assert_eq!(lab.relay.take_closed(), vec![port]);
    assert_eq!(lab.request(&user, REFRESH, &[]), 437);

    let port = lab.allocate(&user);
    assert_eq!(lab.permit(&user, PEER), 0);
    lab.now += limits::TURN_LIFETIME - Duration::from_secs(1);
    lab.relay.on_time(lab.now);
    assert!(lab.relay.take_closed().is_empty());
    lab.now += Duration::from_secs(1);
    assert_eq!(lab.send(&user, PEER, b"late"), None);
    lab.relay.on_time(lab.now);
    assert_eq!(lab.relay.take_closed(), vec![port]);
}
