//! TURN: relays datagrams between two peers of which neither can reach the other, e.g. because both
//! are behind NATs that give every connection another port. The same sockets answer STUN.
//!
//! RFC 8656, over UDP and TCP, with allocations of UDP ports of IPv4 and IPv6. Not there: TCP
//! allocations (RFC 6062), which would make connections to others in the node's name; reserved ports,
//! which nothing has needed since RTP and RTCP share one; two addresses in one
//! allocation; DONT-FRAGMENT; ICMP.
//!
//! [`Relay`] decides and does no IO; [`server`] owns the sockets. A crate for servers would have kept
//! a nonce for every address that ever asked and a password for every user that ever was, and has no
//! quotas; so nonces and passwords are computed here, not kept, and everything that is kept is
//! counted.

mod allocation;
mod clock;
mod counters;
mod credentials;
mod framing;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod quota;
mod relay;
mod request;
mod server;
mod sockets;
mod streams;
mod targets;

use std::{
    convert::Infallible,
    num::NonZeroU32,
    time::{Duration, Instant, SystemTime},
};

use tokio::task::JoinHandle;

use self::{clock::Clock, credentials::Secrets, relay::Relay};
pub(crate) use self::{
    counters::Counters,
    credentials::{Credentials, Issued},
    quota::Quotas,
    relay::Settings,
    server::Followed,
    sockets::Sockets,
};
use crate::config::Config;

/// What the settings say, with no more than so many allocations.
pub(crate) fn settings(config: &Config, allocations_max: u32) -> Settings {
    // Bytes in so many Mbit.
    let bytes = |mbit: NonZeroU32| mbit.get().saturating_mul(1_000_000 / 8);
    Settings {
        quotas: Quotas {
            all: config.turn_allocations.get().min(allocations_max),
            per_peer: config.turn_allocations_per_peer.get(),
            per_address: config.turn_allocations_per_address.get(),
        },
        bytes_per_second: bytes(config.turn_mbit),
        allocation_bytes_per_second: bytes(config.turn_mbit_per_allocation),
        allow_private: config.turn_allow_private.is_on(),
    }
}

/// Starts to serve, STUN alone or TURN too; and who gives out credentials for that.
pub(crate) fn start(
    sockets: Sockets,
    config: &Config,
    followed: Followed,
    connections_max: usize,
    counters: &Counters,
) -> (JoinHandle<Infallible>, Option<Credentials>) {
    let is_on = followed.status.borrow().turn;
    let now = Instant::now();
    let credentials = is_on.then(|| {
        let secrets = Secrets {
            passwords: rand::random(),
            nonces: rand::random(),
        };
        Credentials::new(
            secrets,
            Clock::new(now, SystemTime::now()),
            Duration::from_secs(config.turn_ttl.get().into()),
        )
    });
    let relay = credentials.clone().map(|credentials| {
        let settings = *followed.settings.borrow();
        tracing::info!(ports = %config.turn_ports, ?settings, "a TURN server");
        Relay::new(settings, credentials, counters.clone(), now)
    });
    let serving = server::serve(
        sockets,
        relay,
        config.turn_ports,
        followed,
        connections_max,
        counters.clone(),
    );
    (tokio::spawn(serving), credentials)
}

#[cfg(test)]
mod tests;
