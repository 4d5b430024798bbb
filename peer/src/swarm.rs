//! Composes the transports, by hand and per platform: the relay client must come last among those
//! that take an address, and each platform has its own set.

use std::{collections::HashSet, error::Error as StdError, io, time::Duration};

use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeoutError},
    },
    multiaddr::Protocol,
    swarm::ConnectionId,
    yamux,
};
use moim_dials::Dials;
use moim_webrtc::{
    Reachable, Report,
    address::{is_direct, is_webrtc},
    backend::SelectedPair,
};
use thiserror::Error;
use web_time::Instant;

use crate::{
    reason::NoDirectWay,
    snapshot::{DirectTransport, NotDirect, Path},
};

#[cfg(not(target_arch = "wasm32"))]
#[path = "swarm/native.rs"]
mod imp;

#[cfg(target_arch = "wasm32")]
#[path = "swarm/browser.rs"]
mod imp;

mod ice;

pub(crate) use self::{
    ice::Platform,
    imp::{
        Guarded, HEAD_START, NAMES, PlatformBehaviour, PlatformBehaviourEvent, build,
        executor_config, guarded, unreached,
    },
};

/// What the platform's `build` gives.
pub(crate) type BoxedTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// Bytes on the wire to a secured and multiplexed connection.
pub(crate) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(8);

/// Streams one connection may have open; gossip, DHT and messages need a handful each.
const STREAMS_MAX: usize = 256;

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

/// An error of one of several transports. `Either` passes on what is below the errors that it is made of, and not these
/// themselves; below this one they are found by their type.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Below<E: StdError + 'static>(#[source] E);

/// An error of a transport with a time-out, whose own type does not tell without naming all below it whether it was the
/// time.
fn timed<E: StdError + Send + Sync + 'static>(error: TransportTimeoutError<E>) -> Below<io::Error> {
    Below(match error {
        TransportTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
        TransportTimeoutError::TimerError(error) => error,
        TransportTimeoutError::Other(error) => io::Error::other(error),
    })
}

/// What the platform's events tell of connections.
#[derive(Debug)]
pub(crate) enum Learnt {
    /// No direct connection came of a relayed one.
    StaysRelayed { peer: PeerId, why: NotDirect },
    /// Nothing has come on a connection for some seconds.
    Silent(ConnectionId),
    /// A connection has another path than before.
    PathChanged(ConnectionId),
}

impl Learnt {
    fn of(event: moim_webrtc::Event) -> Option<Self> {
        match event {
            moim_webrtc::Event::Failed {
                peer,
                report,
                retry,
                ..
            } => Some(Self::StaysRelayed {
                peer,
                why: NotDirect {
                    why: why_not(report),
                    report,
                    retry,
                },
            }),
            moim_webrtc::Event::Silent(connection) => Some(Self::Silent(connection)),
            moim_webrtc::Event::SelectedPairChanged(connection) => {
                Some(Self::PathChanged(connection))
            }
            _ => None,
        }
    }
}

/// What an event of the platform's tells of connections. `reached` tells by which address a peer is connected.
pub(crate) fn on_event(
    platform: &mut Platform,
    event: PlatformBehaviourEvent,
    reached: impl Fn(&PeerId) -> Option<Multiaddr>,
    now: Instant,
) -> Option<Learnt> {
    match event {
        PlatformBehaviourEvent::Ice(event) => {
            platform.on_ice_event(event, reached, now);
            None
        }
        PlatformBehaviourEvent::Webrtc(event) => Learnt::of(event),
        other => imp::on_own_event(other),
    }
}

/// The path of an open connection. Its address does not tell everything.
pub(crate) fn path_now(
    platform: &PlatformBehaviour,
    connection: ConnectionId,
    address: &Multiaddr,
) -> Path {
    match platform.webrtc.selected_pair(connection) {
        Some(SelectedPair::Turn) => Path::Turn,
        Some(SelectedPair::Direct) | None => path_of(address),
    }
}

fn why_not(report: Option<Report>) -> NoDirectWay {
    let failed = report.and_then(|report| Some((report.failure?, report.step)));
    failed.map_or(NoDirectWay::Unknown, |(failure, step)| {
        NoDirectWay::WebRtc(failure, step)
    })
}

/// Those whom the rooms want a connection to: strangers leave half of WebRTC's sessions to them.
pub(crate) fn want(behaviour: &mut PlatformBehaviour, wanted: HashSet<PeerId>) {
    behaviour.webrtc.set_known(wanted);
}

/// Where WebRTC looks for a way to others.
fn reachable(dials: &Dials) -> Reachable {
    let dials = dials.clone();
    Reachable::new(move |ip| dials.may_check(ip))
}

/// What every peer listens on besides: connections that are signalled over a relay.
pub(crate) fn signalled() -> Multiaddr {
    Multiaddr::empty().with(Protocol::WebRTC)
}

/// The way a connection to `address` takes, as far as an address tells.
pub(crate) fn path_of(address: &Multiaddr) -> Path {
    if is_direct(address) {
        return Path::Direct(transport_of(address));
    }
    match relay_in(address) {
        Some(by) => Path::Relayed { by },
        None => Path::Direct(transport_of(address)),
    }
}

/// The relay that an address names, be it for the connection or for its signalling only.
pub(crate) fn relay_in(address: &Multiaddr) -> Option<PeerId> {
    let mut relay = None;
    for protocol in address {
        match protocol {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit if relay.is_some() => return relay,
            _ => {}
        }
    }
    None
}

fn transport_of(address: &Multiaddr) -> DirectTransport {
    // The address of a direct connection that was signalled over a relay is about the relay.
    if is_webrtc(address) {
        return DirectTransport::WebRtc;
    }
    for protocol in address {
        match protocol {
            Protocol::QuicV1 | Protocol::Quic => return DirectTransport::Quic,
            Protocol::WebRTCDirect => return DirectTransport::WebRtc,
            Protocol::Ws(_) | Protocol::Wss(_) => return DirectTransport::WebSocket,
            _ => {}
        }
    }
    DirectTransport::Tcp
}

/// Whether a relay has a part in reaching `address`: all of it, or only the signalling.
pub(crate) fn needs_relay(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|protocol| protocol == Protocol::P2pCircuit)
}

/// The address of a relay in a circuit through it, from that of a direct connection to it. Where that
/// was signalled over another relay, only `/webrtc` is left of it: there are no circuits in circuits.
pub(crate) fn relay_address(address: Multiaddr) -> Multiaddr {
    if is_webrtc(&address) {
        return signalled();
    }
    let (_, address) = crate::bootstrap::split_peer(address);
    address
}

/// Whether what goes to `address` goes through a relay.
pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    !is_direct(address)
}

/// The order in which this platform tries addresses: those of the first rank at once, those of
/// the next when they fail or take too long. Addresses it cannot dial are left out.
pub(crate) fn dial_ranks(addresses: &[Multiaddr]) -> Vec<Vec<Multiaddr>> {
    let mut ranks: Vec<Vec<Multiaddr>> = vec![Vec::new(); imp::RANKS + 1];
    for address in addresses {
        let rank = if is_webrtc(address) {
            // Comes by itself after the relayed connection.
            None
        } else if is_relayed(address) {
            Some(imp::RANKS)
        } else {
            imp::rank(address)
        };
        if let Some(rank) = rank.and_then(|rank| ranks.get_mut(rank))
            && !rank.contains(address)
        {
            rank.push(address.clone());
        }
    }
    ranks.retain(|rank| !rank.is_empty());
    ranks
}

/// Whether `address` means something only together with the name of a network interface, which a
/// multiaddr does not tell others (RFC 4007, section 6).
pub(crate) fn is_link_local(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip6(ip)) if ip.is_unicast_link_local())
}

/// Whether `address` means this very machine.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}
