use std::time::Duration;

use moim_peer::{
    ClockOff, JoinError, LineError, NameError, SayError, SendError, TextError, TopicError,
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
    assert_eq!((english.dht_inside)(1), "In it, knows 1 server");
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
        let refusal = join_refusal(
            text,
            &JoinError::Topic(TopicError(LineError::TooLong {
                bytes: 200,
                max: 128,
            })),
        );
        assert!(refusal.contains("200"), "{refusal}");
        let refusal = join_refusal(
            text,
            &JoinError::Topic(TopicError(LineError::Forbidden('\u{7}'))),
        );
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
}
