//! Addresses of the form `<circuit>/webrtc[/p2p/<peer>]`, where a circuit is
//! `<relay's address>/p2p/<relay>/p2p-circuit`.
//!
//! The specification signals over a relay, hence the circuit in the address. The connection itself
//! does not go through it: [`is_direct`] tells both apart.

use libp2p_core::{Multiaddr, multiaddr::Protocol};
use libp2p_identity::PeerId;

use crate::error::Error;

/// What to dial for a direct connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) peer: PeerId,
    /// The address of a relayed connection to it, `…/p2p-circuit/p2p/<peer>`.
    pub(crate) relayed: Multiaddr,
}

/// Whether an address is for this transport: it has `/webrtc` in it, and no circuit after that, which
/// would go through a relay that is itself reached by this transport.
#[must_use]
pub fn is_webrtc(address: &Multiaddr) -> bool {
    let mut webrtc = false;
    for part in address {
        match part {
            Protocol::WebRTC => webrtc = true,
            Protocol::P2pCircuit => webrtc = false,
            _ => {}
        }
    }
    webrtc
}

/// Whether a connection with this address goes directly to the peer, by this transport or another.
/// The address of a direct connection over WebRTC has `/p2p-circuit` in it too, with `/webrtc` right
/// after.
#[must_use]
pub fn is_direct(address: &Multiaddr) -> bool {
    let mut parts = address.iter().peekable();
    while let Some(part) = parts.next() {
        if part == Protocol::P2pCircuit && parts.peek() != Some(&Protocol::WebRTC) {
            return false;
        }
    }
    true
}

/// `…/p2p-circuit[/p2p/<peer>]` as `…/p2p-circuit/webrtc[/p2p/<peer>]`. `None` for an address that is
/// no circuit.
#[must_use]
pub fn from_circuit(address: &Multiaddr) -> Option<Multiaddr> {
    let mut direct = Multiaddr::empty();
    let mut circuit = false;
    for part in address {
        let is_circuit = part == Protocol::P2pCircuit;
        if circuit && !matches!(part, Protocol::P2p(_)) {
            return None;
        }
        direct.push(part);
        if is_circuit {
            circuit = true;
            direct.push(Protocol::WebRTC);
        }
    }
    circuit.then_some(direct)
}

/// A direct address without the relay that it was signalled over: `/webrtc/p2p/<peer>`. `None` for an
/// address that is not of a direct connection by this transport, or has no relay in it.
pub(crate) fn without_relay(address: &Multiaddr) -> Option<Multiaddr> {
    let signalled_over_relay = address.iter().any(|part| part == Protocol::P2pCircuit);
    if !signalled_over_relay || !is_webrtc(address) || !is_direct(address) {
        return None;
    }
    let bare = Multiaddr::empty().with(Protocol::WebRTC);
    Some(match address.iter().last() {
        Some(Protocol::P2p(peer)) => bare.with(Protocol::P2p(peer)),
        _ => bare,
    })
}

/// The circuit of a relayed address: up to the last `/p2p-circuit`.
pub(crate) fn circuit(address: &Multiaddr) -> Multiaddr {
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let is_circuit = |part: &Protocol<'_>| *part == Protocol::P2pCircuit;
    let length = parts
        .iter()
        .rposition(is_circuit)
        .map_or(0, |last| last + 1);
    parts.into_iter().take(length).collect()
}

/// Takes an address to dial apart. `peer` is whom the caller wants, if the address does not say.
pub(crate) fn target(address: &Multiaddr, peer: Option<PeerId>) -> Result<Target, Error> {
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    // The last one: the relay may be reached by this transport too.
    let webrtc = parts
        .iter()
        .rposition(|part| *part == Protocol::WebRTC)
        .ok_or(Error::Address("it has no /webrtc"))?;
    let mut parts = parts.into_iter();
    let mut relayed: Multiaddr = parts.by_ref().take(webrtc).collect();
    parts.next();
    if relayed.iter().last() != Some(Protocol::P2pCircuit) {
        return Err(Error::Address("there is no /p2p-circuit before /webrtc"));
    }
    let named = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(Protocol::P2p(named)), None) => Some(named),
        _ => return Err(Error::Address("only /p2p may follow /webrtc")),
    };
    if named.is_some() && peer.is_some() && named != peer {
        return Err(Error::Address("it is another peer's"));
    }
    let peer = named
        .or(peer)
        .ok_or(Error::Address("it does not say whose it is"))?;
    relayed.push(Protocol::P2p(peer));
    Ok(Target { peer, relayed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str =
        "/ip4/192.0.2.1/tcp/4455/ws/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
    const PEER: &str = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq";

    fn parse(text: &str) -> Multiaddr {
        text.replace("RELAY", RELAY)
            .replace("PEER", PEER)
            .parse()
            .unwrap()
    }

    fn peer() -> PeerId {
        PEER.parse().unwrap()
    }

    #[test]
    fn circuits_become_direct_addresses() {
        for (circuit, direct) in [
            ("RELAY/p2p-circuit", Some("RELAY/p2p-circuit/webrtc")),
            (
                "RELAY/p2p-circuit/p2p/PEER",
                Some("RELAY/p2p-circuit/webrtc/p2p/PEER"),
            ),
            (
                "/webrtc/p2p/PEER/p2p-circuit",
                Some("/webrtc/p2p/PEER/p2p-circuit/webrtc"),
            ),
            ("RELAY", None),
            ("RELAY/p2p-circuit/webrtc/p2p/PEER", None),
            ("RELAY/p2p-circuit/p2p/PEER/p2p-circuit", None),
        ] {
            assert_eq!(
                from_circuit(&parse(circuit)),
                direct.map(parse),
                "{circuit}"
            );
        }
    }

    #[test]
    fn addresses_to_dial_are_taken_apart() {
        let expected = Target {
            peer: peer(),
            relayed: parse("RELAY/p2p-circuit/p2p/PEER"),
        };
        for (address, wanted) in [
            ("RELAY/p2p-circuit/webrtc/p2p/PEER", None),
            ("RELAY/p2p-circuit/webrtc/p2p/PEER", Some(peer())),
            ("RELAY/p2p-circuit/webrtc", Some(peer())),
        ] {
            assert_eq!(target(&parse(address), wanted).unwrap(), expected);
        }
        for (address, wanted, reason) in [
            ("RELAY/p2p-circuit/webrtc", None, "whose"),
            ("RELAY/p2p-circuit/p2p/PEER", None, "no /webrtc"),
            ("/webrtc/p2p/PEER", None, "no /p2p-circuit"),
            ("RELAY/webrtc/p2p/PEER", None, "no /p2p-circuit"),
            ("RELAY/p2p-circuit/p2p/PEER/webrtc", None, "no /p2p-circuit"),
            ("RELAY/p2p-circuit/webrtc/p2p/PEER/ws", None, "only /p2p"),
            ("RELAY/p2p-circuit/webrtc/ws", Some(peer()), "only /p2p"),
            (
                "RELAY/p2p-circuit/webrtc/p2p/PEER",
                Some(PeerId::random()),
                "another",
            ),
        ] {
            let error = target(&parse(address), wanted).unwrap_err().to_string();
            assert!(error.contains(reason), "{address}: {error}");
        }
    }

    #[test]
    fn a_relay_may_be_reached_by_this_transport() {
        let relay = PeerId::random();
        let through = |rest: &str| {
            parse(
                &format!("/webrtc/p2p/RELAY_ID/p2p-circuit{rest}")
                    .replace("RELAY_ID", &relay.to_string()),
            )
        };
        assert!(!is_webrtc(&through("/p2p/PEER")));
        assert_eq!(circuit(&through("/p2p/PEER")), through(""));
        let direct = through("/webrtc/p2p/PEER");
        assert!(is_webrtc(&direct));
        assert_eq!(target(&direct, None).unwrap().relayed, through("/p2p/PEER"));
    }

    #[test]
    fn the_relay_is_left_out_of_direct_addresses_only() {
        for (address, without) in [
            (
                "RELAY/p2p-circuit/webrtc/p2p/PEER",
                Some("/webrtc/p2p/PEER"),
            ),
            ("RELAY/p2p-circuit/webrtc", Some("/webrtc")),
            (
                "/webrtc/p2p/PEER/p2p-circuit/webrtc/p2p/PEER",
                Some("/webrtc/p2p/PEER"),
            ),
            ("/webrtc/p2p/PEER", None),
            ("RELAY", None),
            ("RELAY/p2p-circuit/p2p/PEER", None),
            ("/webrtc/p2p/PEER/p2p-circuit/p2p/PEER", None),
        ] {
            assert_eq!(
                without_relay(&parse(address)),
                without.map(parse),
                "{address}"
            );
        }
    }

    #[test]
    fn direct_and_relayed_are_told_apart() {
        for (address, direct) in [
            ("RELAY", true),
            ("/webrtc/p2p/PEER", true),
            ("RELAY/p2p-circuit/webrtc/p2p/PEER", true),
            ("RELAY/p2p-circuit/p2p/PEER", false),
            ("RELAY/p2p-circuit", false),
            // The relay itself is reached by WebRTC.
            (
                "/ip4/192.0.2.1/udp/9/webrtc-direct/p2p/PEER/p2p-circuit/p2p/PEER",
                false,
            ),
            (
                "RELAY/p2p-circuit/webrtc/p2p/PEER/p2p-circuit/p2p/PEER",
                false,
            ),
        ] {
            assert_eq!(is_direct(&parse(address)), direct, "{address}");
        }
    }
}
