//! What has to be known of session descriptions (RFC 8866, RFC 8839, RFC 8841): the server's is made from
//! its address, and ours tells the server about us.

use std::net::{IpAddr, SocketAddr};

use super::{address::Server, fingerprint::Fingerprint};

/// Lengths of an ICE password and of an ICE username fragment (`ufrag`): RFC 8839, section 5.4.
pub(crate) const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 22..=256;
pub(crate) const UFRAG_CHARS: std::ops::RangeInclusive<usize> = 4..=256;

pub(crate) const UFRAG: &str = "a=ice-ufrag:";
pub(crate) const PASSWORD: &str = "a=ice-pwd:";
pub(crate) const FINGERPRINT: &str = "a=fingerprint:sha-256 ";

/// How the server learns our ICE password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Our username fragment and password are the server's.
    V1,
    /// The server's are made of our password.
    V2,
}

impl Version {
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "libp2p+webrtc+v1/",
            Self::V2 => "libp2p+webrtc+v2/",
        }
    }
}

/// The server's ICE username fragment, which is its password too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential(String);

impl Credential {
    /// From our own description. What is random in it is our password, which the WebRTC implementation
    /// has chosen.
    pub(super) fn new(version: Version, ours: &str) -> Option<Self> {
        let password = value(ours, PASSWORD)?;
        let credential = format!("{}{password}", version.prefix());
        let valid = is_ice(password, PASSWORD_CHARS) && is_ice(&credential, UFRAG_CHARS);
        valid.then_some(Self(credential))
    }
}

/// Whether a text is made of as many of the characters that ICE allows.
pub(crate) fn is_ice(text: &str, chars: std::ops::RangeInclusive<usize>) -> bool {
    let is_ice_char = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/');
    chars.contains(&text.len()) && text.bytes().all(is_ice_char)
}

/// The kind of an address, its IP address and its port, as SDP has them.
pub(crate) fn parts(address: SocketAddr) -> (&'static str, IpAddr, u16) {
    let family = match address {
        SocketAddr::V4(_) => "IP4",
        SocketAddr::V6(_) => "IP6",
    };
    (family, address.ip(), address.port())
}

/// The value of the first line that begins with `name`.
pub(crate) fn value<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix(name))
}

/// The fingerprint of the certificate in our own description.
pub(super) fn fingerprint(ours: &str) -> Option<Fingerprint> {
    value(ours, FINGERPRINT).and_then(|text| Fingerprint::from_hex(text.trim_end()))
}

/// Our offer with the server's credential in place of our own. Nothing else is changed, also not the
/// largest message that we take: the offer is never sent.
pub(super) fn with_credential(offer: &str, Credential(credential): &Credential) -> String {
    let mut changed = String::with_capacity(offer.len());
    for line in offer.lines() {
        match [UFRAG, PASSWORD]
            .iter()
            .find(|name| line.starts_with(**name))
        {
            Some(name) => changed.extend([name, credential.as_str(), "\r\n"]),
            None => changed.extend([line, "\r\n"]),
        }
    }
    changed
}

/// The server's answer, as it would be if it could be asked for it. The server makes no connectivity checks of its own
/// (ICE-lite, RFC 8445, section 2.5), is the DTLS server, and has one address.
pub(super) fn answer(server: &Server, Credential(credential): &Credential) -> String {
    let fingerprint = server.fingerprint;
    let (family, ip, port) = parts(server.socket);
    [
        "v=0",
        &format!("o=- 0 0 IN {family} {ip}"),
        "s=-",
        "t=0 0",
        "a=ice-lite",
        &format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
        &format!("c=IN {family} {ip}"),
        "a=mid:0",
        "a=ice-options:ice2",
        &format!("{UFRAG}{credential}"),
        &format!("{PASSWORD}{credential}"),
        &format!("{FINGERPRINT}{fingerprint}"),
        "a=setup:passive",
        "a=sctp-port:5000",
        "a=max-message-size:16384",
        // Its priority is that of the only address of a host: RFC 8445, section 5.1.2.
        &format!("a=candidate:1 1 UDP 2130706431 {ip} {port} typ host"),
        "a=end-of-candidates",
        "",
    ]
    .join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "v=0\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        a=ice-ufrag:abcd\r\n\
        a=ice-pwd:0123456789+/ABCDefghijkl\r\n\
        a=fingerprint:sha-256 3E:79:AF:40:D6:05:96:17:A0:D8:3B:83:A5:2C:E7:3B:0C:1F:37:A7:2C:60:43:AD:29:69:E2:35:1B:DC:A8:70\r\n\
        a=max-message-size:262144\r\n";

    fn with_password(password: &str) -> String {
        OURS.replace("0123456789+/ABCDefghijkl", password)
    }

    #[test]
    fn the_credential_is_made_of_our_password() {
        let credential = |version| Credential::new(version, OURS).unwrap().0;
        assert_eq!(
            credential(Version::V1),
            "libp2p+webrtc+v1/0123456789+/ABCDefghijkl"
        );
        assert_eq!(
            credential(Version::V2),
            "libp2p+webrtc+v2/0123456789+/ABCDefghijkl"
        );
    }

    #[test]
    fn a_password_that_would_not_arrive_is_refused() {
        let [shortest, longest] = [22, 256 - 17].map(|length| "x".repeat(length));
        for (password, valid) in [
            (shortest.as_str(), true),
            (&shortest[1..], false),
            (&longest, true),
            (&format!("{longest}x"), false),
            (&format!("{shortest}:"), false),
            (&format!("{shortest} "), false),
            (&format!("{shortest}é"), false),
            ("", false),
        ] {
            let credential = Credential::new(Version::V2, &with_password(password));
            assert_eq!(credential.is_some(), valid, "{password}");
        }
        assert_eq!(Credential::new(Version::V1, "v=0\r\n"), None);
    }

    #[test]
    fn version_one_changes_nothing_but_name_and_password() {
        let credential = Credential::new(Version::V1, OURS).unwrap();
        let changed = with_credential(OURS, &credential);
        let Credential(text) = credential;
        assert_eq!(
            changed,
            with_password(&text).replace("ice-ufrag:abcd", &format!("ice-ufrag:{text}"))
        );
    }

    #[test]
    fn the_answer_is_as_specified() {
        let fingerprint = fingerprint(OURS).unwrap();
        let credential = Credential::new(Version::V2, OURS).unwrap();
        for (socket, connection, candidate) in [
            (
                "192.0.2.1:8469",
                "c=IN IP4 192.0.2.1",
                "192.0.2.1 8469 typ host",
            ),
            (
                "[2001:db8::1]:1",
                "c=IN IP6 2001:db8::1",
                "2001:db8::1 1 typ host",
            ),
        ] {
            let server = Server {
                socket: socket.parse().unwrap(),
                fingerprint,
            };
            let sdp = answer(&server, &credential);
            let lines: Vec<&str> = sdp.split("\r\n").collect();
            for line in [
                "v=0",
                "a=ice-lite",
                connection,
                "a=ice-ufrag:libp2p+webrtc+v2/0123456789+/ABCDefghijkl",
                "a=ice-pwd:libp2p+webrtc+v2/0123456789+/ABCDefghijkl",
                OURS.lines().nth(4).unwrap(),
                "a=setup:passive",
                "a=max-message-size:16384",
            ] {
                assert!(lines.contains(&line), "{line} in {sdp}");
            }
            assert!(sdp.contains(candidate), "{sdp}");
            let media = lines.iter().filter(|line| line.starts_with("m="));
            assert_eq!(media.count(), 1);
            assert!(lines.iter().all(|line| !line.contains(['\r', '\n'])));
        }
    }

    #[test]
    fn a_description_without_a_fingerprint_has_none() {
        for sdp in [
            "",
            "a=fingerprint:sha-256 3E",
            "a=fingerprint:sha-512 3E:79",
        ] {
            assert_eq!(fingerprint(sdp), None);
        }
    }
}
