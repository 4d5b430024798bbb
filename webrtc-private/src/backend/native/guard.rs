//! What of the network is let through to the protocols.
//!
//! rtc 0.21 takes DTLS from anybody as soon as there is a way, and cleartext handshake records at any time:
//! it keeps every fragment of a message that is never complete, however many, and puts them together by
//! recursion. Nor does it count those that ask it whether they can reach it. So this does.

use std::{collections::HashSet, net::SocketAddr};

use rtc::{
    crypto::RTCCryptoProvider,
    stun::{
        integrity::MessageIntegrity,
        message::{BINDING_REQUEST, Message},
    },
};

/// Addresses that a connection is looked for from. A machine with many interfaces behind NATs has some
/// dozens.
const SOURCES_MAX: usize = 128;

/// Datagrams with records of the handshake, in bytes. One takes 4 KiB, and is repeated where they get lost.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;

/// Datagrams that came before the keys for them were there, in bytes.
const EARLY_BYTES_MAX: usize = 64 * 1024;

/// The content type of handshake records (RFC 5246, section 6.2.1).
const HANDSHAKE: u8 = 22;

/// Bytes before the content of a record (RFC 6347, section 4.1).
const RECORD_HEADER: usize = 13;

/// Whether a datagram is of DTLS (RFC 7983, section 7).
pub(super) fn is_dtls(data: &[u8]) -> bool {
    matches!(data.first(), Some(20..=63))
}

/// Whether a datagram is an ICE check of somebody who does not know our password, or nothing of STUN at all.
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
    handshake_bytes: usize,
    early_bytes: usize,
}

impl Guard {
    /// Whether a datagram is let through. `is_connected`: the handshake is over.
    pub(super) fn admits(&mut self, source: SocketAddr, data: &[u8], is_connected: bool) -> bool {
        // RFC 7983, section 7.
        match data.first() {
            Some(0..=3) => {
                self.sources.contains(&source)
                    || (self.sources.len() < SOURCES_MAX && self.sources.insert(source))
            }
            // No media is received.
            _ => {
                is_dtls(data)
                    && self.sources.contains(&source)
                    && self.admits_records(data, is_connected)
            }
        }
    }

    fn admits_records(&mut self, data: &[u8], is_connected: bool) -> bool {
        let (mut is_handshake, mut is_early) = (false, false);
        let mut rest = data;
        while let [
            kind,
            _,
            _,
            epoch,
            low_epoch,
            _,
            _,
            _,
            _,
            _,
            _,
            length,
            low_length,
            ..,
        ] = rest
        {
            is_handshake |= *kind == HANDSHAKE;
            is_early |= !is_connected && [*epoch, *low_epoch] != [0, 0];
            let length = usize::from(u16::from_be_bytes([*length, *low_length]));
            rest = rest.get(RECORD_HEADER + length..).unwrap_or_default();
        }
        let spend = |spent: &mut usize, max: usize| {
            *spent = spent.saturating_add(data.len());
            *spent <= max
        };
        (!is_handshake || spend(&mut self.handshake_bytes, HANDSHAKE_BYTES_MAX))
            && (!is_early || spend(&mut self.early_bytes, EARLY_BYTES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn record(kind: u8, epoch: u8, content: usize) -> Vec<u8> {
        let [high, low] = u16::try_from(content).expect("short").to_be_bytes();
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, high, low];
        record.extend(vec![0; content]);
        record
    }

    const APPLICATION: u8 = 23;

    #[test]
    fn who_has_not_asked_is_not_heard() {
        let mut guard = Guard::default();
        assert!(!guard.admits(source(1), &record(APPLICATION, 1, 9), true));
        assert!(guard.admits(source(1), &[0, 1], true));
        assert!(guard.admits(source(1), &record(APPLICATION, 1, 9), true));
        assert!(!guard.admits(source(1), &[128, 0], true), "media");
        assert!(!guard.admits(source(1), &[], true));
    }

    #[test]
    fn not_everybody_may_ask() {
        let mut guard = Guard::default();
        let asking = (1..=1000).filter(|port| guard.admits(source(*port), &[0], false));
        assert_eq!(asking.count(), SOURCES_MAX);
        assert!(guard.admits(source(1), &[0], false), "again");
    }

    #[test]
    fn handshakes_do_not_go_on_for_ever_and_data_does() {
        let mut guard = Guard::default();
        assert!(guard.admits(source(1), &[0], false));
        let admitted = |guard: &mut Guard, data: &[u8], connected| {
            (0..1000)
                .filter(|_| guard.admits(source(1), data, connected))
                .count()
        };
        // Behind another record, and cut off.
        let mut hidden = record(APPLICATION, 1, 20);
        hidden.extend(&record(HANDSHAKE, 0, 1000)[..500]);
        for handshake in [record(HANDSHAKE, 0, 1000), hidden] {
            let mut guard = Guard::default();
            assert!(guard.admits(source(1), &[0], false));
            let count = admitted(&mut guard, &handshake, true);
            assert_eq!(count, HANDSHAKE_BYTES_MAX / handshake.len());
        }
        let early = record(APPLICATION, 1, 1000);
        assert_eq!(
            admitted(&mut guard, &early, false),
            EARLY_BYTES_MAX / early.len()
        );
        assert_eq!(admitted(&mut guard, &early, true), 1000);
    }
}
