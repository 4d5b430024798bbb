//! Why the settings can't be used.

use std::{io, path::PathBuf};

use libp2p::Multiaddr;
use thiserror::Error;

/// Why there is no [`Config`](super::Config).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A certificate is named, and another one to be got.
    #[error(
        "--acme gets a certificate, and --tls-cert and --tls-key name another one in files; \
         use only one of the two ways"
    )]
    AcmeAndFiles,
    /// ACME is asked for in part.
    #[error("--acme needs {0} as well")]
    AcmeIncomplete(&'static str),
    /// The settings file names another data directory than the one it was found in.
    #[error(
        "`data-dir` has no effect in a settings file that was found by way of the data directory; \
         remove the line, or name the file with --config"
    )]
    DataDirInDataDir,
    /// An environment variable holds something that isn't a value of this setting.
    #[error("environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings file isn't valid.
    #[error("settings file {}: {source}", .path.display())]
    FileParse {
        /// The file.
        path: PathBuf,
        /// What TOML says; it names line and key.
        source: Box<toml::de::Error>,
    },
    /// The settings file can't be read.
    #[error("settings file {}: {source}; check the path given by --config", .path.display())]
    FileRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A bootstrap node is named without its peer id.
    #[error("--bootstrap {0}: the address has to end in /p2p/ and the node's peer id")]
    BootstrapWithoutPeer(Multiaddr),
    /// The platform names no place for data and none was given.
    #[error("this system names no data directory (is HOME set?); give one with --data-dir DIR")]
    NoDataDir,
    /// TLS is asked for in part.
    #[error("--tls needs {0} as well, or --acme to get a certificate by itself")]
    TlsIncomplete(&'static str),
    /// There is TURN, but no port for it.
    #[error("--turn on needs the port of --stun, which is off")]
    TurnWithoutStun,
    /// Every transport is off.
    #[error(
        "all of --tcp, --quic, --ws, --webrtc-direct and --tls are off: nobody could reach the node"
    )]
    NothingToDo,
    /// One of the above, about settings that were not all given by flags.
    #[error("{error} ({places})")]
    Placed {
        /// What is wrong.
        error: Box<Self>,
        /// Which setting stands in which line of which file, or in which variable.
        places: String,
    },
}

impl ConfigError {
    /// The settings that do not fit together, as fields of [`Settings`](super::Settings).
    pub(super) fn settings(&self) -> &'static [&'static str] {
        match self {
            Self::AcmeAndFiles => &["acme", "tls_cert", "tls_key"],
            Self::AcmeIncomplete(_) => &["acme", "tls", "domain", "acme_accept_terms"],
            Self::BootstrapWithoutPeer(_) => &["bootstrap"],
            Self::DataDirInDataDir => &["data_dir"],
            Self::TlsIncomplete(_) => &["tls", "tls_cert", "tls_key"],
            Self::TurnWithoutStun => &["turn", "stun"],
            Self::NothingToDo => &["tcp", "quic", "ws", "webrtc_direct", "tls"],
            Self::Environment { .. }
            | Self::FileParse { .. }
            | Self::FileRead { .. }
            | Self::NoDataDir
            | Self::Placed { .. } => &[],
        }
    }
}
