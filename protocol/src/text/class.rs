//! What the rules for names have to know of a character, from a table of Unicode 18.0 in 1.6 kB.

use std::sync::OnceLock;

use self::table::TABLE;

mod table;

/// What the rules for names have to know of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing to be seen, or nothing that everybody sees alike, or what turns the text around it: control characters
    /// (general category Cc), line and paragraph separators (Zl, Zp), private use (Co), noncharacters, everything with
    /// `Default_Ignorable_Code_Point`, and some blank ones.
    Refused,
    /// A nonspacing or enclosing mark (Mn, Me).
    Mark,
    /// A mark that joins consonants of an Indic script (canonical combining class 9).
    Virama,
    /// `Extended_Pictographic`: what emoji sequences are made of.
    Pictograph,
    /// A letter that joins with the next one alone (`Joining_Type` L).
    JoinsNext,
    /// A letter that joins with the one before alone (R).
    JoinsPrevious,
    /// A letter that joins on both sides (D).
    JoinsBoth,
    /// Any other character.
    Plain,
}

impl Class {
    pub(crate) fn of(character: char) -> Self {
        if matches!(character, ' '..='~') {
            return Self::Plain;
        }
        static RUNS: OnceLock<Vec<Run>> = OnceLock::new();
        let runs = RUNS.get_or_init(|| decode(TABLE));
        let code = u32::from(character);
        let after = runs.partition_point(|run| run.first <= code);
        match after.checked_sub(1).and_then(|index| runs.get(index)) {
            Some(run) if code <= run.last => run.class,
            _ => Self::Plain,
        }
    }
}

/// Code points in a row with one class.
#[derive(Debug)]
struct Run {
    first: u32,
    last: u32,
    class: Class,
}

/// See `examples/unicode-tables.rs` for how the table is written.
fn decode(mut table: &[u8]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut end: u32 = 0;
    while let (Some(gap), Some(number)) = (number(&mut table), number(&mut table)) {
        let first = end.saturating_add(gap);
        let last = first.saturating_add(number >> 3);
        let class = match number & 7 {
            0 => Class::Refused,
            1 => Class::Mark,
            2 => Class::Virama,
            3 => Class::Pictograph,
            4 => Class::JoinsNext,
            5 => Class::JoinsPrevious,
            6 => Class::JoinsBoth,
            _ => Class::Plain,
        };
        runs.push(Run { first, last, class });
        end = last.saturating_add(1);
    }
    runs
}

/// Takes a number in LEB128 off the front of a table.
pub(crate) fn number(table: &mut &[u8]) -> Option<u32> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = table.split_first()?;
        *table = rest;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
        shift = u32::saturating_add(shift, 7);
    }
}

#[cfg(test)]
mod tests;
