//! What can happen in the network.

use moim_room::{Protocol, RequestId};

use super::net::Index;

/// What happens at some moment.
#[derive(Debug)]
pub enum Happening {
    Timer(Index),
    Redial(Index),
    Dialled {
        from: Index,
        to: Index,
    },
    DialFailed {
        from: Index,
        to: Index,
    },
    /// Both ends, or the one that is left, notice that a connection is closed.
    Closed {
        one: Index,
        other: Index,
        link: u64,
    },
    Listens {
        at: Index,
        who: Index,
        is_on: bool,
    },
    Request {
        from: Index,
        to: Index,
        link: u64,
        protocol: Protocol,
        request: RequestId,
        body: Vec<u8>,
    },
    Unreached {
        node: Index,
        request: RequestId,
    },
    Response {
        to: Index,
        link: u64,
        request: RequestId,
        body: Vec<u8>,
    },
    Gossip {
        from: Index,
        to: Index,
        link: u64,
        author: Index,
        data: Vec<u8>,
    },
    Providers(Index),
    Put {
        node: Index,
        is_last: bool,
    },
    Lost {
        at: Index,
        who: Index,
    },
    Do(Index, Deed),
}

/// What people do.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Join,
    Say,
    Leave,
    /// It ends without a word.
    Die,
    /// A connection breaks, to be made again.
    BreakConnection,
}
