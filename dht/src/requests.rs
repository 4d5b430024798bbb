//! How much one peer may ask for. Pure: the time comes in.

use libp2p::PeerId;
use moim_protocol::rate::{Buckets, Rate, Source};
use web_time::Instant;

/// Requests to the DHT of one peer, of which an answer takes `ANSWER_BYTES_FREE` along. A peer that joins a hundred rooms at once asks each server a few hundred
/// times; one that is in them, a few times a second. Each request costs some 0.1 ms, so this is a
/// hundredth of a core for as long as somebody asks for nothing.
pub const REQUESTS_PER_PEER: Rate = Rate {
    per_second: 100,
    burst: 2_000,
};

/// Requests of all peers behind one address, so that new peer ids, which cost nothing, don't bring
/// new bursts: some hundred peers that join something all the time.
pub const REQUESTS_PER_SOURCE: Rate = Rate {
    per_second: 1_000,
    burst: 20_000,
};

/// An answer counts as one request more for each so many bytes that it has: those about 12 peers, or a presence,
/// are shorter. So one peer has 400 KiB a second, and 8 MiB at once.
pub(crate) const ANSWER_BYTES_FREE: usize = 4 * 1024;

/// By how many requests more an answer counts.
pub(crate) fn surcharge(bytes: usize) -> u32 {
    u32::try_from(bytes / ANSWER_BYTES_FREE).unwrap_or(u32::MAX)
}

/// Peers, and sources, that are remembered.
const REMEMBERED_MAX: usize = 8_192;

/// Counts what is asked.
#[derive(Debug)]
pub(crate) struct Requests {
    peers: Buckets<PeerId>,
    sources: Buckets<Source>,
}

impl Requests {
    pub(crate) fn new(per_peer: Rate, per_source: Rate) -> Self {
        Self {
            peers: Buckets::new(per_peer, REMEMBERED_MAX),
            sources: Buckets::new(per_source, REMEMBERED_MAX),
        }
    }

    /// Counts one request. Whether it is within bounds. All peers of this machine, or behind a
    /// reverse proxy on it, have no source in common.
    pub(crate) fn allows(&mut self, peer: PeerId, source: Option<Source>, now: Instant) -> bool {
        self.allow(1, peer, source, now)
    }

    /// Counts what goes out as an answer. Whether it is within bounds.
    pub(crate) fn allows_answer(
        &mut self,
        bytes: usize,
        peer: PeerId,
        source: Option<Source>,
        now: Instant,
    ) -> bool {
        self.allow(surcharge(bytes), peer, source, now)
    }

    fn allow(&mut self, requests: u32, peer: PeerId, source: Option<Source>, now: Instant) -> bool {
        let source = source.filter(|source| !source.is_loopback());
        self.peers.take_many(peer, requests, now)
            && source.is_none_or(|source| self.sources.take_many(source, requests, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(requests: &mut Requests, ip: [u8; 4], peers: usize, each: usize) -> usize {
        let (now, source) = (Instant::now(), Source::from(std::net::IpAddr::from(ip)));
        let peers: Vec<_> = (0..peers).map(|_| PeerId::random()).collect();
        let asking = peers
            .iter()
            .flat_map(|peer| std::iter::repeat_n(peer, each));
        asking
            .filter(|peer| requests.allows(**peer, Some(source), now))
            .count()
    }

    #[test]
    fn a_peer_has_its_part_and_many_ids_behind_one_address_have_theirs() {
        let burst = REQUESTS_PER_PEER.burst as usize;
        let mut requests = Requests::new(REQUESTS_PER_PEER, REQUESTS_PER_SOURCE);
        // As long as the test takes, tokens come back.
        let one = allowed(&mut requests, [192, 0, 2, 1], 1, burst * 2);
        assert!((burst..burst + 100).contains(&one), "{one}");
        let all = REQUESTS_PER_SOURCE.burst as usize;
        let many = allowed(&mut requests, [192, 0, 2, 2], 50, burst);
        assert!((all..all + 1_000).contains(&many), "{many}");
        assert_eq!(allowed(&mut requests, [192, 0, 2, 3], 300, 60), 18_000);
        let here = allowed(&mut requests, [127, 0, 0, 1], 50, burst);
        assert_eq!(here, 50 * burst);
    }

    #[test]
    fn long_answers_count_for_more() {
        let mut requests = Requests::new(REQUESTS_PER_PEER, REQUESTS_PER_SOURCE);
        let (now, peer) = (Instant::now(), PeerId::random());
        let longest = 16 * 1024;
        let mut bytes = 0;
        while requests.allows(peer, None, now) && requests.allows_answer(longest, peer, None, now) {
            bytes += longest;
        }
        let all = REQUESTS_PER_PEER.burst as usize * ANSWER_BYTES_FREE;
        assert!(bytes <= all && bytes > all / 2, "{bytes} of {all}");
        assert!(!requests.allows_answer(longest, peer, None, now));
        // What is short is free.
        assert!(requests.allows_answer(ANSWER_BYTES_FREE - 1, peer, None, now));
    }
}
