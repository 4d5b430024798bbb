//! The settings: each is declared once, with its flag, its key in the settings file and its
//! environment variable.

use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
};

use libp2p::Multiaddr;
use serde::Deserialize;

use super::{
    AcmeCa, Admin, ConfigError, Domain, Listen, LogFormat, Mail, Switch, Web, places::Places,
};
use crate::turn::PortRange;

macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty, $variable:literal;)*) => {
        /// Settings from one source, each optional. The keys of the settings file are the flags'
        /// names.
        #[derive(Clone, Debug, Default, clap::Args, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        #[allow(missing_docs, reason = "each has the text that --help shows")]
        pub struct Settings {
            $($(#[$attribute])* pub $name: Option<$type>,)*
        }

        impl Settings {
            /// Those in the environment.
            pub(super) fn from_env(
                env: impl Fn(&str) -> Option<String>,
            ) -> Result<Self, ConfigError> {
                Ok(Self {
                    $($name: from_env(&env, $variable)?,)*
                })
            }

            /// The fields and variables of those that are given.
            pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
                [$(self.$name.is_some().then_some((stringify!($name), $variable)),)*]
                    .into_iter()
                    .flatten()
            }

            /// Fills what is missing from `other`.
            pub(super) fn or(self, other: Self) -> Self {
                Self {
                    $($name: self.$name.or(other.$name),)*
                }
            }
        }
    };
}

settings! {
    /// Directory for the identity, the certificate and the settings file [env: MOIM_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: PathBuf, "MOIM_DATA_DIR";
    /// libp2p over TCP, for native peers [env: MOIM_TCP] [default: *:8468]
    #[arg(long, value_name = "HOST:PORT|off")]
    tcp: Listen, "MOIM_TCP";
    /// libp2p over QUIC (UDP), for native peers [env: MOIM_QUIC] [default: *:8468]
    #[arg(long, value_name = "HOST:PORT|off")]
    quic: Listen, "MOIM_QUIC";
    /// libp2p over WebSocket (TCP), for pages [env: MOIM_WS] [default: *:8469]
    #[arg(long, value_name = "HOST:PORT|off")]
    ws: Listen, "MOIM_WS";
    /// libp2p over WebRTC (UDP), for pages [env: MOIM_WEBRTC_DIRECT] [default: *:8469]
    #[arg(long, value_name = "HOST:PORT|off")]
    webrtc_direct: Listen, "MOIM_WEBRTC_DIRECT";
    /// STUN (UDP; with --turn TCP too), for peers behind NATs that look for a direct way
    /// [env: MOIM_STUN] [default: *:3478]
    #[arg(long, value_name = "HOST:PORT|off")]
    stun: Listen, "MOIM_STUN";
    /// Relay datagrams for peers that find no direct way (TURN), on the port of --stun, UDP and TCP.
    /// Off unless you want it: it lets everybody who connects send UDP to the internet in this
    /// machine's name, within the bounds below [env: MOIM_TURN] [default: off]
    #[arg(long, value_name = "on|off")]
    turn: Switch, "MOIM_TURN";
    /// UDP ports that TURN relays by; to be open in a firewall [env: MOIM_TURN_PORTS]
    /// [default: 49152-65535]
    #[arg(long, value_name = "LOW-HIGH")]
    turn_ports: PortRange, "MOIM_TURN_PORTS";
    /// Most ports in use by TURN [env: MOIM_TURN_ALLOCATIONS] [default: 1024]
    #[arg(long, value_name = "N")]
    turn_allocations: NonZeroU32, "MOIM_TURN_ALLOCATIONS";
    /// Most of them of one peer; a page takes two for each connection that it makes
    /// [env: MOIM_TURN_ALLOCATIONS_PER_PEER] [default: 64]
    #[arg(long, value_name = "N")]
    turn_allocations_per_peer: NonZeroU32, "MOIM_TURN_ALLOCATIONS_PER_PEER";
    /// Most of them of one address (IPv6: network), behind which may be many peers
    /// [env: MOIM_TURN_ALLOCATIONS_PER_ADDRESS] [default: 256]
    #[arg(long, value_name = "N")]
    turn_allocations_per_address: NonZeroU32, "MOIM_TURN_ALLOCATIONS_PER_ADDRESS";
    /// Most that TURN carries, in Mbit/s, both directions together [env: MOIM_TURN_MBIT]
    /// [default: 100]
    #[arg(long, value_name = "MBIT")]
    turn_mbit: NonZeroU32, "MOIM_TURN_MBIT";
    /// Most that it carries by one port [env: MOIM_TURN_MBIT_PER_ALLOCATION] [default: 10]
    #[arg(long, value_name = "MBIT")]
    turn_mbit_per_allocation: NonZeroU32, "MOIM_TURN_MBIT_PER_ALLOCATION";
    /// How long a peer's credentials are good, in seconds; peers ask for new ones before
    /// [env: MOIM_TURN_TTL] [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    turn_ttl: NonZeroU32, "MOIM_TURN_TTL";
    /// Also relay to loopback, private and this machine's own addresses, in a lab
    /// [env: MOIM_TURN_ALLOW_PRIVATE] [default: off]
    #[arg(long, value_name = "on|off")]
    turn_allow_private: Switch, "MOIM_TURN_ALLOW_PRIVATE";
    /// HTTP: the page, /bootstrap.json, /health, /metrics [env: MOIM_HTTP] [default: *:8470]
    #[arg(long, value_name = "HOST:PORT|off")]
    http: Listen, "MOIM_HTTP";
    /// HTTPS and libp2p over secure WebSocket on one port, for pages on the internet; needs
    /// --tls-cert and --tls-key, or --acme [env: MOIM_TLS] [default: off]
    #[arg(long, value_name = "HOST:PORT|off")]
    tls: Listen, "MOIM_TLS";
    /// Certificate of --tls with the chain that leads to it, PEM; read again when it changes
    /// [env: MOIM_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf, "MOIM_TLS_CERT";
    /// Private key of --tls-cert, PEM [env: MOIM_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf, "MOIM_TLS_KEY";
    /// Name of this machine that the certificate is for; peers are told /dns4/NAME/tcp/PORT/tls/ws
    /// [env: MOIM_DOMAIN]
    #[arg(long, value_name = "NAME")]
    domain: Domain, "MOIM_DOMAIN";
    /// Get the certificate of --tls for --domain from a CA, and renew it: `on`, Let's Encrypt; or the
    /// URL of another CA's ACME directory. The CA connects to port 443 of --domain, which has to
    /// lead to --tls [env: MOIM_ACME] [default: off]
    #[arg(long, value_name = "on|off|URL")]
    acme: AcmeCa, "MOIM_ACME";
    /// Say yes to the terms of service of the CA of --acme, without which it gives no certificates
    /// [env: MOIM_ACME_ACCEPT_TERMS]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    acme_accept_terms: bool, "MOIM_ACME_ACCEPT_TERMS";
    /// Mail address that the CA of --acme is told, to write to when something is wrong
    /// [env: MOIM_ACME_CONTACT]
    #[arg(long, value_name = "MAIL")]
    acme_contact: Mail, "MOIM_ACME_CONTACT";
    /// Certificates, PEM, by which the CA of --acme is trusted besides those that browsers trust, for
    /// a CA of your own [env: MOIM_ACME_ROOT]
    #[arg(long, value_name = "FILE")]
    acme_root: PathBuf, "MOIM_ACME_ROOT";
    /// Serve the page in this folder instead of the node's own, or none; read at the start and at
    /// SIGHUP [env: MOIM_WEB] [default: the node's own]
    #[arg(long, value_name = "DIR|off")]
    web: Web, "MOIM_WEB";
    /// Who sees the dashboard at /admin: `local`, whoever is at this machine or has the token of the
    /// data directory; `token`, only the latter; `off`, nobody [env: MOIM_ADMIN] [default: local]
    #[arg(long, value_name = "local|token|off")]
    admin: Admin, "MOIM_ADMIN";
    /// Further address to announce, e.g. /dns4/moim.example.org/tcp/443/tls/ws, where a proxy or a
    /// port mapping leads here; may be repeated [env: MOIM_EXTERNAL_ADDRESS, comma-separated]
    #[arg(long, value_name = "MULTIADDR")]
    external_address: Vec<Multiaddr>, "MOIM_EXTERNAL_ADDRESS";
    /// Other bootstrap node of the same network, ending in /p2p/ID; may be repeated. Nodes that
    /// name each other make one DHT. The node's own address is ignored, so that all may have the
    /// same list [env: MOIM_BOOTSTRAP, comma-separated]
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<Multiaddr>, "MOIM_BOOTSTRAP";
    /// Memory in MiB for the records that the DHT keeps for others, a quarter of it for presences; the
    /// file is at most a few times as large [env: MOIM_STORE_MEMORY] [default: 64]
    #[arg(long, value_name = "MIB")]
    store_memory: NonZeroU32, "MOIM_STORE_MEMORY";
    /// Most connections of others, at some 52 KiB each; as many may hold a place at the relay
    /// [env: MOIM_MAX_CONNECTIONS] [default: 4000]
    #[arg(long, value_name = "N")]
    max_connections: NonZeroU32, "MOIM_MAX_CONNECTIONS";
    /// Memory in MiB at which no more connections are taken [env: MOIM_MAX_MEMORY] [default: half
    /// of what the machine or the container has]
    #[arg(long, value_name = "MIB")]
    max_memory: u64, "MOIM_MAX_MEMORY";
    /// Bound the connections of this machine's own addresses like those of others. They are not by
    /// default, because a reverse proxy's come from there [env: MOIM_LIMIT_LOOPBACK]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    limit_loopback: bool, "MOIM_LIMIT_LOOPBACK";
    /// Format of the log on stderr and of the start-up output on stdout [env: MOIM_LOG_FORMAT]
    /// [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: LogFormat, "MOIM_LOG_FORMAT";
}

impl Settings {
    /// Those of a file, whose lines `places` then knows; `None` if there is no such file.
    pub(super) fn from_file(path: &Path, places: &mut Places) -> Result<Option<Self>, ConfigError> {
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
        places.read(path, &text);
        toml::from_str(&text)
            .map(Some)
            .map_err(|source| ConfigError::FileParse {
                path: path.into(),
                source: Box::new(source),
            })
    }
}

/// A setting as an environment variable has it.
trait Variable: Sized {
    /// What is wrong, if something is.
    fn read(text: &str) -> Result<Self, String>;
}

macro_rules! read_as_flag {
    ($($type:ty),*) => {
        $(impl Variable for $type {
            fn read(text: &str) -> Result<Self, String> {
                Self::from_str(text).map_err(|error| error.to_string())
            }
        })*
    };
}

read_as_flag!(
    AcmeCa, Admin, Domain, Listen, LogFormat, Mail, NonZeroU32, PathBuf, PortRange, Switch, Web,
    bool, u64
);

/// Separated by commas.
impl Variable for Vec<Multiaddr> {
    fn read(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse()
                    .map_err(|error| format!("`{part}` is not a multiaddr: {error}"))
            })
            .collect()
    }
}

fn from_env<T: Variable>(
    env: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<T>, ConfigError> {
    env(name)
        .map(|text| T::read(&text))
        .transpose()
        .map_err(|reason| ConfigError::Environment { name, reason })
}

/// Whether there is no such file, be it for want of its directory. What is wrong with that is said
/// by whoever needs it.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
