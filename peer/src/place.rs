//! Where a URL or an address leads: a host, and a port at it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// A host, by IP address or name, and a port at it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// An IPv6 address is without brackets.
    pub host: String,
    /// The port, where one is named.
    pub port: Option<u16>,
}

impl Place {
    /// Of `scheme://[user@]host[:port][/path][?query][#fragment]` (RFC 3986, section 3).
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        Self::of_authority(rest.split(['/', '?', '#']).next().unwrap_or_default())
    }

    /// Of `[user@]host[:port]` (section 3.2).
    pub(crate) fn of_authority(text: &str) -> Option<Self> {
        // Whoever wrote a user's name in it meant the host behind that.
        let text = text.rsplit_once('@').map_or(text, |(_, behind)| behind);
        let (host, port) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (ip, rest) = bracketed.split_once(']')?;
                ip.parse::<Ipv6Addr>().ok()?;
                match rest.strip_prefix(':') {
                    Some(port) => (ip, Some(port)),
                    None if rest.is_empty() => (ip, None),
                    None => return None,
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (named(host)?, Some(port)),
                None => (named(text)?, None),
            },
        };
        // `parse` would take a sign too.
        let digits = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            Some(port) => Some(Some(port).filter(digits)?.parse().ok()?),
            None => None,
        };
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }

    pub(crate) fn of_address(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let host = match parts.next()? {
            Protocol::Ip4(ip) => ip.to_string(),
            Protocol::Ip6(ip) => ip.to_string(),
            Protocol::Dns(name)
            | Protocol::Dns4(name)
            | Protocol::Dns6(name)
            | Protocol::Dnsaddr(name) => name.into_owned(),
            _ => return None,
        };
        let port = match parts.next() {
            Some(Protocol::Tcp(port) | Protocol::Udp(port)) => Some(port),
            _ => None,
        };
        Some(Self { host, port })
    }

    /// Whether it is of the machine that this runs on: a loopback address, or a name that stands for one (RFC 6761,
    /// section 6.3).
    pub fn is_this_machine(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => {
                let last = self.host.rsplit('.').next().unwrap_or_default();
                last.eq_ignore_ascii_case("localhost")
            }
        }
    }
}

/// A name or an IPv4 address.
fn named(host: &str) -> Option<&str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    Some(host).filter(|host| !host.is_empty() && host.chars().all(is_part))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match port {
            Some(port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, place) in [
            ("http://node.example", Some("node.example")),
            ("http://node.example:8470/a:1", Some("node.example:8470")),
            ("https://192.0.2.1:1?b@c:2", Some("192.0.2.1:1")),
            ("http://[2001:db8::1]:80/", Some("[2001:db8::1]:80")),
            ("http://[::1]#x", Some("::1")),
            ("https://127.0.0.1@node.example/", Some("node.example")),
            ("http://모임.example/", Some("모임.example")),
            ("http://", None),
            ("http:///a", None),
            ("http://a:", None),
            ("http://a:+1", None),
            ("http://a:65536", None),
            ("http://[::1", None),
            ("http://[::1]a", None),
            ("http://[a]", None),
            ("http://::1:80", None),
            ("http://a b", None),
            ("node.example", None),
        ] {
            let found = Place::of_url(url).map(|place| place.to_string());
            assert_eq!(found.as_deref(), place, "{url}");
        }
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (address, place) in [
            (
                "/ip4/192.0.2.1/udp/8469/webrtc-direct",
                Some("192.0.2.1:8469"),
            ),
            ("/ip6/2001:db8::1/tcp/1/ws", Some("[2001:db8::1]:1")),
            (
                "/dns4/node.example/tcp/443/tls/ws",
                Some("node.example:443"),
            ),
            ("/dnsaddr/node.example", Some("node.example")),
            ("/memory/1", None),
        ] {
            let found = Place::of_address(&address.parse().expect(address));
            assert_eq!(found.map(|place| place.to_string()).as_deref(), place);
        }
    }

    #[test]
    fn a_name_that_begins_like_an_address_is_not_this_machine() {
        let is_this_machine = |host: &str| {
            let host = host.to_owned();
            Place { host, port: None }.is_this_machine()
        };
        for host in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "::1",
            "::ffff:127.0.0.1",
            "127.0.0.1",
            "127.9.9.9",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "127.example.org",
            "127.0.0.1.example.org",
            "127.",
            "localhost.example.org",
            "notlocalhost",
            "192.168.1.1",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
