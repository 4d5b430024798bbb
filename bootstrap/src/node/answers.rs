//! What the node answers to peers that ask for ICE servers and for the time.

use std::time::{Instant, SystemTime};

use libp2p::PeerId;
use moim_protocol::{
    UnixMillis,
    ice_wire::Response,
    limits::{ASKED_PER_PEER, SHARES_MAX},
    rate::Buckets,
    time_wire,
    wire::ErrorCode,
};

use crate::{ice, status::Status, turn::Credentials};

/// Who has asked, and what they are given.
#[derive(Debug)]
pub(super) struct Answers {
    /// `None` if there is no TURN server.
    credentials: Option<Credentials>,
    /// Who has asked for ICE servers lately.
    ice_asked: Buckets<PeerId>,
    /// What is left of each peer's questions for the time.
    time_asked: Buckets<PeerId>,
}

impl Answers {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self {
            credentials,
            ice_asked: Buckets::new(ASKED_PER_PEER, SHARES_MAX),
            time_asked: Buckets::new(ASKED_PER_PEER, SHARES_MAX),
        }
    }

    /// Which ICE servers there are.
    pub(super) fn ice_servers(&mut self, peer: PeerId, request: &[u8], status: &Status) -> Vec<u8> {
        let now = Instant::now();
        let answer = if self.ice_asked.take(peer, now) {
            let turn = self.credentials.as_ref();
            let turn = turn.map(|credentials| {
                let issued = credentials.issue(&peer, now);
                (issued, credentials.life())
            });
            ice::answer(request, status, turn)
        } else {
            Response::error(ErrorCode::Busy, "asked too often")
        };
        answer.encode()
    }

    /// What time it is, by the clock that records are judged by.
    pub(super) fn time(&mut self, peer: PeerId, request: &[u8]) -> Vec<u8> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = UnixMillis::from_epoch(since.unwrap_or_default());
        let answer = if self.time_asked.take(peer, Instant::now()) {
            match time_wire::Request::decode(request) {
                Ok(time_wire::Request::Get) => time_wire::Response::Time(now),
                Err(error) => time_wire::Response::from(&error),
            }
        } else {
            time_wire::Response::Error {
                code: ErrorCode::Busy,
                reason: "asked too often".to_owned(),
            }
        };
        answer.encode()
    }
}
