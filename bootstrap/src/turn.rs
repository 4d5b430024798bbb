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
mod ports;
mod quota;
mod relay;
mod request;
mod server;
mod streams;
mod targets;

use std::{
    convert::Infallible,
    time::{Instant, SystemTime},
};

use tokio::task::JoinHandle;

pub use self::ports::{PortRange, PortRangeParseError};
use self::{clock::Clock, credentials::Secrets, relay::Relay};
pub(crate) use self::{
    counters::Counters,
    credentials::{Credentials, Issued},
    quota::Quotas,
    relay::Settings,
    server::{Followed, Sockets},
};
use crate::config::Config;

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
            config.turn.ttl(),
        )
    });
    let relay = credentials.clone().map(|credentials| {
        let settings = *followed.settings.borrow();
        tracing::info!(ports = %config.turn.ports, ?settings, "a TURN server");
        Relay::new(settings, credentials, counters.clone(), now)
    });
    let serving = server::serve(
        sockets,
        relay,
        config.turn.ports,
        followed,
        connections_max,
        counters.clone(),
    );
    (tokio::spawn(serving), credentials)
}

#[cfg(test)]
mod tests;
