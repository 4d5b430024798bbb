//! Why the node doesn't start or doesn't go on.

use std::{io, net::SocketAddr};

use connection_guard::{Panic, RESTARTS_WINDOW};
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;

pub use crate::{
    admin::TokenError, data_dir::DataDirError, identity::IdentityError, site::WebError,
};
use crate::{
    config::Config,
    store::StoreError,
    tls::{AcmeError, CertificateError},
};

/// An address to announce names another peer.
#[derive(Debug, Error)]
#[error(
    "--external-address {address} names another peer than this node, which is {peer_id}; \
     leave the /p2p part away or correct it"
)]
pub struct ExternalAddressError {
    /// The address.
    pub address: Multiaddr,
    /// This node.
    pub peer_id: PeerId,
}

/// Why a running node takes up no other settings.
#[derive(Debug, Error)]
pub(crate) enum ReloadError {
    #[error(transparent)]
    ExternalAddress(#[from] ExternalAddressError),
    #[error(transparent)]
    Web(#[from] WebError),
    #[error("{error} ({places})")]
    Placed { error: Box<Self>, places: String },
}

impl ReloadError {
    /// With the places of the settings that it is about.
    pub(crate) fn placed(self, config: &Config) -> Self {
        let settings: &[&str] = match &self {
            Self::ExternalAddress(_) => &["external_address"],
            Self::Web(_) => &["web"],
            Self::Placed { .. } => &[],
        };
        config.placed(self, settings, |error, places| Self::Placed {
            error,
            places,
        })
    }
}

/// Why the node can't start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// What is needed to get a certificate can't be used.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The data directory can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// An address to announce names another peer.
    #[error(transparent)]
    ExternalAddress(#[from] ExternalAddressError),
    /// Key or certificate can't be loaded or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An address can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The encrypted transports can't be set up.
    #[error("can't set up encryption")]
    Noise(#[from] libp2p::noise::Error),
    /// A socket can't be handed to the runtime.
    #[error("can't hand a socket to the asynchronous runtime")]
    Runtime(#[source] io::Error),
    /// The store of the DHT can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no thread to write the store.
    #[error("can't start a thread to write the store")]
    StoreThread(#[source] io::Error),
    /// The certificate can't be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS can't be set up.
    #[error("can't set up TLS")]
    Tls(#[from] futures_rustls::rustls::Error),
    /// There is no token for the dashboard.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The page can't be served.
    #[error(transparent)]
    Web(#[from] WebError),
    /// One of the above, about settings that were not all given by flags.
    #[error("{error} ({places})")]
    Placed {
        /// What is wrong.
        error: Box<Self>,
        /// Which setting stands in which line of which file, or in which variable.
        places: String,
    },
}

impl StartError {
    /// With the places of the settings that it is about.
    pub(crate) fn placed(self, config: &Config) -> Self {
        let settings = self.settings();
        config.placed(self, &settings, |error, places| Self::Placed {
            error,
            places,
        })
    }

    /// The settings that it is about, as fields of [`Settings`](crate::Settings).
    fn settings(&self) -> Vec<&'static str> {
        match self {
            Self::Acme(AcmeError::RootRead { .. } | AcmeError::RootPem { .. }) => vec!["acme_root"],
            Self::Certificate(_) => vec!["tls_cert", "tls_key"],
            Self::DataDir(
                DataDirError::Create { .. } | DataDirError::InUse(_) | DataDirError::Write { .. },
            ) => vec!["data_dir"],
            Self::ExternalAddress(_) => vec!["external_address"],
            Self::Listen(error) => error.setting().into_iter().collect(),
            Self::Web(_) => vec!["web"],
            Self::Acme(_)
            | Self::DataDir(_)
            | Self::Identity(_)
            | Self::Noise(_)
            | Self::Placed { .. }
            | Self::Runtime(_)
            | Self::Store(_)
            | Self::StoreThread(_)
            | Self::Tls(_)
            | Self::Token(_) => Vec::new(),
        }
    }
}

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
    fn setting(&self) -> Option<&'static str> {
        let of_flags = [
            ("--tcp", "tcp"),
            ("--quic", "quic"),
            ("--ws", "ws"),
            ("--webrtc-direct", "webrtc_direct"),
            ("--http", "http"),
            ("--tls", "tls"),
            ("--stun", "stun"),
        ];
        let found = of_flags.into_iter().find(|(flag, _)| *flag == self.flag);
        found.map(|(_, setting)| setting)
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

/// Why a running node stopped, other than being told to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The HTTP server is gone.
    #[error("the HTTP server stopped unexpectedly")]
    Http(#[source] tokio::task::JoinError),
    /// The STUN and TURN server is gone.
    #[error("the STUN and TURN server stopped unexpectedly")]
    Stun(#[source] tokio::task::JoinError),
    /// The thread that writes the store is gone, and with it what was not written.
    #[error("the thread that writes the store panicked")]
    Store,
    /// What looks after the certificate is gone.
    #[error("what looks after the certificate stopped unexpectedly")]
    Certificate(#[source] tokio::task::JoinError),
    /// The event loop panicked.
    #[error("the event loop panicked: {0}")]
    Panicked(Panic),
    /// It panicked again and again.
    #[error(
        "the node panicked and was started anew {times} times within {} minutes, and panicked again; \
         please report what it says here and in the log",
        RESTARTS_WINDOW.as_secs() / 60
    )]
    GaveUp {
        /// How often it was started anew.
        times: usize,
        /// How it ended the last time.
        source: Box<Self>,
    },
    /// It couldn't start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is nothing left to listen on.
    #[error(
        "none of the listeners is left; is the network down? see the log for each one's reason"
    )]
    Unreachable,
}

impl RunError {
    /// Whether something panicked that can be started anew.
    pub(crate) fn is_panic(&self) -> bool {
        match self {
            // A thread that writes ends by itself only when it panics.
            Self::Panicked(_) | Self::Store => true,
            Self::Http(error) | Self::Stun(error) | Self::Certificate(error) => error.is_panic(),
            Self::GaveUp { .. } | Self::Start(_) | Self::Unreachable => false,
        }
    }
}

#[cfg(test)]
mod tests;
