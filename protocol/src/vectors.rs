//! Guards `docs/protocol.md`: its hex is what this crate computes, its examples are taken, its
//! limits are the crate's.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use libp2p_identity::{Keypair, PeerId};
use sha2::{Digest, Sha256};

use crate::{
    UnixMillis,
    allowance::Share,
    ice_wire,
    known::Known,
    limits, message, names,
    neighbours::pair_hash,
    presence::{Presence, SignedPresence, State, presence_record_key},
    presence_wire,
    record::{Record, SignedRecord, record_key},
    refusal_wire,
    room::{RoomMessage, RoomText, gossip_message_id},
    stream_wire, time_wire,
    topic::{Topic, TopicHash},
};

const DOCUMENT: &str = include_str!("../../docs/protocol.md");

const TOPIC_HASH: &str = "3efbae9d971525e5090c780dde74afad4f366b07b311d8caf85d1af78cd01962";
const PEER: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

/// How the document shortens the example's presence.
const PRESENCE_SHORT: &str = "CiQIARIg…";

const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

/// Ada's key: a seed of ones.
fn ada() -> Keypair {
    Keypair::ed25519_from_bytes([1; 32]).unwrap()
}

fn peer() -> PeerId {
    ada().public().to_peer_id()
}

fn topic() -> TopicHash {
    Topic::new("global-chat").unwrap().hash()
}

fn presence() -> SignedPresence {
    let presence = Presence {
        peer: peer(),
        topic: topic(),
        name: "Ada".parse().unwrap(),
        addresses: vec![
            format!("/ip4/192.0.2.7/tcp/8468/p2p/{PEER}")
                .parse()
                .unwrap(),
        ],
        sequence: WALL.0,
        issued: WALL,
        expires: UnixMillis(WALL.0 + 120_000),
        state: State::Here,
    };
    presence.sign(&ada()).unwrap()
}

fn record() -> SignedRecord {
    let record = Record {
        key: "greeting".parse().unwrap(),
        value: serde_json::json!({"hello": "world"}),
        publisher: peer(),
        sequence: WALL.0,
        issued: WALL,
        expires: UnixMillis(WALL.0 + 86_400_000),
    };
    record.sign(&ada()).unwrap()
}

/// The value is `expected`, and the document says so.
#[track_caller]
fn documented(value: &str, expected: &str) {
    assert_eq!(value, expected);
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    assert!(
        squeeze(DOCUMENT).contains(&squeeze(expected)),
        "not in the document: {expected}"
    );
}

#[test]
fn keys_are_as_documented() {
    let public = "080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    documented(&HEXLOWER.encode(&ada().public().encode_protobuf()), public);
    documented(
        &HEXLOWER.encode(&peer().to_bytes()),
        &format!("0024{public}"),
    );
    documented(&peer().to_string(), PEER);
    documented(&topic().to_hex(), TOPIC_HASH);
    let provider_key = topic().provider_key();
    documented(
        &HEXLOWER.encode(&provider_key),
        &format!("1220{TOPIC_HASH}"),
    );
    documented(
        &HEXLOWER.encode(&Sha256::digest(provider_key)),
        "aa073848a7606907244b908cd004fef6736d7f327184667b6c9c596708451326",
    );
    documented(
        &topic().gossip_topic(),
        &format!("/moim/room/1/{TOPIC_HASH}"),
    );
    documented(
        &HEXLOWER.encode(&presence_record_key(topic(), &peer())),
        &format!("2f6d6f696d2f70726573656e63652f312f{TOPIC_HASH}0024{public}"),
    );
    documented(
        &HEXLOWER.encode(&record_key("greeting")),
        "2f6d6f696d2f7265636f72642f312f18f6b0200b6fd32ce4e85b6c841f72247964195b8e1cd7c52e046dc51e48f779",
    );
}

#[test]
fn neighbours_are_as_documented() {
    let grace = Keypair::ed25519_from_bytes([2; 32]).unwrap().public();
    let grace = grace.to_peer_id();
    documented(
        &grace.to_string(),
        "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq",
    );
    let hash = pair_hash(peer(), grace);
    assert_eq!(hash, pair_hash(grace, peer()));
    documented(&format!("{hash:016x}"), "c3f31ea4ccbf65fa");
}

#[test]
fn envelopes_are_as_documented() {
    let presence = presence();
    assert_eq!(presence.as_bytes().len(), 484);
    documented(
        &HEXLOWER.encode(presence.as_bytes()),
        "0a24080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c12102f6d6f69\
         6d2f70726573656e63652f311ae7027b2276223a312c2274797065223a2270726573656e6365222c22706565\
         72223a22313244334b6f6f574b3939566f56784e4537587a79427758457a573778684b374770763835723946\
         33563366794b5355\
         4b504835222c22746f706963223a223365666261653964393731353235653530393063373830646465373461\
         6661643466333636623037623331316438636166383564316166373863643031393632222c226e616d65223a\
         22416461222c22616464726573736573223a5b222f6970342f3139322e302e322e372f7463702f383436382f\
         7032702f313244334b6f6f574b3939566f56784e4537587a79427758457a573778684b374770763835723946\
         33563366794b53554b504835225d2c2273657175656e6365223a313830303030303030303030302c22697373\
         756564223a313830303030303030303030302c2265787069726573223a313830303030303132303030302c22\
         7374617465223a2268657265227d2a401632e66cd67712436d8c7dba7f517ef294638d507579a4a848297da5\
         86bbc6f8e76fff50a332010b51e80b66842b267c7c8a1bc9416cc180a5a6182d40af8808",
    );
    let record = record();
    assert_eq!(record.as_bytes().len(), 328);
    documented(
        &HEXLOWER.encode(&Sha256::digest(record.as_bytes())),
        "412a9ca7da2d13208fe990b1d08986f7561b4eaf5d6c31fd51737ebad35d1786",
    );
    documented(
        &HEXLOWER.encode(&record.as_bytes()[328 - 64..]),
        "7ced3abdcbca13f8fba8d39f51659f811157abec3bb7259aa69d7dd636501fe6477d8076696c7348e009c5fd1d540cbd5d70de668bc2f2a91100dec9dbf0f204",
    );
}

#[test]
fn room_message_ids_are_as_documented() {
    let text = RoomMessage::Text(RoomText {
        id: "00112233445566778899aabbccddeeff".parse().unwrap(),
        session: WALL.0,
        sequence: 1,
        name: Some("Ada".parse().unwrap()),
        text: "hello".parse().unwrap(),
        sent: UnixMillis(WALL.0 + 1000),
    });
    let id = |message: &RoomMessage| {
        let topic = topic().gossip_topic();
        HEXLOWER.encode(&gossip_message_id(&topic, Some(&peer()), &message.encode()))
    };
    documented(
        &id(&text),
        "c47ffc08a93e5593fb1f53da3af5dba84ef722b027e3afb11fdd47dc4eb5da14",
    );
    documented(
        &id(&RoomMessage::Presence {
            presence: presence(),
        }),
        "76408f4abca1e01a53fab696cd779b62959930a8f3d32f78849666681e4f21ea",
    );
}

/// The JSON blocks of the document with what they are examples of.
fn examples() -> Vec<(&'static str, String)> {
    let presence = BASE64URL_NOPAD.encode(presence().as_bytes());
    assert!(presence.starts_with("CiQIARIgiojj") && presence.ends_with("QK-ICA"));
    DOCUMENT
        .split("<!-- example: ")
        .skip(1)
        .map(|part| {
            let (kind, rest) = part
                .split_once(" -->\n```json\n")
                .expect("an example has JSON");
            let (body, _) = rest.split_once("\n```").expect("an example ends");
            (kind, body.replace(PRESENCE_SHORT, &presence))
        })
        .collect()
}

/// Each is taken, and written again it is the same.
#[test]
fn examples_are_taken_and_written_alike() {
    let examples = examples();
    assert!(examples.len() >= 14, "{}", examples.len());
    for (kind, body) in examples {
        let bytes = body.as_bytes();
        let again = match kind {
            "presence" => payload(presence().as_bytes()),
            "record" => payload(record().as_bytes()),
            "ice servers request" => ice_wire::Request::decode(bytes).unwrap().encode(),
            "ice servers response" => ice_wire::Response::decode(bytes).unwrap().encode(),
            "refusal request" => refusal_wire::Request::decode(bytes).unwrap().encode(),
            "time request" => time_wire::Request::decode(bytes).unwrap().encode(),
            "time response" => time_wire::Response::decode(bytes).unwrap().encode(),
            "refusal response" => refusal_wire::Response::decode(bytes).unwrap().encode(),
            "presence request" => presence_wire::Request::decode(bytes).unwrap().encode(),
            "presence response" => presence_wire::Response::decode(bytes).unwrap().encode(),
            "message request" => message::Request::decode(bytes).unwrap().encode(),
            "message response" => message::Response::decode(bytes).unwrap().encode(),
            "stream request" => stream_wire::Request::decode(bytes).unwrap().encode(),
            "stream response" => stream_wire::Response::decode(bytes).unwrap().encode(),
            "room" => RoomMessage::decode(bytes).unwrap().encode(),
            kind => panic!("an example of {kind}"),
        };
        assert_eq!(String::from_utf8(again).unwrap(), body, "{kind}");
    }
}

/// The payload of an envelope.
fn payload(envelope: &[u8]) -> Vec<u8> {
    let start = envelope.windows(2).position(|pair| pair == b"{\"").unwrap();
    envelope[start..envelope.len() - 66].to_vec()
}

#[test]
fn names_are_as_documented() {
    for name in [
        names::KAD_PROTOCOL,
        names::ICE_SERVERS_PROTOCOL,
        names::MESSAGE_PROTOCOL,
        names::PRESENCE_PROTOCOL,
        names::REFUSAL_PROTOCOL,
        names::STREAM_PROTOCOL,
        names::TIME_PROTOCOL,
        names::IDENTIFY_PROTOCOL,
        names::AGENT,
        names::TOPIC_PREFIX,
        names::ROOM_PREFIX,
        names::NEIGHBOURS_PREFIX,
        names::PRESENCE_DOMAIN,
        names::RECORD_DOMAIN,
    ] {
        documented(&format!("`{name}"), &format!("`{name}"));
    }
    let bytes = [
        names::PRESENCE_KEY_PREFIX,
        names::PROVIDER_KEY_PREFIX,
        names::PRESENCE_PAYLOAD_TYPE,
        names::RECORD_KEY_PREFIX,
        names::RECORD_PAYLOAD_TYPE,
    ];
    for name in bytes {
        let name = std::str::from_utf8(name).unwrap();
        documented(&format!("`{name}`"), &format!("`{name}`"));
    }
}

/// What the table says of a constant: `(NAME) | value |`.
fn limit(name: &str) -> String {
    let (_, rest) = DOCUMENT.split_once(&format!("(`{name}`) | ")).expect(name);
    rest.split(" |").next().unwrap().replace(',', "")
}

#[test]
fn limits_are_as_documented() {
    let bytes = [
        ("BODY_BYTES_MAX", limits::BODY_BYTES_MAX),
        ("ROOM_BYTES_MAX", limits::ROOM_BYTES_MAX),
        ("ENVELOPE_BYTES_MAX", limits::ENVELOPE_BYTES_MAX),
        (
            "RECORD_ENVELOPE_BYTES_MAX",
            limits::RECORD_ENVELOPE_BYTES_MAX,
        ),
        ("TOPIC_BYTES_MAX", limits::TOPIC_BYTES_MAX),
        ("NAME_BYTES_MAX", limits::NAME_BYTES_MAX),
        ("TEXT_BYTES_MAX", limits::TEXT_BYTES_MAX),
        ("ADDRESS_BYTES_MAX", limits::ADDRESS_BYTES_MAX),
        ("PEER_TEXT_BYTES_MAX", limits::PEER_TEXT_BYTES_MAX),
        ("RECORD_KEY_BYTES_MAX", limits::RECORD_KEY_BYTES_MAX),
        ("RECORD_VALUE_BYTES_MAX", limits::RECORD_VALUE_BYTES_MAX),
        ("REASON_BYTES_MAX", limits::REASON_BYTES_MAX),
        ("PROTOCOL_NAME_BYTES_MAX", limits::PROTOCOL_NAME_BYTES_MAX),
        ("STREAM_HEADER_BYTES_MAX", limits::STREAM_HEADER_BYTES_MAX),
        ("PROVIDER_KEY_BYTES_MAX", limits::PROVIDER_KEY_BYTES_MAX),
        ("ICE_TEXT_BYTES_MAX", limits::ICE_TEXT_BYTES_MAX),
        ("CONVERSATION_BYTES_MAX", limits::CONVERSATION_BYTES_MAX),
        ("CONVERSATIONS_BYTES_MAX", limits::CONVERSATIONS_BYTES_MAX),
    ];
    for (name, value) in bytes {
        assert_eq!(limit(name), format!("{value} bytes"), "{name}");
    }
    let counts = [
        ("ADDRESSES_MAX", limits::ADDRESSES_MAX),
        ("MEMBERS_MAX", limits::MEMBERS_MAX),
        ("HEARSAY_MIN", limits::HEARSAY_MIN),
        ("FULL_MESH_MAX", limits::FULL_MESH_MAX),
        ("ICE_SERVERS_MAX", limits::ICE_SERVERS_MAX),
        ("ICE_SERVERS_USED", limits::ICE_SERVERS_USED),
        ("ICE_URLS_MAX", limits::ICE_URLS_MAX),
        ("SYNC_PAGES_MAX", limits::SYNC_PAGES_MAX),
        ("KNOWN_MAX", limits::KNOWN_MAX),
        ("PROVIDERS_PER_KEY_MAX", limits::PROVIDERS_PER_KEY_MAX),
        (
            "PROVIDER_KEYS_PER_PEER_MAX",
            limits::PROVIDER_KEYS_PER_PEER_MAX,
        ),
        ("OUTBOX_MAX", limits::OUTBOX_MAX),
        ("SEEN_PER_PEER", limits::SEEN_PER_PEER),
        ("SEEN_MAX", limits::SEEN_MAX),
        ("STREAMS_PER_PEER", limits::STREAMS_PER_PEER),
        ("STREAMS_ALL", limits::STREAMS_ALL),
        ("STREAMS_WAITING_MAX", limits::STREAMS_WAITING_MAX),
        ("SAY_WAITING_MAX", limits::SAY_WAITING_MAX),
        (
            "CONVERSATION_MESSAGES_MAX",
            limits::CONVERSATION_MESSAGES_MAX,
        ),
        ("CONVERSATIONS_MAX", limits::CONVERSATIONS_MAX),
    ];
    for (name, value) in counts {
        assert_eq!(limit(name), value.to_string(), "{name}");
    }
    let times: [(&str, Duration); 15] = [
        ("PRESENCE_TTL", limits::PRESENCE_TTL),
        ("PRESENCE_TTL_MAX", limits::PRESENCE_TTL_MAX),
        ("PRESENCE_REFRESH", limits::PRESENCE_REFRESH),
        ("CLOCK_SKEW_MAX", limits::CLOCK_SKEW_MAX),
        ("PROVIDER_TTL", limits::PROVIDER_TTL),
        ("RECORD_TTL_MIN", limits::RECORD_TTL_MIN),
        ("RECORD_TTL_DEFAULT", limits::RECORD_TTL_DEFAULT),
        ("RECORD_TTL_MAX", limits::RECORD_TTL_MAX),
        ("ORDER_GAP_MAX", limits::ORDER_GAP_MAX),
        ("SESSION_YOUNG", limits::SESSION_YOUNG),
        ("OUTBOX_DEADLINE", limits::OUTBOX_DEADLINE),
        ("STREAM_HEADER_TIME", limits::STREAM_HEADER_TIME),
        ("REDIAL_MAX", limits::REDIAL_MAX),
        ("TURNED_AWAY_MAX", limits::TURNED_AWAY_MAX),
        ("CONNECTION_LASTS", limits::CONNECTION_LASTS),
    ];
    for (name, value) in times {
        assert_eq!(limit(name), format!("{} s", value.as_secs()), "{name}");
    }
}

#[test]
fn what_is_known_is_as_documented() {
    let sync = examples()
        .into_iter()
        .find(|(_, body)| body.contains("known"));
    let (_, body) = sync.expect("an example says what is known");
    let request = presence_wire::Request::decode(body.as_bytes()).unwrap();
    let presence_wire::Request::Sync { known, .. } = request else {
        panic!("it asks for a list");
    };
    let signed = presence();
    let Presence { peer, sequence, .. } = *signed.presence();
    assert_eq!(known, Some(Known::new(7, [(peer, sequence)])));
}

#[test]
fn shares_are_as_documented() {
    let shares = [
        ("SAY", limits::SAY),
        ("TALK_PER_AUTHOR", limits::TALK_PER_AUTHOR),
        ("ROOM_TALK", limits::ROOM_TALK),
        ("PRESENCES_PER_PEER", limits::PRESENCES_PER_PEER),
        ("ROOM_PRESENCES", limits::ROOM_PRESENCES),
        ("DOUBTS_PER_AUTHOR", limits::DOUBTS_PER_AUTHOR),
        ("ROOM_DOUBTS", limits::ROOM_DOUBTS),
        ("GOSSIP_PER_NEIGHBOUR", limits::GOSSIP_PER_NEIGHBOUR),
        ("DIRECT_PER_PEER", limits::DIRECT_PER_PEER),
        ("DIRECT_ALL", limits::DIRECT_ALL),
        ("LISTS_PER_PEER", limits::LISTS_PER_PEER),
        ("LISTS_ALL", limits::LISTS_ALL),
        ("CATCH_UP_PER_PEER", limits::CATCH_UP_PER_PEER),
        ("CATCH_UP_ALL", limits::CATCH_UP_ALL),
    ];
    for (name, Share { things, bytes }) in shares {
        let row = format!(
            "(`{name}`) | {}; {} bytes | {}; {} bytes |",
            things.burst, bytes.burst, things.per_second, bytes.per_second
        );
        assert!(DOCUMENT.replace(',', "").contains(&row), "{row}");
    }
    let ice = limits::ASKED_PER_PEER;
    let row = format!("(`ASKED_PER_PEER`) | {} | {} |", ice.burst, ice.per_second);
    assert!(DOCUMENT.contains(&row), "{row}");
}

/// What a sender allows itself, every receiver takes, however it arrives.
#[test]
fn receivers_take_twice_what_a_sender_may_say() {
    let (say, heard) = (limits::SAY, limits::TALK_PER_AUTHOR);
    for (said, heard) in [(say.things, heard.things), (say.bytes, heard.bytes)] {
        assert!(heard.burst >= 2 * said.burst && heard.per_second >= 2 * said.per_second);
    }
}

#[test]
fn error_codes_are_as_documented() {
    use crate::wire::ErrorCode;
    for code in [
        ErrorCode::Busy,
        ErrorCode::Expired,
        ErrorCode::Invalid,
        ErrorCode::InvalidJson,
        ErrorCode::NotAMember,
        ErrorCode::NotAccepted,
        ErrorCode::TooLarge,
        ErrorCode::UnknownProtocol,
        ErrorCode::UnknownType,
        ErrorCode::UnsupportedVersion,
    ] {
        assert!(DOCUMENT.contains(&format!("\n| `{code}` | ")), "{code}");
    }
}
