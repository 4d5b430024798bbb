//! Fingerprints of certificates, as session descriptions, addresses and the Noise handshake have them.

use std::fmt;

use libp2p_core::multihash::Multihash;

/// Its code in the table of multihashes.
pub(crate) const SHA_256: u64 = 0x12;

const LENGTH: usize = 32;

/// The first two bytes of a SHA-256 as a multihash: its code and its length.
const MULTIHASH: [u8; 2] = [0x12, 0x20];

/// What the prologue begins with.
const PROLOGUE: &[u8] = b"libp2p-webrtc-noise:";

/// The SHA-256 of a certificate in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; LENGTH]);

impl Fingerprint {
    pub(crate) fn from_digest(digest: &[u8]) -> Option<Self> {
        digest.try_into().ok().map(Self)
    }

    /// From pairs of hexadecimal digits with colons in between (RFC 8122, section 5).
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; LENGTH];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| {
                pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit())
            })?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }
}

impl From<Fingerprint> for Multihash<64> {
    fn from(Fingerprint(digest): Fingerprint) -> Self {
        Self::wrap(SHA_256, &digest).expect("32 bytes fit into 64")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// What both sides put into the Noise handshake, so that it holds for this connection alone.
pub(crate) fn prologue(client: Fingerprint, server: Fingerprint) -> Vec<u8> {
    [PROLOGUE, &MULTIHASH, &client.0, &MULTIHASH, &server.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "3E:79:AF:40:D6:05:96:17:A0:D8:3B:83:A5:2C:E7:3B:0C:1F:37:A7:2C:60:43:AD:29:69:E2:35:1B:DC:A8:70";
    const SERVER: &str = "30:FC:9F:46:9C:20:74:19:DF:DD:0A:AB:5F:27:A8:6C:97:3C:94:E4:05:48:DB:93:75:CC:A2:E9:15:97:3B:99";

    /// The test vector of the specification.
    #[test]
    fn the_prologue_is_as_specified() {
        let [client, server] = [CLIENT, SERVER].map(|text| Fingerprint::from_hex(text).unwrap());
        let hex: String = prologue(client, server)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c60\
             43ad2969e2351bdca870122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"
        );
    }

    #[test]
    fn hexadecimal_is_read_and_written() {
        let fingerprint = Fingerprint::from_hex(CLIENT).unwrap();
        assert_eq!(fingerprint.to_string(), CLIENT);
        assert_eq!(
            Fingerprint::from_hex(&CLIENT.to_lowercase()),
            Some(fingerprint)
        );
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for text in [
            "",
            "3E",
            &CLIENT.replace(':', ""),
            &CLIENT.replacen("3E", "3", 1),
            &CLIENT.replacen("3E", "+E", 1),
            &CLIENT.replacen("3E", "é", 1),
            &format!("{CLIENT}:00"),
            &format!("{CLIENT}:"),
        ] {
            assert_eq!(Fingerprint::from_hex(text), None, "{text}");
        }
        assert_eq!(Fingerprint::from_digest(&[0; 31]), None);
        assert_eq!(Fingerprint::from_digest(&[0; 33]), None);
    }
}
