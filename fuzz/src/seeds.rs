//! Inputs to begin with: what well-behaved peers send, by what writes it.

use std::time::Duration;

use moim_protocol::{
    ice_wire::{self, IceServer},
    known::Known,
    limits::PRESENCE_TTL,
    message::{self, MessageId, Position},
    presence::State,
    presence_wire,
    record::{Record, record_key},
    room::{Doubt, RoomMessage, RoomText},
    stream_wire,
    wire::ErrorCode,
};

use crate::given::{WALL, keypair, peer, presence, topic};

/// A target, a name for the input, and the input.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// A session description as Chromium makes it.
const OFFER: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:4ZcD\r\na=ice-pwd:2/1muCWoOi3uLifh0NuRHlig\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 3E:79:AF:40:D6:05:96:17:A0:D8:3B:83:A5:2C:E7:3B:0C:1F:37:A7:2C:60:43:AD:29:69:E2:35:1B:DC:A8:70\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

const CANDIDATE: &str = r#"{"candidate":"candidate:1 1 udp 2130706431 192.0.2.1 54321 typ host generation 0","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"4ZcD"}"#;
const REFLEXIVE: &str = r#"{"candidate":"candidate:2 1 udp 1694498815 198.51.100.7 4000 typ srflx raddr 192.0.2.1 rport 54321","sdpMid":"0","sdpMLineIndex":0}"#;

/// All of them.
///
/// # Panics
///
/// Never: what is made here is valid.
#[must_use]
pub fn all() -> Vec<Seed> {
    [envelopes(), bodies(), servers(), webrtc()].concat()
}

fn envelopes() -> Vec<Seed> {
    let here = presence(1, 7, (WALL, PRESENCE_TTL), State::Here).expect("valid");
    let value = Record {
        key: "greeting".parse().expect("a key"),
        value: serde_json::json!({ "text": "hello", "count": 3 }),
        publisher: peer(1),
        sequence: WALL.0,
        issued: WALL,
        expires: WALL.saturating_add(Duration::from_secs(3600)),
    };
    let value = value.sign(keypair(1)).expect("valid");
    let payload = |envelope: &[u8], kind: &str| {
        let text = String::from_utf8_lossy(envelope).into_owned();
        let start = text
            .find(&format!(r#"{{"v":1,"type":"{kind}""#))
            .expect("it is in there");
        let end = text.rfind('}').expect("and ends");
        text.as_bytes()[start..=end].to_vec()
    };
    // The first four bytes say what is put around the rest.
    let choice = |n: u32, bytes: Vec<u8>| [choose(n, 3).to_vec(), bytes].concat();
    let mut line = serde_json::json!({
        "key": data_encoding::BASE64.encode(&record_key("greeting")),
        "value": data_encoding::BASE64.encode(value.as_bytes()),
    })
    .to_string();
    line.push('\n');
    vec![
        (
            "envelope",
            "signed-presence",
            choice(0, here.as_bytes().to_vec()),
        ),
        (
            "envelope",
            "signed-value",
            choice(0, value.as_bytes().to_vec()),
        ),
        (
            "envelope",
            "presence",
            choice(1, payload(here.as_bytes(), "presence")),
        ),
        (
            "envelope",
            "value",
            choice(2, payload(value.as_bytes(), "record")),
        ),
        ("operator_files", "export", line.into_bytes()),
    ]
}

/// The bytes by which `arbitrary` chooses the variant `n` of an enum with `count`.
fn choose(n: u32, count: u32) -> [u8; 4] {
    // It multiplies a number of 32 bits with the count, and takes what is above 32 bits.
    let width = (1_u64 << 32) / u64::from(count);
    let middle = u64::from(n) * width + width / 2;
    u32::try_from(middle).expect("below 2³²").to_le_bytes()
}

fn bodies() -> Vec<Seed> {
    let here = presence(1, 7, (WALL, PRESENCE_TTL), State::Here).expect("valid");
    let left = presence(2, 9, (WALL, PRESENCE_TTL), State::Left).expect("valid");
    let text = RoomText {
        id: MessageId::from_bytes([7; 16]),
        session: WALL.0 - 5,
        sequence: 3,
        name: Some("Ada".parse().expect("a name")),
        text: "hello\n\"you\"".parse().expect("a text"),
        sent: WALL,
    };
    let position = |sequence| Position {
        session: text.session,
        sequence,
    };
    let announce = presence_wire::Request::Announce {
        presence: here.clone(),
    };
    let sync = presence_wire::Request::Sync {
        topic: topic(),
        presence: Some(here.clone()),
        after: Some(peer(3)),
        known: Some(Known::new(7, [(peer(2), 9)])),
    };
    let members = presence_wire::Response::Members {
        members: vec![
            (here.clone(), Duration::from_secs(3)),
            (left, Duration::ZERO),
        ],
        next: Some(peer(2)),
    };
    let direct = message::Request::Text {
        id: text.id,
        text: text.text.clone(),
        sent: WALL,
    };
    let catch_up = message::Request::CatchUp {
        topic: topic(),
        said: position(3),
        known: position(1),
        member_for: Duration::from_secs(20),
    };
    let missed = message::Response::Missed {
        said: position(3),
        messages: vec![text.clone()],
    };
    let servers = ice_wire::Response::Servers {
        servers: vec![
            IceServer::stun("192.0.2.1", 3478),
            IceServer {
                urls: vec!["turn:[2001:db8::1]:3478?transport=tcp".to_owned()],
                username: Some("1800000000:peer".to_owned()),
                credential: Some("c2VjcmV0".to_owned()),
            },
        ],
        ttl: Some(Duration::from_secs(3600)),
    };
    let refused = presence_wire::Response::error(ErrorCode::Busy, "later");
    let open = stream_wire::Request::Open {
        protocol: "chess/1".parse().expect("a name"),
    };
    let unknown = stream_wire::Response::error(ErrorCode::UnknownProtocol, "nobody");
    let said = RoomMessage::Text(text.clone());
    let present = RoomMessage::Presence { presence: here };
    let doubt = RoomMessage::Doubt(Doubt {
        peer: peer(2),
        sequence: 9,
    });
    vec![
        ("presence_body", "announce", announce.encode()),
        ("presence_body", "sync", sync.encode()),
        ("presence_body", "members", members.encode()),
        ("presence_body", "refused", refused.encode()),
        ("message_body", "text", direct.encode()),
        ("message_body", "catch-up", catch_up.encode()),
        ("message_body", "missed", missed.encode()),
        (
            "message_body",
            "accepted",
            message::Response::Accepted { id: text.id }.encode(),
        ),
        ("stream", "open", open.encode()),
        (
            "stream",
            "chunks",
            [&[0, 42], &open.encode()[..], b"\0\x05hello\0\0"].concat(),
        ),
        ("stream", "refused", unknown.encode()),
        ("ice_body", "get", ice_wire::Request::Get.encode()),
        ("ice_body", "servers", servers.encode()),
        ("room_message", "text", said.encode()),
        ("room_message", "presence", present.encode()),
        ("room_message", "doubt", doubt.encode()),
        ("room_message", "topic", topic().gossip_topic().into_bytes()),
    ]
}

fn servers() -> Vec<Seed> {
    let id = peer(1);
    let source = [[0; 12].as_slice(), &[192, 0, 2, 1], &[1, 2]].concat();
    let hex = |text: &str| {
        data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .expect("digits")
    };
    let stun = |message: Vec<u8>| [source.clone(), message].concat();
    let ask = "000100002112a442b7e7a701bc34d686fa87dfae";
    // RFC 5769, section 2.4.
    let signed = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe3\
                  82b900000015001c662f2f3439396b3935346436\
                  4f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024\
                  656dd64a3e02b8e0712e85c9a28ca89666";
    // The first byte says how it comes in pieces.
    let http = |text: &str| [&[3], text.as_bytes()].concat();
    let block_list = format!(
        "# rude\n{id}  # since March\n\n192.0.2.7\n198.51.100.77/24\r\n2001:db8::1/32\n::ffff:192.0.2.1/120\n"
    );
    let document = format!(
        r#"{{"peer_id":"{id}","addresses":["/ip4/127.0.0.1/tcp/8469/ws/p2p/{id}","/dns4/moim.example/tcp/443/tls/ws"]}}"#
    );
    vec![
        ("stun", "question", stun(hex(ask))),
        ("stun", "signed", stun(hex(signed))),
        (
            "stun",
            "channel-data",
            stun(vec![2, 0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]),
        ),
        (
            "http_head",
            "websocket",
            http(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n\r\nmore",
            ),
        ),
        (
            "http_head",
            "page",
            http(
                "GET / HTTP/1.1\r\nHost: localhost:8470\r\nAccept-Encoding: gzip;q=0, br\r\nIf-None-Match: W/\"x\", *\r\n\r\n",
            ),
        ),
        (
            "http_head",
            "admin",
            http(
                "HEAD /admin/status.json HTTP/1.1\r\nHost: [::1]:8470\r\nSec-Fetch-Site: same-origin\r\nAuthorization: Bearer 0123456789abcdef\r\nVia: x\r\n\r\n",
            ),
        ),
        ("operator_files", "block-list", block_list.into_bytes()),
        ("bootstrap_document", "document", document.into_bytes()),
        (
            "bootstrap_document",
            "address",
            format!("/ip4/192.0.2.1/tcp/8468/p2p/{id}").into_bytes(),
        ),
    ]
}

fn webrtc() -> Vec<Seed> {
    let id = peer(1);
    let with_length = |mut message: Vec<u8>| {
        let mut bytes = unsigned(message.len());
        bytes.append(&mut message);
        bytes
    };
    // Protobuf: field 1, a number; field 2, bytes.
    let field = |bytes: &[u8]| [&[0x12], unsigned(bytes.len()).as_slice(), bytes].concat();
    let signal = |kind: u8, text: &str| {
        with_length([&[0x08, kind], field(text.as_bytes()).as_slice()].concat())
    };
    let offer = [
        &[9],
        signal(0, OFFER).as_slice(),
        &signal(2, CANDIDATE),
        &signal(2, ""),
    ]
    .concat();
    let frames = [
        &[2],
        with_length(field(b"hello")).as_slice(),
        &with_length(vec![0x08, 3]),
        &with_length([&[0x08, 0], field(b"bye").as_slice()].concat()),
    ]
    .concat();
    let direct = "/ip4/127.0.0.1/udp/9090/webrtc-direct/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
    let circuit = format!("/ip4/192.0.2.1/tcp/4001/p2p/{id}/p2p-circuit/webrtc/p2p/{id}");
    let relayed = format!("/ip4/192.0.2.1/udp/4001/quic-v1/p2p/{id}/p2p-circuit/p2p/{id}");
    vec![
        ("webrtc_signaling", "offer", offer),
        ("webrtc_frames", "frames", frames),
        (
            "webrtc_offer",
            "offer",
            format!("{OFFER}\n\n{CANDIDATE}\n{REFLEXIVE}\n").into_bytes(),
        ),
        ("address", "direct", direct.as_bytes().to_vec()),
        ("address", "circuit", circuit.into_bytes()),
        ("address", "relayed", relayed.into_bytes()),
        (
            "address",
            "user-name",
            b"libp2p+webrtc+v2/0123456789abcdefghijkl:abcd".to_vec(),
        ),
        ("address", "description", OFFER.as_bytes().to_vec()),
    ]
}

/// A number as a varint.
fn unsigned(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("7 bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_files_are_what_is_sent_today() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        for (target, name, bytes) in super::all() {
            let file = folder.join(target).join(name);
            let written = std::fs::read(&file).unwrap_or_default();
            let again = "run `cargo run --example fuzz-seeds`";
            assert!(written == bytes, "{}: {again}", file.display());
        }
    }
}
