//! What people write: display names and the text of messages. A [`Name`] and a [`Text`] that exist have been checked.
//!
//! Each is made in two ways. `new` is for what somebody types: it cleans what can be cleaned and refuses the rest, with
//! the reason. `received` is for what comes over the wire: that is taken as it is, or not at all.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

pub use self::line::LineError;
use crate::{
    limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX},
    normal::nfc,
};

pub(crate) mod class;
pub(crate) mod line;

/// Why a text is not a display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the name {0}")]
pub struct NameError(pub LineError);

/// A display name: 1 to [`NAME_BYTES_MAX`] bytes of UTF-8 that show everybody the same, see [`LineError`].
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// A name as somebody types it: white space around it is dropped, white space in it becomes one space, and it is
    /// brought into Unicode normalisation form C.
    pub fn new(typed: &str) -> Result<Self, NameError> {
        // What is far too long need not be cleaned. The form can be shorter than what is typed, to a third.
        if typed.len() > TYPED_BYTES_MAX {
            let (bytes, max) = (typed.len(), NAME_BYTES_MAX);
            return Err(NameError(LineError::TooLong { bytes, max }));
        }
        let mut name = String::with_capacity(typed.len());
        // Line ends are white space, and a mistake in a name.
        for word in typed
            .trim()
            .split(|c: char| c.is_whitespace() && !c.is_control())
        {
            if !word.is_empty() {
                if !name.is_empty() {
                    name.push(' ');
                }
                name.push_str(word);
            }
        }
        Self::received(&nfc(&name))
    }

    /// A name as it comes over the wire.
    pub fn received(name: &str) -> Result<Self, NameError> {
        line::check(name, NAME_BYTES_MAX).map_err(NameError)?;
        Ok(Self(name.into()))
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that is typed is looked at up to here.
const TYPED_BYTES_MAX: usize = 4 * NAME_BYTES_MAX;

impl FromStr for Name {
    type Err = NameError;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        Self::new(typed)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Why a text cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// No character, or none but control characters.
    #[error("the text is empty")]
    Empty,
    /// A control character but tab, newline and carriage return.
    #[error("the text has the control character U+{code:04X}", code = u32::from(*.0))]
    Forbidden(char),
    /// A text longer than [`TEXT_BYTES_MAX`].
    #[error("the text has {0} bytes; at most {TEXT_BYTES_MAX} are allowed")]
    TooLong(usize),
}

/// The text of a message: 1 to [`TEXT_BYTES_MAX`] bytes of UTF-8 without control characters but tab, newline and carriage
/// return. (Others can drive a terminal, and take six bytes in JSON.)
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Box<str>);

impl Text {
    /// A text as somebody types or pastes it. Every kind of line end (CR LF, CR, U+000B, U+000C, U+0085, U+2028, U+2029)
    /// becomes a newline; other control characters but tab (U+0000 to U+001F, U+007F to U+009F) are left out: they show
    /// nothing.
    pub fn new(typed: &str) -> Result<Self, TextError> {
        // Cleaning makes nothing longer, and what is far too long need not be cleaned.
        if typed.len() > TEXT_BYTES_MAX.saturating_mul(2) {
            return Err(TextError::TooLong(typed.len()));
        }
        let mut text = String::with_capacity(typed.len());
        let mut characters = typed.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\t' | '\n' => text.push(character),
                '\r' => {
                    characters.next_if_eq(&'\n');
                    text.push('\n');
                }
                '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => text.push('\n'),
                _ if character.is_control() => {}
                _ => text.push(character),
            }
        }
        Self::received(&text)
    }

    /// A text as it comes over the wire.
    pub fn received(text: &str) -> Result<Self, TextError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TextError::TooLong(text.len()));
        }
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        match text.chars().find(|&character| is_forbidden(character)) {
            Some(character) => Err(TextError::Forbidden(character)),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_forbidden(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n' | '\r')
}

impl FromStr for Text {
    type Err = TextError;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        Self::new(typed)
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::received(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
