//! Composes the transports, by hand and per platform: the relay client must come last among those
//! that take an address, and each platform has its own set.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    multiaddr::Protocol,
    yamux,
};

use crate::snapshot::{DirectTransport, Path};

#[cfg(not(target_arch = "wasm32"))]
#[path = "swarm/native.rs"]
mod imp;

#[cfg(target_arch = "wasm32")]
#[path = "swarm/browser.rs"]
mod imp;

pub(crate) use self::imp::{PlatformBehaviour, executor_config, transport};

/// What the platform's `transport` gives.
pub(crate) type BoxedTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// Bytes on the wire to a secured and multiplexed connection.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(8);

/// Streams one connection may have open; gossip, DHT and messages need a handful each.
const STREAMS_MAX: usize = 256;

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

/// The way a connection to `address` takes.
pub(crate) fn path_of(address: &Multiaddr) -> Path {
    let mut relay = None;
    for protocol in address {
        match protocol {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit => {
                if let Some(by) = relay {
                    return Path::Relayed { by };
                }
            }
            _ => {}
        }
    }
    Path::Direct(transport_of(address))
}

fn transport_of(address: &Multiaddr) -> DirectTransport {
    for protocol in address {
        match protocol {
            Protocol::QuicV1 | Protocol::Quic => return DirectTransport::Quic,
            Protocol::WebRTCDirect | Protocol::WebRTC => return DirectTransport::WebRtc,
            Protocol::Ws(_) | Protocol::Wss(_) => return DirectTransport::WebSocket,
            _ => {}
        }
    }
    DirectTransport::Tcp
}

/// Whether `address` leads through a relay.
pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|protocol| protocol == Protocol::P2pCircuit)
}

/// The order in which this platform tries addresses: those of the first rank at once, those of
/// the next when they fail or take too long. Addresses it cannot dial are left out.
pub(crate) fn dial_ranks(addresses: &[Multiaddr]) -> Vec<Vec<Multiaddr>> {
    let mut ranks: Vec<Vec<Multiaddr>> = vec![Vec::new(); imp::RANKS + 1];
    for address in addresses {
        let rank = if is_relayed(address) {
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

/// Whether `address` means this very machine.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}
