use proptest::prelude::*;

use super::*;
use crate::limits::MARKS_MAX;

fn refused(typed: &str) -> LineError {
    let NameError(error) = Name::new(typed).unwrap_err();
    error
}

#[test]
fn names_say_the_same_to_everybody() {
    let long = "x".repeat(NAME_BYTES_MAX);
    for name in [
        "A",
        "Ada Lovelace",
        "Ada (you)",
        "모임",
        "Nguyễn Thị Ánh",
        "Zoë",
        "שָׁלוֹם",
        // ZWNJ between letters that would join, as Persian needs it, also with a mark between.
        "می\u{200c}خواهم",
        "می\u{64e}\u{200c}خواهم",
        // ZWJ and ZWNJ after a virama.
        "ක්\u{200d}ෂ",
        "क्\u{200c}ष",
        // Emoji: a family, a skin tone, a flag, text and emoji forms, a keycap.
        "👩\u{200d}👩\u{200d}👧",
        "🕵🏽\u{200d}♂\u{fe0f}",
        "🏳\u{fe0f}\u{200d}🌈",
        "❤\u{fe0f}",
        "❤\u{fe0e}",
        "1\u{fe0f}\u{20e3}",
        "e\u{301}\u{302}\u{303}\u{304}",
        long.as_str(),
    ] {
        assert!(Name::received(name).is_ok(), "{name:?}");
        let typed = Name::new(name).unwrap();
        assert_eq!(Name::received(typed.as_str()), Ok(typed));
    }
}

#[test]
fn what_shows_nothing_or_turns_text_is_no_part_of_a_name() {
    let ranges = [
        0x0..=0x1f,
        0x7f..=0x9f,
        0xad..=0xad,
        0x34f..=0x34f,
        0x61c..=0x61c,
        0x115f..=0x1160,
        0x17b4..=0x17b5,
        0x180b..=0x180f,
        0x200b..=0x200f,
        0x2028..=0x202e,
        0x2060..=0x206f,
        0x2800..=0x2800,
        0x3164..=0x3164,
        0xe000..=0xf8ff,
        0xfdd0..=0xfdef,
        0xfe00..=0xfe0f,
        0xfeff..=0xfeff,
        0xffa0..=0xffa0,
        0xfff0..=0xfffc,
        0xfffe..=0xffff,
        0x1d159..=0x1d159,
        0x1d173..=0x1d17a,
        0x1fffe..=0x1ffff,
        0xe0000..=0xe0fff,
        0xf0000..=0x10ffff,
    ];
    for character in ranges.into_iter().flatten().filter_map(char::from_u32) {
        for name in [format!("Ana{character}"), format!("A{character}na")] {
            let error = Name::received(&name).unwrap_err().0;
            assert_eq!(error, LineError::Forbidden(character), "{name:?}");
        }
        assert!(Name::received(&character.to_string()).is_err());
    }
}

#[test]
fn joiners_and_selectors_stand_only_where_they_are_needed() {
    for (name, character) in [
        ("a\u{200d}b", '\u{200d}'),
        ("\u{200d}👩", '\u{200d}'),
        ("👩\u{200d}", '\u{200d}'),
        ("👩\u{200d}a", '\u{200d}'),
        ("👩\u{200d}\u{200d}👩", '\u{200d}'),
        ("a\u{200c}b", '\u{200c}'),
        ("می\u{200c}", '\u{200c}'),
        ("می\u{200c}\u{200c}خ", '\u{200c}'),
        ("a\u{fe0f}", '\u{fe0f}'),
        ("1\u{fe0f}", '\u{fe0f}'),
        ("❤\u{fe0f}\u{fe0f}", '\u{fe0f}'),
        ("葛\u{e0100}", '\u{e0100}'),
        ("🏴\u{e0067}\u{e007f}", '\u{e0067}'),
    ] {
        assert_eq!(refused(name), LineError::Forbidden(character), "{name:?}");
    }
}

#[test]
fn names_that_are_refused_say_why() {
    let longer = "x".repeat(NAME_BYTES_MAX + 1);
    let much_longer = "x".repeat(100_000);
    let zalgo = format!("a{}", "\u{489}".repeat(MARKS_MAX + 1));
    let max = NAME_BYTES_MAX;
    for (name, error) in [
        ("", LineError::Empty),
        (" \u{3000}\u{a0}", LineError::Empty),
        (longer.as_str(), LineError::TooLong { bytes: 65, max }),
        (
            much_longer.as_str(),
            LineError::TooLong {
                bytes: 100_000,
                max,
            },
        ),
        ("a\nb", LineError::Forbidden('\n')),
        ("a\tb", LineError::Forbidden('\t')),
        ("\u{1b}[31m", LineError::Forbidden('\u{1b}')),
        ("\u{301}a", LineError::Marks),
        (zalgo.as_str(), LineError::Marks),
    ] {
        assert_eq!(refused(name), error, "{name:?}");
    }
    let error = Name::new("a\u{200b}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the name has the character U+200B, which shows nothing or changes the text around it"
    );
}

#[test]
fn what_is_typed_as_a_name_is_tidied() {
    for (typed, name) in [
        ("  Ada \u{3000} L\u{a0}\n", "Ada L"),
        ("cafe\u{301}", "caf\u{e9}"),
        ("\u{1112}\u{1161}\u{11ab}", "한"),
    ] {
        assert_eq!(Name::new(typed).unwrap().as_str(), name);
    }
    // What comes over the wire stays as it was signed.
    assert_eq!(
        Name::received(" cafe\u{301}").unwrap().as_str(),
        " cafe\u{301}"
    );
}

#[test]
fn what_is_pasted_is_said_as_it_reads() {
    for (typed, text) in [
        (
            "from\u{b}a\u{c}word\u{2028}processor\u{2029}!",
            "from\na\nword\nprocessor\n!",
        ),
        ("a\r\nb\rc\u{85}d\n\re", "a\nb\nc\nd\n\ne"),
        ("\0a\u{1b}[31mb\u{7f}\u{9b}\u{8}", "a[31mb"),
        (
            "tab\tand \u{202b}שלום\u{200b}",
            "tab\tand \u{202b}שלום\u{200b}",
        ),
    ] {
        assert_eq!(Text::new(typed).unwrap().as_str(), text, "{typed:?}");
    }
    for control in (0..=0x9f)
        .filter_map(char::from_u32)
        .filter(|c| c.is_control())
    {
        assert!(Text::new(&format!("a{control}b")).is_ok(), "{control:?}");
    }
}

#[test]
fn texts_that_are_refused_say_why() {
    let long = "x".repeat(TEXT_BYTES_MAX);
    for text in ["a", " ", "a\r\n\tb", "\u{202b}שלום", long.as_str()] {
        assert!(Text::received(text).is_ok(), "{text:?}");
    }
    let longer = "x".repeat(TEXT_BYTES_MAX + 1);
    for (text, error) in [
        ("", TextError::Empty),
        (longer.as_str(), TextError::TooLong(16_385)),
        ("a\0b", TextError::Forbidden('\0')),
        ("a\u{b}b", TextError::Forbidden('\u{b}')),
        ("\u{1b}]0;title\u{7}", TextError::Forbidden('\u{1b}')),
        ("a\u{7f}", TextError::Forbidden('\u{7f}')),
        ("a\u{9b}31m", TextError::Forbidden('\u{9b}')),
    ] {
        assert_eq!(Text::received(text), Err(error), "{text:?}");
    }
    assert_eq!(Text::new("\0\u{1b}"), Err(TextError::Empty));
    assert_eq!(Text::new(&longer), Err(TextError::TooLong(16_385)));
    // What is left out does not count.
    assert!(Text::new(&format!("{long}\0")).is_ok());
}

proptest! {
    #[test]
    fn what_is_typed_is_taken_by_others_or_refused(typed in any::<String>()) {
        if let Ok(name) = Name::new(&typed) {
            prop_assert_eq!(Name::received(name.as_str()), Ok(name.clone()));
            prop_assert_eq!(Name::new(name.as_str()), Ok(name));
        }
        if let Ok(text) = Text::new(&typed) {
            prop_assert_eq!(Text::received(text.as_str()), Ok(text.clone()));
            prop_assert_eq!(Text::new(text.as_str()), Ok(text));
        } else {
            prop_assert!(typed.chars().all(char::is_control));
        }
    }
}
