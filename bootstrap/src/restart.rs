//! Starts the node anew when it panics.
//!
//! A fault that a remote can reach must not take the node from everybody else for longer than a start
//! takes. One that comes back at once would make the node start for ever, so there is an end of it; what
//! supervises the process (`supervisor.rs`) then has its own pauses.

use std::{
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    time::Instant,
};

use libp2p::multiaddr::Protocol;
use moim_connection_guard::{Falls, RESTARTS_MAX};
use tokio::{sync::watch, time};

use crate::{
    config::{Config, Listen},
    connections,
    error::{RunError, StartError},
    limits,
    node::{Node, Past},
    output, sockets,
    status::Status,
};

/// Runs a node, which has this configuration, until `shutdown` is ready, and starts another one with the same identity, store and
/// addresses if it panics.
///
/// # Errors
///
/// If it can't go on, can't start again, or panics too often.
pub(crate) async fn keep_running(
    mut node: Node,
    mut config: Config,
    mut past: Past,
    configs: watch::Receiver<Config>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let mut shutdown = pin!(shutdown);
    let mut falls = Falls::default();
    let mut is_told = false;
    loop {
        let status = node.status();
        past.blocked = Some(node.blocked());
        let announcing = output::announce_ready(status.clone(), config.log_format, !is_told);
        let running = node.run(configs.clone(), shutdown.as_mut());
        let (result, told) = futures::join!(running, announcing);
        is_told |= told;
        let error = match result {
            Err(error) if error.is_panic() => error,
            other => return other,
        };
        if !falls.another(Instant::now()) {
            return Err(RunError::GaveUp {
                times: RESTARTS_MAX,
                source: Box::new(error),
            });
        }
        past.restarts += 1;
        tracing::error!(
            %error,
            restarts = past.restarts,
            "the node panicked and starts anew with the same identity, store and addresses; please \
             report this line"
        );
        config = pinned(config.with_live(&configs.borrow()), &status.borrow());
        node = match start_again(&config, &past, shutdown.as_mut()).await? {
            Some(node) => node,
            None => return Ok(()),
        };
    }
}

/// Starts as soon as the sockets and files of the node before are free, or gives `None` if it is to stop.
async fn start_again(
    config: &Config,
    past: &Past,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Node>, StartError> {
    let started = Instant::now();
    loop {
        let is_late = started.elapsed() > limits::RESTART_PATIENCE;
        if is_late || !sockets::is_any_in_use(config) {
            match Node::start_after(config, past) {
                Ok(node) => return Ok(Some(node)),
                Err(error) if is_late => return Err(error),
                Err(error) => tracing::debug!(%error, "not yet"),
            }
        }
        tokio::select! {
            () = &mut shutdown => return Ok(None),
            () = time::sleep(limits::RESTART_PAUSE) => {}
        }
    }
}

/// The same settings, with the ports that the system chose.
fn pinned(mut config: Config, status: &Status) -> Config {
    let port_of = |transport| {
        let is_it = |address: &&_| connections::transport(address) == transport;
        let address = status.listening.iter().find(is_it)?;
        address.iter().find_map(|protocol| match protocol {
            Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
            _ => None,
        })
    };
    let first = |sockets: &[SocketAddr]| sockets.first().map(SocketAddr::port);
    pin_port(&mut config.tcp, port_of("tcp"));
    pin_port(&mut config.quic, port_of("quic"));
    pin_port(&mut config.ws, port_of("ws"));
    pin_port(&mut config.webrtc_direct, port_of("webrtc-direct"));
    pin_port(&mut config.http, first(&status.http));
    pin_port(&mut config.tls, first(&status.tls));
    pin_port(&mut config.stun, first(&status.stun));
    config
}

fn pin_port(listen: &mut Listen, chosen: Option<u16>) {
    if let (Listen::At { port: port @ 0, .. }, Some(chosen)) = (listen, chosen) {
        *port = chosen;
    }
}

#[cfg(test)]
pub(crate) mod tests;
