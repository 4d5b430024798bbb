//! What the process says: the log on stderr, and on stdout where it can be reached.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use libp2p::Multiaddr;
use serde::Serialize;
use tokio::sync::watch;
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::{addresses, config::LogFormat, status::Status, supervisor};

/// What is logged unless RUST_LOG says otherwise: our own words, and of the libraries only errors.
/// Many of their warnings are about what peers send, and all errors of yamux and SCTP, so that anybody could fill
/// the disk with them.
const DEFAULT_LOG: &str = "error,yamux=off,sctp_proto=off,moim_bootstrap=info,moim_dht=info";

/// The line of `--log-format json`.
#[derive(Debug, Serialize)]
struct Ready {
    r#type: &'static str,
    peer_id: String,
    addresses: Vec<String>,
    http: Vec<String>,
    https: Vec<String>,
    stun: Vec<String>,
    turn: Vec<String>,
}

/// Starts logging what `wanted` (of RUST_LOG) chooses. Does nothing if the process logs already.
pub fn init_log(format: LogFormat, wanted: Option<&str>) {
    let (filter, error) = filter(wanted);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // An error means that somebody else, e.g. a test, has started it.
    let _ = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.try_init(),
    };
    if let Some(error) = error {
        tracing::warn!(%error, "RUST_LOG can't be used; the default is logged");
    }
}

/// What is logged, and what is wrong with what is wanted. Nothing is wanted by a variable that is empty,
/// as by one that is not set: silence is `off`.
fn filter(wanted: Option<&str>) -> (EnvFilter, Option<ParseError>) {
    let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
    match EnvFilter::try_new(wanted.unwrap_or(DEFAULT_LOG)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_LOG), Some(error)),
    }
}

/// Waits until the node is ready and says so in the log, and the first time on stdout. Returns whether it
/// could, or the node is gone.
pub(crate) async fn announce_ready(
    mut status: watch::Receiver<Status>,
    format: LogFormat,
    is_first: bool,
) -> bool {
    let Ok(status) = status
        .wait_for(|status| status.ready)
        .await
        .map(|status| status.clone())
    else {
        return false;
    };
    tracing::info!(peer_id = %status.peer_id, http = ?status.http, "ready");
    supervisor::ready();
    if !is_first {
        return true;
    }
    let text = match format {
        LogFormat::Json => ready_line(&status),
        LogFormat::Text => ready_block(&status),
    };
    let mut stdout = io::stdout().lock();
    // Nobody has to read it.
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    true
}

fn ready_line(status: &Status) -> String {
    let ready = Ready {
        r#type: "ready",
        peer_id: status.peer_id.to_string(),
        addresses: all(status).iter().map(ToString::to_string).collect(),
        http: http(status),
        https: https(status),
        stun: stun(status),
        turn: turn(status),
    };
    // Strings only: can't fail.
    serde_json::to_string(&ready)
        .map(|line| line + "\n")
        .unwrap_or_default()
}

fn ready_block(status: &Status) -> String {
    let mut text = format!("Moim bootstrap node {}\n", status.peer_id);
    for url in http(status).into_iter().chain(https(status)) {
        if status.page {
            text += &format!("  {url}/ (the page)\n");
        }
        if status.admin {
            text += &format!("  {url}/admin (the dashboard)\n");
        }
        text += &format!("  {url}/bootstrap.json\n");
    }
    for address in all(status) {
        text += &format!("  {address}\n");
    }
    for url in stun(status).into_iter().chain(turn(status)) {
        text += &format!("  {url}\n");
    }
    text
}

fn all(status: &Status) -> Vec<Multiaddr> {
    // As if asked from this machine: that is where these lines are read.
    let here = Some(Ipv4Addr::LOCALHOST.into());
    addresses::for_asker(
        &status.external,
        &status.listening,
        here,
        true,
        status.peer_id,
    )
}

/// The URLs under which this machine reaches the HTTP server.
fn http(status: &Status) -> Vec<String> {
    let urls = status.http.iter();
    urls.map(|socket| format!("http://{}", here(*socket)))
        .collect()
}

/// The URLs of the TLS port under the name that its certificate is for, or else as this machine
/// reaches it.
fn https(status: &Status) -> Vec<String> {
    match &status.domain {
        Some((name, port)) => vec![format!("https://{name}:{port}")],
        None => {
            let urls = status.tls.iter();
            urls.map(|socket| format!("https://{}", here(*socket)))
                .collect()
        }
    }
}

/// The URLs of the STUN server (RFC 7064) for this machine.
fn stun(status: &Status) -> Vec<String> {
    let urls = status.stun.iter();
    urls.map(|socket| format!("stun:{}", here(*socket)))
        .collect()
}

/// The URLs of the TURN server (RFC 7065) for this machine.
fn turn(status: &Status) -> Vec<String> {
    let sockets = status.stun.iter().filter(|_| status.turn);
    sockets
        .map(|socket| format!("turn:{}", here(*socket)))
        .collect()
}

/// The address by which this machine reaches a socket of its own.
fn here(mut socket: SocketAddr) -> SocketAddr {
    if socket.ip().is_unspecified() {
        socket.set_ip(match socket {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    socket
}
