//! See [`crate::fuzzing`].

use libp2p_core::{Multiaddr, multiaddr::Protocol, multihash::Multihash};

use super::{
    address::{Server, is_webrtc_direct},
    fingerprint::Fingerprint,
    sdp::{self, Credential, Version},
};

/// A description of our own, for the credential in which it has a good password.
const OURS: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n";

pub(crate) fn address(address: &Multiaddr) {
    let Ok(server) = Server::parse(address) else {
        return;
    };
    assert!(is_webrtc_direct(address));
    let hash = Multihash::from(server.fingerprint);
    assert!(address.iter().any(|part| part == Protocol::Certhash(hash)));
    for version in [Version::V1, Version::V2] {
        let credential = Credential::new(version, OURS).expect("the password is good");
        let answer = sdp::answer(&server, &credential);
        // Nothing in an address makes a line of its own.
        assert_eq!(answer.lines().count(), 17, "{answer}");
        assert_eq!(sdp::fingerprint(&answer), Some(server.fingerprint));
    }
}

pub(crate) fn text(text: &str) {
    if let Some(fingerprint) = Fingerprint::from_hex(text) {
        assert!(fingerprint.to_string().eq_ignore_ascii_case(text));
    }
    let _ = sdp::fingerprint(text);
    for version in [Version::V1, Version::V2] {
        if let Some(credential) = Credential::new(version, text) {
            let changed = sdp::with_credential(text, &credential);
            assert_eq!(changed.lines().count(), text.lines().count());
        }
    }
}
