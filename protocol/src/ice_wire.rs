//! Bodies of `/moim/ice-servers/1.0.0`: a bootstrap node tells a peer which STUN and TURN servers
//! help it to find a direct way to others.
//!
//! One request and one answer per stream, each a JSON body of at most
//! [`BODY_BYTES_MAX`] bytes, ended by closing the writing side. The connection is authenticated, so
//! credentials can be in the answer that are for this peer alone.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    dials::{Names, Origin, Rules, is_local_name, is_name_of_this_machine, is_port_of_strangers},
    json,
    limits::{BODY_BYTES_MAX, ICE_SERVERS_MAX, ICE_SERVERS_USED, ICE_TEXT_BYTES_MAX, ICE_URLS_MAX},
    targets::{Scope, scope},
    wire::{self, BodyError, ErrorCode, WireError},
};

/// Ports where a URL names none, of STUN and TURN, and of both over TLS (RFC 7064, RFC 7065).
const STUN_PORT: u16 = 3478;
const STUNS_PORT: u16 = 5349;

/// What a peer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which servers there are.
    Get,
}

/// What a bootstrap node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The request was not accepted.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people: at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX) bytes.
        reason: String,
    },
    /// The servers, the best first; none is an answer too.
    Servers {
        /// At most [`ICE_SERVERS_MAX`].
        servers: Vec<IceServer>,
        /// How long they are good; to be asked for again before. `None`: as long as the connection.
        ttl: Option<Duration>,
    },
}

/// One server, as a browser's `RTCIceServer`.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// `stun:HOST:PORT` (RFC 7064), `turn:HOST:PORT?transport=udp` (RFC 7065), …: at most
    /// [`ICE_URLS_MAX`], each of at most [`ICE_TEXT_BYTES_MAX`] bytes.
    pub urls: Vec<String>,
    /// For TURN, at most [`ICE_TEXT_BYTES_MAX`] bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN, at most [`ICE_TEXT_BYTES_MAX`] bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Without the credential.
impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl IceServer {
    /// A STUN server, which needs no credentials. `host` is a name, an IPv4 address, or an IPv6
    /// address in brackets.
    #[must_use]
    pub fn stun(host: impl fmt::Display, port: u16) -> Self {
        Self {
            urls: vec![format!("stun:{host}:{port}")],
            username: None,
            credential: None,
        }
    }

    /// What of a server in an answer can be used: the URLs that keep the bounds and that a browser takes (it would refuse
    /// the whole connection for one that it does not know, and later versions may name others), those of TURN with credentials. `None` if that is nothing.
    fn usable(server: ServerIn<'_>) -> Option<Self> {
        let fits = |text: &String| text.len() <= ICE_TEXT_BYTES_MAX;
        let ServerIn {
            urls,
            username,
            credential,
        } = server;
        let (username, credential) = (username.filter(fits), credential.filter(fits));
        let has_credentials = username.is_some() && credential.is_some();
        let urls: Vec<String> = urls
            .values()
            .filter(|url| fits(url) && place(url).is_some())
            .filter(|url| has_credentials || !url.starts_with("turn"))
            .take(ICE_URLS_MAX)
            .collect();
        (!urls.is_empty()).then_some(Self {
            urls,
            username,
            credential,
        })
    }
}

/// Which of the servers to use, for a peer that reaches the one who named them under the host
/// `reached` (a name or an IP address without brackets): that host's own first. Where a server may be is what
/// [`dials`](crate::dials) says of strangers' addresses; a network that is nobody else's business counts as met where `reached`
/// is in it.
///
/// At most [`ICE_SERVERS_USED`], because a browser asks each of them for every connection.
#[must_use]
pub fn choose(servers: Vec<IceServer>, reached: &str) -> Vec<IceServer> {
    let judge = Judge::new(reached);
    let allowed = servers.into_iter().filter_map(|mut server| {
        server.urls.retain(|url| judge.allows(url));
        (!server.urls.is_empty()).then_some(server)
    });
    let is_own = |server: &IceServer| {
        let mut places = server.urls.iter().filter_map(|url| place(url));
        places.any(|(host, _)| host == reached)
    };
    let (mut chosen, others): (Vec<_>, Vec<_>) = allowed.partition(is_own);
    chosen.extend(others);
    chosen.truncate(ICE_SERVERS_USED);
    chosen
}

/// Where servers may be that are named by somebody who was reached at a host.
struct Judge<'a> {
    reached: &'a str,
    /// It was met there, and nowhere else.
    rules: Rules,
    /// That host is of this machine, or of a network that is nobody else's business.
    is_here: bool,
    is_near: bool,
}

impl<'a> Judge<'a> {
    fn new(reached: &'a str) -> Self {
        let ip = reached.parse::<IpAddr>().ok();
        let is_here =
            is_name_of_this_machine(reached) || ip.is_some_and(|ip| scope(ip) == Scope::Loopback);
        let is_near = match ip {
            Some(ip) => matches!(scope(ip), Scope::Site | Scope::Link),
            None => !reached.is_empty() && is_local_name(reached) && !is_here,
        };
        let mut rules = Rules::new(Names::AsWritten);
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let by_name = loopback.into_iter().filter(|_| is_here && ip.is_none());
        for ip in ip.into_iter().chain(by_name) {
            rules.meet(ip, &[]);
        }
        Self {
            reached,
            rules,
            is_here,
            is_near,
        }
    }

    fn allows(&self, url: &str) -> bool {
        place(url).is_some_and(|(host, port)| self.allows_host(host) && is_port_of_strangers(port))
    }

    fn allows_host(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(ip) => self.rules.judge_ip(ip, Origin::Stranger, &[]).is_ok(),
            Err(_) if is_number(host) => false,
            Err(_) if host == self.reached => true,
            Err(_) if is_name_of_this_machine(host) => self.is_here,
            Err(_) => self.is_near || !is_local_name(host),
        }
    }
}

/// Whether the last label of a host is a number: the URL standard reads such a host as an IPv4 address, as `inet_aton` does
/// (`127.1`). So what is written in another way than an IP address is written nobody is to read.
fn is_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit_once('.').map_or(host, |(_, last)| last);
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The host and the port in a URL: a scheme of RFC 7064 or RFC 7065, a host, perhaps a port, and for TURN
/// perhaps a transport. `None` if it is anything else.
fn place(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once(':')?;
    let rest = match (scheme, rest.split_once('?')) {
        ("stun" | "stuns" | "turn" | "turns", None) => rest,
        ("turn" | "turns", Some((rest, "transport=udp" | "transport=tcp"))) => rest,
        _ => return None,
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())?,
        None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    if host.is_empty() || !host.chars().all(is_host) {
        return None;
    }
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if port.is_empty() && scheme.ends_with('s') => STUNS_PORT,
        None if port.is_empty() => STUN_PORT,
        None => return None,
    };
    Some((host, port))
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct ServersOut<'a> {
    servers: &'a [IceServer],
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

#[derive(Deserialize)]
struct ServersIn<'a> {
    #[serde(borrow)]
    servers: json::List<'a>,
    #[serde(default, deserialize_with = "json::integer::optional")]
    ttl: Option<u64>,
}

#[derive(Deserialize)]
struct ServerIn<'a> {
    #[serde(borrow)]
    urls: json::List<'a>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    credential: Option<String>,
}

impl Request {
    /// The body to be sent.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Get => json::encode("get", Empty {}),
        }
    }

    /// Reads and checks a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "get" => Ok(Self::Get),
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

impl Response {
    /// The body to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Error { code, reason } => wire::encode_error(*code, reason),
            Self::Servers { servers, ttl } => json::encode(
                "servers",
                ServersOut {
                    servers,
                    ttl: ttl.map(|ttl| ttl.as_secs()),
                },
            ),
        }
    }

    /// Reads and checks a body.
    ///
    /// URLs that cannot be used are left out, and so are servers without any other, and what comes after the first
    /// [`ICE_SERVERS_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "error" => {
                let (code, reason) = wire::decode_error(bytes)?;
                Ok(Self::Error { code, reason })
            }
            "servers" => {
                let body: ServersIn<'_> = json::fields(bytes)?;
                let servers = body.servers.entries().filter_map(IceServer::usable);
                Ok(Self::Servers {
                    servers: servers.take(ICE_SERVERS_MAX).collect(),
                    // A life longer than any is as good as the longest.
                    ttl: body
                        .ttl
                        .map(|ttl| Duration::from_secs(ttl.min(u32::MAX.into()))),
                })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

wire::answers_errors!(Response);

#[cfg(test)]
mod tests;
