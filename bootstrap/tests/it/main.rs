//! The node as its users meet it: as a process, over its sockets.
//!
//! Every test starts a node of its own on loopback, with ports the system picks and a fresh data
//! directory, and waits for what the node says, never for time to pass.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod acme;
mod admin;
mod attacks;
mod block_list;
mod churn;
mod client;
mod errors;
mod hostile;
mod http;
mod lifecycle;
mod metrics;
mod network;
mod packaging;
mod page;
mod process;
#[cfg(unix)]
mod reload;
mod store;
mod stun;
mod tls;
mod tls_client;
mod turn;
mod turn_client;

use std::time::Duration;

/// No test waits longer than this for anything. Generous, for a machine that builds at the same
/// time.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What `future` gives, or a failed test.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("waited too long: {what}"))
}

/// Waits until something is so that can only be asked about.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !is_so().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
}
