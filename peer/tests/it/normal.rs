//! What a page takes from its browser.

use moim_peer::Topic;
use unicode_normalization::UnicodeNormalization as _;

use crate::common::test;

/// Two that type the same topic must meet, one of whom is a page.
#[test]
fn the_browser_composes_characters_as_programs_do() {
    let mut compared = 0_u32;
    for character in '\0'..=char::MAX {
        let parts: String = character.nfd().collect();
        if parts.chars().eq([character]) {
            continue;
        }
        // In parts, with a mark of a low class behind one of a high class, and as it is.
        for text in [
            parts.clone(),
            format!("{parts}\u{301}\u{327}"),
            character.to_string(),
        ] {
            let Ok(topic) = Topic::new(&text) else {
                continue;
            };
            assert_eq!(topic.as_str(), text.nfc().collect::<String>(), "{text:?}");
            compared += 1;
        }
    }
    assert!(compared > 10_000, "{compared}");
}
