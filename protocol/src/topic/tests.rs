use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization as _;

use super::*;

#[test]
fn topics_are_trimmed_and_normalised() {
    let long = "x".repeat(TOPIC_BYTES_MAX);
    let table = [
        ("global-chat", "global-chat"),
        ("  two words\n", "two words"),
        ("\u{3000}모임\u{3000}", "모임"),
        // "é" and "각" written as several characters.
        ("cafe\u{301}", "caf\u{e9}"),
        ("\u{1100}\u{1161}\u{11a8}", "\u{ac01}"),
        ("Upper", "Upper"),
        (long.as_str(), long.as_str()),
    ];
    for (text, topic) in table {
        assert_eq!(Topic::new(text).unwrap().as_str(), topic, "{text:?}");
    }
}

#[test]
fn what_is_no_topic() {
    let longer = "x".repeat(TOPIC_BYTES_MAX + 1);
    let much_longer = "x".repeat(100_000);
    let max = TOPIC_BYTES_MAX;
    // Three bytes each, one after normalisation: 128 of them are too many before, not after.
    let table = [
        ("", LineError::Empty),
        (" \t\n", LineError::Empty),
        ("a\nb", LineError::Forbidden('\n')),
        ("a\u{0}", LineError::Forbidden('\0')),
        ("a\u{202e}b", LineError::Forbidden('\u{202e}')),
        ("glob\u{200b}al", LineError::Forbidden('\u{200b}')),
        ("\u{3164}", LineError::Forbidden('\u{3164}')),
        (longer.as_str(), LineError::TooLong { bytes: 129, max }),
        (
            much_longer.as_str(),
            LineError::TooLong {
                bytes: 100_000,
                max,
            },
        ),
    ];
    for (text, error) in table {
        assert_eq!(Topic::new(text), Err(TopicError(error)), "{text:?}");
    }
}

#[test]
fn topics_that_differ_by_how_they_are_drawn_meet() {
    for (one, other) in [
        ("❤\u{fe0f}", "❤"),
        ("❤\u{fe0f}", "❤\u{fe0e}"),
        ("👩\u{200d}👧", "👩👧"),
        ("می\u{200c}خواهم", "میخواهم"),
    ] {
        let (one, other) = (Topic::new(one).unwrap(), Topic::new(other).unwrap());
        assert_ne!(one.as_str(), other.as_str());
        assert_eq!(one.hash(), other.hash(), "{one} {other}");
        assert_eq!(one, other);
    }
}

#[test]
fn the_length_counts_after_normalisation() {
    let decomposed = "\u{1100}\u{1161}\u{11a8}".repeat(42);
    assert_eq!(decomposed.len(), 378);
    assert_eq!(Topic::new(&decomposed).unwrap().as_str().len(), 126);
}

#[test]
fn hashes_are_read_in_one_form_only() {
    let hash = Topic::new("global-chat").unwrap().hash();
    let hex = hash.to_hex();
    assert_eq!(TopicHash::from_hex(&hex), Ok(hash));
    assert_eq!(TopicHash::from_bytes(*hash.as_bytes()), hash);
    let bad = [
        String::new(),
        hex.to_uppercase(),
        hex[..62].to_owned(),
        format!("{hex}00"),
        format!("{}zz", &hex[..62]),
        format!(" {}", &hex[..63]),
        "é".repeat(32),
    ];
    for text in bad {
        assert_eq!(TopicHash::from_hex(&text), Err(TopicHashError), "{text:?}");
        assert!(serde_json::from_value::<TopicHash>(text.into()).is_err());
    }
}

#[test]
fn gossip_topics_are_recognised() {
    let hash = Topic::new("global-chat").unwrap().hash();
    assert_eq!(
        TopicHash::from_gossip_topic(&hash.gossip_topic()),
        Some(hash)
    );
    for topic in ["", "/moim/room/1/", "/moim/room/2/00", &hash.to_hex()] {
        assert_eq!(TopicHash::from_gossip_topic(topic), None, "{topic:?}");
    }
}

#[test]
fn the_provider_key_is_a_multihash() {
    let hash = Topic::new("global-chat").unwrap().hash();
    let multihash =
        multiaddr::multihash::Multihash::<64>::from_bytes(&hash.provider_key()).unwrap();
    assert_eq!((multihash.code(), multihash.size()), (0x12, 32));
    assert_eq!(multihash.digest(), hash.as_bytes());
}

proptest! {
    #[test]
    fn any_text_is_a_topic_or_an_error(text in any::<String>()) {
        if let Ok(topic) = Topic::new(&text) {
            prop_assert!(!topic.as_str().is_empty());
            prop_assert!(topic.as_str().len() <= TOPIC_BYTES_MAX);
            // Typing what is shown leads to the same room.
            prop_assert_eq!(Topic::new(topic.as_str()), Ok(topic));
        }
    }

    #[test]
    fn forms_of_the_same_text_are_one_topic(text in "\\PC{1,20}") {
        let composed: String = text.nfc().collect();
        let decomposed: String = text.nfd().collect();
        prop_assert_eq!(Topic::new(&composed), Topic::new(&decomposed));
    }
}
