use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        CanonicalCombiningClass, DefaultIgnorableCodePoint, ExtendedPictographic, GeneralCategory,
        JoiningType, NoncharacterCodePoint,
    },
};

use super::*;

fn all() -> impl Iterator<Item = char> {
    (0..=u32::from(char::MAX)).filter_map(char::from_u32)
}

#[test]
fn the_table_says_what_unicode_says() {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let no_character = CodePointSetData::new::<NoncharacterCodePoint>();
    let pictograph = CodePointSetData::new::<ExtendedPictographic>();
    let category = CodePointMapData::<GeneralCategory>::new();
    let combining = CodePointMapData::<CanonicalCombiningClass>::new();
    let joining = CodePointMapData::<JoiningType>::new();
    for character in all() {
        let category = category.get(character);
        let refused = matches!(
            category,
            GeneralCategory::Control
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::PrivateUse
        ) || ignorable.contains(character)
            || no_character.contains(character)
            || "\u{2800}\u{fff9}\u{fffa}\u{fffb}\u{fffc}\u{13441}\u{13442}\u{16fe4}\u{1d159}"
                .contains(character);
        let mark = matches!(
            category,
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
        );
        let expected = if refused {
            Class::Refused
        } else if combining.get(character) == CanonicalCombiningClass::Virama {
            Class::Virama
        } else if mark {
            Class::Mark
        } else if pictograph.contains(character) {
            Class::Pictograph
        } else {
            match joining.get(character) {
                JoiningType::LeftJoining => Class::JoinsNext,
                JoiningType::RightJoining => Class::JoinsPrevious,
                JoiningType::DualJoining => Class::JoinsBoth,
                _ => Class::Plain,
            }
        };
        assert_eq!(
            Class::of(character),
            expected,
            "U+{:04X}",
            u32::from(character)
        );
    }
}

/// The rule for ZERO WIDTH NON-JOINER passes over what is transparent to joining; that is the marks.
#[test]
fn what_is_transparent_to_joining_is_a_mark_or_refused() {
    let joining = CodePointMapData::<JoiningType>::new();
    let others: Vec<u32> = all()
        .filter(|&character| joining.get(character) == JoiningType::Transparent)
        .filter(|&character| matches!(Class::of(character), Class::Plain | Class::Pictograph))
        .map(u32::from)
        .collect();
    // SYRIAC ABBREVIATION MARK, format controls of Egyptian hieroglyphs, ADLAM NASALIZATION MARK.
    assert!(
        others
            .iter()
            .all(|code| matches!(code, 0x70f | 0x13430..=0x1343f | 0x1e94b)),
        "{others:x?}"
    );
}

/// U+FE0F and the like are not met by the table alone: the rules look at what stands around them.
#[test]
fn joiners_and_variation_selectors_are_refused_by_themselves() {
    for character in ['\u{200c}', '\u{200d}', '\u{fe0e}', '\u{fe0f}'] {
        assert_eq!(Class::of(character), Class::Refused);
    }
}
