//! `HOST:PORT` or `off`: where a transport listens.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// Where a transport listens, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On this port of these addresses. Port 0: any free one.
    At {
        /// The addresses.
        host: Host,
        /// The port.
        port: u16,
    },
    /// Nowhere.
    Off,
}

impl Listen {
    /// On this port of every address of the machine.
    pub(super) const fn everywhere(port: u16) -> Self {
        Self::At {
            host: Host::All,
            port,
        }
    }
}

/// The addresses of this machine to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Every IPv4 address and, where the machine has IPv6, every IPv6 address: `*`.
    All,
    /// One address, or every address of one family when it is unspecified.
    Ip(IpAddr),
}

impl Host {
    /// The addresses to bind. The first has to work; a further one is tried where it is possible.
    pub fn addresses(self) -> Vec<IpAddr> {
        match self {
            Self::All => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            Self::Ip(ip) => vec![ip],
        }
    }
}

/// Why a text is no [`Listen`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenParseError {
    /// The host isn't an address.
    #[error(
        "`{0}` is not a host to listen on: give an IPv4 address, an IPv6 address in brackets, \
         `localhost` or `*`"
    )]
    Host(String),
    /// There is no colon, or an IPv6 address without brackets.
    #[error("`{0}` is neither HOST:PORT (such as 0.0.0.0:8468 or [::]:8468) nor `off`")]
    Shape(String),
    /// The port isn't a number that fits.
    #[error("`{0}` is not a port: give a number from 0 (any free port) to 65535")]
    Port(String),
}

impl FromStr for Listen {
    type Err = ListenParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| ListenParseError::Shape(text.to_owned()))?;
        let port = port
            .parse()
            .map_err(|_| ListenParseError::Port(port.to_owned()))?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(ip) => {
                let ip = ip.parse::<Ipv6Addr>();
                Host::Ip(
                    ip.map_err(|_| ListenParseError::Host(host.to_owned()))?
                        .into(),
                )
            }
            None if host == "*" => Host::All,
            None if host.eq_ignore_ascii_case("localhost") => Host::Ip(Ipv4Addr::LOCALHOST.into()),
            None if host.contains(':') => return Err(ListenParseError::Shape(text.to_owned())),
            None => {
                let ip = host.parse::<Ipv4Addr>();
                Host::Ip(
                    ip.map_err(|_| ListenParseError::Host(host.to_owned()))?
                        .into(),
                )
            }
        };
        Ok(Self::At { host, port })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At {
                host: Host::All,
                port,
            } => write!(f, "*:{port}"),
            Self::At {
                host: Host::Ip(IpAddr::V4(ip)),
                port,
            } => write!(f, "{ip}:{port}"),
            Self::At {
                host: Host::Ip(IpAddr::V6(ip)),
                port,
            } => write!(f, "[{ip}]:{port}"),
            Self::Off => f.write_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
