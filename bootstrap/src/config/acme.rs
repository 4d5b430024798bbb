//! Who gives certificates by ACME (RFC 8555), and whom it writes to.

use std::{fmt, str::FromStr};

use axum::http::Uri;
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// What `on` stands for.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Longest address for mail (RFC 5321, section 4.5.3.1.3).
const MAIL_BYTES_MAX: usize = 254;

/// Whether the node gets its certificate by itself, and from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AcmeCa {
    /// It doesn't.
    #[default]
    Off,
    /// From the CA whose directory (RFC 8555, section 7.1.1) is at this URL, which is `https`.
    Directory(String),
}

/// Why a text is no [`AcmeCa`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is neither `on`, which stands for Let's Encrypt, nor `off`, nor the https:// URL of a \
     CA's ACME directory"
)]
pub struct AcmeCaParseError(String);

/// An address for mail, like `me@example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail(String);

/// Why a text is no [`Mail`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a mail address such as me@example.org")]
pub struct MailParseError(String);

impl FromStr for AcmeCa {
    type Err = AcmeCaParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => return Ok(Self::Off),
            "on" => return Ok(Self::Directory(LETS_ENCRYPT.to_owned())),
            _ => {}
        }
        let is_https = text.parse().is_ok_and(|url: Uri| {
            url.scheme_str() == Some("https") && url.host().is_some_and(|host| !host.is_empty())
        });
        if !is_https {
            return Err(AcmeCaParseError(text.to_owned()));
        }
        Ok(Self::Directory(text.to_owned()))
    }
}

impl fmt::Display for AcmeCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Directory(url) if url == LETS_ENCRYPT => f.write_str("on"),
            Self::Directory(url) => f.write_str(url),
        }
    }
}

impl FromStr for Mail {
    type Err = MailParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What separates addresses and their parameters in a `mailto` URL (RFC 6068) is in none.
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '?' | '&' | '%' | '#');
        let is_address = text.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !host.contains('@')
        });
        if !is_address || text.len() > MAIL_BYTES_MAX || !text.chars().all(is_plain) {
            return Err(MailParseError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AcmeCa {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Mail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_is_on_or_off_or_named_by_its_directory() {
        for text in ["on", "off", "https://ca.example:14000/dir"] {
            assert_eq!(text.parse::<AcmeCa>().unwrap().to_string(), text);
        }
        for text in ["", "yes", "http://ca.example/dir", "ca.example", "https://"] {
            text.parse::<AcmeCa>().unwrap_err();
        }
    }

    #[test]
    fn mail_addresses_are_told_from_other_texts() {
        "me+moim@example.org".parse::<Mail>().unwrap();
        let long = format!("{}@example.org", "a".repeat(300));
        for text in [
            "",
            "me",
            "@example.org",
            "me@",
            "a@b@c",
            "a@b,c@d",
            "a b@c",
            "me@example.org?subject=x",
            &long,
        ] {
            text.parse::<Mail>().unwrap_err();
        }
    }
}
