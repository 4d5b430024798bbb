//! What a program calls the protocol that it speaks on its streams.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use crate::limits::PROTOCOL_NAME_BYTES_MAX;

/// The text does not name a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the name of a protocol is 1 to {PROTOCOL_NAME_BYTES_MAX} visible ASCII characters without spaces"
)]
pub struct ProtocolNameError;

/// What a program calls the protocol that it speaks on its streams, with a version in it: `chess/1`. 1 to
/// [`PROTOCOL_NAME_BYTES_MAX`] bytes of visible ASCII; upper and lower case differ. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProtocolName(Arc<str>);

impl ProtocolName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`ProtocolNameError`] for what is empty, too long, or has another character in it.
    pub fn new(name: &str) -> Result<Self, ProtocolNameError> {
        let is_short = (1..=PROTOCOL_NAME_BYTES_MAX).contains(&name.len());
        if is_short && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(name.into()))
        } else {
            Err(ProtocolNameError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtocolName({self})")
    }
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProtocolName {
    type Err = ProtocolNameError;

    fn from_str(name: &str) -> Result<Self, ProtocolNameError> {
        Self::new(name)
    }
}
