//! Whom the server sends to: hosts on the public internet, so that it is no way into the networks
//! that the node itself stands in.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What may be sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Everything.
    Open,
    /// What goes to another allocation of this server. It is handed over inside the process; the
    /// node's other ports get nothing.
    Relayed,
    /// Nothing.
    Refused,
}

/// The rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    allow_private: bool,
    /// Addresses of this machine, and those by which others reach it.
    own: HashSet<IpAddr>,
    /// Addresses that allocations have had. As many as the machine has.
    relayed: HashSet<IpAddr>,
}

impl Targets {
    /// What the operator allows, from now on.
    pub(super) fn set_allow_private(&mut self, allow_private: bool) {
        self.allow_private = allow_private;
    }

    pub(super) fn new(allow_private: bool) -> Self {
        Self {
            allow_private,
            own: HashSet::new(),
            relayed: HashSet::new(),
        }
    }

    /// These are the node's own addresses.
    pub(super) fn set_own(&mut self, own: HashSet<IpAddr>) {
        self.own = own;
    }

    /// An allocation has this address, so the machine does.
    pub(super) fn add_relayed(&mut self, ip: IpAddr) {
        self.relayed.insert(ip);
    }

    /// What may be sent to `ip`; `relayed` says whether allocations have this address.
    pub(super) fn judge(&self, ip: IpAddr, relayed: bool) -> Target {
        let ip = ip.to_canonical();
        if is_nobody(ip) {
            Target::Refused
        } else if self.allow_private {
            Target::Open
        } else if relayed {
            Target::Relayed
        } else if self.own.contains(&ip) || self.relayed.contains(&ip) || is_private(ip) {
            Target::Refused
        } else {
            Target::Open
        }
    }
}

/// Whether no single host has such an address: not even a lab needs it.
fn is_nobody(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    }
}

/// Whether an address is for one machine or network only (RFC 6890 and the IANA registries of special
/// addresses), or hides one that may be.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => is_private_v6(ip),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let octets = ip.octets();
    ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        // Between providers and their customers (RFC 6598).
        || (octets[0] == 100 && octets[1] & 0xc0 == 64)
        // Of the IETF's protocols (RFC 6890), and for benchmarks (RFC 2544).
        || octets[..3] == [192, 0, 0]
        || (octets[0] == 198 && octets[1] & 0xfe == 18)
        // Never given to anybody.
        || octets[0] >= 240
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    ip.is_loopback()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        // Site-local, long deprecated and still somewhere (RFC 3879).
        || segments[0] & 0xffc0 == 0xfec0
        // To nowhere (RFC 6666).
        || segments[..4] == [0x100, 0, 0, 0]
        // With an IPv4 address in it that a gateway would send to: compatible addresses, NAT64
        // (RFC 6052, RFC 8215), Teredo (RFC 4380) and 6to4 (RFC 3056).
        || segments[..6] == [0; 6]
        || segments[..2] == [0x64, 0xff9b]
        || segments[..2] == [0x2001, 0]
        || segments[0] == 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_public_hosts_are_sent_to() {
        let mut targets = Targets::new(false);
        targets.set_own([ip("203.0.113.1"), ip("2001:db8::1")].into());
        for refused in [
            "127.0.0.1",
            "127.255.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.1",
            "::",
            "::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::",
            "2001::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:203.0.113.1",
            "::ffff:224.0.0.1",
        ] {
            assert_eq!(
                targets.judge(ip(refused), false),
                Target::Refused,
                "{refused}"
            );
        }
        for open in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "192.0.1.1",
            "203.0.113.2",
            "2001:4860::8888",
            "2001:db8::2",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(targets.judge(ip(open), false), Target::Open, "{open}");
        }
    }

    #[test]
    fn where_allocations_are_nothing_else_is_reached() {
        let mut targets = Targets::new(false);
        targets.set_own([ip("203.0.113.1")].into());
        assert_eq!(targets.judge(ip("203.0.113.1"), true), Target::Relayed);
        assert_eq!(targets.judge(ip("127.0.0.1"), true), Target::Relayed);
        targets.add_relayed(ip("203.0.113.2"));
        targets.set_own(HashSet::new());
        assert_eq!(targets.judge(ip("203.0.113.2"), true), Target::Relayed);
        assert_eq!(targets.judge(ip("203.0.113.2"), false), Target::Refused);
    }

    #[test]
    fn a_lab_may_send_to_every_host() {
        let targets = Targets::new(true);
        for open in [
            "127.0.0.1",
            "10.0.0.1",
            "fd00::1",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(targets.judge(ip(open), false), Target::Open, "{open}");
        }
        for refused in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"] {
            assert_eq!(
                targets.judge(ip(refused), false),
                Target::Refused,
                "{refused}"
            );
        }
    }
}
