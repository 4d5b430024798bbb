//! What people write: display names and the text of messages.

use thiserror::Error;

use crate::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX};

/// Why a name or a text cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// A name of nothing but white space.
    #[error("the name is empty")]
    EmptyName,
    /// A text of no character.
    #[error("the text is empty")]
    EmptyText,
    /// A control character, or one that turns the direction of the lines around it.
    #[error("the character U+{code:04X} is not allowed here", code = u32::from(*.0))]
    Forbidden(char),
    /// A name longer than [`NAME_BYTES_MAX`].
    #[error("a name has at most {NAME_BYTES_MAX} bytes, this one has {0}")]
    NameTooLong(usize),
    /// A text longer than [`TEXT_BYTES_MAX`].
    #[error("a message has at most {TEXT_BYTES_MAX} bytes, this one has {0}")]
    TextTooLong(usize),
}

/// Checks a display name: 1 to [`NAME_BYTES_MAX`] bytes of UTF-8, not only white space, no control
/// characters, no line or paragraph separators, no characters that override the direction of text.
pub fn check_name(name: &str) -> Result<(), TextError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(TextError::NameTooLong(name.len()));
    }
    if name.trim().is_empty() {
        return Err(TextError::EmptyName);
    }
    match name
        .chars()
        .find(|&character| is_forbidden_in_line(character))
    {
        Some(character) => Err(TextError::Forbidden(character)),
        None => Ok(()),
    }
}

/// Checks the text of a message: 1 to [`TEXT_BYTES_MAX`] bytes of UTF-8 and no control characters
/// but tab, newline and carriage return. (Others can drive a terminal, and take six bytes in JSON.)
pub fn check_text(text: &str) -> Result<(), TextError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(TextError::TextTooLong(text.len()));
    }
    if text.is_empty() {
        return Err(TextError::EmptyText);
    }
    match text
        .chars()
        .find(|&character| is_forbidden_in_text(character))
    {
        Some(character) => Err(TextError::Forbidden(character)),
        None => Ok(()),
    }
}

fn is_forbidden_in_text(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n' | '\r')
}

/// Whether a character cannot stand in something shown on one line among others.
pub(crate) fn is_forbidden_in_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
