//! Session descriptions of a connection that has data channels and nothing else (RFC 8866, RFC 8839,
//! RFC 8841, RFC 8842).

use super::{super::BackendError, sctp};
use crate::direct::{
    fingerprint::Fingerprint,
    sdp::{FINGERPRINT, PASSWORD, PASSWORD_CHARS, UFRAG, UFRAG_CHARS, is_ice, value},
};

const SETUP: &str = "a=setup:";
const MID: &str = "a=mid:";
const SCTP_PORT: &str = "a=sctp-port:";
const CANDIDATE: &str = "a=candidate:";
const MEDIA: &str = "m=";
const DATA_CHANNELS: &str = "m=application ";

/// The identification of our only media section in an offer (`mid`, RFC 5888).
const OUR_MID: &str = "0";

/// The longest `mid` that is taken.
const MID_MAX: usize = 64;

/// Who is the DTLS client: the `setup` attribute (RFC 8842, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// Who sends this is the client.
    Active,
    /// Who sends this is the server.
    Passive,
    /// The other side may choose.
    ActPass,
}

impl Setup {
    const ALL: [Self; 3] = [Self::Active, Self::Passive, Self::ActPass];

    const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
        }
    }

    /// Of whom answers this.
    pub(super) const fn answer(self) -> Self {
        match self {
            Self::Active => Self::Passive,
            Self::Passive | Self::ActPass => Self::Active,
        }
    }
}

/// What has to be known of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) ufrag: String,
    pub(super) password: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) setup: Setup,
    /// It makes no connectivity checks of its own (ICE-lite, RFC 8445, section 2.5).
    pub(super) is_lite: bool,
    pub(super) sctp_port: u16,
    pub(super) mid: String,
    /// As the texts after `candidate:`.
    pub(super) candidates: Vec<String>,
}

fn invalid(what: &str) -> BackendError {
    BackendError(format!("the session description must have {what}"))
}

impl Description {
    /// From its text.
    pub(super) fn parse(sdp: &str) -> Result<Self, BackendError> {
        let mut media = sdp.lines().filter(|line| line.starts_with(MEDIA));
        match (media.next(), media.next()) {
            (Some(one), None) if one.starts_with(DATA_CHANNELS) => {}
            _ => {
                return Err(invalid(
                    "one media section, for data channels (m=application)",
                ));
            }
        }
        let text = |name: &str| value(sdp, name).map(str::trim_end);
        let of_ice = |name, chars| text(name).filter(|text| is_ice(text, chars));
        let ufrag =
            of_ice(UFRAG, UFRAG_CHARS).ok_or_else(|| invalid("an ICE user name (a=ice-ufrag)"))?;
        let password = of_ice(PASSWORD, PASSWORD_CHARS)
            .ok_or_else(|| invalid("an ICE password (a=ice-pwd)"))?;
        let fingerprint = text(FINGERPRINT)
            .and_then(Fingerprint::from_hex)
            .ok_or_else(|| invalid("the SHA-256 of a certificate (a=fingerprint)"))?;
        let setup = text(SETUP)
            .and_then(|text| Setup::ALL.into_iter().find(|setup| setup.name() == text))
            .ok_or_else(|| invalid("a DTLS role (a=setup)"))?;
        let sctp_port = match text(SCTP_PORT) {
            None => sctp::PORT,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(invalid("an SCTP port from 1 to 65535 (a=sctp-port)")),
            },
        };
        let mid = text(MID).unwrap_or(OUR_MID);
        if mid.len() > MID_MAX {
            let what = format!("a media section whose name has at most {MID_MAX} bytes (a=mid)");
            return Err(invalid(&what));
        }
        let candidates = sdp.lines().filter_map(|line| line.strip_prefix(CANDIDATE));
        Ok(Self {
            ufrag: ufrag.to_owned(),
            password: password.to_owned(),
            fingerprint,
            setup,
            is_lite: sdp.lines().any(|line| line.trim_end() == "a=ice-lite"),
            sctp_port,
            mid: mid.to_owned(),
            candidates: candidates.map(str::to_owned).collect(),
        })
    }
}

/// Our own description: an offer, or the answer to one.
pub(super) fn own(
    ufrag: &str,
    password: &str,
    fingerprint: Fingerprint,
    offer: Option<&Description>,
) -> String {
    let setup = offer.map_or(Setup::ActPass, |offer| offer.setup.answer());
    let setup = setup.name();
    let mid = offer.map_or(OUR_MID, |offer| &offer.mid);
    let port = sctp::PORT;
    let longest = sctp::MESSAGE_MAX;
    [
        "v=0",
        // The other side looks for changes by the first number, and there are none.
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        &format!("a=group:BUNDLE {mid}"),
        // The address is unknown (RFC 8840, section 4.1.1): candidates come one by one.
        &format!("{DATA_CHANNELS}9 UDP/DTLS/SCTP webrtc-datachannel"),
        "c=IN IP4 0.0.0.0",
        &format!("{MID}{mid}"),
        "a=ice-options:trickle ice2",
        &format!("{UFRAG}{ufrag}"),
        &format!("{PASSWORD}{password}"),
        &format!("{FINGERPRINT}{fingerprint}"),
        &format!("{SETUP}{setup}"),
        &format!("{SCTP_PORT}{port}"),
        &format!("a=max-message-size:{longest}"),
        "",
    ]
    .join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGER: &str = "3E:79:AF:40:D6:05:96:17:A0:D8:3B:83:A5:2C:E7:3B:0C:1F:37:A7:2C:60:43:AD:29:69:E2:35:1B:DC:A8:70";

    fn offer() -> String {
        let fingerprint = Fingerprint::from_hex(FINGER).expect("valid");
        own("name", "0123456789abcdefghijkl", fingerprint, None)
    }

    #[test]
    fn our_own_is_understood() {
        let parsed = Description::parse(&offer()).expect("valid");
        assert_eq!(parsed.ufrag, "name");
        assert_eq!(parsed.password, "0123456789abcdefghijkl");
        assert_eq!(parsed.fingerprint.to_string(), FINGER);
        assert_eq!(parsed.setup, Setup::ActPass);
        assert_eq!(parsed.sctp_port, 5000);
        assert!(!parsed.is_lite && parsed.candidates.is_empty());
    }

    #[test]
    fn an_answer_fits_its_offer() {
        for (theirs, ours) in [
            ("actpass", "active"),
            ("active", "passive"),
            ("passive", "active"),
        ] {
            let text = offer()
                .replace("setup:actpass", &format!("setup:{theirs}"))
                .replace("a=mid:0", "a=mid:data");
            let parsed = Description::parse(&text).expect("valid");
            let answer = own("name", "password", parsed.fingerprint, Some(&parsed));
            for line in [
                &format!("a=setup:{ours}"),
                "a=mid:data",
                "a=group:BUNDLE data",
            ] {
                assert!(answer.lines().any(|one| one == line), "{line} in {answer}");
            }
        }
    }

    #[test]
    fn candidates_and_ice_lite_are_found() {
        let text = offer() + "a=ice-lite\r\na=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n";
        let parsed = Description::parse(&text).expect("valid");
        assert!(parsed.is_lite);
        assert_eq!(parsed.candidates, ["1 1 UDP 1 192.0.2.1 9 typ host"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused() {
        let media = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        for (from, to) in [
            (media, ""),
            (media, "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"),
            (media, &media.repeat(2)),
            ("a=ice-ufrag:name", "a=ice-ufrag:nam"),
            ("a=ice-ufrag:name", "a=ice-ufrag:na me"),
            ("a=ice-pwd:0", "a=ice-pwd:"),
            ("sha-256", "sha-1"),
            (":70\r\n", "\r\n"),
            ("setup:actpass", "setup:holdconn"),
            ("a=setup:actpass\r\n", ""),
            ("sctp-port:5000", "sctp-port:0"),
            ("sctp-port:5000", "sctp-port:65536"),
            ("a=mid:0", &format!("a=mid:{}", "0".repeat(65))),
        ] {
            let changed = offer().replace(from, to);
            assert_ne!(changed, offer(), "{from}");
            Description::parse(&changed).expect_err(to);
        }
    }
}
