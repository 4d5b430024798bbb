//! Why the node doesn't start or doesn't go on.

use std::io;

use libp2p::{Multiaddr, PeerId};
use moim_connection_guard::{Panic, RESTARTS_WINDOW};
use thiserror::Error;

pub use crate::{
    admin::TokenError, data_dir::DataDirError, identity::IdentityError, site::WebError,
    sockets::ListenError,
};
use crate::{
    config::Config,
    store::StoreError,
    tls::{self, AcmeError, CertificateError},
};

/// An address to announce names another peer.
#[derive(Debug, Error)]
#[error(
    "--external-address {address} names another peer than this node, which is {peer_id}; \
     remove the /p2p part or correct it"
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
        let listening = match &self {
            Self::Listen(error) => error.setting(),
            _ => String::new(),
        };
        let settings: &[&str] = match &self {
            Self::Acme(AcmeError::RootRead { .. } | AcmeError::RootPem { .. }) => &["acme_root"],
            Self::Certificate(_) => &["tls_cert", "tls_key"],
            Self::DataDir(
                DataDirError::Create { .. } | DataDirError::InUse(_) | DataDirError::Write { .. },
            ) => &["data_dir"],
            Self::ExternalAddress(_) => &["external_address"],
            Self::Listen(_) => &[&listening],
            Self::Web(_) => &["web"],
            Self::Acme(_)
            | Self::DataDir(_)
            | Self::Identity(_)
            | Self::Noise(_)
            | Self::Placed { .. }
            | Self::Runtime(_)
            | Self::Store(_)
            | Self::StoreThread(_)
            | Self::Tls(_)
            | Self::Token(_) => &[],
        };
        config.placed(self, settings, |error, places| Self::Placed {
            error,
            places,
        })
    }
}

impl From<tls::OpenError> for StartError {
    fn from(error: tls::OpenError) -> Self {
        match error {
            tls::OpenError::Acme(error) => error.into(),
            tls::OpenError::Certificate(error) => error.into(),
            tls::OpenError::Tls(error) => error.into(),
        }
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
    #[error("the task that looks after the certificate stopped unexpectedly")]
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
    #[error("all listeners have stopped; is the network down? the log has the reason of each")]
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
