//! Why a socket can't be opened.

use std::{io, net::SocketAddr};

use thiserror::Error;

/// Why an address can't be listened on.
#[derive(Debug, Error)]
#[error("can't listen on {socket} ({flag}): {}", explain(flag, source))]
#[non_exhaustive]
pub struct ListenError {
    /// The flag that chose the address, with its dashes.
    pub flag: &'static str,
    /// The address.
    pub socket: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

impl ListenError {
    /// The setting that chose the address, as a field of [`Settings`](crate::Settings).
    pub(crate) fn setting(&self) -> String {
        self.flag.trim_start_matches('-').replace('-', "_")
    }
}

fn explain(flag: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program uses this port, perhaps another bootstrap node; stop it, or choose \
             another port with {flag} HOST:PORT, or {flag} off"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "this machine has no such address; choose one with {flag} HOST:PORT (`*` for all)"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "not permitted; ports below 1024 need a privilege, so choose a higher one with {flag} \
             HOST:PORT"
        ),
        _ => error.to_string(),
    }
}
