//! The name that a certificate is for.

use std::{fmt, str::FromStr};

use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// Longest name in the DNS, in bytes (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest part of one.
const LABEL_BYTES_MAX: usize = 63;

/// A name in the DNS, like `moim.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(String);

/// Why a text is no [`Domain`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a domain name such as moim.example.org")]
pub struct DomainParseError(String);

impl Domain {
    /// The address of a TLS port with this name.
    pub(crate) fn address(&self, port: u16) -> Multiaddr {
        Multiaddr::empty()
            .with(Protocol::Dns4(self.0.as_str().into()))
            .with(Protocol::Tcp(port))
            .with(Protocol::Tls)
            .with(Protocol::Ws("/".into()))
    }
}

impl FromStr for Domain {
    type Err = DomainParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let is_number = name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if name.len() > NAME_BYTES_MAX || is_number || !name.split('.').all(is_label) {
            return Err(DomainParseError(text.to_owned()));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (text, name) in [
            ("Moim.Example.org.", "moim.example.org"),
            ("localhost", "localhost"),
            ("xn--9d0bx2i.example", "xn--9d0bx2i.example"),
        ] {
            assert_eq!(text.parse::<Domain>().unwrap().to_string(), name);
        }
        let long = "a.".repeat(200);
        for text in [
            "",
            "a b",
            "https://a.example",
            "a..b",
            "192.0.2.1",
            "-a.b",
            "*.a",
            &long,
        ] {
            text.parse::<Domain>().unwrap_err();
        }
    }
}
