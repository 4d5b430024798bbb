//! What the node is told to do: settings from flags, environment and file, merged into a
//! [`Config`].
//!
//! Precedence is flag, then environment, then file, then default, setting by setting. This module
//! reads a file and is handed the environment; it opens nothing else and starts nothing.

use std::{io, num::NonZeroU32, path::PathBuf, str::FromStr};

use clap::{Parser, ValueEnum};
use libp2p::{Multiaddr, multiaddr::Protocol};
use moim_dht::StoreLimits;
use serde::Deserialize;
use thiserror::Error;

use self::places::Places;
pub use self::{
    acme::{AcmeCa, AcmeCaParseError, AcmeConfig, Mail, MailParseError},
    listen::{Host, Listen, ListenParseError},
    log_format::LogFormat,
    settings::Settings,
    tls::{Domain, DomainParseError, Tls},
    turn::{Switch, TurnConfig},
    web::Web,
};
use crate::{commands::Command, limits};

mod acme;
mod entries;
mod listen;
mod log_format;
mod places;
mod reload;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod turn;
mod web;

/// Where TCP and QUIC listen by default: on the port that the predecessor of Moim used.
const DEFAULT: Listen = Listen::At {
    host: Host::All,
    port: 8468,
};
/// Where WebSocket and WebRTC-direct listen by default.
const DEFAULT_FOR_PAGES: Listen = Listen::At {
    host: Host::All,
    port: 8469,
};
/// Where STUN listens by default (RFC 8489, section 18.6).
const DEFAULT_STUN: Listen = Listen::At {
    host: Host::All,
    port: 3478,
};
/// Where HTTP listens by default.
const DEFAULT_HTTP: Listen = Listen::At {
    host: Host::All,
    port: 8470,
};
/// Memory for the DHT's records by default, see [`moim_dht::StoreLimits`].
const DEFAULT_STORE_MEMORY: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// Name of the configuration file looked for in the data directory when none is named.
pub(crate) const CONFIG_FILE: &str = "moim-bootstrap.toml";

const AFTER_HELP: &str = "\
ADDRESSES
  HOST:PORT  HOST is an IPv4 address, an IPv6 address in brackets, `localhost`, or `*` for every
             address of the machine, IPv4 and IPv6. Port 0 takes any free port; the start-up
             output and /bootstrap.json tell which.
  off        Don't listen on this transport.

HTTP
  /                the page, where the node was built with it (`cargo xtask build`) or --web names it
  /bootstrap.json  the peer id and the addresses to dial, for pages and for `moim --bootstrap URL`
  /health          200 while the node is listening, for supervisors
  /metrics         Prometheus text format
  /admin           a dashboard, for this machine and for who has the token

FILES in the data directory
  identity.key         the key the peer id is made of; keep it secret, keep a copy
  acme-account.json    the account at the CA of --acme; keep it secret
  acme-certificate.json  the certificate that it gave, and its key; keep it secret
  acme-attempts.json   when the CA was asked lately
  admin.token          what /admin asks for from elsewhere
  webrtc.pem           the certificate that the /webrtc-direct addresses name
  store.redb           records and providers of the DHT, and peers to come back by
  blocked.txt          who gets nothing, see `moim-bootstrap block --help`
  moim-bootstrap.toml  settings, if you like: one key per flag, e.g.
                         ws = \"0.0.0.0:8469\"
                         external-address = [\"/dns4/moim.example.org/tcp/8469/ws\"]

A flag wins over the environment, the environment over the file, the file over the default.
At SIGHUP a running node reads its settings again and says what it took up and what needs a restart.
RUST_LOG chooses what is logged (to stderr), e.g. RUST_LOG=moim_bootstrap=debug.

EXIT CODES
  0 stopped by SIGINT or SIGTERM    1 could not start or go on    2 bad flags or settings";

/// The command line of `moim-bootstrap`.
#[derive(Clone, Debug, Default, Parser)]
#[command(
    name = "moim-bootstrap",
    version,
    // The last one wins, so that a script's flags can be changed by adding to them.
    args_override_self = true,
    about = "The bootstrap node of a Moim network: entry point, DHT server and relay",
    after_help = AFTER_HELP
)]
pub struct Args {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings file [env: MOIM_CONFIG] [default: moim-bootstrap.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say whether the settings are right and which are in force, and do nothing else
    #[arg(long)]
    pub check_config: bool,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

/// Who sees the dashboard at `/admin`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// Whoever is at this machine, and whoever has the token.
    #[default]
    Local,
    /// There is none.
    Off,
    /// Only who has the token.
    Token,
}

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(text, true)
            .map_err(|_| "expected `local`, `token` or `off`".into())
    }
}

/// Everything the node needs to know before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Directory of the node's state; created if missing.
    pub data_dir: PathBuf,
    /// libp2p over TCP.
    pub tcp: Listen,
    /// libp2p over QUIC.
    pub quic: Listen,
    /// libp2p over WebSocket.
    pub ws: Listen,
    /// libp2p over WebRTC-direct.
    pub webrtc_direct: Listen,
    /// STUN.
    pub stun: Listen,
    /// TURN, on the sockets of STUN.
    pub turn: TurnConfig,
    /// HTTP.
    pub http: Listen,
    /// HTTPS and secure WebSocket.
    pub tls: Tls,
    /// The page.
    pub web: Web,
    /// Who sees the dashboard.
    pub admin: Admin,
    /// Addresses announced besides those listened on.
    pub external_addresses: Vec<Multiaddr>,
    /// Other bootstrap nodes of the network.
    pub bootstrap: Vec<Multiaddr>,
    /// Most memory for the records that the DHT keeps for others, in MiB.
    pub store_memory: NonZeroU32,
    /// Most connections of others.
    pub max_connections: NonZeroU32,
    /// Memory in MiB at which no more connections are taken, if it isn't a part of what there is.
    pub max_memory: Option<u64>,
    /// Whether connections from this machine are bounded by address.
    pub limit_loopback: bool,
    /// Format of log and start-up output.
    pub log_format: LogFormat,
    /// Where the settings come from.
    places: Places,
}

/// Why there is no [`Config`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A certificate is named, and another one to be got.
    #[error(
        "--acme gets the certificate by itself, and --tls-cert and --tls-key name one in files; \
         leave one of the two away"
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
    /// The settings that do not fit together, as fields of [`Settings`].
    fn settings(&self) -> &'static [&'static str] {
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

impl Config {
    /// Merges flags, environment and settings file.
    ///
    /// `env` looks an environment variable up; an empty value counts as unset.
    ///
    /// # Errors
    ///
    /// Says which source is wrong and how.
    pub fn load(args: Args, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let named_file = args
            .config
            .clone()
            .or_else(|| env("MOIM_CONFIG").map(PathBuf::from));
        let flags = args.settings;
        let environment = Settings::from_env(env)?;
        let mut places = Places::new(&flags, &environment);
        let mut data_dir = flags
            .data_dir
            .clone()
            .or_else(|| environment.data_dir.clone());

        let file = if let Some(path) = named_file {
            let file =
                Settings::from_file(&path, &mut places)?.ok_or_else(|| ConfigError::FileRead {
                    path,
                    source: io::ErrorKind::NotFound.into(),
                })?;
            data_dir = data_dir.or_else(|| file.data_dir.clone());
            file
        } else {
            let dir = data_dir
                .clone()
                .or_else(default_data_dir)
                .ok_or(ConfigError::NoDataDir)?;
            let path = dir.join(CONFIG_FILE);
            let file = Settings::from_file(&path, &mut places)?.unwrap_or_default();
            if file.data_dir.is_some() {
                return Err(places.name(ConfigError::DataDirInDataDir));
            }
            file
        };

        let data_dir = data_dir
            .or_else(default_data_dir)
            .ok_or(ConfigError::NoDataDir)?;
        let mut config = Self::new(data_dir, flags.or(environment).or(file));
        config.places = places;
        config.check().map_err(|error| config.places.name(error))?;
        Ok(config)
    }

    /// An error about these settings, named as fields of [`Settings`], with where those of them stand that are given
    /// otherwise than by flags, if any is.
    pub(crate) fn placed<E>(
        &self,
        error: E,
        settings: &[&str],
        place: impl FnOnce(Box<E>, String) -> E,
    ) -> E {
        match self.places.of(settings) {
            Some(places) => place(Box::new(error), places),
            None => error,
        }
    }
}

impl Config {
    /// Whether the settings fit together.
    fn check(&self) -> Result<(), ConfigError> {
        let nameless = |a: &&Multiaddr| !matches!(a.iter().last(), Some(Protocol::P2p(_)));
        if let Some(address) = self.bootstrap.iter().find(nameless) {
            return Err(ConfigError::BootstrapWithoutPeer(address.clone()));
        }
        if self.turn.is_on && self.stun == Listen::Off {
            return Err(ConfigError::TurnWithoutStun);
        }
        self.tls.check()?;
        let transports = [
            self.tcp,
            self.quic,
            self.ws,
            self.webrtc_direct,
            self.tls.listen,
        ];
        if transports.iter().all(|listen| *listen == Listen::Off) {
            return Err(ConfigError::NothingToDo);
        }
        Ok(())
    }

    /// The settings with the defaults for what is missing.
    fn new(data_dir: PathBuf, mut merged: Settings) -> Self {
        let turn = merged.turn();
        let acme = merged.take_acme();
        Self {
            data_dir,
            tcp: merged.tcp.unwrap_or(DEFAULT),
            quic: merged.quic.unwrap_or(DEFAULT),
            ws: merged.ws.unwrap_or(DEFAULT_FOR_PAGES),
            webrtc_direct: merged.webrtc_direct.unwrap_or(DEFAULT_FOR_PAGES),
            stun: merged.stun.unwrap_or(DEFAULT_STUN),
            turn,
            http: merged.http.unwrap_or(DEFAULT_HTTP),
            tls: Tls {
                listen: merged.tls.unwrap_or(Listen::Off),
                certificate: merged.tls_cert,
                key: merged.tls_key,
                domain: merged.domain,
                acme,
            },
            web: merged.web.unwrap_or_default(),
            admin: merged.admin.unwrap_or_default(),
            external_addresses: merged.external_address.unwrap_or_default(),
            bootstrap: merged.bootstrap.unwrap_or_default(),
            store_memory: merged.store_memory.unwrap_or(DEFAULT_STORE_MEMORY),
            max_connections: merged.max_connections.unwrap_or(limits::INBOUND_MAX),
            max_memory: merged.max_memory,
            limit_loopback: merged.limit_loopback.unwrap_or_default(),
            log_format: merged.log_format.unwrap_or_default(),
            places: Places::default(),
        }
    }

    /// What is in force where nothing is set; without a data directory.
    pub(crate) fn defaults() -> Self {
        Self::new(PathBuf::new(), Settings::default())
    }

    /// The bounds of the DHT's store.
    pub(crate) fn store_limits(&self) -> StoreLimits {
        StoreLimits {
            bytes_max: usize::try_from(self.store_memory.get())
                .unwrap_or(usize::MAX)
                .saturating_mul(1024 * 1024),
        }
    }
}

/// The platform's place for data that stays, e.g. `~/.local/share/moim/bootstrap`. A folder of its
/// own, so that a terminal peer of the same user keeps an identity of its own.
fn default_data_dir() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "moim").map(|dirs| dirs.data_dir().join("bootstrap"))
}
