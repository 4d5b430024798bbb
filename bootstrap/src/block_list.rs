//! Who gets nothing: peers by id, and addresses by range. Pure; [`mod@file`] reads and writes it.
//!
//! One entry a line: a peer id, an IP address, or a range of them (`192.0.2.0/24`,
//! `2001:db8::/32`). What follows a `#` is a comment.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use libp2p::PeerId;
use thiserror::Error;

pub(crate) mod file;

/// Entries of a list. More are ignored: a list that long belongs in a firewall.
pub(crate) const ENTRIES_MAX: usize = 65_536;

/// One line's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    Peer(PeerId),
    Range(Range),
}

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    /// Zero after the prefix.
    first: IpAddr,
    prefix: u8,
}

/// Why a line is no entry.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum EntryError {
    #[error("`{0}` is neither a peer id nor an IP address nor a range like 192.0.2.0/24")]
    Unknown(String),
    #[error("`{text}`: the number after the slash must be at most {max} for such an address")]
    Prefix { text: String, max: u8 },
    #[error("`{0}`: that is every address; stop the node instead, or block smaller ranges")]
    Everybody(String),
}

impl Range {
    fn new(ip: IpAddr, prefix: u8) -> Self {
        Self {
            first: first(ip, prefix),
            prefix,
        }
    }
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The first address of the range of this length that `ip` is in.
fn first(ip: IpAddr, prefix: u8) -> IpAddr {
    let rest = u32::from(bits(ip).saturating_sub(prefix));
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let unknown = || EntryError::Unknown(text.to_owned());
        if let Ok(peer) = text.parse() {
            return Ok(Self::Peer(peer));
        }
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| unknown())?;
        let max = bits(ip);
        match (ip.to_canonical(), prefix.unwrap_or(max)) {
            // An IPv4 address as IPv6 writes it: connections are looked up as IPv4.
            (IpAddr::V4(v4), prefix) if ip.is_ipv6() && (97..=max).contains(&prefix) => {
                Ok(Self::Range(Range::new(v4.into(), prefix - 96)))
            }
            (_, 0) => Err(EntryError::Everybody(text.to_owned())),
            (_, prefix) if prefix <= max => Ok(Self::Range(Range::new(ip, prefix))),
            _ => Err(EntryError::Prefix {
                text: text.to_owned(),
                max,
            }),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Range(Range { first, prefix }) if *prefix == bits(*first) => first.fmt(f),
            Self::Range(Range { first, prefix }) => write!(f, "{first}/{prefix}"),
        }
    }
}

/// A line that is no entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BrokenLine {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) error: EntryError,
}

/// The list in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockList {
    peers: HashSet<PeerId>,
    ranges: HashSet<Range>,
    /// The lengths that occur, so that a look-up is a handful of hashes.
    prefixes: BTreeSet<u8>,
}

impl BlockList {
    /// Reads a list; what makes no sense is left out and told.
    pub(crate) fn parse(text: &str) -> (Self, Vec<BrokenLine>) {
        let mut list = Self::default();
        let mut broken = Vec::new();
        for (number, entry) in entries(text).take(ENTRIES_MAX) {
            match entry {
                Ok(entry) => list.insert(entry),
                Err(error) => broken.push(BrokenLine { number, error }),
            }
        }
        (list, broken)
    }

    fn insert(&mut self, entry: Entry) {
        match entry {
            Entry::Peer(peer) => {
                self.peers.insert(peer);
            }
            Entry::Range(range) => {
                self.prefixes.insert(range.prefix);
                self.ranges.insert(range);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len() + self.ranges.len()
    }

    /// Its entries, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        let peers = self.peers.iter().copied().map(Entry::Peer);
        peers.chain(self.ranges.iter().copied().map(Entry::Range))
    }

    pub(crate) fn has_peer(&self, peer: &PeerId) -> bool {
        self.peers.contains(peer)
    }

    pub(crate) fn has_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.prefixes
            .iter()
            .filter(|prefix| **prefix <= bits(ip))
            .any(|prefix| self.ranges.contains(&Range::new(ip, *prefix)))
    }
}

/// The entries of a list with their line numbers, without empty lines.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = (usize, Result<Entry, EntryError>)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = without_comment(line);
        (!line.is_empty()).then(|| (index + 1, line.parse()))
    })
}

/// The list with one more entry, if it isn't there already. The rest stays as it was.
pub(crate) fn with(text: &str, entry: Entry) -> Option<String> {
    if entries(text).any(|(_, other)| other == Ok(entry)) {
        return None;
    }
    let separator = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Some(format!("{text}{separator}{entry}\n"))
}

/// The list without an entry, if it is there. The rest stays as it was.
pub(crate) fn without(text: &str, entry: Entry) -> Option<String> {
    let is_it = |line: &&str| without_comment(line).parse() == Ok(entry);
    if !text.lines().any(|line| is_it(&line)) {
        return None;
    }
    let rest = text.lines().filter(|line| !is_it(line));
    Some(rest.map(|line| format!("{line}\n")).collect())
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    #[test]
    fn peers_addresses_and_ranges_are_blocked_and_their_neighbours_are_not() {
        let peer = PeerId::random();
        let text = format!(
            "# rude\n{peer}  # since March\n\n192.0.2.7\n198.51.100.77/24\r\n2001:db8::1/32\n"
        );
        let (list, broken) = BlockList::parse(&text);
        assert_eq!(broken, []);
        assert_eq!(list.len(), 4);
        assert!(list.has_peer(&peer) && !list.has_peer(&PeerId::random()));
        for blocked in [
            "192.0.2.7",
            "::ffff:192.0.2.7",
            "198.51.100.0",
            "2001:db8:f::",
        ] {
            assert!(list.has_ip(ip(blocked)), "{blocked}");
        }
        for free in ["192.0.2.8", "198.51.101.0", "2001:db9::", "::1"] {
            assert!(!list.has_ip(ip(free)), "{free}");
        }
    }

    #[test]
    fn a_broken_line_is_named_and_the_rest_stays_in_force() {
        let (list, broken) = BlockList::parse("192.0.2.1\nfoo\n1.2.3.4/33\n::/0\n192.0.2.2");
        assert_eq!(list.len(), 2);
        let numbers: Vec<_> = broken.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [2, 3, 4]);
        assert!(broken[1].error.to_string().contains("at most 32"));
        assert_eq!(entry("::ffff:192.0.2.1"), entry("192.0.2.1"));
        assert_eq!(entry("::ffff:192.0.2.1/120"), entry("192.0.2.0/24"));
    }

    #[test]
    fn editing_leaves_the_rest_as_it_was() {
        let text = "# mine\n192.0.2.0/24 # a\nnonsense";
        assert_eq!(with(text, entry("192.0.2.99/24")), None);
        let more = with(text, entry("2001:db8::/32")).unwrap();
        assert_eq!(more, "# mine\n192.0.2.0/24 # a\nnonsense\n2001:db8::/32\n");
        let less = without(&more, entry("192.0.2.5/24")).unwrap();
        assert_eq!(less, "# mine\nnonsense\n2001:db8::/32\n");
        assert_eq!(without(&less, entry("192.0.2.0/24")), None);
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_it_is_read(text in any::<String>()) {
            let _ = BlockList::parse(&text);
        }

        #[test]
        fn a_range_holds_what_shares_its_bits(first: [u8; 16], other: [u8; 16], prefix in 1_u8..=128) {
            let (a, b) = (IpAddr::from(first), IpAddr::from(other));
            prop_assume!(a.to_canonical() == a && b.to_canonical() == b);
            let (list, _) = BlockList::parse(&format!("{a}/{prefix}"));
            let same = u128::from_be_bytes(first) ^ u128::from_be_bytes(other);
            prop_assert_eq!(list.has_ip(b), same.leading_zeros() >= u32::from(prefix));
            let shown = Entry::Range(Range::new(a, prefix)).to_string();
            prop_assert_eq!(shown.parse(), Ok(Entry::Range(Range::new(a, prefix))));
        }
    }
}
