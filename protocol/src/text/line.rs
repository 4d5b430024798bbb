//! The one rule for what stands in a line among others: display names, topics, names of values.
//!
//! A line says the same to everybody who sees it. Refused is what shows nothing (so that two lines could look the same
//! and be different), what turns the text around it, and what stacks up over other lines. Joiners and variation
//! selectors stay where a script or an emoji needs them.

use thiserror::Error;

use super::class::Class;
use crate::limits::MARKS_MAX;

/// ZERO WIDTH NON-JOINER.
const ZWNJ: char = '\u{200c}';
/// ZERO WIDTH JOINER.
const ZWJ: char = '\u{200d}';
/// VARIATION SELECTOR-15: as text.
const VS15: char = '\u{fe0e}';
/// VARIATION SELECTOR-16: as emoji.
const VS16: char = '\u{fe0f}';
/// COMBINING ENCLOSING KEYCAP.
const KEYCAP: char = '\u{20e3}';

/// What is wrong with a name, a topic or the name of a value. Reads on after what it is: `the name {error}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineError {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// A character that cannot be seen (everywhere and by everybody), or turns the direction of the text around it.
    #[error("has the character U+{code:04X}, which shows nothing or changes the text around it", code = u32::from(*.0))]
    Forbidden(char),
    /// More than [`MARKS_MAX`] combining marks on one letter, or a mark with no letter before it.
    #[error(
        "has a combining mark without a letter before it, or more than {MARKS_MAX} on one letter"
    )]
    Marks,
    /// More bytes of UTF-8 than there may be.
    #[error("has {bytes} bytes; at most {max} are allowed")]
    TooLong {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
}

/// Checks a line of at most `max` bytes.
pub(crate) fn check(line: &str, max: usize) -> Result<(), LineError> {
    if line.len() > max {
        let bytes = line.len();
        return Err(LineError::TooLong { bytes, max });
    }
    if line.trim().is_empty() {
        return Err(LineError::Empty);
    }
    let (mut marks, mut has_base) = (0_usize, false);
    for (at, character) in line.char_indices() {
        match Class::of(character) {
            Class::Refused => {
                let (before, after) = around(line, at, character);
                if !is_needed(character, before, after) {
                    return Err(LineError::Forbidden(character));
                }
            }
            Class::Mark | Class::Virama => {
                marks = marks.saturating_add(1);
                if !has_base || marks > MARKS_MAX {
                    return Err(LineError::Marks);
                }
            }
            Class::Pictograph
            | Class::JoinsNext
            | Class::JoinsPrevious
            | Class::JoinsBoth
            | Class::Plain => (marks, has_base) = (0, true),
        }
    }
    Ok(())
}

/// The line without the characters that only change how others are drawn: two lines that differ by these alone are the
/// same topic.
pub(crate) fn plain(line: &str) -> String {
    line.chars()
        .filter(|character| !matches!(*character, ZWNJ | ZWJ | VS15 | VS16))
        .collect()
}

fn around(line: &str, at: usize, character: char) -> (&str, &str) {
    let end = at.saturating_add(character.len_utf8());
    (
        line.get(..at).unwrap_or_default(),
        line.get(end..).unwrap_or_default(),
    )
}

/// Whether a character that shows nothing by itself is needed where it stands.
fn is_needed(character: char, before: &str, after: &str) -> bool {
    match character {
        // RFC 5892, appendix A.1.
        ZWNJ => follows_virama(before) || separates_letters(before, after),
        // RFC 5892, appendix A.2; and UAX #29, rule GB11: emoji sequences.
        ZWJ => follows_virama(before) || joins_pictographs(before, after),
        VS15 | VS16 => is_of_pictograph(before) || is_of_keycap(before, after),
        _ => false,
    }
}

fn follows_virama(before: &str) -> bool {
    before
        .chars()
        .next_back()
        .is_some_and(|last| Class::of(last) == Class::Virama)
}

/// Whether the letters on both sides, marks passed over, would join without it.
fn separates_letters(before: &str, after: &str) -> bool {
    let is_letter = |class: &Class| !matches!(class, Class::Mark | Class::Virama);
    let left = before.chars().rev().map(Class::of).find(is_letter);
    let right = after.chars().map(Class::of).find(is_letter);
    matches!(left, Some(Class::JoinsNext | Class::JoinsBoth))
        && matches!(right, Some(Class::JoinsPrevious | Class::JoinsBoth))
}

/// Whether a pictograph, perhaps with a skin tone or a variation selector, comes before, and another one next.
fn joins_pictographs(before: &str, after: &str) -> bool {
    let left = before
        .chars()
        .rev()
        .find(|character| !matches!(*character, VS16 | '\u{1f3fb}'..='\u{1f3ff}'));
    let right = after.chars().next();
    [left, right]
        .iter()
        .all(|side| side.is_some_and(|character| Class::of(character) == Class::Pictograph))
}

fn is_of_pictograph(before: &str) -> bool {
    before
        .chars()
        .next_back()
        .is_some_and(|last| Class::of(last) == Class::Pictograph)
}

fn is_of_keycap(before: &str, after: &str) -> bool {
    before.ends_with(|last: char| matches!(last, '0'..='9' | '#' | '*'))
        && after.starts_with(KEYCAP)
}
