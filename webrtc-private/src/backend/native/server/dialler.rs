//! What a server knows of somebody who dials.

use std::net::SocketAddr;

use crate::direct::sdp::{
    FINGERPRINT, PASSWORD, PASSWORD_CHARS, UFRAG, UFRAG_CHARS, Version, is_ice, parts,
};

/// What the STUN username of a dialler's first packet tells the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backend::native) struct Dialler {
    server_ufrag: String,
    ufrag: String,
    password: String,
}

impl Dialler {
    /// From `<ufrag of the server>:<ufrag of the dialler>` (RFC 8445, section 7.2.2). `None` for a version that is not
    /// known, and for what ICE does not allow.
    pub(in crate::backend::native) fn parse(username: &str) -> Option<Self> {
        let (server_ufrag, ufrag) = username.split_once(':')?;
        if !is_ice(server_ufrag, UFRAG_CHARS) || !is_ice(ufrag, UFRAG_CHARS) {
            return None;
        }
        let password = if server_ufrag.starts_with(Version::V1.prefix()) {
            ufrag
        } else {
            server_ufrag.strip_prefix(Version::V2.prefix())?
        };
        is_ice(password, PASSWORD_CHARS).then(|| Self {
            server_ufrag: server_ufrag.to_owned(),
            ufrag: ufrag.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The server's own username fragment, which is its password too.
    pub(in crate::backend::native) fn server_ufrag(&self) -> &str {
        &self.server_ufrag
    }

    /// By which the dialler's checks and answers are signed.
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The STUN username of the server's checks (RFC 8445, section 7.2.2).
    pub(super) fn username(&self) -> String {
        format!("{}:{}", self.ufrag, self.server_ufrag)
    }
}

/// The offer of a dialler at this address, as it would be if it had sent one. Its fingerprint is not
/// known, and not looked at: the Noise handshake proves who it is.
pub(in crate::backend::native) fn offer(dialler: &Dialler, address: SocketAddr) -> String {
    let Dialler {
        ufrag, password, ..
    } = dialler;
    let (family, ip, port) = parts(address);
    let unknown = ["FF"; 32].join(":");
    [
        "v=0",
        &format!("o=- 0 0 IN {family} {ip}"),
        "s=-",
        "t=0 0",
        &format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
        &format!("c=IN {family} {ip}"),
        "a=mid:0",
        "a=ice-options:ice2",
        &format!("{UFRAG}{ufrag}"),
        &format!("{PASSWORD}{password}"),
        &format!("{FINGERPRINT}{unknown}"),
        "a=setup:active",
        "a=sctp-port:5000",
        "a=max-message-size:16384",
        "",
    ]
    .join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_tells_who_dials() {
        let password = "x".repeat(22);
        let [v1, v2, v3] = [1, 2, 3].map(|version| format!("libp2p+webrtc+v{version}/{password}"));
        for (username, wanted) in [
            (format!("{v2}:abcd"), Some(("abcd", password.as_str()))),
            (format!("{v1}:{v1}"), Some((&v1, &v1))),
            (format!("{v3}:abcd"), None),
            (format!("{password}:abcd"), None),
            // A ufrag that is too short for a password, as that of version 1 is.
            (format!("{v1}:abcd"), None),
            (format!("{v2}:abc"), None),
            (format!("{v2}:{}", "x".repeat(257)), None),
            (format!("{v2}:ab\r\na=candidate"), None),
            (format!("{v2}:abcd:efgh"), None),
            (format!("libp2p+webrtc+v2/{}:abcd", &password[1..]), None),
            (format!("libp2p+webrtc+v2/{}:abcd", "x".repeat(240)), None),
            (format!("libp2p+webrtc+v2/{password}\n:abcd"), None),
            (v2.clone(), None),
            (":".to_owned(), None),
            (String::new(), None),
        ] {
            let dialler = Dialler::parse(&username);
            let told = dialler
                .as_ref()
                .map(|dialler| (dialler.ufrag.as_str(), dialler.password.as_str()));
            assert_eq!(told, wanted, "{username:?}");
        }
        let dialler = Dialler::parse(&format!("{v2}:abcd")).unwrap();
        assert_eq!(dialler.server_ufrag(), v2);
        let offer = offer(&dialler, "192.0.2.1:9".parse().unwrap());
        assert!(offer.contains("\r\na=ice-ufrag:abcd\r\n"), "{offer}");
        assert!(
            offer.contains(&format!("\r\na=ice-pwd:{password}\r\n")),
            "{offer}"
        );
    }
}
