//! `LOW-HIGH`: the ports that TURN relays by.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// A range of ports, `LOW-HIGH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    low: u16,
    high: u16,
}

/// Why a text is no [`PortRange`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a range of ports: give LOW-HIGH, e.g. 49152-65535, with LOW from 1024 on")]
pub struct PortRangeParseError(String);

/// The ports for private use (RFC 8656, section 7.2).
impl Default for PortRange {
    fn default() -> Self {
        Self {
            low: 49_152,
            high: u16::MAX,
        }
    }
}

impl PortRange {
    /// Ports with a meaning of their own lie below: others might trust what comes from them.
    const LOWEST: u16 = 1024;

    /// All of them.
    pub(crate) fn ports(self) -> RangeInclusive<u16> {
        self.low..=self.high
    }
}

impl FromStr for PortRange {
    type Err = PortRangeParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PortRangeParseError(text.to_owned());
        let (low, high) = text.trim().split_once('-').ok_or_else(error)?;
        let port = |text: &str| text.trim().parse().map_err(|_| error());
        let (low, high) = (port(low)?, port(high)?);
        if low < Self::LOWEST || high < low {
            return Err(error());
        }
        Ok(Self { low, high })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        for text in ["49152-65535", "1024-1024"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        assert_eq!(PortRange::default().to_string(), "49152-65535");
        for text in [
            "",
            "5",
            "1-2",
            "1023-2000",
            "3000-2000",
            "3000-70000",
            "a-b",
        ] {
            let error = text.parse::<PortRange>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
