use std::time::Duration;

use moim_peer::{
    CandidateTypes, ClockOff, Failure, LineError, NameError, NodeFault, NotInDht, Refusal,
    SayError, SendError, Setback, Step, TextError, TopicError,
};

use super::*;

#[test]
fn the_first_language_that_is_spoken_counts() {
    for (tags, expected) in [
        (vec!["ko-KR", "en-US"], Language::Korean),
        (vec!["KO"], Language::Korean),
        (vec!["en-GB", "ko"], Language::English),
        (vec!["de-DE", "ko-KR", "en"], Language::Korean),
        (vec!["de", "fr"], Language::English),
        (vec![], Language::English),
        (vec!["kok-IN"], Language::English),
    ] {
        assert_eq!(Language::choose(tags.iter().copied()), expected, "{tags:?}");
    }
}

#[test]
fn numbers_have_their_plurals() {
    let english = Language::English.messages();
    assert_eq!((english.others_here)(0), "Nobody else here yet");
    assert_eq!((english.others_here)(1), "1 other here");
    assert_eq!((english.others_here)(2), "2 others here");
    assert_eq!((english.dht_inside)(1), "In it, connected to 1 server");
    let korean = Language::Korean.messages();
    assert_eq!((korean.others_here)(2), "나 말고 2명");
}

#[test]
fn lists_of_names_read_as_people_write_them() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let english = Language::English.messages();
    assert_eq!((english.here)(&names(&["Ada"]), 0), "Ada is here");
    assert_eq!(
        (english.here)(&names(&["Ada", "Bo"]), 0),
        "Ada and Bo are here"
    );
    assert_eq!(
        (english.left)(&names(&["Ada", "Bo", "Cy"]), 0),
        "Ada, Bo and Cy left"
    );
    assert_eq!(
        (english.here)(&names(&["Ada"]), 1),
        "Ada and 1 other are here"
    );
    assert_eq!((english.gone)(&names(&["Ada"]), 0), "Ada lost connection");
    assert_eq!((english.left)(&[], 7), "7 members left");
    let korean = Language::Korean.messages();
    assert_eq!(
        (korean.here)(&names(&["민준", "서연"]), 3),
        "민준 님, 서연 님 외 3명 참여 중"
    );
}

#[test]
fn refusals_name_what_is_wrong() {
    for text in [Language::English.messages(), Language::Korean.messages()] {
        let refusal = topic_refusal(
            text,
            TopicError(LineError::TooLong {
                bytes: 200,
                max: 128,
            }),
        );
        assert!(refusal.contains("200"), "{refusal}");
        let refusal = topic_refusal(text, TopicError(LineError::Forbidden('\u{7}')));
        assert!(refusal.contains("U+0007"), "{refusal}");
        let refusal = name_refusal(text, NameError(LineError::TooLong { bytes: 99, max: 64 }));
        assert!(refusal.contains("99"), "{refusal}");
        let refusal = name_refusal(text, NameError(LineError::Forbidden('\u{200b}')));
        assert!(refusal.contains("U+200B"), "{refusal}");
        let refusal = say_refusal(text, &SayError::Text(TextError::TooLong(20_000)));
        assert!(refusal.contains("20000"), "{refusal}");
        // What this peer itself refuses is not the other side's doing.
        let by_others = (text.refused)("");
        for error in [
            SendError::Duplicate,
            SendError::Text(TextError::Empty),
            SendError::Unsupported,
        ] {
            assert!(
                !send_refusal(text, &error).starts_with(&by_others),
                "{error:?}"
            );
        }
        let again = send_refusal(text, &SendError::Duplicate);
        assert_ne!(again, send_refusal(text, &SendError::Busy));
        assert_ne!(again, text.not_possible);
        // A peer that is about to be back needs no reload.
        assert!(!text.peer_restarting.contains(text.reload));
    }
}

#[test]
fn a_wrong_clock_is_told_in_both_languages() {
    let by = |minutes: u64| ClockOff::Ahead {
        by: Duration::from_secs(60 * minutes),
    };
    let english = Language::English.messages();
    let korean = Language::Korean.messages();
    for (minutes, in_english, in_korean) in [
        (30, "30 minutes ahead", "30분 빠릅니다"),
        (180, "3 hours ahead", "3시간 빠릅니다"),
        (60 * 24 * 3, "3 days ahead", "3일 빠릅니다"),
    ] {
        assert!(clock(english, by(minutes)).contains(in_english));
        assert!(clock(korean, by(minutes)).contains(in_korean));
    }
    let behind = ClockOff::Behind {
        by: Duration::from_secs(1_800),
    };
    assert!(clock(english, behind).contains("30 minutes behind"));
    assert!(clock(korean, behind).contains("30분 느립니다"));
    assert!(clock(english, ClockOff::Unknown).contains("refuse"));
    // It is told before anybody refuses anything, and does not concern everything.
    for words in ["more than ten minutes", "connected to you directly"] {
        assert!(clock(english, by(6)).contains(words));
    }
    for words in ["10분 넘게", "직접 연결된 사람"] {
        assert!(clock(korean, by(6)).contains(words));
    }
}

/// Whatever a person may be told of: every reason of each kind.
fn reasons(text: &Messages) -> Vec<String> {
    let unreached = [
        Unreached::Unknown,
        Unreached::NoAddress,
        Unreached::Forbidden,
        Unreached::Busy,
        Unreached::TooMany,
        Unreached::NoRoute,
        Unreached::Silent,
        Unreached::NoAnswer,
        Unreached::NoHost,
        Unreached::Broken,
        Unreached::Relay,
        Unreached::Refused,
        Unreached::Certificate,
        Unreached::OtherPeer,
    ];
    let documents = [
        DocumentFault::Status(404),
        DocumentFault::Unreached(Unreached::Silent),
        DocumentFault::Json,
        DocumentFault::NoAddress,
        DocumentFault::Redirect,
        DocumentFault::PeerId,
        DocumentFault::TooLarge,
    ];
    let refusals = [
        Refusal::AddressFull,
        Refusal::Blocked,
        Refusal::Full,
        Refusal::IdentityInUse,
        Refusal::Other,
    ];
    let faults = unreached.map(NodeFault::Unreached).into_iter();
    let faults = faults
        .chain(documents.map(NodeFault::Document))
        .chain(refusals.map(NodeFault::TurnedAway))
        .chain([NodeFault::Closed, NodeFault::Lost]);
    let outside = [
        NotInDht::NoAnswer,
        NotInDht::NoNode,
        NotInDht::NoServer,
        NotInDht::Offline,
        NotInDht::Restarting,
    ];
    let setbacks = [
        Setback::Answered(ErrorCode::Busy),
        Setback::Broken,
        Setback::NoAnswer,
        Setback::NotConnected,
        Setback::Nonsense,
        Setback::Unreached(Unreached::Refused),
    ];
    let codes = [
        ErrorCode::Expired,
        ErrorCode::Invalid,
        ErrorCode::NotAccepted,
        ErrorCode::TooLarge,
        ErrorCode::Other,
    ];
    let failures = [
        Failure::Unsupported,
        Failure::NoSignaling,
        Failure::Signaling,
        Failure::Refused,
        Failure::IceFailed,
        Failure::GivenUp,
        Failure::Timeout,
        Failure::Superseded,
    ];
    let ways = failures.map(|failure| NoDirectWay::WebRtc(failure, Step::Connecting));
    let storage = [
        StorageFault::Missing,
        StorageFault::Refused,
        StorageFault::Silent,
    ];
    let after = Duration::from_secs(60);
    let mut said: Vec<String> = faults.map(|fault| node_fault(text, fault)).collect();
    said.extend(outside.map(|why| not_in_dht(text, &why)));
    said.extend(setbacks.map(|last| send_refusal(text, &SendError::NoReceipt { after, last })));
    said.extend(codes.map(|code| send_refusal(text, &SendError::Refused(code))));
    said.extend(ways.map(|way| (text.not_direct)(way).to_owned()));
    said.push((text.not_direct)(NoDirectWay::HolePunching).to_owned());
    said.extend(storage.map(|fault| (text.identity_unavailable)((text.storage)(&fault))));
    let all = CandidateTypes {
        host: true,
        reflexive: true,
        relayed: true,
    };
    said.extend([all, CandidateTypes::default()].map(|types| candidate_types(text, types)));
    said
}

#[test]
fn every_reason_has_words_in_both_languages() {
    // Names of things, which are written so in Korean too.
    const NAMES: [&str; 10] = [
        "bootstrap",
        "json",
        "DHT",
        "NAT",
        "TURN",
        "WebRTC",
        "ID",
        "URL",
        "https",
        "localhost",
    ];
    let english = reasons(Language::English.messages());
    let korean = reasons(Language::Korean.messages());
    for (english, korean) in english.iter().zip(&korean) {
        assert!(!english.is_empty() && english.is_ascii() || english.contains('\u{2026}'));
        let foreign = korean
            .split(|c: char| !c.is_ascii_alphabetic())
            .find(|word| !word.is_empty() && !NAMES.contains(word));
        assert_eq!(foreign, None, "{korean}");
        assert!(!korean.is_empty());
    }
}

#[test]
fn nodes_are_told_apart_by_their_place_and_only_where_they_differ() {
    let text = Language::English.messages();
    let node = |node: &str, fault| (node.to_owned(), fault);
    let address =
        "/ip4/192.0.2.1/tcp/8469/ws/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
    let lost = NodeFault::Lost;
    let one = NotInDht::Nodes(vec![node(address, lost)]);
    assert_eq!(not_in_dht(text, &one), "The connection was lost.");
    let same = NotInDht::Nodes(vec![node(address, lost), node("https://a.example/b", lost)]);
    assert_eq!(not_in_dht(text, &same), "The connection was lost.");
    let closed = node("https://a.example/bootstrap.json", NodeFault::Closed);
    let others = NotInDht::Nodes(vec![node(address, lost), closed]);
    assert_eq!(
        not_in_dht(text, &others),
        "\u{2068}192.0.2.1:8469\u{2069}: The connection was lost. \
         \u{2068}a.example\u{2069}: The node closed the connection at once."
    );
}
