//! The other side's candidates: which of them are checked.
//!
//! ICE sends connectivity checks to every address that the other side names, from every socket of ours and several
//! times, long before anybody there has shown that he wants it (RFC 8445, section 19.5.1). So whoever signals
//! has others write to third parties, and into their own networks. Here a candidate has to be of UDP, at an
//! address that whoever uses this crate allows, and of few addresses with few ports each; the others are
//! left out, one by one. All of an IPv6 network of 64 bits is one host: whoever has one address of it has the
//! others too. What goes on is written anew, so that nobody reads it otherwise than it was read here.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

/// Hosts of one session that are checked. A machine has an IPv4 and some IPv6 addresses in a network or
/// two, and those that STUN and TURN servers see.
const HOSTS_MAX: usize = 8;

/// Ports of each: those of a socket or two, as one or two STUN servers see them behind a NAT.
const PER_HOST_MAX: usize = 4;

/// Lower ports are for services that a machine offers by their well-known number (RFC 6335); nobody has a
/// socket of WebRTC there.
const PORT_MIN: u16 = 1024;

/// Longest name of a host by multicast DNS: a UUID in `.local`
/// (draft-ietf-mmusic-mdns-ice-candidates, section 3.1.1).
const MDNS_UUID_LEN: usize = 36;

/// Which IP addresses may be checked.
#[derive(Clone)]
pub struct Reachable(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Reachable {
    /// Those of which `may` is true. It is asked anew for each candidate.
    pub fn new(may: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may))
    }

    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        (self.0)(ip.to_canonical())
    }
}

impl Default for Reachable {
    /// All.
    fn default() -> Self {
        Self::new(|_| true)
    }
}

impl fmt::Debug for Reachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reachable").finish_non_exhaustive()
    }
}

/// A candidate as browsers write it (W3C's `RTCIceCandidateInit`).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CandidateInit {
    candidate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdp_mid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdp_m_line_index: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username_fragment: Option<String>,
}

/// The candidates of one session. See the [module](self).
#[derive(Debug)]
pub(crate) struct Candidates {
    reachable: Reachable,
    /// How many of each host there are.
    hosts: BTreeMap<String, usize>,
}

impl Candidates {
    pub(crate) const fn new(reachable: Reachable) -> Self {
        Self {
            reachable,
            hosts: BTreeMap::new(),
        }
    }

    /// The candidate, as it may go on; `None` if it is not to be checked.
    pub(crate) fn take(&mut self, json: &str) -> Option<String> {
        let mut init: CandidateInit = serde_json::from_str(json).ok()?;
        init.candidate = self.read(&init.candidate)?;
        serde_json::to_string(&init).ok()
    }

    /// A description without the candidates in it, and those of them that may be checked, as JSON.
    pub(crate) fn take_out(&mut self, sdp: &str) -> (String, Vec<String>) {
        let (found, rest): (Vec<&str>, Vec<&str>) = sdp
            .split_inclusive('\n')
            .partition(|line| line.starts_with("a=candidate:"));
        let taken = found.into_iter().filter_map(|line| {
            let init = CandidateInit {
                candidate: self.read(line.strip_prefix("a=")?)?,
                sdp_mid: None,
                sdp_m_line_index: Some(0),
                username_fragment: None,
            };
            serde_json::to_string(&init).ok()
        });
        let taken = taken.collect();
        (rest.concat(), taken)
    }

    /// `candidate:FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE …` (RFC 8839, section 5.1).
    fn read(&mut self, text: &str) -> Option<String> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [_, _, transport, _, host, port, "typ", ..] = parts[..] else {
            return None;
        };
        let is_open = transport.eq_ignore_ascii_case("udp")
            && port.parse::<u16>().is_ok_and(|port| port >= PORT_MIN)
            && self.may_be(host)
            && self.count(counted_as(host));
        if !is_open {
            tracing::debug!(%host, %port, "a candidate is not checked");
        }
        is_open.then(|| parts.join(" "))
    }

    fn may_be(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(ip) => self.reachable.has(ip),
            Err(_) => is_mdns(host),
        }
    }

    fn count(&mut self, host: String) -> bool {
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&host) {
            return false;
        }
        let count = self.hosts.entry(host).or_default();
        let has_room = *count < PER_HOST_MAX;
        *count = count.saturating_add(1);
        has_room
    }
}

/// As what a host counts, which has many spellings: an IPv4 address, also where it is written as one of IPv6; the first
/// 64 bits of any other of IPv6; a name.
fn counted_as(host: &str) -> String {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
        Err(_) => host.to_ascii_lowercase(),
    }
}

/// Whether a name is one that a browser has made up for its address. Any other would be looked up, wherever
/// it leads.
fn is_mdns(host: &str) -> bool {
    host.strip_suffix(".local").is_some_and(|uuid| {
        uuid.len() == MDNS_UUID_LEN
            && uuid
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str) -> String {
        serde_json::json!({ "candidate": text, "sdpMid": "0", "sdpMLineIndex": 0 }).to_string()
    }

    fn host(host: &str, port: u16) -> String {
        candidate(&format!(
            "candidate:1 1 udp 2113937151 {host} {port} typ host generation 0"
        ))
    }

    fn all() -> Candidates {
        Candidates::new(Reachable::default())
    }

    #[test]
    fn what_browsers_and_programs_name_goes_on_as_it_is() {
        let mut candidates = all();
        for text in [
            host("192.0.2.1", 54_321),
            host("2001:db8::1", 1024),
            host("4aa29a2b-5b4f-4a5b-9c9d-1f0f6d2b3a4c.local", 50_000),
            candidate("candidate:2 1 UDP 1 192.0.2.2 4000 typ srflx raddr 0.0.0.0 rport 0"),
            r#"{"candidate":"candidate:1 1 udp 1 192.0.2.3 4000 typ relay","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"abcd"}"#.to_owned(),
        ] {
            let taken = candidates.take(&text).expect("taken");
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(value(&taken), value(&text));
        }
    }

    #[test]
    fn what_would_be_spoken_to_otherwise_is_left_out() {
        for text in [
            // Browsers connect to a passive one.
            candidate("candidate:1 1 tcp 1 192.0.2.1 4000 typ host tcptype passive"),
            candidate("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active"),
            host("192.0.2.1", 53),
            host("192.0.2.1", 0),
            host("intranet.example", 4000),
            host("printer.local", 4000),
            host("localhost", 4000),
            host("127.1", 4000),
            host("2130706433", 4000),
            candidate("candidate:1 1 udp 1 192.0.2.1 4000"),
            candidate("candidate:1 1 udp 1 192.0.2.1 99999 typ host"),
            candidate("candidate:1 1 udp 1 192.0.2.1 -1 typ host"),
            candidate(""),
            r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 4000 typ host","candidate":"x"}"#
                .to_owned(),
            r#"{"candidate":7}"#.to_owned(),
            "[]".to_owned(),
            "candidate:1 1 udp 1 192.0.2.1 4000 typ host".to_owned(),
        ] {
            assert_eq!(all().take(&text), None, "{text}");
        }
        // Nobody reads the rest of it as something else.
        let odd = candidate("candidate:1\t1\r\n udp 1  192.0.2.1 4000 typ host");
        let taken = all().take(&odd).expect("taken");
        assert!(
            taken.contains("candidate:1 1 udp 1 192.0.2.1 4000 typ host"),
            "{taken}"
        );
    }

    #[test]
    fn whoever_uses_the_crate_says_where_to() {
        let reachable = Reachable::new(|ip| !ip.is_loopback());
        let mut candidates = Candidates::new(reachable);
        assert!(candidates.take(&host("192.0.2.1", 4000)).is_some());
        for loopback in ["127.0.0.1", "::1"] {
            assert_eq!(candidates.take(&host(loopback, 4000)), None);
        }
    }

    #[test]
    fn few_hosts_and_few_ports_of_each_are_checked() {
        let mut candidates = all();
        let mut of_one =
            (4000..4064).filter(|port| candidates.take(&host("192.0.2.1", *port)).is_some());
        assert_eq!(of_one.by_ref().count(), PER_HOST_MAX);
        let others = (2..66).filter(|last| {
            candidates
                .take(&host(&format!("192.0.2.{last}"), 4000))
                .is_some()
        });
        assert_eq!(others.count(), HOSTS_MAX - 1);
    }

    #[test]
    fn a_network_that_somebody_has_whole_is_one_host() {
        let mut candidates = all();
        let mut taken = |host_part: u16, network: u16| {
            let ip = format!("2001:db8:0:{network:x}:{host_part:x}::1");
            candidates.take(&host(&ip, 4000)).is_some()
        };
        let of_one = (0..64).filter(|part| taken(*part, 0));
        assert_eq!(of_one.count(), PER_HOST_MAX);
        let others = (1..64).filter(|network| taken(0, *network));
        assert_eq!(others.count(), HOSTS_MAX - 1);
    }

    #[test]
    fn however_a_host_is_spelled_it_counts_as_one() {
        let name = "4aa29a2b-5b4f-4a5b-9c9d-1f0f6d2b3a4c.local";
        let spellings = [
            [
                "2001:db8::1",
                "2001:DB8::1",
                "2001:0db8:0:0::1",
                "2001:db8::0.0.0.1",
            ],
            [
                "192.0.2.1",
                "::ffff:192.0.2.1",
                "::FFFF:c000:201",
                "0:0::ffff:192.0.2.1",
            ],
            [
                name,
                &name.to_uppercase().replace(".LOCAL", ".local"),
                name,
                name,
            ],
        ];
        let mut candidates = all();
        for of_one in spellings {
            let mut port = 4000;
            let mut taken = 0;
            for spelling in of_one.iter().cycle().take(4 * PER_HOST_MAX) {
                port += 1;
                taken += usize::from(candidates.take(&host(spelling, port)).is_some());
            }
            assert_eq!(taken, PER_HOST_MAX, "{of_one:?}");
        }
        assert_eq!(candidates.hosts.len(), 3);
        let no_loopback = Reachable::new(|ip| !ip.is_loopback());
        let mut candidates = Candidates::new(no_loopback);
        assert_eq!(candidates.take(&host("::ffff:127.0.0.1", 4000)), None);
    }

    #[test]
    fn those_in_a_description_are_counted_too() {
        let mut sdp = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n".to_owned();
        let without = sdp.clone() + "a=mid:0\r\n";
        for port in 4000..4064 {
            sdp += &format!("a=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n");
        }
        sdp += "a=mid:0\r\n";
        let mut candidates = all();
        let (rest, taken) = candidates.take_out(&sdp);
        assert_eq!(rest, without);
        assert_eq!(taken.len(), PER_HOST_MAX);
        assert_eq!(candidates.take(&host("192.0.2.1", 5000)), None);
        let value: serde_json::Value = serde_json::from_str(&taken[0]).expect("JSON");
        assert_eq!(
            value["candidate"],
            "candidate:1 1 udp 1 192.0.2.1 4000 typ host"
        );
        assert_eq!(value["sdpMLineIndex"], 0);
    }
}
