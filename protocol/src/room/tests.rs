use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX},
    presence::PURPOSE,
    testing::{WALL, here, hostile, largest, left, millis, peer, sealed, topic},
    wire::ErrorCode,
};

fn text(name: &str, text: &str) -> RoomMessage {
    RoomMessage::Text(RoomText {
        id: MessageId::from_bytes([0xab; 16]),
        session: WALL.0,
        sequence: 1,
        name: Some(Name::new(name).unwrap()),
        text: Text::received(text).unwrap(),
        sent: WALL,
    })
}

fn messages() -> Vec<RoomMessage> {
    let presence = |presence| RoomMessage::Presence { presence };
    vec![
        text("Ada", "hello"),
        presence(here(1, 1)),
        presence(left(1, 2)),
        presence(largest(1)),
        doubt(),
    ]
}

fn doubt() -> RoomMessage {
    RoomMessage::Doubt(Doubt {
        peer: peer(3),
        sequence: 1_800_000_000_000,
    })
}

#[test]
fn messages_are_read_as_they_are_written() {
    for message in messages() {
        assert_eq!(RoomMessage::decode(&message.encode()).unwrap(), message);
    }
}

#[test]
fn messages_look_as_documented() {
    assert_eq!(
        String::from_utf8(text("Ada", "hello").encode()).unwrap(),
        r#"{"v":1,"type":"text","id":"abababababababababababababababab","session":1800000000000,"sequence":1,"name":"Ada","text":"hello","sent":1800000000000}"#
    );
    let presence = RoomMessage::Presence {
        presence: here(1, 1),
    }
    .encode();
    assert!(presence.starts_with(PRESENCE_START));
}

#[test]
fn the_longest_message_fits() {
    let name = "\"".repeat(NAME_BYTES_MAX);
    let body = text(&name, &"\\".repeat(TEXT_BYTES_MAX)).encode();
    assert!(body.len() <= ROOM_BYTES_MAX, "{}", body.len());
    RoomMessage::decode(&body).unwrap();
}

#[test]
fn bad_messages_are_told_apart() {
    let good: Value = serde_json::from_slice(&text("Ada", "hello").encode()).unwrap();
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let table = [
        (with("id", json!("ab")), ErrorCode::Invalid, "message id"),
        (with("session", json!(0)), ErrorCode::Invalid, "start at 1"),
        (with("sequence", json!(0)), ErrorCode::Invalid, "start at 1"),
        (
            with("sequence", json!(1_u64 << 53)),
            ErrorCode::Invalid,
            "2^53",
        ),
        (
            with("sequence", json!(null)),
            ErrorCode::Invalid,
            "invalid type",
        ),
        (with("name", json!(7)), ErrorCode::Invalid, "invalid type"),
        (with("text", json!("")), ErrorCode::Invalid, "text is empty"),
        (with("text", json!("a\u{7}")), ErrorCode::Invalid, "U+0007"),
        (with("sent", json!(-5)), ErrorCode::Invalid, "invalid value"),
        (
            with("type", json!("reaction")),
            ErrorCode::UnknownType,
            "reaction",
        ),
        (
            with("type", json!("presence")),
            ErrorCode::Invalid,
            "missing field",
        ),
        (
            with("v", json!(2)),
            ErrorCode::UnsupportedVersion,
            "version 2",
        ),
        (
            with("more", json!("x".repeat(49_152))),
            ErrorCode::TooLarge,
            "49152",
        ),
    ];
    for (body, code, words) in table {
        let error = RoomMessage::decode(body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), code, "{body:.200}: {error}");
        assert!(error.to_string().contains(words), "{body:.200}: {error}");
    }
}

/// Nobody is shown the name that stands beside a text, so what older peers take for one does no harm.
#[test]
fn a_text_needs_no_name() {
    let good: Value = serde_json::from_slice(&text("Ada", "hello").encode()).unwrap();
    for name in [
        json!(""),
        json!("A\u{200b}da"),
        json!("x".repeat(65)),
        Value::Null,
    ] {
        let mut body = good.clone();
        body["name"] = name;
        let RoomMessage::Text(read) = RoomMessage::decode(body.to_string().as_bytes()).unwrap()
        else {
            panic!("a text");
        };
        assert_eq!((read.name, read.text.as_str()), (None, "hello"));
    }
}

/// Which names hold depends on the version of Unicode: who passes on another is not at fault.
#[test]
fn who_passes_on_a_bad_name_is_not_at_fault() {
    let payload = |name: &str| {
        json!({
            "v": 1, "type": "presence", "peer": peer(1).to_string(), "topic": topic().to_hex(), "name": name,
            "addresses": [], "sequence": 1, "issued": WALL.0, "expires": WALL.0 + 1000, "state": "here",
        })
    };
    let published = |payload: Value| {
        let envelope = sealed(1, PURPOSE, payload.to_string());
        let presence = BASE64URL_NOPAD.encode(&envelope);
        let body = json!({"v": 1, "type": "presence", "presence": presence});
        RoomMessage::decode(body.to_string().as_bytes())
    };
    assert!(published(payload("Ada")).is_ok());
    let error = published(payload("A\u{200b}da")).unwrap_err();
    assert!(!error.is_forwarders_fault(), "{error}");
    assert_eq!(error.code(), ErrorCode::Invalid);
    let mut no_time = payload("Ada");
    no_time["expires"] = json!(1);
    assert!(published(no_time).unwrap_err().is_forwarders_fault());
}

#[test]
fn what_is_dated_far_from_this_clock_is_refused() {
    let message = text("Ada", "hello");
    let at = |offset: i64| message.check_time(UnixMillis(WALL.0.saturating_add_signed(offset)));
    assert!(at(0).is_ok() && at(600_000).is_ok() && at(-600_000).is_ok());
    for offset in [600_001, -600_001, i64::MAX, i64::MIN] {
        assert_eq!(
            at(offset).unwrap_err().code(),
            ErrorCode::Expired,
            "{offset}"
        );
    }
    let presence = RoomMessage::Presence {
        presence: here(1, 1),
    };
    assert!(presence.check_time(WALL).is_ok());
    let error = presence
        .check_time(WALL.saturating_add(millis(720_001)))
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Expired);
}

#[test]
fn one_presence_is_one_message_whoever_publishes_it() {
    let room = topic().gossip_topic();
    let presence = RoomMessage::Presence {
        presence: here(1, 1),
    }
    .encode();
    let id = gossip_message_id(&room, Some(&peer(1)), &presence);
    assert_eq!(gossip_message_id(&room, Some(&peer(2)), &presence), id);
    assert_eq!(gossip_message_id(&room, None, &presence), id);
    assert_ne!(
        gossip_message_id("/moim/room/1/other", Some(&peer(1)), &presence),
        id
    );
    let newer = RoomMessage::Presence {
        presence: here(1, 2),
    }
    .encode();
    assert_ne!(gossip_message_id(&room, Some(&peer(1)), &newer), id);
}

/// Else the copy that is faster would pass for the original.
#[test]
fn anothers_words_are_another_message() {
    let room = topic().gossip_topic();
    let data = text("Ada", "hello").encode();
    let id = gossip_message_id(&room, Some(&peer(1)), &data);
    assert_eq!(gossip_message_id(&room, Some(&peer(1)), &data), id);
    assert_ne!(gossip_message_id(&room, Some(&peer(2)), &data), id);
    assert_ne!(gossip_message_id(&room, None, &data), id);
}

proptest! {
    #[test]
    fn hostile_bytes_do_no_harm(bytes in prop::sample::select(messages()).prop_flat_map(|m| hostile(m.encode()))) {
        let _ = gossip_message_id("topic", None, &bytes);
        if let Ok(message) = RoomMessage::decode(&bytes) {
            let _ = message.check_time(WALL);
            prop_assert_eq!(RoomMessage::decode(&message.encode()).unwrap(), message);
        }
    }
}

/// What is passed on unread: it has what all versions have in common.
#[test]
fn what_a_later_version_may_say_is_told_from_what_none_says() {
    let presence = |payload: &str| {
        let envelope = BASE64URL_NOPAD.encode(&sealed(1, PURPOSE, payload));
        format!(r#"{{"v":1,"type":"presence","presence":"{envelope}"}}"#)
    };
    let payload = here(1, 1).as_bytes().to_vec();
    let start = payload.windows(2).position(|pair| pair == b"{\"").unwrap();
    let payload = String::from_utf8(payload[start..payload.len() - 66].to_vec()).unwrap();
    assert!(RoomMessage::decode(presence(&payload).as_bytes()).is_ok());
    for later in [
        r#"{"v":1,"type":"reaction"}"#.to_owned(),
        r#"{"v":1,"type":"","text":{"a":[1e999]}}"#.to_owned(),
        r#"{"type":"text","v":2,"text":7}"#.to_owned(),
        r#"{"v":1.5,"type":"text"}"#.to_owned(),
        presence(r#"{"v":2,"type":"presence"}"#),
        presence(r#"{"v":1,"type":"whereabouts"}"#),
        presence(&payload.replace("\"here\"", "\"away\"")),
    ] {
        let code = RoomMessage::decode(later.as_bytes()).unwrap_err().code();
        assert!(code.is_of_later_version(), "{later}: {code}");
    }
    for never in [
        r#"{"type":"reaction"}"#.to_owned(),
        r#"{"v":"1","type":"reaction"}"#.to_owned(),
        r#"{"v":1,"type":null}"#.to_owned(),
        r#"{"v":1,"type":"reaction""#.to_owned(),
        r#"[{"v":1,"type":"reaction"}]"#.to_owned(),
        r#"{"v":1,"type":"text"}"#.to_owned(),
        presence(&payload.replace("\"here\"", "1")),
        presence(&payload.replace("\"v\":1", "\"v\":\"1\"")),
        presence(&payload.replace("\"name\"", "\"nome\"")),
    ] {
        let code = RoomMessage::decode(never.as_bytes()).unwrap_err().code();
        assert!(!code.is_of_later_version(), "{never}: {code}");
    }
}
