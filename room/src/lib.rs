//! A Moim room.

#![forbid(unsafe_code)]
// Remotes choose the numbers and lengths that arrive here.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
    )
)]

use moim_protocol::UnixMillis;
use web_time::Instant;

mod announcing;
mod around;
mod asking;
mod catching_up;
mod config;
mod conversation;
mod hearing;
mod input;
mod leaving;
mod links;
mod lookup;
mod meeting;
mod members;
mod neighbourhood;
mod output;
mod room;
mod saying;
mod search;
mod talk;
mod telling;
#[cfg(test)]
mod testing;

pub use self::{
    config::Config,
    input::{AskId, Failure, GossipId, Input, RequestId},
    lookup::{Lookup, LookupConfig},
    output::{
        Acceptance, Event, LeaveReason, Member, Message, NotSaid, Output, Protocol, Response,
        text_bytes,
    },
    room::{PAGE_BYTES_MAX, Room},
};

/// What time it is, by both clocks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For how long: it never goes back.
    pub instant: Instant,
    /// For what is signed, and for how old what others have signed may be.
    pub wall: UnixMillis,
}
