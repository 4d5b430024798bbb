//! Keeps what goes wrong on one libp2p connection on that connection.
//!
//! libp2p runs each connection in a task of its own, and takes the connection for open until that task
//! says otherwise. So a handler that panics leaves a connection that nobody can close, and a handler that
//! waits for somebody who never reads keeps what it has for as long as that somebody likes.
//!
//! - [`Behaviour`] wraps the outermost behaviour: a panic in a handler closes that connection.
//! - [`Transport`] wraps the outermost transport: a panic while a connection is set up or in its
//!   muxer ends that connection; nobody is waited for past [`Limits`].
//! - [`RelayServer`] keeps libp2p-relay 0.22 from panicking in the event loop.
//! - [`catch_future`] is for what must not end with a task, such as an event loop, and [`Falls`] says
//!   whether that may start once more.
//!
//! ```
//! use libp2p::{PeerId, core::{muxing::StreamMuxerBox, transport::Boxed}};
//! use moim_connection_guard::{Behaviour, Limits, Panics, Transport};
//!
//! /// Both of a swarm's parts, guarded.
//! fn guarded<B>(
//!     transport: Boxed<(PeerId, StreamMuxerBox)>,
//!     behaviour: B,
//! ) -> (Transport, Behaviour<B>) {
//!     let panics = Panics::default();
//!     (
//!         Transport::new(transport, Limits::default(), panics.clone()),
//!         Behaviour::new(behaviour, panics),
//!     )
//! }
//! ```
//!
//! [`Panics`] counts. Where `panic = abort` is set nothing can be caught; the limits hold there too.

#![forbid(unsafe_code)]

pub use crate::{
    behaviour::Behaviour,
    catch::{Panic, Panics, catch_future, quiet_caught_panics},
    falls::{Falls, RESTARTS_MAX, RESTARTS_WINDOW},
    handler::{Handler, Outcome, Upgrade, Upgrading},
    limits::Limits,
    relay::RelayServer,
    transport::{SetUp, Transport},
};

mod behaviour;
mod catch;
mod falls;
mod handler;
mod limits;
mod muxer;
mod relay;
mod stream;
mod transport;
