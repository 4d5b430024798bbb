//! Which hosts an IP address may mean: the one set of rules for whatever sends where a stranger says,
//! be it a dial ([`dials`](crate::dials)) or a TURN server.
//!
//! By RFC 6890 and IANA's registries of special-purpose addresses. Addresses for documentation count as
//! public: nobody has them but laboratories.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From where an address means the same host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// From everywhere.
    Public,
    /// From one site: RFC 1918, RFC 6598 (between providers and their customers), RFC 4193.
    Site,
    /// From one link: RFC 3927, RFC 4291 section 2.5.6. `169.254.169.254`, where clouds keep their
    /// secrets, is one of these.
    Link,
    /// From the machine itself.
    Loopback,
    /// No address of a host to speak to: kept for protocols and benchmarks, never given to anybody, or
    /// with an IPv4 address in it that a gateway would send to (NAT64, 6to4, Teredo, ISATAP).
    Special,
    /// No single host: unspecified, multicast, broadcast.
    Nobody,
}

/// The scope of an address. One that is an IPv4 address in IPv6's clothes (`::ffff:127.0.0.1`) has that
/// of the IPv4 address.
#[must_use]
pub fn scope(ip: IpAddr) -> Scope {
    match ip.to_canonical() {
        IpAddr::V4(ip) => scope_v4(ip),
        IpAddr::V6(ip) => scope_v6(ip),
    }
}

fn scope_v4(ip: Ipv4Addr) -> Scope {
    match ip.octets() {
        [0, ..] | [224..=239, ..] | [255, 255, 255, 255] => Scope::Nobody,
        [127, ..] => Scope::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Scope::Site,
        [169, 254, ..] => Scope::Link,
        // Of the IETF's protocols (RFC 6890), of 6to4's gateways (RFC 7526), and for benchmarks (RFC 2544).
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Scope::Special,
        // Never given to anybody.
        [240..=255, ..] => Scope::Special,
        _ => Scope::Public,
    }
}

fn scope_v6(ip: Ipv6Addr) -> Scope {
    if ip.is_unspecified() || ip.is_multicast() {
        return Scope::Nobody;
    }
    if ip.is_loopback() {
        return Scope::Loopback;
    }
    if ip.is_unique_local() {
        return Scope::Site;
    }
    if ip.is_unicast_link_local() {
        return Scope::Link;
    }
    match ip.segments() {
        // ISATAP (RFC 5214): the last 32 bits are an IPv4 address.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Scope::Special,
        // Of the IETF's protocols (RFC 2928), Teredo (RFC 4380) among them; 6to4 (RFC 3056).
        [0x2001, 0..=0x1ff, ..] | [0x2002, ..] => Scope::Special,
        // All that has been given out to networks (RFC 4291, section 2.4).
        [0x2000..=0x3fff, ..] => Scope::Public,
        // IPv4 in IPv6 (compatible addresses; NAT64: RFC 6052, RFC 8215), site-local (RFC 3879), to nowhere
        // (RFC 6666), and what has not been given out.
        _ => Scope::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_purpose_network_is_known() {
        let table: [(Scope, &[&str]); 6] = [
            (
                Scope::Public,
                &[
                    "8.8.8.8",
                    "100.63.255.255",
                    "100.128.0.1",
                    "172.15.0.1",
                    "172.32.0.1",
                    "198.20.0.1",
                    "192.0.1.1",
                    "192.0.2.1",
                    "203.0.113.2",
                    "2001:200::1",
                    "2001:4860::8888",
                    "2001:db8::2",
                    "::ffff:8.8.8.8",
                ],
            ),
            (
                Scope::Site,
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "100.127.255.255",
                    "fc00::1",
                    "fdff::1",
                    "::ffff:10.0.0.1",
                ],
            ),
            (
                Scope::Link,
                &[
                    "169.254.169.254",
                    "fe80::1",
                    "febf::1",
                    "::ffff:169.254.1.1",
                ],
            ),
            (
                Scope::Loopback,
                &["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"],
            ),
            (
                Scope::Special,
                &[
                    "192.0.0.8",
                    "192.88.99.1",
                    "198.18.0.1",
                    "198.19.255.255",
                    "240.0.0.1",
                    "255.255.255.254",
                    "64:ff9b::a00:1",
                    "64:ff9b:1::a00:1",
                    "2002:a00:1::",
                    "2001::1",
                    "2001:1ff::1",
                    "2a00:1:2:3:0:5efe:a00:1",
                    "2a00:1:2:3:200:5efe:a00:1",
                    "fec0::1",
                    "100::1",
                    "::10.0.0.1",
                    "::127.0.0.1",
                    "::2",
                    "4000::1",
                ],
            ),
            (
                Scope::Nobody,
                &[
                    "0.0.0.0",
                    "0.1.2.3",
                    "224.0.0.1",
                    "239.255.255.255",
                    "255.255.255.255",
                    "::",
                    "ff02::1",
                    "::ffff:0.0.0.0",
                    "::ffff:224.0.0.1",
                ],
            ),
        ];
        for (expected, ips) in table {
            for ip in ips {
                assert_eq!(scope(ip.parse().unwrap()), expected, "{ip}");
            }
        }
    }
}
