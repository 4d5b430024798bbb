//! How many connections there may be: what the settings and [`limits`] say, or less where the process may not open
//! so many files. Pure.

use std::num::NonZeroU32;

use crate::limits;

/// Bounds of the node, and of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Being set up by others, by each transport.
    pub(crate) pending: u32,
    pub(crate) inbound: u32,
    pub(crate) pending_outbound: u32,
    pub(crate) outbound: u32,
    pub(crate) per_peer: u32,
    /// By each transport.
    pub(crate) source_pending: u32,
    pub(crate) source_inbound: u32,
    pub(crate) http: usize,
    pub(crate) source_http: usize,
    pub(crate) turn: TurnFiles,
}

/// What the TURN server may open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnFiles {
    /// Ports for allocations.
    pub(crate) allocations: u32,
    /// TCP connections.
    pub(crate) connections: usize,
}

impl Capacity {
    /// What a process has that may open `files` files, and is to take no more than `inbound_max`
    /// connections from others. When connections took the last of them, the
    /// node could neither answer for its health nor open its store, so each use has its part: a
    /// tenth for HTTP, as much for connections to others, the rest for connections from others.
    /// A TURN server that is wanted, with so many allocations, has a quarter before that.
    pub(crate) fn of_files(
        files: u64,
        inbound_max: NonZeroU32,
        turn_allocations: Option<u32>,
    ) -> Self {
        let files = files.saturating_sub(limits::OPEN_FILES_RESERVED);
        let turn = turn_allocations.map(|allocations| TurnFiles {
            allocations: (files / 8).min(allocations.into()) as u32,
            connections: (files / 8).min(limits::TURN_CONNECTIONS_MAX as u64) as usize,
        });
        let turn = turn.unwrap_or_default();
        let files = files - u64::from(turn.allocations) - turn.connections as u64;
        let part = |max: u64, tenths: u64| max.min(files.saturating_mul(tenths) / 10).max(4);
        let small = |max: u32, tenths| part(max.into(), tenths) as u32;
        let pending = small(limits::PENDING_INBOUND_MAX, 1);
        let http = part(limits::HTTP_CONNECTIONS_MAX as u64, 1) as usize;
        let pending_outbound = small(limits::PENDING_OUTBOUND_MAX, 1);
        let outbound = small(limits::OUTBOUND_MAX, 1);
        // TCP and WebSocket take files; QUIC and WebRTC have one for all.
        let others = u64::from(2 * pending + pending_outbound + outbound) + http as u64;
        let rest = files.saturating_sub(others).max(4);
        let inbound = rest.min(inbound_max.get().into()) as u32;
        Self {
            pending,
            inbound,
            pending_outbound,
            outbound,
            per_peer: limits::CONNECTIONS_PER_PEER_MAX,
            source_pending: pending / limits::SOURCE_PART,
            source_inbound: inbound / limits::SOURCE_PART,
            http,
            source_http: http / limits::SOURCE_PART as usize,
            turn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_files_enough_it_is_what_the_limits_say() {
        for (files, turn) in [
            (8_192, None),
            (12_288, Some(1_024)),
            (u64::MAX, Some(1_024)),
        ] {
            let capacity = Capacity::of_files(files, limits::INBOUND_MAX, turn);
            assert_eq!(capacity.inbound, limits::INBOUND_MAX.get());
            assert_eq!(capacity.pending, limits::PENDING_INBOUND_MAX);
            assert_eq!(capacity.http, limits::HTTP_CONNECTIONS_MAX);
            assert_eq!(capacity.outbound, limits::OUTBOUND_MAX);
        }
    }

    #[test]
    fn an_operator_may_ask_for_more_or_fewer_connections() {
        let inbound = |files, max| {
            let max = NonZeroU32::new(max).unwrap();
            Capacity::of_files(files, max, None).inbound
        };
        assert_eq!(inbound(20_000, 10_000), 10_000);
        assert_eq!(inbound(20_000, 7), 7);
        // The others' parts stay as they are.
        assert_eq!(
            inbound(20_000, u32::MAX),
            20_000 - 64 - 1_000 - 512 - 200 - 64
        );
    }

    #[test]
    fn it_never_needs_more_files_than_there_are_and_one_source_never_has_it_all() {
        for files in 128..10_000 {
            let inbound_max = NonZeroU32::new(4_000 + files as u32 % 3 * 4_000).unwrap();
            let c = Capacity::of_files(files, inbound_max, (files % 2 == 0).then_some(1_024));
            let turn = c.turn.connections as u64 + u64::from(c.turn.allocations);
            let network = 2 * c.pending + c.inbound + c.pending_outbound + c.outbound;
            let all = u64::from(network) + c.http as u64 + turn + limits::OPEN_FILES_RESERVED;
            assert!(all <= files, "{files}: {c:?}");
            for part in [c.source_pending, c.source_inbound, c.source_http as u32] {
                assert!(part >= 1, "{files}: {c:?}");
            }
            assert!(c.source_inbound * 2 <= c.inbound && c.source_pending * 2 <= c.pending);
            assert!(c.source_http * 2 <= c.http);
        }
    }
}
