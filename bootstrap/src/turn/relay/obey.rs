//! Requests: who asks, whether he may, and what he gets. RFC 8656, sections 7 to 12.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use moim_protocol::rate::Bucket;

use super::{
    super::{
        allocation::{Allocation, NoChannel, Owner},
        counters::Refused,
        credentials::{Client, REALM},
        quota::Full,
        request::{ALLOCATE, ERROR, Method, Request, SUCCESS},
        targets::Target,
    },
    CHANNELS, NoPort, Opening, Relay, Step, a_second_of,
};
use crate::stun::{
    message,
    wire::{Message, Writer, attribute},
};

/// The number of UDP among the protocols of IP.
const UDP: u8 = 17;
/// The codes of errors (RFC 8656, section 19, and RFC 8489, section 14.8).
mod code {
    pub(super) const BAD_REQUEST: u16 = 400;
    pub(super) const UNAUTHENTICATED: u16 = 401;
    pub(super) const FORBIDDEN: u16 = 403;
    pub(super) const ALLOCATION_MISMATCH: u16 = 437;
    pub(super) const STALE_NONCE: u16 = 438;
    pub(super) const ADDRESS_FAMILY_NOT_SUPPORTED: u16 = 440;
    pub(super) const WRONG_CREDENTIALS: u16 = 441;
    pub(super) const UNSUPPORTED_TRANSPORT: u16 = 442;
    pub(super) const PEER_ADDRESS_FAMILY_MISMATCH: u16 = 443;
    pub(super) const ALLOCATION_QUOTA_REACHED: u16 = 486;
    pub(super) const INSUFFICIENT_CAPACITY: u16 = 508;
}

/// A request that is refused.
#[derive(Debug)]
struct Refusal {
    code: u16,
    /// Whether a nonce goes with it.
    challenges: bool,
    /// What it is signed with.
    key: Option<[u8; 16]>,
}

impl Refusal {
    fn unsigned(code: u16) -> Self {
        Self {
            code,
            challenges: false,
            key: None,
        }
    }

    fn challenge(code: u16) -> Self {
        Self {
            code,
            challenges: true,
            key: None,
        }
    }

    fn signed(code: u16, key: [u8; 16]) -> Self {
        Self {
            code,
            challenges: false,
            key: Some(key),
        }
    }
}

impl Relay {
    /// A client asks for something. `None` if that is no request of TURN.
    pub(in crate::turn) fn on_request<'a>(
        &mut self,
        client: Client,
        bytes: &'a [u8],
        now: Instant,
    ) -> Option<Step<'a>> {
        let request = Request::read(Message::parse(bytes)?)?;
        let done = self.authenticate(&request, client, now).and_then(|key| {
            if request.unknown.is_empty() {
                self.obey(&request, client, key, now)
            } else {
                let kind = request.message.kind | ERROR;
                let answer = message::refuse_unknown(kind, &request.message, &request.unknown);
                Ok(Step::ToClient(client, answer.sign(&key)))
            }
        });
        Some(done.unwrap_or_else(|refusal| {
            Step::ToClient(client, self.refuse(&request, client, &refusal, now))
        }))
    }

    fn refuse(
        &self,
        request: &Request<'_>,
        client: Client,
        refusal: &Refusal,
        now: Instant,
    ) -> Vec<u8> {
        let kind = request.message.kind | ERROR;
        let answer = Writer::new(kind, &request.message.transaction).with_error(refusal.code);
        match refusal.key {
            Some(key) => answer.sign(&key),
            None if refusal.challenges => answer
                .with(attribute::REALM, REALM.as_bytes())
                .with(
                    attribute::NONCE,
                    self.credentials.nonce(client, now).as_bytes(),
                )
                .finish(),
            None => answer.finish(),
        }
    }

    /// Whether who asks may (RFC 8489, section 9.2.4), and the key to answer with.
    fn authenticate(
        &self,
        request: &Request<'_>,
        client: Client,
        now: Instant,
    ) -> Result<[u8; 16], Refusal> {
        let Some(signature) = request.signature else {
            // The first request of every client is like this.
            return Err(Refusal::challenge(code::UNAUTHENTICATED));
        };
        let (Some(user), true, Some(nonce)) = (&request.user, request.has_realm, request.nonce)
        else {
            return Err(Refusal::unsigned(code::BAD_REQUEST));
        };
        let key = self.credentials.key(user);
        let owner = self.allocations.get(&client).map(|one| &*one.username);
        // Who has an allocation keeps it: a connection that uses it can't be given other
        // credentials. It ends by its own limits.
        let is_late = self.credentials.has_expired(user, now) && owner != Some(user.name);
        if is_late || !request.message.is_signed(signature, &key) {
            self.counters.refuse(Refused::Credentials);
            return Err(Refusal::challenge(code::UNAUTHENTICATED));
        }
        if !self.credentials.is_fresh(nonce, client, now) {
            return Err(Refusal::challenge(code::STALE_NONCE));
        }
        if owner.is_some_and(|owner| owner != user.name) {
            self.counters.refuse(Refused::Credentials);
            return Err(Refusal::signed(code::WRONG_CREDENTIALS, key));
        }
        Ok(key)
    }

    fn obey(
        &mut self,
        request: &Request<'_>,
        client: Client,
        key: [u8; 16],
        now: Instant,
    ) -> Result<Step<'static>, Refusal> {
        let answer = match request.method {
            Method::Allocate => return self.allocate(request, client, key),
            Method::ChannelBind => self.bind(request, client, now),
            Method::CreatePermission => self.permit(request, client, now),
            Method::Refresh => self.refresh(request, client, now),
        };
        let answer = answer.map_err(|code| Refusal::signed(code, key))?;
        Ok(Step::ToClient(client, answer.sign(&key)))
    }

    /// Section 7.2.
    fn allocate(
        &self,
        request: &Request<'_>,
        client: Client,
        key: [u8; 16],
    ) -> Result<Step<'static>, Refusal> {
        let refuse = |code| Err(Refusal::signed(code, key));
        if let Some(known) = self.allocations.get(&client) {
            // Its answer may have been lost.
            let is_repeated = known.transaction == request.message.transaction;
            return match is_repeated {
                true => Ok(Step::ToClient(client, allocated(known))),
                false => refuse(code::ALLOCATION_MISMATCH),
            };
        }
        match request.transport {
            Some(UDP) => {}
            Some(_) => return refuse(code::UNSUPPORTED_TRANSPORT),
            None => return refuse(code::BAD_REQUEST),
        }
        let is_ipv6 = match request.family {
            None | Some(1) => false,
            Some(2) => true,
            Some(_) => return refuse(code::ADDRESS_FAMILY_NOT_SUPPORTED),
        };
        if request.wants_reservation {
            self.counters.refuse(Refused::Capacity);
            return refuse(code::INSUFFICIENT_CAPACITY);
        }
        let Some(user) = &request.user else {
            return refuse(code::BAD_REQUEST);
        };
        match self.quota.check(user.peer, client.ip()) {
            Ok(()) => Ok(Step::Open(Opening {
                is_ipv6,
                is_even: request.wants_even_port,
                owner: Owner {
                    client,
                    username: user.name.to_owned(),
                    peer: user.peer.to_owned(),
                    key,
                    transaction: request.message.transaction,
                },
                lifetime: request.lifetime,
            })),
            Err(full) => {
                self.counters.refuse(Refused::Quota);
                refuse(match full {
                    Full::All => code::INSUFFICIENT_CAPACITY,
                    Full::Share => code::ALLOCATION_QUOTA_REACHED,
                })
            }
        }
    }

    /// An allocation has its port, or there is none. The answer to the client.
    pub(in crate::turn) fn opened(
        &mut self,
        opening: Opening,
        port: Result<SocketAddr, NoPort>,
        now: Instant,
    ) -> Vec<u8> {
        let Opening {
            owner, lifetime, ..
        } = opening;
        let relayed = match port {
            Ok(relayed) => relayed,
            Err(why) => {
                self.counters.refuse(Refused::Capacity);
                return Writer::new(ALLOCATE | ERROR, &owner.transaction)
                    .with_error(match why {
                        NoPort::Family => code::ADDRESS_FAMILY_NOT_SUPPORTED,
                        NoPort::Taken => code::INSUFFICIENT_CAPACITY,
                    })
                    .sign(&owner.key);
            }
        };
        tracing::debug!(peer = owner.peer, client = %owner.client.address(), %relayed, "TURN allocation");
        let client = owner.client;
        self.quota.add(&owner.peer, client.ip());
        let bucket = Bucket::new(a_second_of(self.settings.allocation_bytes_per_second), now);
        let mut allocation = Allocation::new(owner, relayed, bucket, now);
        allocation.prolong(lifetime, now);
        let answer = allocated(&allocation);
        self.targets.add_relayed(relayed.ip());
        self.clients.insert(relayed, client);
        self.allocations.insert(client, allocation);
        self.counters.allocations_accepted.inc();
        self.counters.allocations.inc();
        answer
    }

    /// Section 8.2.
    fn refresh(
        &mut self,
        request: &Request<'_>,
        client: Client,
        now: Instant,
    ) -> Result<Writer, u16> {
        let allocation = self.allocation(client)?;
        let wanted = match request.family {
            None => None,
            Some(1) => Some(false),
            Some(_) => Some(true),
        };
        if wanted.is_some_and(|wanted| wanted != allocation.relayed.is_ipv6()) {
            return Err(code::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        let seconds = match request.lifetime {
            Some(0) => {
                self.forget(client);
                0
            }
            wanted => allocation.prolong(wanted, now),
        };
        Ok(success(request).with(attribute::LIFETIME, &seconds.to_be_bytes()))
    }

    /// Section 10.2.
    fn permit(
        &mut self,
        request: &Request<'_>,
        client: Client,
        now: Instant,
    ) -> Result<Writer, u16> {
        let peers: Option<Vec<SocketAddr>> = request.peers.iter().copied().collect();
        let peers = peers.filter(|peers| !peers.is_empty());
        let ips = self.check_peers(client, &peers.ok_or(code::BAD_REQUEST)?)?;
        if !self.allocation(client)?.permit(&ips, now) {
            self.counters.refuse(Refused::Capacity);
            return Err(code::INSUFFICIENT_CAPACITY);
        }
        Ok(success(request))
    }

    /// Section 12.2.
    fn bind(&mut self, request: &Request<'_>, client: Client, now: Instant) -> Result<Writer, u16> {
        let number = request.channel.filter(|number| CHANNELS.contains(number));
        let peer = request.peers.first().copied().flatten();
        let (Some(number), Some(peer)) = (number, peer) else {
            return Err(code::BAD_REQUEST);
        };
        self.check_peers(client, &[peer])?;
        match self.allocation(client)?.bind(number, peer, now) {
            Ok(()) => Ok(success(request)),
            Err(NoChannel::Taken) => Err(code::BAD_REQUEST),
            Err(NoChannel::Full) => {
                self.counters.refuse(Refused::Capacity);
                Err(code::INSUFFICIENT_CAPACITY)
            }
        }
    }

    /// The addresses of `peers` if a client may talk to all of them.
    fn check_peers(&mut self, client: Client, peers: &[SocketAddr]) -> Result<Vec<IpAddr>, u16> {
        let is_ipv6 = self.allocation(client)?.relayed.is_ipv6();
        let ips: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        if ips.iter().any(|ip| ip.is_ipv6() != is_ipv6) {
            return Err(code::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        for ip in &ips {
            let is_relayed = || self.clients.keys().any(|relayed| relayed.ip() == *ip);
            if self.targets.judge(*ip, is_relayed()) == Target::Refused {
                self.counters.refuse(Refused::Target);
                return Err(code::FORBIDDEN);
            }
        }
        Ok(ips)
    }

    fn allocation(&mut self, client: Client) -> Result<&mut Allocation, u16> {
        let found = self.allocations.get_mut(&client);
        found.ok_or(code::ALLOCATION_MISMATCH)
    }
}

/// The answer to a request that was granted.
fn success(request: &Request<'_>) -> Writer {
    Writer::new(request.message.kind | SUCCESS, &request.message.transaction)
}

/// The answer to an Allocate request that was granted.
fn allocated(allocation: &Allocation) -> Vec<u8> {
    Writer::new(ALLOCATE | SUCCESS, &allocation.transaction)
        .with_address(attribute::XOR_RELAYED_ADDRESS, allocation.relayed)
        .with(attribute::LIFETIME, &allocation.lifetime.to_be_bytes())
        .with_address(attribute::XOR_MAPPED_ADDRESS, allocation.client.address())
        .sign(&allocation.key)
}
