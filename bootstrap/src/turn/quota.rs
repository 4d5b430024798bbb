//! How many allocations there are, and of whom.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    net::IpAddr,
};

use moim_protocol::rate::Source;

/// Bounds of allocations, each as the operator has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quotas {
    pub(crate) all: u32,
    pub(crate) per_peer: u32,
    pub(crate) per_address: u32,
}

/// Why there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The server has none.
    All,
    /// The peer or its network has its share.
    Share,
}

/// Counts. Knows only who has some, so it is no larger than [`Quotas::all`].
#[derive(Debug)]
pub(super) struct Quota {
    quotas: Quotas,
    all: u32,
    peers: HashMap<String, u32>,
    addresses: HashMap<Source, u32>,
}

impl Quota {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self {
            quotas,
            all: 0,
            peers: HashMap::new(),
            addresses: HashMap::new(),
        }
    }

    /// Bounds what comes from now on: nobody loses what they have.
    pub(super) fn set(&mut self, quotas: Quotas) {
        self.quotas = quotas;
    }

    /// Whether one more may be.
    pub(super) fn check(&self, peer: &str, source: IpAddr) -> Result<(), Full> {
        let of_peer = self.peers.get(peer).copied().unwrap_or_default();
        let address = Source::from(source);
        let of_address = self.addresses.get(&address).copied().unwrap_or_default();
        if self.all >= self.quotas.all {
            Err(Full::All)
        } else if of_peer >= self.quotas.per_peer || of_address >= self.quotas.per_address {
            Err(Full::Share)
        } else {
            Ok(())
        }
    }

    pub(super) fn add(&mut self, peer: &str, source: IpAddr) {
        self.all += 1;
        *self.peers.entry(peer.to_owned()).or_default() += 1;
        *self.addresses.entry(Source::from(source)).or_default() += 1;
    }

    pub(super) fn remove(&mut self, peer: &str, source: IpAddr) {
        self.all = self.all.saturating_sub(1);
        subtract(&mut self.peers, peer.to_owned());
        subtract(&mut self.addresses, Source::from(source));
    }
}

fn subtract<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        match count.get().checked_sub(1) {
            Some(left @ 1..) => *count.get_mut() = left,
            _ => _ = count.remove(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_share_of_what_there_is_and_gives_it_back() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        let mut quota = Quota::new(Quotas {
            all: 4,
            per_peer: 2,
            per_address: 3,
        });
        let home = ip("192.0.2.1");
        for _ in 0..2 {
            assert_eq!(quota.check("a", home), Ok(()));
            quota.add("a", home);
        }
        assert_eq!(quota.check("a", ip("192.0.2.2")), Err(Full::Share));
        quota.add("b", home);
        assert_eq!(quota.check("b", home), Err(Full::Share));
        quota.add("b", ip("192.0.2.2"));
        assert_eq!(quota.check("c", ip("192.0.2.3")), Err(Full::All));
        quota.remove("a", home);
        assert_eq!(quota.check("a", home), Ok(()));
        quota.remove("a", home);
        quota.remove("b", home);
        quota.remove("b", ip("192.0.2.2"));
        assert_eq!(
            (quota.all, quota.peers.len(), quota.addresses.len()),
            (0, 0, 0)
        );
    }
}
