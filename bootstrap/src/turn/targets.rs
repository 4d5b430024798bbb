//! Whom the server sends to: hosts on the public internet, so that it is no way into the networks
//! that the node itself stands in.

use std::{collections::HashSet, net::IpAddr};

use moim_protocol::targets::{Scope, scope};

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
        let scope = scope(ip);
        if scope == Scope::Nobody {
            // Not even a lab needs it.
            Target::Refused
        } else if self.allow_private {
            Target::Open
        } else if relayed {
            Target::Relayed
        } else if self.own.contains(&ip) || self.relayed.contains(&ip) || scope != Scope::Public {
            Target::Refused
        } else {
            Target::Open
        }
    }
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
