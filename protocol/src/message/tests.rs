use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    limits::TEXT_BYTES_MAX,
    testing::{WALL, hostile, topic},
};

const ID: MessageId = MessageId::from_bytes([0x0f; 16]);
const ID_TEXT: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

fn request(text: &str) -> Request {
    Request::Text {
        id: ID,
        text: text.parse().unwrap(),
        sent: WALL,
    }
}

#[test]
fn bodies_look_as_documented_and_are_read_again() {
    let request = request("hello");
    let body = request.encode();
    assert_eq!(
        String::from_utf8_lossy(&body),
        format!(r#"{{"v":1,"type":"text","id":"{ID_TEXT}","text":"hello","sent":1800000000000}}"#)
    );
    assert_eq!(Request::decode(&body).unwrap(), request);

    let accepted = Response::Accepted { id: ID };
    let body = accepted.encode();
    assert_eq!(
        String::from_utf8_lossy(&body),
        format!(r#"{{"v":1,"type":"accepted","id":"{ID_TEXT}"}}"#)
    );
    assert_eq!(Response::decode(&body).unwrap(), accepted);

    let error = Response::error(ErrorCode::Busy, "later");
    assert_eq!(Response::decode(&error.encode()).unwrap(), error);
}

fn catch_up() -> Request {
    Request::CatchUp {
        topic: topic(),
        said: Position {
            session: 5,
            sequence: 2,
        },
        known: Position::default(),
        member_for: Duration::from_millis(1500),
    }
}

fn missed() -> Response {
    Response::Missed {
        said: Position {
            session: 5,
            sequence: 2,
        },
        messages: vec![RoomText {
            id: ID,
            session: 5,
            sequence: 2,
            name: Some("Ada".parse().unwrap()),
            text: "hello".parse().unwrap(),
            sent: WALL,
        }],
    }
}

#[test]
fn what_was_missed_looks_as_documented() {
    let body = catch_up().encode();
    assert_eq!(
        String::from_utf8_lossy(&body),
        format!(
            r#"{{"v":1,"type":"catch_up","topic":"{}","said":{{"session":5,"sequence":2}},"known":{{"session":0,"sequence":0}},"member_for":1500}}"#,
            topic()
        )
    );
    assert_eq!(Request::decode(&body).unwrap(), catch_up());
    let body = missed().encode();
    assert_eq!(
        String::from_utf8_lossy(&body),
        format!(
            r#"{{"v":1,"type":"missed","said":{{"session":5,"sequence":2}},"messages":[{{"id":"{ID_TEXT}","session":5,"sequence":2,"name":"Ada","text":"hello","sent":1800000000000}}]}}"#
        )
    );
    assert_eq!(Response::decode(&body).unwrap(), missed());
}

#[test]
fn bad_questions_for_what_was_missed_are_refused() {
    let good: Value = serde_json::from_slice(&catch_up().encode()).unwrap();
    for (field, value) in [
        ("topic", json!("global-chat")),
        ("said", json!(null)),
        ("said", json!([1, 2])),
        ("known", json!({"session": 1})),
        ("known", json!({"session": 1, "sequence": -1})),
        ("known", json!({"session": 1, "sequence": 1_u64 << 53})),
        ("member_for", json!(1.5)),
        ("member_for", json!(1_u64 << 53)),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let error = Request::decode(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "{body}");
    }
    let good: Value = serde_json::from_slice(&missed().encode()).unwrap();
    for (field, value) in [("said", json!(null)), ("messages", json!({}))] {
        let mut body = good.clone();
        body[field] = value;
        assert!(
            Response::decode(body.to_string().as_bytes()).is_err(),
            "{body}"
        );
    }
}

/// A member of version 0.1 gives what it said itself, U+000B and all; the rest of it is not lost with that.
#[test]
fn a_bad_message_hides_no_good_one() {
    let mut body: Value = serde_json::from_slice(&missed().encode()).unwrap();
    let good = body["messages"][0].clone();
    let mut messages = vec![
        json!(null),
        json!(7),
        json!([good.clone()]),
        json!({}),
        // Deeper than JSON is read.
        serde_json::from_str(&format!("{}1{}", "[".repeat(120), "]".repeat(120))).unwrap(),
    ];
    for (field, value) in [
        ("text", json!("")),
        ("text", json!("a\u{b}b")),
        ("text", json!(null)),
        ("text", json!("x".repeat(TEXT_BYTES_MAX + 1))),
        ("id", json!("0")),
        ("name", json!(7)),
        ("sequence", json!(0)),
        ("session", json!(0)),
        ("sent", json!(1_u64 << 53)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        messages.push(bad);
    }
    messages.insert(3, good.clone());
    messages.push(good);
    body["messages"] = json!(messages);
    let Ok(Response::Missed { said, messages }) = Response::decode(body.to_string().as_bytes())
    else {
        panic!("what was missed");
    };
    let Response::Missed {
        said: newest,
        messages: one,
    } = missed()
    else {
        panic!("what was missed");
    };
    assert_eq!(said, newest);
    assert_eq!(messages, [one.clone(), one].concat());

    // A field there twice, and one that nests deeper than anything is read.
    let good = json!(messages[0]).to_string();
    let twice = good.replacen('{', r#"{"session":5,"#, 1);
    let deep = good.replacen(
        '{',
        &format!(r#"{{"more":{}{},"#, "[".repeat(1000), "]".repeat(1000)),
        1,
    );
    let body = format!(
        r#"{{"v":1,"type":"missed","said":{{"session":5,"sequence":2}},"messages":[{twice},{deep},{good}]}}"#
    );
    let Ok(Response::Missed { messages, .. }) = Response::decode(body.as_bytes()) else {
        panic!("what was missed");
    };
    assert_eq!(messages.len(), 2);
}

#[test]
fn ids_are_read_in_one_form_only() {
    assert_eq!(ID.to_string(), ID_TEXT);
    assert_eq!(ID_TEXT.parse(), Ok(ID));
    assert_eq!(format!("{ID:?}"), format!("MessageId({ID_TEXT})"));
    for text in [
        "",
        "0f",
        &ID_TEXT.to_uppercase(),
        &format!("{ID_TEXT}00"),
        &"é".repeat(16),
    ] {
        assert_eq!(text.parse::<MessageId>(), Err(MessageIdError), "{text:?}");
    }
}

#[test]
fn the_longest_text_fits_however_it_is_escaped() {
    for character in ["x", "\"", "\\", "\n", "모", "\u{2028}"] {
        let text = character.repeat(TEXT_BYTES_MAX / character.len());
        let body = request(&text).encode();
        assert!(
            body.len() <= BODY_BYTES_MAX,
            "{character:?}: {}",
            body.len()
        );
        assert!(Request::decode(&body).is_ok(), "{character:?}");
    }
}

#[test]
fn bad_requests_are_told_apart() {
    let with = |field: &str, value: Value| {
        let mut body = json!({"v":1,"type":"text","id":ID_TEXT,"text":"hello","sent":1});
        body[field] = value;
        body.to_string()
    };
    let table = [
        (with("id", json!("0f")), ErrorCode::Invalid, "message id"),
        (with("id", json!(7)), ErrorCode::Invalid, "invalid type"),
        (with("id", json!(null)), ErrorCode::Invalid, "invalid type"),
        (with("text", json!("")), ErrorCode::Invalid, "empty"),
        (
            with("text", json!("x".repeat(16_385))),
            ErrorCode::Invalid,
            "at most 16384",
        ),
        (
            with("text", json!("\u{1b}[2J")),
            ErrorCode::Invalid,
            "U+001B",
        ),
        (
            with("text", json!(["hello"])),
            ErrorCode::Invalid,
            "invalid type",
        ),
        (with("sent", json!(-1)), ErrorCode::Invalid, "invalid value"),
        (
            with("sent", json!("now")),
            ErrorCode::Invalid,
            "invalid type",
        ),
        (
            with("more", json!("x".repeat(70_000))),
            ErrorCode::TooLarge,
            "65536",
        ),
        (
            with("type", json!("typing")),
            ErrorCode::UnknownType,
            "typing",
        ),
        (
            with("v", json!(3)),
            ErrorCode::UnsupportedVersion,
            "version 3",
        ),
    ];
    for (body, code, words) in table {
        let error = Request::decode(body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), code, "{body:.90}: {error}");
        assert!(error.to_string().contains(words), "{body:.90}: {error}");
        assert!(matches!(Response::from(&error), Response::Error { code: c, .. } if c == code));
    }
    assert!(Request::decode(with("more", json!({"a": 1})).as_bytes()).is_ok());
}

#[test]
fn a_receipt_needs_the_id() {
    for body in [
        r#"{"v":1,"type":"accepted"}"#,
        r#"{"v":1,"type":"accepted","id":"x"}"#,
    ] {
        assert!(Response::decode(body.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn texts_arrive_as_they_are(text in any::<String>(), id: [u8; 16], sent in 0_u64..1 << 53) {
        let id = MessageId::from_bytes(id);
        let sent = UnixMillis(sent);
        let body = serde_json::json!({"v": 1, "type": "text", "id": id, "text": text, "sent": sent});
        let read = Request::decode(body.to_string().as_bytes());
        match Text::received(&text) {
            Ok(text) => prop_assert_eq!(read.unwrap(), Request::Text { id, text, sent }),
            Err(error) => prop_assert!(read.unwrap_err().to_string().contains(&error.to_string())),
        }
    }

    #[test]
    fn hostile_bytes_do_no_harm(
        bytes in prop::sample::select(vec![
            request("hello").encode(),
            catch_up().encode(),
            missed().encode(),
        ]).prop_flat_map(hostile)
    ) {
        if let Ok(answer) = Response::decode(&bytes) {
            prop_assert_eq!(Response::decode(&answer.encode()).unwrap(), answer);
        }
        if let Err(error) = Request::decode(&bytes) {
            let answer = Response::from(&error);
            prop_assert_eq!(Response::decode(&answer.encode()).unwrap(), answer);
        }
    }
}
