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
    assert_eq!(
        (english.gone)(&names(&["Ada"]), 0),
        "Ada is gone without a word"
    );
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
            &moim_peer::JoinError::Topic(moim_peer::TopicError::TooLong(200)),
        );
        assert!(refusal.contains("200"), "{refusal}");
        let refusal = join_refusal(
            text,
            &moim_peer::JoinError::Topic(moim_peer::TopicError::Forbidden('\u{7}')),
        );
        assert!(refusal.contains("U+0007"), "{refusal}");
        let refusal = name_refusal(text, moim_peer::ProfileError::TooLong { bytes: 99 });
        assert!(refusal.contains("99"), "{refusal}");
    }
}
