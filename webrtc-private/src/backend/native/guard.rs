//! What of the network is let through to the protocols.
//!
//! rtc 0.21 does not count the sources of connectivity checks, and takes DTLS from anybody as soon as a candidate pair
//! is selected. So this does the one, and not the other; see [`records`](super::records) for what is in DTLS.

use std::{collections::HashSet, net::SocketAddr};

use rtc_crypto::RTCCryptoProvider;
use rtc_stun::{
    integrity::MessageIntegrity,
    message::{BINDING_REQUEST, Message},
};

/// Source addresses of connectivity checks. A machine with many interfaces behind NATs has some
/// dozens.
const SOURCES_MAX: usize = 128;

/// Whether a datagram is of DTLS (RFC 7983, section 7).
pub(super) fn is_dtls(data: &[u8]) -> bool {
    matches!(data.first(), Some(20..=63))
}

/// Whether a datagram is a connectivity check of somebody who does not know our ICE password, or no STUN message at all.
pub(super) fn is_forged(data: &[u8], password: &str, crypto: &dyn RTCCryptoProvider) -> bool {
    let mut message = Message::new();
    if message.unmarshal_binary(data).is_err() {
        return true;
    }
    message.typ == BINDING_REQUEST
        && MessageIntegrity::check(&mut message, password.as_bytes(), crypto.crypto()).is_err()
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Guard {
    sources: HashSet<SocketAddr>,
}

impl Guard {
    /// Whether a datagram is let through.
    pub(super) fn admits(&mut self, source: SocketAddr, data: &[u8]) -> bool {
        // RFC 7983, section 7.
        match data.first() {
            Some(0..=3) => {
                self.sources.contains(&source)
                    || (self.sources.len() < SOURCES_MAX && self.sources.insert(source))
            }
            // No media is received.
            _ => is_dtls(data) && self.sources.contains(&source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn who_has_not_asked_is_not_heard() {
        let mut guard = Guard::default();
        assert!(!guard.admits(source(1), &[23, 254]));
        assert!(guard.admits(source(1), &[0, 1]));
        assert!(guard.admits(source(1), &[23, 254]));
        assert!(!guard.admits(source(1), &[128, 0]), "media");
        assert!(!guard.admits(source(1), &[]));
    }

    #[test]
    fn not_everybody_may_ask() {
        let mut guard = Guard::default();
        let asking = (1..=1000).filter(|port| guard.admits(source(*port), &[0]));
        assert_eq!(asking.count(), SOURCES_MAX);
        assert!(guard.admits(source(1), &[0]), "again");
    }
}
