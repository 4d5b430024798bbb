//! Whom a node or a peer dials: the owner of that decision.
//!
//! Addresses come from strangers: in presences, in answers of the DHT, in introductions, in requests for
//! a dial back. So each is judged in the moment in which it would be dialled, whoever asks for it, and
//! the IP addresses that a name stands for once more when they are known:
//!
//! - It is of the [grammar](crate::address), in which nobody chooses the bytes that are sent.
//! - What the person's own settings name ([`Rules::name`]) is dialled.
//! - What a document says that the settings name by its URL ([`Rules::document`]) is dialled at the ports below, but
//!   not on this machine: whoever serves it, or sits between, chooses these addresses.
//! - Everything else is a stranger's word. It is dialled at public addresses and at ports at which Moim
//!   is run, and **in a network that is nobody else's business only where Moim was met already**: at the
//!   very loopback address, or in the very network of this machine's, at which a node that the settings
//!   name was reached ([`Rules::meet`]). So peers on one machine or on one LAN find each other as soon as
//!   they have entered by a node there; for a peer that has entered by a node on the internet, this
//!   machine and its LAN are out of bounds (and WebRTC, which sends nothing but STUN checks until the
//!   other end has shown that it wants to be spoken to, connects it to its neighbours).
//!
//! Which networks this machine is in is an argument, because it changes.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use multiaddr::{Multiaddr, Protocol};
use thiserror::Error;

use crate::{
    address::{self, AddressError, Host, Place, Transport},
    targets::{Scope, scope},
};

/// Ports below this are for services that a machine offers by their well-known number (RFC 6335).
const SYSTEM_PORTS_END: u16 = 1024;

/// HTTP's and HTTPS's port: the only ones of these that Moim is run at, because firewalls let them through.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Ports from 1024 on at which no Moim is dialled that a stranger names. Services speak there that trust
/// whoever reaches them or take any line for a command: those that browsers refuse for that reason
/// (Fetch, section 2.9), and data stores and control sockets at their default ports.
const SERVICE_PORTS: [u16; 38] = [
    1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190,
    5060, 5061, 5432, 5672, 5900, 5984, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
    9042, 9092, 9200, 9300, 10080, 11211,
];

/// Addresses that settings name at most. The first stay.
const NAMED_MAX: usize = 1024;

/// Documents that settings name at most, and addresses that one of them lists.
const DOCUMENTS_MAX: usize = 16;
const LISTED_MAX: usize = 64;

/// Networks in which Moim was met at most; more than a machine is in are somebody's mistake.
const MET_MAX: usize = 64;

/// How much of a network that this machine is not itself in is taken for met, with one address of it: what
/// is given to one link by custom.
const MET_PREFIX_V4: u8 = 24;
const MET_PREFIX_V6: u8 = 64;

/// Ends of names that mean something else in every network, or this machine (RFC 6761, RFC 6762, RFC 8375,
/// and what home routers use).
const LOCAL_DOMAINS: [&str; 12] = [
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
];

/// An IP address of this machine, and how many of its first bits are its network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The address.
    pub ip: IpAddr,
    /// The network's bits.
    pub prefix: u8,
}

impl Network {
    /// Whether another address is of the same network.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let bits = u32::from(self.prefix.min(32));
                let differing = own.to_bits() ^ ip.to_bits();
                differing.leading_zeros() >= bits
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let bits = u32::from(self.prefix.min(128));
                let differing = own.to_bits() ^ ip.to_bits();
                differing.leading_zeros() >= bits
            }
            _ => false,
        }
    }

    const fn single(ip: IpAddr) -> Self {
        let prefix = match ip {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { ip, prefix }
    }
}

/// Whether names can be looked up before they are dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// They are, and the addresses they stand for are judged by [`Rules::judge_ip`].
    Resolved,
    /// A browser does it, and does not tell. A stranger's name is dialled where TLS proves that it is
    /// the host's.
    AsWritten,
}

/// Whose word an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The settings'.
    Settings,
    /// A document's that the settings name, and that comes from another machine.
    Document,
    /// Anybody's.
    Stranger,
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It is none that Moim dials.
    #[error("not dialled: the address has none of the allowed forms: {0}")]
    Address(#[source] AddressError),
    /// Of this machine, or of a network of its own.
    #[error("not dialled: {0} is in a local network in which no bootstrap node was reached")]
    Local(IpAddr),
    /// A name that means something else in every network.
    #[error(
        "not dialled: the host name is of a local network, or cannot be looked up before dialling"
    )]
    Name,
    /// At no such address is a host.
    #[error("not dialled: {0} is not the address of a host")]
    NoHost(IpAddr),
    /// So many dials to strangers' addresses of this host are under way.
    #[error("not dialled: too many dials to {0} are under way")]
    Busy(IpAddr),
    /// Something else is run there.
    #[error("not dialled: port {0} belongs to another service")]
    Port(u16),
}

/// The rules. See the [module](self).
#[derive(Clone, Debug)]
pub struct Rules {
    names: Names,
    named: HashSet<Multiaddr>,
    documents: HashMap<usize, Document>,
    met: Vec<Met>,
}

/// What a document said when it was read last.
#[derive(Clone, Debug)]
struct Document {
    origin: Origin,
    addresses: HashSet<Multiaddr>,
}

/// Where Moim was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Met {
    network: Network,
    /// It is a network of this machine's, and counts as long as the machine is in it.
    is_own: bool,
}

impl Rules {
    /// Nothing is named, and nobody was met.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self {
            names,
            named: HashSet::new(),
            documents: HashMap::new(),
            met: Vec::new(),
        }
    }

    /// The person's own settings name this address. What follows the host and its transport (the peer, a
    /// circuit) does not matter.
    pub fn name(&mut self, address: &Multiaddr) {
        if self.named.len() < NAMED_MAX {
            self.named.insert(base(address));
        }
    }

    /// The document that the settings name at place `number` lists these addresses. What it listed before is forgotten.
    /// One of this machine itself (`is_local`) is believed as the settings are.
    pub fn document<'a>(
        &mut self,
        number: usize,
        is_local: bool,
        addresses: impl IntoIterator<Item = &'a Multiaddr>,
    ) {
        if number >= DOCUMENTS_MAX {
            return;
        }
        let origin = match is_local {
            true => Origin::Settings,
            false => Origin::Document,
        };
        let addresses = addresses.into_iter().take(LISTED_MAX).map(base).collect();
        self.documents
            .insert(number, Document { origin, addresses });
    }

    /// Whose word this address is.
    fn origin(&self, address: &Multiaddr) -> Origin {
        let base = base(address);
        if self.named.contains(&base) {
            return Origin::Settings;
        }
        let documents = self.documents.values();
        let origins = documents
            .filter(|document| document.addresses.contains(&base))
            .map(|document| document.origin);
        origins
            .min_by_key(|origin| *origin != Origin::Settings)
            .unwrap_or(Origin::Stranger)
    }

    /// A node that the settings name was reached at `ip`, or they say to listen there: Moim is run in
    /// that network. `own` are the networks that this machine is in.
    pub fn meet(&mut self, ip: IpAddr, own: &[Network]) {
        let ip = ip.to_canonical();
        let met = match scope(ip) {
            Scope::Site | Scope::Link => of_machine(ip, own)
                .map(|network| Met {
                    network,
                    is_own: true,
                })
                .unwrap_or_else(|| Met {
                    network: around(ip),
                    is_own: false,
                }),
            // Each loopback address, and each public address of this machine's, by itself.
            Scope::Loopback | Scope::Public => Met {
                network: Network::single(ip),
                is_own: false,
            },
            Scope::Special | Scope::Nobody => return,
        };
        if !self.met.contains(&met) && self.met.len() < MET_MAX {
            self.met.push(met);
        }
    }

    fn was_met(&self, ip: IpAddr, own: &[Network]) -> bool {
        self.met
            .iter()
            .any(|met| met.network.contains(ip) && (!met.is_own || of_machine(ip, own).is_some()))
    }

    /// Whether `address` may be dialled, and whose word it is.
    ///
    /// # Errors
    ///
    /// If it may not.
    pub fn judge(&self, address: &Multiaddr, own: &[Network]) -> Result<Origin, Refusal> {
        let parsed = address::parse(address).map_err(Refusal::Address)?;
        let Some(place) = parsed.place() else {
            // Nothing is sent but on a connection that is there.
            return Ok(Origin::Stranger);
        };
        let origin = self.origin(address);
        if origin != Origin::Settings {
            check_port(place)?;
        }
        match &place.host {
            Host::Ip(ip) => self.judge_ip(*ip, origin, own)?,
            Host::Name(name) => self.check_name(name, place, origin)?,
        }
        if let Some(name) = &place.server_name {
            self.check_name(name, place, origin)?;
        }
        Ok(origin)
    }

    /// Whether a host with this IP address may be dialled, given whose word its name or address was.
    ///
    /// # Errors
    ///
    /// If it may not.
    pub fn judge_ip(&self, ip: IpAddr, origin: Origin, own: &[Network]) -> Result<(), Refusal> {
        let ip = ip.to_canonical();
        let scope = scope(ip);
        match (scope, origin) {
            (Scope::Nobody, _) | (Scope::Special, Origin::Stranger | Origin::Document) => {
                Err(Refusal::NoHost(ip))
            }
            (_, Origin::Settings) => Ok(()),
            (Scope::Loopback, Origin::Document) => Err(Refusal::Local(ip)),
            (_, Origin::Document) => Ok(()),
            (Scope::Public, Origin::Stranger) if !own.iter().any(|one| one.ip == ip) => Ok(()),
            // Only together with the name of an interface does such an address mean one host.
            (Scope::Link, Origin::Stranger) if ip.is_ipv6() => Err(Refusal::Local(ip)),
            (_, Origin::Stranger) if self.was_met(ip, own) => Ok(()),
            (_, Origin::Stranger) => Err(Refusal::Local(ip)),
        }
    }

    /// Whether a host may be sent a STUN check, as WebRTC's ICE does to find a way to it. Nothing a stranger
    /// chooses is in it, and nothing else is sent until it is answered by whoever knows a password of this
    /// session. So the networks that this machine is in are open to it; where they are not told (in a
    /// page), all that are of one site.
    #[must_use]
    pub fn may_check(&self, ip: IpAddr, own: &[Network]) -> bool {
        let ip = ip.to_canonical();
        match scope(ip) {
            Scope::Public => true,
            Scope::Site => own.is_empty() || of_machine(ip, own).is_some() || self.was_met(ip, own),
            Scope::Loopback => self.was_met(ip, own),
            Scope::Link | Scope::Special | Scope::Nobody => false,
        }
    }

    fn check_name(&self, name: &str, place: &Place<'_>, origin: Origin) -> Result<(), Refusal> {
        let proven = place.transport == Transport::SecureWebSocket;
        let is_refused = match origin {
            Origin::Settings => false,
            Origin::Document => is_name_of_this_machine(name),
            Origin::Stranger => is_local_name(name) || (self.names == Names::AsWritten && !proven),
        };
        if is_refused {
            return Err(Refusal::Name);
        }
        Ok(())
    }
}

/// The network of this machine's that an address is in. A single address is a tunnel's end, not a network.
fn of_machine(ip: IpAddr, own: &[Network]) -> Option<Network> {
    let several = own
        .iter()
        .filter(|one| one.prefix < Network::single(one.ip).prefix);
    several
        .filter(|one| one.contains(ip))
        .max_by_key(|one| one.prefix)
        .copied()
}

/// What is taken for the network of an address elsewhere.
const fn around(ip: IpAddr) -> Network {
    let prefix = match ip {
        IpAddr::V4(_) => MET_PREFIX_V4,
        IpAddr::V6(_) => MET_PREFIX_V6,
    };
    Network { ip, prefix }
}

/// Whether a name is none of the public DNS: of one label, or with an end that is kept for local use.
#[must_use]
pub fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.rsplit_once('.') {
        Some((_, last)) => LOCAL_DOMAINS
            .iter()
            .any(|domain| last.eq_ignore_ascii_case(domain)),
        None => true,
    }
}

/// Whether a name always stands for this machine (RFC 6761, section 6.3).
#[must_use]
pub fn is_name_of_this_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    last.eq_ignore_ascii_case("localhost")
}

/// Whether a stranger may name this port, whatever it is for.
pub(crate) fn is_port_of_strangers(port: u16) -> bool {
    port == HTTPS || (port >= SYSTEM_PORTS_END && !SERVICE_PORTS.contains(&port))
}

fn check_port(place: &Place<'_>) -> Result<(), Refusal> {
    let is_web = place.port == HTTP && place.transport == Transport::WebSocket;
    if is_web || is_port_of_strangers(place.port) {
        Ok(())
    } else {
        Err(Refusal::Port(place.port))
    }
}

/// An address without what follows the host and its transport.
fn base(address: &Multiaddr) -> Multiaddr {
    address
        .iter()
        .take_while(|part| !matches!(part, Protocol::P2p(_)))
        .collect()
}

#[cfg(test)]
mod tests;
