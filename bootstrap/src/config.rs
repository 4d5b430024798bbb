//! What the node is told to do: settings from flags, environment and file, merged into a
//! [`Config`].
//!
//! Precedence is flag, then environment, then file, then default, setting by setting. This module
//! reads a file and is handed the environment; it opens nothing else and starts nothing.

use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Parser;
use libp2p::{Multiaddr, multiaddr::Protocol};
use moim_dht::StoreLimits;
use serde::Deserialize;
use thiserror::Error;

pub use self::{
    listen::{Host, Listen, ListenParseError},
    log_format::LogFormat,
    turn::{Switch, TurnArgs, TurnConfig},
};
use crate::{commands::Command, turn::PortRange};

mod listen;
mod log_format;
#[cfg(test)]
mod tests;
mod turn;

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
const DEFAULT_STORE_MIB: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// Name of the configuration file looked for in the data directory when none is named.
const CONFIG_FILE: &str = "moim-bootstrap.toml";

const AFTER_HELP: &str = "\
ADDRESSES
  HOST:PORT  HOST is an IPv4 address, an IPv6 address in brackets, `localhost`, or `*` for every
             address of the machine, IPv4 and IPv6. Port 0 takes any free port; the start-up
             output and /bootstrap.json tell which.
  off        Don't listen on this transport.

HTTP
  /bootstrap.json  the peer id and the addresses to dial, for pages and for `moim --bootstrap URL`
  /health          200 while the node is listening, for supervisors
  /metrics         Prometheus text format

FILES in the data directory
  identity.key         the key the peer id is made of; keep it secret, keep a copy
  webrtc.pem           the certificate that the /webrtc-direct addresses name
  store.redb           records and providers of the DHT, and peers to come back by
  moim-bootstrap.toml  settings, if you like: one key per flag, e.g.
                         ws = \"0.0.0.0:8469\"
                         external-address = [\"/dns4/moim.example.org/tcp/8469/ws\"]

A flag wins over the environment, the environment over the file, the file over the default.
RUST_LOG chooses what is logged (to stderr), e.g. RUST_LOG=moim_bootstrap=debug.

EXIT CODES
  0 stopped by SIGINT or SIGTERM    1 could not start or go on    2 bad flags or settings";

/// The command line of `moim-bootstrap`.
#[derive(Debug, Default, Parser)]
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
    /// Directory for the identity, the certificate and the settings file [env: MOIM_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Settings file [env: MOIM_CONFIG] [default: moim-bootstrap.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// libp2p over TCP, for native peers [env: MOIM_TCP] [default: *:8468]
    #[arg(long, value_name = "HOST:PORT|off")]
    pub tcp: Option<Listen>,
    /// libp2p over QUIC (UDP), for native peers [env: MOIM_QUIC] [default: *:8468]
    #[arg(long, value_name = "HOST:PORT|off")]
    pub quic: Option<Listen>,
    /// libp2p over WebSocket (TCP), for pages [env: MOIM_WS] [default: *:8469]
    #[arg(long, value_name = "HOST:PORT|off")]
    pub ws: Option<Listen>,
    /// libp2p over WebRTC (UDP), for pages [env: MOIM_WEBRTC_DIRECT] [default: *:8469]
    #[arg(long, value_name = "HOST:PORT|off")]
    pub webrtc_direct: Option<Listen>,
    /// STUN (UDP; with --turn TCP too), for peers behind NATs that look for a direct way
    /// [env: MOIM_STUN]
    /// [default: *:3478]
    #[arg(long, value_name = "HOST:PORT|off")]
    pub stun: Option<Listen>,
    /// TURN.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// HTTP: /bootstrap.json, /health, /metrics [env: MOIM_HTTP] [default: *:8470]
    #[arg(long, value_name = "HOST:PORT|off")]
    pub http: Option<Listen>,
    /// Further address to announce, e.g. /dns4/moim.example.org/tcp/443/tls/ws, where a proxy or a
    /// port mapping leads here; may be repeated [env: MOIM_EXTERNAL_ADDRESS, comma-separated]
    #[arg(long, value_name = "MULTIADDR")]
    pub external_address: Vec<Multiaddr>,
    /// Other bootstrap node of the same network, ending in /p2p/ID; may be repeated. Nodes that
    /// name each other make one DHT. The node's own address is ignored, so that all may have the
    /// same list [env: MOIM_BOOTSTRAP, comma-separated]
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Vec<Multiaddr>,
    /// Most memory for the records that the DHT keeps for others, in MiB, with one record for each
    /// KiB; the file is at most a few times as large [env: MOIM_STORE_MIB] [default: 64]
    #[arg(long, value_name = "MIB")]
    pub store_mib: Option<NonZeroU32>,
    /// Format of the log on stderr and of the start-up output on stdout [env: MOIM_LOG_FORMAT]
    /// [default: text]
    #[arg(long, value_name = "text|json")]
    pub log_format: Option<LogFormat>,
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
    /// Addresses announced besides those listened on.
    pub external_addresses: Vec<Multiaddr>,
    /// Other bootstrap nodes of the network.
    pub bootstrap: Vec<Multiaddr>,
    /// Most memory for the records that the DHT keeps for others, in MiB.
    pub store_mib: NonZeroU32,
    /// Format of log and start-up output.
    pub log_format: LogFormat,
}

/// Why there is no [`Config`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The settings file names another data directory than the one it was found in.
    #[error(
        "`data-dir` in {} has no effect there, because that file was found by way of the data \
         directory; remove the line, or name the file with --config",
        .0.display()
    )]
    DataDirInDataDir(PathBuf),
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
    /// There is TURN, but no port for it.
    #[error("--turn on needs the port of --stun, which is off")]
    TurnWithoutStun,
    /// Every transport is off.
    #[error("all of --tcp, --quic, --ws and --webrtc-direct are off: nobody could reach the node")]
    NothingToDo,
}

/// Settings from one source, each optional. The keys are the flags' names.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Layer {
    data_dir: Option<PathBuf>,
    tcp: Option<Listen>,
    quic: Option<Listen>,
    ws: Option<Listen>,
    webrtc_direct: Option<Listen>,
    stun: Option<Listen>,
    turn: Option<Switch>,
    turn_ports: Option<PortRange>,
    turn_allocations: Option<NonZeroU32>,
    turn_allocations_per_peer: Option<NonZeroU32>,
    turn_allocations_per_address: Option<NonZeroU32>,
    turn_mbit: Option<NonZeroU32>,
    turn_mbit_per_allocation: Option<NonZeroU32>,
    turn_ttl: Option<NonZeroU32>,
    turn_allow_private: Option<Switch>,
    http: Option<Listen>,
    external_address: Option<Vec<Multiaddr>>,
    bootstrap: Option<Vec<Multiaddr>>,
    store_mib: Option<NonZeroU32>,
    log_format: Option<LogFormat>,
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
        let flags = Layer::from_args(args);
        let environment = Layer::from_env(env)?;
        let mut data_dir = flags
            .data_dir
            .clone()
            .or_else(|| environment.data_dir.clone());

        let file = if let Some(path) = named_file {
            let file = Layer::from_file(&path)?.ok_or_else(|| ConfigError::FileRead {
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
            let file = Layer::from_file(&path)?.unwrap_or_default();
            if file.data_dir.is_some() {
                return Err(ConfigError::DataDirInDataDir(path));
            }
            file
        };

        let data_dir = data_dir
            .or_else(default_data_dir)
            .ok_or(ConfigError::NoDataDir)?;
        let merged = flags.or(environment).or(file);
        let config = Self {
            data_dir,
            tcp: merged.tcp.unwrap_or(DEFAULT),
            quic: merged.quic.unwrap_or(DEFAULT),
            ws: merged.ws.unwrap_or(DEFAULT_FOR_PAGES),
            webrtc_direct: merged.webrtc_direct.unwrap_or(DEFAULT_FOR_PAGES),
            stun: merged.stun.unwrap_or(DEFAULT_STUN),
            turn: merged.turn(),
            http: merged.http.unwrap_or(DEFAULT_HTTP),
            external_addresses: merged.external_address.unwrap_or_default(),
            bootstrap: merged.bootstrap.unwrap_or_default(),
            store_mib: merged.store_mib.unwrap_or(DEFAULT_STORE_MIB),
            log_format: merged.log_format.unwrap_or_default(),
        };
        let nameless = |a: &&Multiaddr| !matches!(a.iter().last(), Some(Protocol::P2p(_)));
        if let Some(address) = config.bootstrap.iter().find(nameless) {
            return Err(ConfigError::BootstrapWithoutPeer(address.clone()));
        }
        if config.turn.is_on && config.stun == Listen::Off {
            return Err(ConfigError::TurnWithoutStun);
        }
        let transports = [config.tcp, config.quic, config.ws, config.webrtc_direct];
        if transports.iter().all(|listen| *listen == Listen::Off) {
            return Err(ConfigError::NothingToDo);
        }
        Ok(config)
    }
}

impl Config {
    /// The bounds of the DHT's store.
    pub(crate) fn store_limits(&self) -> StoreLimits {
        StoreLimits {
            bytes_max: usize::try_from(self.store_mib.get())
                .unwrap_or(usize::MAX)
                .saturating_mul(1024 * 1024),
        }
    }
}

impl Layer {
    fn from_args(args: Args) -> Self {
        Self {
            data_dir: args.data_dir,
            tcp: args.tcp,
            quic: args.quic,
            ws: args.ws,
            webrtc_direct: args.webrtc_direct,
            stun: args.stun,
            turn: args.turn.turn,
            turn_ports: args.turn.turn_ports,
            turn_allocations: args.turn.turn_allocations,
            turn_allocations_per_peer: args.turn.turn_allocations_per_peer,
            turn_allocations_per_address: args.turn.turn_allocations_per_address,
            turn_mbit: args.turn.turn_mbit,
            turn_mbit_per_allocation: args.turn.turn_mbit_per_allocation,
            turn_ttl: args.turn.turn_ttl,
            turn_allow_private: args.turn.turn_allow_private,
            http: args.http,
            external_address: Some(args.external_address).filter(|list| !list.is_empty()),
            bootstrap: Some(args.bootstrap).filter(|list| !list.is_empty()),
            store_mib: args.store_mib,
            log_format: args.log_format,
        }
    }

    fn from_env(env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            data_dir: env("MOIM_DATA_DIR").map(PathBuf::from),
            tcp: from_env(&env, "MOIM_TCP")?,
            quic: from_env(&env, "MOIM_QUIC")?,
            ws: from_env(&env, "MOIM_WS")?,
            webrtc_direct: from_env(&env, "MOIM_WEBRTC_DIRECT")?,
            stun: from_env(&env, "MOIM_STUN")?,
            turn: from_env(&env, "MOIM_TURN")?,
            turn_ports: from_env(&env, "MOIM_TURN_PORTS")?,
            turn_allocations: from_env(&env, "MOIM_TURN_ALLOCATIONS")?,
            turn_allocations_per_peer: from_env(&env, "MOIM_TURN_ALLOCATIONS_PER_PEER")?,
            turn_allocations_per_address: from_env(&env, "MOIM_TURN_ALLOCATIONS_PER_ADDRESS")?,
            turn_mbit: from_env(&env, "MOIM_TURN_MBIT")?,
            turn_mbit_per_allocation: from_env(&env, "MOIM_TURN_MBIT_PER_ALLOCATION")?,
            turn_ttl: from_env(&env, "MOIM_TURN_TTL")?,
            turn_allow_private: from_env(&env, "MOIM_TURN_ALLOW_PRIVATE")?,
            http: from_env(&env, "MOIM_HTTP")?,
            external_address: addresses_from_env(&env, "MOIM_EXTERNAL_ADDRESS")?,
            bootstrap: addresses_from_env(&env, "MOIM_BOOTSTRAP")?,
            store_mib: from_env(&env, "MOIM_STORE_MIB")?,
            log_format: from_env(&env, "MOIM_LOG_FORMAT")?,
        })
    }

    /// `None` if there is no such file.
    fn from_file(path: &Path) -> Result<Option<Self>, ConfigError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(source) => {
                return Err(ConfigError::FileRead {
                    path: path.into(),
                    source,
                });
            }
        };
        toml::from_str(&text)
            .map(Some)
            .map_err(|source| ConfigError::FileParse {
                path: path.into(),
                source: Box::new(source),
            })
    }

    /// Fills what is missing from `other`.
    fn or(self, other: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(other.data_dir),
            tcp: self.tcp.or(other.tcp),
            quic: self.quic.or(other.quic),
            ws: self.ws.or(other.ws),
            webrtc_direct: self.webrtc_direct.or(other.webrtc_direct),
            stun: self.stun.or(other.stun),
            turn: self.turn.or(other.turn),
            turn_ports: self.turn_ports.or(other.turn_ports),
            turn_allocations: self.turn_allocations.or(other.turn_allocations),
            turn_allocations_per_peer: self
                .turn_allocations_per_peer
                .or(other.turn_allocations_per_peer),
            turn_allocations_per_address: self
                .turn_allocations_per_address
                .or(other.turn_allocations_per_address),
            turn_mbit: self.turn_mbit.or(other.turn_mbit),
            turn_mbit_per_allocation: self
                .turn_mbit_per_allocation
                .or(other.turn_mbit_per_allocation),
            turn_ttl: self.turn_ttl.or(other.turn_ttl),
            turn_allow_private: self.turn_allow_private.or(other.turn_allow_private),
            http: self.http.or(other.http),
            external_address: self.external_address.or(other.external_address),
            bootstrap: self.bootstrap.or(other.bootstrap),
            store_mib: self.store_mib.or(other.store_mib),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

fn from_env<T: FromStr<Err: ToString>>(
    env: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<T>, ConfigError> {
    env(name)
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: T::Err| ConfigError::Environment {
            name,
            reason: error.to_string(),
        })
}

fn addresses_from_env(
    env: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<Vec<Multiaddr>>, ConfigError> {
    let Some(text) = env(name) else {
        return Ok(None);
    };
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse().map_err(|error| ConfigError::Environment {
                name,
                reason: format!("`{part}` is not a multiaddr: {error}"),
            })
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Whether there is no such file, be it for want of its directory. What is wrong with that is said
/// by whoever needs it.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The platform's place for data that stays, e.g. `~/.local/share/moim/bootstrap`. A folder of its
/// own, so that a terminal peer of the same user keeps an identity of its own.
fn default_data_dir() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "moim").map(|dirs| dirs.data_dir().join("bootstrap"))
}
