//! Moim from outside: a harness that runs the real programs on loopback and talks to them as a
//! user's scripts would. It uses no crate of the workspace, so nothing of a program can leak into
//! the test of it.
//!
//! The programs are taken from `MOIM_BOOTSTRAP_BIN` and `MOIM_BIN`, else from beside the test
//! executable, else they are built. Every process is ended when its handle is dropped, and when a
//! test fails its log is printed and kept.
//!
//! Nothing here sleeps to let something happen: a test waits for what it wants to see, with a
//! deadline. Failing means panicking with what was expected and what the programs said instead.

mod binary;
mod bootstrap;
mod http;
mod lab;
mod process;
mod terminal;

use std::{sync::atomic::AtomicU64, time::Duration};

pub use binary::{bootstrap_binary, example_binary, moim_binary};
pub use bootstrap::{BootstrapNode, Transport};
pub use http::{HttpAnswer, get};
pub use lab::Place;
pub use process::{Line, Output, Process, Signal, run};
pub use terminal::{Event, Terminal, TerminalBuilder, member_ids, see_each_other};

/// How long to wait for something whose time is not what a test is about. Ample, because the tests
/// share two cores with each other and with debug builds; what a test *is* about has its own bound.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Time in which members must see each other, from the start of the last one's process.
pub const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// Time in which a member that left must be gone.
pub const LEFT_WITHIN: Duration = Duration::from_secs(2);

/// Time in which everybody is back in the DHT after the bootstrap node's return.
pub const BACK_WITHIN: Duration = Duration::from_secs(15);

/// A topic that no other test uses.
pub fn topic(about: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{about}-{}-{count}", std::process::id())
}
