//! What the server decides: who has which port, who may be heard there, and what goes where. Does no
//! IO: what clients and peers say comes in with the time, what is to be done comes out.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Instant,
};

use moim_protocol::rate::{Bucket, Rate};

use super::{
    allocation::{Allocation, Owner},
    counters::{Counters, Direction, Refused},
    credentials::{Client, Credentials},
    quota::{Quota, Quotas},
    request::{self, DATA_INDICATION, SEND_INDICATION},
    targets::{Target, Targets},
};
use crate::stun::wire::{Message, Writer, attribute};

mod obey;

/// Numbers that channels may have: those of RFC 5766, section 11, of which RFC 8656 keeps a quarter for
/// the sake of other protocols on a client's port. Clients of either are served.
const CHANNELS: RangeInclusive<u16> = 0x4000..=0x7fff;

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) quotas: Quotas,
    /// Of all allocations together.
    pub(crate) bytes_per_second: u32,
    /// Of one.
    pub(crate) allocation_bytes_per_second: u32,
    pub(crate) allow_private: bool,
}

/// So many bytes a second, and what comes in one at once.
fn a_second_of(bytes: u32) -> Rate {
    Rate {
        per_second: bytes,
        burst: bytes,
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Relay {
    settings: Settings,
    credentials: Credentials,
    counters: Counters,
    targets: Targets,
    quota: Quota,
    bucket: Bucket,
    allocations: HashMap<Client, Allocation>,
    /// The same by their addresses.
    clients: HashMap<SocketAddr, Client>,
    /// Addresses of allocations that have ended.
    closed: Vec<SocketAddr>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Nothing,
    /// A port is wanted; [`Relay::opened`] is to be told.
    Open(Opening),
    ToClient(Client, Vec<u8>),
    /// From the port of an allocation.
    ToPeer {
        from: SocketAddr,
        to: SocketAddr,
        data: &'a [u8],
    },
}

/// An allocation that only lacks a port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) is_ipv6: bool,
    /// Whether it has to be an even port.
    pub(super) is_even: bool,
    owner: Owner,
    lifetime: Option<u32>,
}

impl Opening {
    pub(super) fn client(&self) -> Client {
        self.owner.client
    }
}

/// Why there is no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPort {
    /// Not in this address family.
    Family,
    /// Too many are in use.
    Taken,
}

impl Relay {
    pub(crate) fn new(
        settings: Settings,
        credentials: Credentials,
        counters: Counters,
        now: Instant,
    ) -> Self {
        Self {
            settings,
            credentials,
            counters,
            targets: Targets::new(settings.allow_private),
            quota: Quota::new(settings.quotas),
            bucket: Bucket::new(a_second_of(settings.bytes_per_second), now),
            allocations: HashMap::new(),
            clients: HashMap::new(),
            closed: Vec::new(),
        }
    }

    /// From now on the operator wants it so. Allocations that are there keep their rate.
    pub(super) fn set(&mut self, settings: Settings, now: Instant) {
        self.targets.set_allow_private(settings.allow_private);
        self.quota.set(settings.quotas);
        self.bucket = Bucket::new(a_second_of(settings.bytes_per_second), now);
        self.settings = settings;
    }

    /// These are the node's own addresses.
    pub(super) fn set_own(&mut self, own: HashSet<IpAddr>) {
        self.targets.set_own(own);
    }

    /// Whether a client has an allocation.
    pub(super) fn knows(&self, client: Client) -> bool {
        self.allocations.contains_key(&client)
    }

    /// A client has something for a peer: ChannelData (section 12.6) or a Send indication (section
    /// 11.2). What is wrong with it is not said to anybody.
    pub(super) fn on_data<'a>(
        &mut self,
        client: Client,
        bytes: &'a [u8],
        now: Instant,
    ) -> Step<'a> {
        let found = self.allocations.get_mut(&client);
        let Some(allocation) = found.filter(|one| !one.has_expired(now)) else {
            return Step::Nothing;
        };
        let sent = match request::channel_data(bytes) {
            Some((number, data)) if CHANNELS.contains(&number) => {
                allocation.peer_of(number, now).map(|peer| (peer, data))
            }
            _ => Message::parse(bytes)
                .filter(|message| message.kind == SEND_INDICATION)
                .and_then(|message| request::sent(&message)),
        };
        let Some((peer, data)) = sent else {
            return Step::Nothing;
        };
        if peer.port() == 0 || !allocation.permits(peer.ip(), now) {
            return Step::Nothing;
        }
        let from = allocation.relayed;
        // What goes to another allocation does not leave the process: so it needs no permission to
        // send to our own addresses, nor a router that sends back what comes from behind it.
        let is_relayed = self.clients.contains_key(&peer);
        if !is_relayed && self.targets.judge(peer.ip(), false) != Target::Open {
            self.counters.refuse(Refused::Target);
            return Step::Nothing;
        }
        if !self.spend(client, data.len(), now) {
            return Step::Nothing;
        }
        self.counters.carry(Direction::ToPeer, data.len());
        if is_relayed {
            return self.on_peer(peer, from, data, now);
        }
        Step::ToPeer {
            from,
            to: peer,
            data,
        }
    }

    /// Something came from a peer to the port of an allocation (sections 11.3 and 12.7).
    pub(super) fn on_peer<'a>(
        &mut self,
        relayed: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
        now: Instant,
    ) -> Step<'a> {
        let Some(client) = self.clients.get(&relayed).copied() else {
            return Step::Nothing;
        };
        let allocation = self.allocations.get(&client);
        let Some(allocation) = allocation.filter(|one| !one.has_expired(now)) else {
            return Step::Nothing;
        };
        if !allocation.permits(peer.ip(), now) {
            return Step::Nothing;
        }
        let message = match allocation.channel_of(peer, now) {
            Some(number) => request::write_channel_data(number, data, client.is_tcp()),
            None => Some(
                Writer::new(DATA_INDICATION, &rand::random())
                    .with_address(attribute::XOR_PEER_ADDRESS, peer)
                    .with(attribute::DATA, data)
                    .finish(),
            ),
        };
        let Some(message) = message else {
            return Step::Nothing;
        };
        if !self.spend(client, data.len(), now) {
            return Step::Nothing;
        }
        self.counters.carry(Direction::ToClient, data.len());
        Step::ToClient(client, message)
    }

    /// Whether an allocation may carry so much more. It ends when it has carried too much in all.
    fn spend(&mut self, client: Client, bytes: usize, now: Instant) -> bool {
        let Some(allocation) = self.allocations.get_mut(&client) else {
            return false;
        };
        // Nothing as long as this is read.
        let tokens = u32::try_from(bytes).unwrap_or(u32::MAX);
        if !allocation.bucket.has(tokens, now) || !self.bucket.has(tokens, now) {
            self.counters.refuse(Refused::Rate);
            return false;
        }
        match allocation.bytes_left.checked_sub(bytes as u64) {
            Some(left) => {
                allocation.bytes_left = left;
                allocation.bucket.spend(tokens);
                self.bucket.spend(tokens);
                true
            }
            None => {
                tracing::info!(
                    peer = allocation.peer,
                    "a TURN allocation has carried its share"
                );
                self.counters.refuse(Refused::Rate);
                self.forget(client);
                false
            }
        }
    }

    /// Ends a client's allocation, if it has one.
    pub(super) fn forget(&mut self, client: Client) {
        if let Some(allocation) = self.allocations.remove(&client) {
            tracing::debug!(peer = allocation.peer, relayed = %allocation.relayed, "TURN allocation ended");
            self.quota.remove(&allocation.peer, client.ip());
            self.clients.remove(&allocation.relayed);
            self.closed.push(allocation.relayed);
            self.counters.allocations.dec();
        }
    }

    /// Ends allocations whose time is over.
    pub(super) fn on_time(&mut self, now: Instant) {
        let expired: Vec<Client> = self
            .allocations
            .values()
            .filter(|allocation| allocation.has_expired(now))
            .map(|allocation| allocation.client)
            .collect();
        for client in expired {
            self.forget(client);
        }
    }

    /// The addresses of allocations that have ended since the last time.
    pub(super) fn take_closed(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.closed)
    }
}
