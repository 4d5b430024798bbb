use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    limits::{INTEGER_MAX, REASON_BYTES_MAX},
    presence::Presence,
    testing::{here, hostile, keypair, largest, left, millis, peer, presence, topic},
};

fn requests() -> Vec<Request> {
    let sync = |presence, after| Request::Sync {
        topic: topic(),
        presence,
        after,
        known: None,
    };
    vec![
        Request::Announce {
            presence: here(1, 1),
        },
        Request::Announce {
            presence: left(1, 2),
        },
        Request::Announce {
            presence: largest(1),
        },
        sync(None, None),
        sync(Some(here(1, 1)), None),
        sync(Some(largest(1)), Some(peer(2))),
        Request::Sync {
            topic: topic(),
            presence: Some(largest(1)),
            after: Some(peer(2)),
            known: Some(Known::new(
                7,
                (0..2048).map(|n| (peer(n), 1_800_000_000_000)),
            )),
        },
    ]
}

fn responses() -> Vec<Response> {
    let members = vec![(here(1, 1), millis(0)), (largest(2), millis(119_999))];
    vec![
        Response::Accepted,
        Response::error(ErrorCode::Busy, "try \"later\""),
        Response::Members {
            members: Vec::new(),
            next: None,
        },
        Response::Members {
            members: members.clone(),
            next: None,
        },
        Response::Members {
            members,
            next: Some(peer(2)),
        },
    ]
}

#[test]
fn bodies_are_read_as_they_are_written() {
    for request in requests() {
        assert_eq!(Request::decode(&request.encode()).unwrap(), request);
    }
    for response in responses() {
        assert_eq!(Response::decode(&response.encode()).unwrap(), response);
    }
}

#[test]
fn bodies_look_as_documented() {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let topic = topic();
    let sync = Request::Sync {
        topic,
        presence: None,
        after: None,
        known: None,
    };
    assert_eq!(
        text(sync.encode()),
        format!(r#"{{"v":1,"type":"sync","topic":"{topic}"}}"#)
    );
    assert_eq!(
        text(Response::Accepted.encode()),
        r#"{"v":1,"type":"accepted"}"#
    );
    assert_eq!(
        text(Response::error(ErrorCode::NotAMember, "not here").encode()),
        r#"{"v":1,"type":"error","code":"not_a_member","reason":"not here"}"#
    );
    let none = Response::Members {
        members: Vec::new(),
        next: None,
    };
    assert_eq!(
        text(none.encode()),
        r#"{"v":1,"type":"members","members":[]}"#
    );
}

fn base64(signed: &SignedPresence) -> String {
    data_encoding::BASE64URL_NOPAD.encode(signed.as_bytes())
}

#[test]
fn bad_requests_are_told_apart() {
    let topic = topic().to_hex();
    let own = base64(&here(1, 1));
    let elsewhere = Presence {
        topic: TopicHash::from_bytes([1; 32]),
        ..presence(1, 1)
    };
    let elsewhere = base64(&elsewhere.sign(&keypair(1)).unwrap());
    let broken = format!("{}A", &own[..own.len() - 1]);
    let sync = |presence: Value, after: Value| json!({"v":1,"type":"sync","topic":topic,"presence":presence,"after":after});
    let table: &[(Value, ErrorCode, &str)] = &[
        (
            json!({"v":1,"type":"announce"}),
            ErrorCode::Invalid,
            "missing field",
        ),
        (
            json!({"v":1,"type":"announce","presence":null}),
            ErrorCode::Invalid,
            "null",
        ),
        (
            json!({"v":1,"type":"announce","presence":"*"}),
            ErrorCode::Invalid,
            "base64url",
        ),
        (
            json!({"v":1,"type":"announce","presence":""}),
            ErrorCode::Invalid,
            "presence",
        ),
        (
            json!({"v":1,"type":"announce","presence":broken}),
            ErrorCode::Invalid,
            "presence",
        ),
        (
            json!({"v":1,"type":"announce","presence":"A".repeat(4000)}),
            ErrorCode::TooLarge,
            "3000",
        ),
        (json!({"v":1,"type":"sync"}), ErrorCode::Invalid, "topic"),
        (
            json!({"v":1,"type":"sync","topic":"global-chat"}),
            ErrorCode::Invalid,
            "topic hash",
        ),
        (
            json!({"v":1,"type":"sync","topic":topic,"after":"x"}),
            ErrorCode::Invalid,
            "peer id",
        ),
        (
            json!({"v":1,"type":"sync","topic":topic,"after":7}),
            ErrorCode::Invalid,
            "invalid type",
        ),
        (
            sync(json!(elsewhere), json!(null)),
            ErrorCode::Invalid,
            "another topic",
        ),
        (
            json!({"v":1,"type":"members","members":[]}),
            ErrorCode::UnknownType,
            "members",
        ),
        (
            json!({"v":2,"type":"sync","topic":topic}),
            ErrorCode::UnsupportedVersion,
            "version 2",
        ),
    ];
    for (body, code, words) in table {
        let error = Request::decode(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.code(), *code, "{body}: {error}");
        assert!(error.to_string().contains(words), "{body}: {error}");
        let Response::Error {
            code: answered,
            reason,
        } = Response::from(&error)
        else {
            panic!("not an error")
        };
        assert_eq!(answered, *code);
        assert!(!reason.is_empty() && reason.len() <= REASON_BYTES_MAX);
    }
    let good = sync(json!(own), json!(peer(3).to_string()));
    assert!(Request::decode(good.to_string().as_bytes()).is_ok());
}

#[test]
fn only_the_peer_itself_says_that_it_is_here() {
    for request in requests() {
        let is_here = request
            .presence()
            .is_some_and(|signed| signed.presence().state == State::Here);
        assert!(request.check_sender(&peer(1)).is_ok());
        assert_eq!(request.check_sender(&peer(2)).is_ok(), !is_here);
        assert_eq!(request.topic(), topic());
    }
    let error = requests()[0].check_sender(&peer(2)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid);
}

#[test]
fn what_is_known_is_left_out() {
    let members = vec![(here(1, 1), millis(0)), (here(2, 1), millis(0))];
    let next = Some(peer(2));
    let body = Response::Members { members, next }.encode();
    let known = here(1, 1);
    let response = Response::decode_new(&body, |envelope| envelope == known.as_bytes());
    let members = vec![(here(2, 1), millis(0))];
    assert_eq!(response.unwrap(), Response::Members { members, next });
}

#[test]
fn a_bad_entry_does_not_hide_the_others() {
    let good = base64(&here(1, 1));
    let forged = base64(&here(2, 1)).replace('A', "B");
    let body = json!({"v":1,"type":"members","next":peer(3).to_string(),"members":[
        {"presence": forged, "age": 5}, {"presence": good, "age": 7, "more": true},
        {"presence": "", "age": 0},
    ]});
    let response = Response::decode(body.to_string().as_bytes()).unwrap();
    let members = vec![(here(1, 1), millis(7))];
    assert_eq!(
        response,
        Response::Members {
            members,
            next: Some(peer(3))
        }
    );
}

#[test]
fn bad_responses_are_told_apart() {
    let members = |members: Value| json!({"v":1,"type":"members","members":members});
    let table = [
        (json!({"v":1,"type":"members"}), ErrorCode::Invalid),
        (members(json!({})), ErrorCode::Invalid),
        (json!({"v":1,"type":"error"}), ErrorCode::Invalid),
        (
            json!({"v":1,"type":"sync","topic":topic().to_hex()}),
            ErrorCode::UnknownType,
        ),
    ];
    for (body, code) in table {
        let error = Response::decode(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.code(), code, "{body}: {error}");
    }
}

#[test]
fn a_bad_entry_hides_no_member() {
    let good = base64(&here(1, 1));
    let body = json!({"v": 1, "type": "members", "members": [
        null, 7, {}, [good, 5],
        {"presence": good},
        {"presence": good, "age": -1},
        {"presence": good, "age": u64::MAX},
        {"presence": "*", "age": 1},
        {"presence": good, "age": 1},
    ]});
    let Response::Members { members, .. } = Response::decode(body.to_string().as_bytes()).unwrap()
    else {
        panic!("not members")
    };
    assert_eq!(members, [(here(1, 1), millis(1))]);
}

#[test]
fn ages_are_bounded_when_written() {
    let members = vec![(here(1, 1), Duration::MAX)];
    let body = Response::Members {
        members,
        next: None,
    }
    .encode();
    let Response::Members { members, .. } = Response::decode(&body).unwrap() else {
        panic!("not members")
    };
    assert_eq!(members[0].1, millis(INTEGER_MAX));
}

#[test]
fn the_estimate_of_a_members_bytes_is_never_too_small() {
    let empty = Response::Members {
        members: Vec::new(),
        next: Some(peer(1)),
    };
    assert!(empty.encode().len() <= MEMBERS_BYTES);
    for presence in [here(1, 1), largest(2)] {
        let members = vec![(presence.clone(), Duration::MAX); 2];
        let two = Response::Members {
            members,
            next: None,
        }
        .encode()
        .len();
        let one = Response::Members {
            members: vec![(presence.clone(), Duration::MAX)],
            next: None,
        };
        assert_eq!(two - one.encode().len(), member_bytes(&presence));
    }
}

proptest! {
    #[test]
    fn hostile_requests_do_no_harm(bytes in prop::sample::select(requests()).prop_flat_map(|r| hostile(r.encode()))) {
        if let Err(error) = Request::decode(&bytes) {
            let answer = Response::from(&error);
            prop_assert_eq!(Response::decode(&answer.encode()).unwrap(), answer);
        }
    }

    #[test]
    fn hostile_responses_do_no_harm(bytes in prop::sample::select(responses()).prop_flat_map(|r| hostile(r.encode()))) {
        let _ = Response::decode(&bytes);
    }
}
