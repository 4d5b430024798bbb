//! Writes the tables of Unicode that `protocol` carries: `cargo run -p moim-protocol --example unicode-tables`.
//!
//! Run it when `icu_properties` or `unicode-security` have a newer Unicode; the tests of `text::class` and `alike`
//! compare the tables with these crates, code point by code point. A changed rule for names changes the protocol: write
//! the new version of Unicode into docs/protocol.md.

#![allow(
    clippy::disallowed_methods,
    reason = "the crate does no IO, but somebody has to write its tables"
)]

use std::{fmt::Write as _, fs, io, path::Path};

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        CanonicalCombiningClass, DefaultIgnorableCodePoint, ExtendedPictographic, GeneralCategory,
        JoiningType, NoncharacterCodePoint, Script,
    },
};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{UNICODE_VERSION, confusable_detection::skeleton};

/// Bytes of a table that stand in one line of source.
const LINE_BYTES: usize = 32;

fn main() -> io::Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    fs::write(source.join("text/class/table.rs"), file(&classes()))?;
    fs::write(source.join("alike/table.rs"), file(&prototypes()))
}

/// Characters that show nothing, though Unicode does not say so by a property: BRAILLE PATTERN BLANK, EGYPTIAN HIEROGLYPH
/// FULL BLANK and HALF BLANK, KHITAN SMALL SCRIPT FILLER, MUSICAL SYMBOL NULL NOTEHEAD; and what only stands for
/// something that is not there: the interlinear annotations and the OBJECT REPLACEMENT CHARACTER.
const BLANK: [u32; 9] = [
    0x2800, 0xfff9, 0xfffa, 0xfffb, 0xfffc, 0x13441, 0x13442, 0x16fe4, 0x1d159,
];

/// The number of the class of a character, as `text::class` reads it. `None` for the great rest.
fn class(code: u32) -> Option<u8> {
    let category = CodePointMapData::<GeneralCategory>::new().get32(code);
    let refused = matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains32(code)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains32(code)
        || BLANK.contains(&code);
    if refused {
        return Some(0);
    }
    if CodePointMapData::<CanonicalCombiningClass>::new().get32(code)
        == CanonicalCombiningClass::Virama
    {
        return Some(2);
    }
    if matches!(
        category,
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
    ) {
        return Some(1);
    }
    if CodePointSetData::new::<ExtendedPictographic>().contains32(code) {
        return Some(3);
    }
    match CodePointMapData::<JoiningType>::new().get32(code) {
        JoiningType::LeftJoining => Some(4),
        JoiningType::RightJoining => Some(5),
        JoiningType::DualJoining => Some(6),
        _ => None,
    }
}

/// Runs of one class: how many code points after the end of the run before, then the length less one and, in the three
/// lowest bits, the class.
fn classes() -> Vec<u8> {
    let (mut table, mut end, mut code) = (Vec::new(), 0, 0);
    while code <= u32::from(char::MAX) {
        let start = code;
        let class = class(start);
        while code <= u32::from(char::MAX) && self::class(code) == class {
            code += 1;
        }
        if let Some(class) = class {
            number(&mut table, start - end);
            number(&mut table, (code - start - 1) << 3 | u32::from(class));
            end = code;
        }
    }
    table
}

/// What characters look like: how many code points after the one before, and in the lowest bit whether the number of
/// characters that it looks like follows (else it is one); then these in UTF-8.
fn prototypes() -> Vec<u8> {
    let (mut table, mut last) = (Vec::new(), 0);
    for character in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
        let Some(prototype) = prototype(character) else {
            continue;
        };
        let code = u32::from(character);
        let count = prototype.chars().count();
        number(&mut table, (code - last) << 1 | u32::from(count != 1));
        if count != 1 {
            number(
                &mut table,
                u32::try_from(count).expect("some few characters"),
            );
        }
        table.extend(prototype.bytes());
        last = code;
    }
    table
}

/// What a character looks like. Kept is what is of Latin, Greek, Cyrillic, Hangul or Kana or a mark on their letters, and what
/// looks like one such letter, whatever its own script.
fn prototype(character: char) -> Option<String> {
    let text = character.to_string();
    let decomposed: String = text.nfd().collect();
    // Left out of skeletons, or taken apart before the table is asked.
    if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || decomposed != text
    {
        return None;
    }
    let prototype: String = skeleton(&text).collect();
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
    let is_letter = prototype.chars().count() == 1 && prototype.chars().all(kept);
    (prototype != text && (is_letter || kept(character))).then_some(prototype)
}

/// LEB128.
fn number(table: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        table.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    table.push(number as u8);
}

fn file(table: &[u8]) -> String {
    let (major, minor, micro) = UNICODE_VERSION;
    let mut text = format!(
        "// Made by `cargo run -p moim-protocol --example unicode-tables` of Unicode {major}.{minor}.{micro}; not to be edited.\n\n\
         pub(super) const TABLE: &[u8] = b\"\\\n"
    );
    for line in table.chunks(LINE_BYTES) {
        text.push_str("    ");
        for byte in line {
            match byte {
                b'"' | b'\\' => write!(text, "\\{}", char::from(*byte)),
                0x21..=0x7e => write!(text, "{}", char::from(*byte)),
                _ => write!(text, "\\x{byte:02x}"),
            }
            .expect("writing to memory does not fail");
        }
        text.push_str("\\\n");
    }
    text.push_str("\";\n");
    text
}
