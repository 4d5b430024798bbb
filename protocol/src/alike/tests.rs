use icu_properties::{CodePointMapData, props::Script};
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization as _;

use super::*;
use crate::testing::peer;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn look_alikes_are_found() {
    for (one, other) in [
        ("Ana", "Ana"),
        // Cyrillic, Greek, full width, mathematical, Cherokee.
        ("Ana", "\u{410}na"),
        ("Ana", "\u{391}n\u{430}"),
        ("Ana", "\u{ff21}\u{ff4e}\u{ff41}"),
        ("Ana", "\u{1d400}\u{1d427}\u{1d41a}"),
        ("Ana", "\u{13aa}na"),
        ("Ana", "ana"),
        ("Ian", "lan"),
        ("moim", "rnoirn"),
        ("O'Neil", "0\u{2019}NeiI"),
        ("Ada Lovelace", "Ada\u{a0}\u{3000}Lovelace"),
        ("caf\u{e9}", "cafe\u{301}"),
        ("민준", "\u{1106}\u{1175}\u{11ab}\u{110c}\u{116e}\u{11ab}"),
        ("ㄱㄴ", "\u{1100}\u{1102}"),
        ("ロボ", "口ボ"),
        ("\u{2764}\u{fe0f}", "\u{2764}"),
    ] {
        let other = Name::received(other).unwrap();
        assert_eq!(look(&name(one)), look(&other), "{one} {other}");
    }
    for (one, other) in [
        ("Ana", "Anna"),
        ("Ada", "Bob"),
        ("Ada", "Ada (you)"),
        ("민준", "민서"),
        ("たろう", "タロウ"),
        ("Zoe", "Zo\u{eb}"),
    ] {
        assert_ne!(look(&name(one)), look(&name(other)), "{one} {other}");
    }
}

/// The table is that of `unicode-security`, without what looks like letters of scripts that are not kept.
#[test]
fn skeletons_are_those_of_uts_39() {
    let scripts = CodePointMapData::<Script>::new();
    let kept = |character: char| {
        character.is_ascii()
            || matches!(
                scripts.get(character),
                Script::Latin
                    | Script::Greek
                    | Script::Cyrillic
                    | Script::Hangul
                    | Script::Hiragana
                    | Script::Katakana
                    | Script::Inherited
            )
    };
    let mut known = 0;
    for character in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
        let text = character.to_string();
        let parts: String = text.nfd().collect();
        // What is composed is as its parts.
        if Class::of(character) == Class::Refused || parts != text {
            continue;
        }
        let theirs: String = unicode_security::confusable_detection::skeleton(&text).collect();
        let is_letter = theirs.chars().count() == 1 && theirs.chars().all(kept);
        let expected = if kept(character) || is_letter {
            &theirs
        } else {
            &text
        };
        assert_eq!(&skeleton(&text), expected, "U+{:04X}", u32::from(character));
        known += u32::from(*expected != text);
    }
    assert!(known > 3_000, "{known}");
}

#[test]
fn alike_are_named_until_one_is_gone() {
    let (me, ada, eve, bob) = (peer(0), peer(1), peer(2), peer(3));
    let mut room = Alike::new(me);
    room.insert(me, &name("Me"));
    room.insert(ada, &name("Ada"));
    room.insert(bob, &name("Bob"));
    assert_eq!(room.of(&ada), None);
    room.insert(eve, &name("\u{410}da"));
    assert_eq!((room.of(&ada), room.of(&eve)), (Some(eve), Some(ada)));
    assert_eq!((room.of(&bob), room.of(&me)), (None, None));
    assert!(room.like(&eve).eq(room.like(&ada)) && room.like(&eve).count() == 2);
    assert_eq!(room.like(&peer(4)).next(), None);
    // Whoever looks like this peer is told of it first.
    room.insert(eve, &name("ME"));
    room.insert(ada, &name("rne"));
    assert_eq!((room.of(&ada), room.of(&eve)), (Some(me), Some(me)));
    assert!(room.of(&me).is_some());
    room.remove(&ada);
    room.remove(&eve);
    assert_eq!((room.of(&me), room.of(&eve)), (None, None));
    room.remove(&bob);
    assert_eq!((room.looks.len(), room.peers.len()), (1, 1));
}

proptest! {
    #[test]
    fn a_skeleton_is_the_skeleton_of_itself(text in "\\PC{0,20}") {
        let once = skeleton(&text);
        prop_assert_eq!(skeleton(&once), once);
    }

    #[test]
    fn whatever_comes_and_goes_nothing_is_left(steps in prop::collection::vec((0_u16..4, 0_usize..4), 0..40)) {
        let names = ["Ana", "\u{410}na", "Bob", "B0b"].map(name);
        let mut room = Alike::new(peer(0));
        room.insert(peer(0), &names[0]);
        for (who, which) in &steps {
            room.insert(peer(1 + who), &names[*which]);
            let other = room.of(&peer(1 + who));
            prop_assert_eq!(other.is_some(), which / 2 == 0 || room.peers.values().any(|peers| peers.len() > 1 && peers.contains(&peer(1 + who))));
        }
        for who in 0..4 {
            room.remove(&peer(1 + who));
        }
        prop_assert_eq!((room.looks.len(), room.peers.len()), (1, 1));
    }
}
