//! The bootstrap node of a Moim network, as a library that its binary and its tests run.
//!
//! A bootstrap node is what a newcomer meets first: a server of the DHT, a relay for those that
//! can't be dialled, the place where the page and its addresses (`/bootstrap.json`) come from, a STUN
//! server that tells peers behind NATs their public address, and if wanted a TURN server that relays
//! between them. It knows no rooms and reads no messages.
//!
//! [`Config`] says what to do, [`Node`] does it, [`Status`] tells how it stands:
//!
//! ```no_run
//! # async fn example() -> Result<(), moim_bootstrap::RunError> {
//! # let config: moim_bootstrap::Config = unimplemented!();
//! let node = moim_bootstrap::Node::start(&config)?;
//! println!("{:?}", node.status().borrow());
//! // Other settings, while it runs.
//! let (_configs, receiver) = tokio::sync::watch::channel(config);
//! node.run(receiver, async { tokio::signal::ctrl_c().await.unwrap() }).await
//! # }
//! ```
//!
//! **Invariant:** only [`Node`]'s event loop touches the swarm.

#![forbid(unsafe_code)]

use std::future::Future;

use tokio::sync::watch;

pub use crate::{
    args::Args,
    commands::{
        BlockCommand, BlockError, CheckError, Command, CommandError, InitError, StoreCommand,
        StoreCommandError, check,
    },
    config::{
        AcmeCa, AcmeCaParseError, Admin, Config, ConfigError, Domain, DomainParseError, Host,
        Listen, ListenParseError, LogFormat, Mail, MailParseError, PortRange, PortRangeParseError,
        Settings, Switch, Web,
    },
    error::{
        DataDirError, ExternalAddressError, IdentityError, ListenError, RunError, StartError,
        TokenError, WebError,
    },
    node::Node,
    output::init_log,
    status::Status,
    store::StoreError,
    tls::{AcmeError, CertificateError},
};

mod addresses;
mod admin;
mod admission;
mod args;
mod autonat;
mod behaviour;
mod block_list;
mod commands;
mod config;
mod connections;
mod data_dir;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod ice;
mod identity;
mod limits;
mod metrics;
mod node;
mod output;
mod process;
mod rejections;
mod relay;
mod restart;
mod site;
mod sockets;
mod status;
mod store;
mod stun;
mod supervisor;
mod swarm;
mod tls;
mod turn;
mod turned_away;

/// Runs a node until `shutdown` is ready, and says on stdout where it can be reached. Of the
/// configurations that come later it takes up what a running node can. If the node panics, another one
/// with the same identity, store and addresses takes its place, a few times.
///
/// # Errors
///
/// If it can't start or can't go on.
pub async fn run(
    configs: watch::Receiver<Config>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let config = configs.borrow().clone();
    let past = node::Past::default();
    let node = Node::start_after(&config, &past)?;
    restart::keep_running(node, config, past, configs, shutdown).await
}
