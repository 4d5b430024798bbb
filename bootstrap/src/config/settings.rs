//! The settings. Each is declared once, in the table below: its flag, its key in the settings file and its name in
//! [`Config`], which are one; what `--help` says of it; its values; its default, if it has one; its environment
//! variable; and when a change of it takes effect.

use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use libp2p::Multiaddr;
use serde::Deserialize;
use toml::Value;

use super::{
    acme::{AcmeCa, Mail},
    admin::Admin,
    domain::Domain,
    error::ConfigError,
    listen::Listen,
    log_format::LogFormat,
    places::Places,
    ports::PortRange,
    switch::Switch,
    value::{Variable, Written as _},
    web::Web,
};
use crate::limits;

/// When a change of a setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// At the next start of the node.
    AtStart,
    /// A running node takes it up.
    Live,
}

/// The type of a setting in [`Config`]: without a default it may be missing.
macro_rules! kept {
    ($type:ty) => { Option<$type> };
    ($type:ty, $default:expr) => { $type };
}

/// A setting that is given, or its default.
macro_rules! complete {
    ($given:expr) => {
        $given
    };
    ($given:expr, $default:expr) => {
        match $given {
            Some(given) => given,
            None => $default,
        }
    };
}

/// A default that is a number. Zero does not compile.
macro_rules! number {
    ($number:literal) => {
        const { NonZeroU32::new($number).unwrap() }
    };
}

macro_rules! settings {
    ($(
        $(#[doc = $doc:tt])*
        #[arg($($arg:tt)*)]
        $name:ident: $type:ty $(= $default:expr)?, $variable:literal, $when:ident;
    )*) => {
        /// Settings from one source, each optional. The keys of the settings file are the flags'
        /// names.
        #[derive(Clone, Debug, Default, clap::Args, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct Settings {
            $(
                $(#[doc = $doc])*
                #[arg($($arg)*)]
                pub $name: Option<$type>,
            )*
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

        /// Everything the node needs to know before it starts.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $(
                $(#[doc = $doc])*
                pub $name: kept!($type $(, $default)?),
            )*
            /// Where the settings come from.
            pub(super) places: Places,
        }

        impl Config {
            /// The settings with the defaults for what is missing.
            pub(super) fn new(settings: Settings, places: Places) -> Self {
                Self {
                    $($name: complete!(settings.$name $(, $default)?),)*
                    places,
                }
            }

            /// This one, with what a running node takes up of `other`.
            pub(crate) fn with_live(&self, other: &Self) -> Self {
                let mut config = self.clone();
                $(if When::$when == When::Live {
                    config.$name.clone_from(&other.$name);
                })*
                config.places.clone_from(&other.places);
                config
            }

            /// All settings, as fields, with their values in a settings file.
            fn all(&self) -> impl Iterator<Item = (&'static str, When, Option<Value>)> {
                [$((stringify!($name), When::$when, self.$name.written()),)*].into_iter()
            }
        }
    };
}

settings! {
    /// Directory for the identity, the certificate and the settings file [env: MOIM_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: PathBuf = PathBuf::new(), "MOIM_DATA_DIR", AtStart;
    /// libp2p over TCP, for native peers [env: MOIM_TCP] [default: *:8468]
    #[arg(long, value_name = "HOST:PORT|off")]
    // The port that the predecessor of Moim used.
    tcp: Listen = Listen::everywhere(8468), "MOIM_TCP", AtStart;
    /// libp2p over QUIC (UDP), for native peers [env: MOIM_QUIC] [default: *:8468]
    #[arg(long, value_name = "HOST:PORT|off")]
    quic: Listen = Listen::everywhere(8468), "MOIM_QUIC", AtStart;
    /// libp2p over WebSocket (TCP), for pages [env: MOIM_WS] [default: *:8469]
    #[arg(long, value_name = "HOST:PORT|off")]
    ws: Listen = Listen::everywhere(8469), "MOIM_WS", AtStart;
    /// libp2p over WebRTC (UDP), for pages [env: MOIM_WEBRTC_DIRECT] [default: *:8469]
    #[arg(long, value_name = "HOST:PORT|off")]
    webrtc_direct: Listen = Listen::everywhere(8469), "MOIM_WEBRTC_DIRECT", AtStart;
    /// STUN (UDP; with --turn TCP too), for peers behind NATs that look for a direct way
    /// [env: MOIM_STUN] [default: *:3478]
    #[arg(long, value_name = "HOST:PORT|off")]
    // RFC 8489, section 18.6.
    stun: Listen = Listen::everywhere(3478), "MOIM_STUN", AtStart;
    /// Relay datagrams for peers that find no direct way (TURN), on the port of --stun, UDP and TCP.
    /// Off unless you want it: it lets everybody who connects send UDP to the internet in this
    /// machine's name, within the bounds below [env: MOIM_TURN] [default: off]
    #[arg(long, value_name = "on|off")]
    turn: Switch = Switch::Off, "MOIM_TURN", AtStart;
    /// UDP ports that TURN relays by; to be open in a firewall [env: MOIM_TURN_PORTS]
    /// [default: 49152-65535]
    #[arg(long, value_name = "LOW-HIGH")]
    turn_ports: PortRange = PortRange::default(), "MOIM_TURN_PORTS", AtStart;
    /// Most ports in use by TURN [env: MOIM_TURN_ALLOCATIONS] [default: 1024]
    #[arg(long, value_name = "N")]
    // At some 2 KiB and one socket each.
    turn_allocations: NonZeroU32 = number!(1_024), "MOIM_TURN_ALLOCATIONS", AtStart;
    /// Most of them of one peer; a page takes two for each connection that it makes
    /// [env: MOIM_TURN_ALLOCATIONS_PER_PEER] [default: 64]
    #[arg(long, value_name = "N")]
    // In a room where everybody is connected to everybody a peer makes 23 connections, and asks over UDP and
    // over TCP for each.
    turn_allocations_per_peer: NonZeroU32 = number!(64), "MOIM_TURN_ALLOCATIONS_PER_PEER", Live;
    /// Most of them of one address (IPv6: network), behind which may be many peers
    /// [env: MOIM_TURN_ALLOCATIONS_PER_ADDRESS] [default: 256]
    #[arg(long, value_name = "N")]
    // A class behind one NAT, but not all there is.
    turn_allocations_per_address: NonZeroU32 = number!(256), "MOIM_TURN_ALLOCATIONS_PER_ADDRESS", Live;
    /// Most that TURN carries, in Mbit/s, both directions together [env: MOIM_TURN_MBIT]
    /// [default: 100]
    #[arg(long, value_name = "MBIT")]
    // A small rented machine has this much, or more.
    turn_mbit: NonZeroU32 = number!(100), "MOIM_TURN_MBIT", Live;
    /// Most that it carries by one port [env: MOIM_TURN_MBIT_PER_ALLOCATION] [default: 10]
    #[arg(long, value_name = "MBIT")]
    // As much as a good line at home sends.
    turn_mbit_per_allocation: NonZeroU32 = number!(10), "MOIM_TURN_MBIT_PER_ALLOCATION", Live;
    /// How long a peer's credentials are good, in seconds; peers ask for new ones before
    /// [env: MOIM_TURN_TTL] [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    // Credentials that leak are of use for an hour; renewing them costs a stream.
    turn_ttl: NonZeroU32 = number!(3_600), "MOIM_TURN_TTL", AtStart;
    /// Also relay to loopback, private and this machine's own addresses, in a lab
    /// [env: MOIM_TURN_ALLOW_PRIVATE] [default: off]
    #[arg(long, value_name = "on|off")]
    turn_allow_private: Switch = Switch::Off, "MOIM_TURN_ALLOW_PRIVATE", Live;
    /// HTTP: the page, /bootstrap.json, /health, /metrics [env: MOIM_HTTP] [default: *:8470]
    #[arg(long, value_name = "HOST:PORT|off")]
    http: Listen = Listen::everywhere(8470), "MOIM_HTTP", AtStart;
    /// HTTPS and libp2p over secure WebSocket on one port, for pages on the internet; needs
    /// --tls-cert and --tls-key, or --acme [env: MOIM_TLS] [default: off]
    #[arg(long, value_name = "HOST:PORT|off")]
    tls: Listen = Listen::Off, "MOIM_TLS", AtStart;
    /// Certificate of --tls with the chain that leads to it, PEM; read again when it changes
    /// [env: MOIM_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf, "MOIM_TLS_CERT", AtStart;
    /// Private key of --tls-cert, PEM [env: MOIM_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf, "MOIM_TLS_KEY", AtStart;
    /// Name of this machine that the certificate is for; peers are told /dns4/NAME/tcp/PORT/tls/ws
    /// [env: MOIM_DOMAIN]
    #[arg(long, value_name = "NAME")]
    domain: Domain, "MOIM_DOMAIN", AtStart;
    /// Get the certificate of --tls for --domain from a CA, and renew it: `on`, Let's Encrypt; or the
    /// URL of another CA's ACME directory. The CA connects to port 443 of --domain, which has to
    /// lead to --tls [env: MOIM_ACME] [default: off]
    #[arg(long, value_name = "on|off|URL")]
    acme: AcmeCa = AcmeCa::Off, "MOIM_ACME", AtStart;
    /// Say yes to the terms of service of the CA of --acme, without which it gives no certificates
    /// [env: MOIM_ACME_ACCEPT_TERMS]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    acme_accept_terms: bool = false, "MOIM_ACME_ACCEPT_TERMS", AtStart;
    /// Mail address that the CA of --acme is told, to write to when something is wrong
    /// [env: MOIM_ACME_CONTACT]
    #[arg(long, value_name = "MAIL")]
    acme_contact: Mail, "MOIM_ACME_CONTACT", AtStart;
    /// Certificates, PEM, by which the CA of --acme is trusted besides those that browsers trust, for
    /// a CA of your own [env: MOIM_ACME_ROOT]
    #[arg(long, value_name = "FILE")]
    acme_root: PathBuf, "MOIM_ACME_ROOT", AtStart;
    /// Serve the page in this folder instead of the node's own, or none; read at the start and at
    /// SIGHUP [env: MOIM_WEB] [default: the node's own]
    #[arg(long, value_name = "DIR|off")]
    web: Web = Web::Own, "MOIM_WEB", Live;
    /// Who sees the dashboard at /admin: `local`, whoever is at this machine or has the token of the
    /// data directory; `token`, only the latter; `off`, nobody [env: MOIM_ADMIN] [default: local]
    #[arg(long, value_name = "local|token|off")]
    admin: Admin = Admin::Local, "MOIM_ADMIN", AtStart;
    /// Further address to announce, e.g. /dns4/moim.example.org/tcp/443/tls/ws, where a proxy or a
    /// port mapping leads here; may be repeated [env: MOIM_EXTERNAL_ADDRESS, comma-separated]
    #[arg(long, value_name = "MULTIADDR")]
    external_address: Vec<Multiaddr> = Vec::new(), "MOIM_EXTERNAL_ADDRESS", Live;
    /// Other bootstrap node of the same network, ending in /p2p/ID; may be repeated. Nodes that
    /// name each other make one DHT. The node's own address is ignored, so that all may have the
    /// same list [env: MOIM_BOOTSTRAP, comma-separated]
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<Multiaddr> = Vec::new(), "MOIM_BOOTSTRAP", Live;
    /// Memory in MiB for the records that the DHT keeps for others, a quarter of it for presences; the
    /// file is at most a few times as large [env: MOIM_STORE_MEMORY] [default: 64]
    #[arg(long, value_name = "MIB")]
    // See [`moim_dht::StoreLimits`].
    store_memory: NonZeroU32 = number!(64), "MOIM_STORE_MEMORY", AtStart;
    /// Most connections of others, at some 52 KiB each; as many may hold a place at the relay
    /// [env: MOIM_MAX_CONNECTIONS] [default: 4000]
    #[arg(long, value_name = "N")]
    max_connections: NonZeroU32 = limits::INBOUND_MAX, "MOIM_MAX_CONNECTIONS", AtStart;
    /// Memory in MiB at which no more connections are taken [env: MOIM_MAX_MEMORY] [default: half
    /// of what the machine or the container has]
    #[arg(long, value_name = "MIB")]
    max_memory: u64, "MOIM_MAX_MEMORY", Live;
    /// Bound the connections of this machine's own addresses like those of others. They are not by
    /// default, because a reverse proxy's come from there [env: MOIM_LIMIT_LOOPBACK]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    limit_loopback: bool = false, "MOIM_LIMIT_LOOPBACK", AtStart;
    /// Format of the log on stderr and of the start-up output on stdout [env: MOIM_LOG_FORMAT]
    /// [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: LogFormat = LogFormat::Text, "MOIM_LOG_FORMAT", AtStart;
}

impl Config {
    /// What is in force where nothing is set; without a data directory.
    pub(crate) fn defaults() -> Self {
        Self::new(Settings::default(), Places::default())
    }

    /// All settings but the data directory as keys and values of the settings file; those that are
    /// not set have no value.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (String, Option<Value>)> {
        self.all()
            .filter(|(field, ..)| *field != "data_dir")
            .map(|(field, _, value)| (key(field), value))
    }

    /// What `other` changes.
    pub(crate) fn changes(&self, other: &Self) -> Changes {
        let mut changes = Changes::default();
        for ((field, when, before), (.., after)) in self.all().zip(other.all()) {
            if before != after {
                match when {
                    When::AtStart => changes.at_start.push(key(field)),
                    When::Live => changes.live.push(key(field)),
                }
            }
        }
        changes
    }
}

/// The key of a field in a settings file.
fn key(field: &str) -> String {
    field.replace('_', "-")
}

/// Names of the settings in which two configurations differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// A running node takes them up.
    pub(crate) live: Vec<String>,
    /// They take effect at the next start.
    pub(crate) at_start: Vec<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let settings: Settings = toml::from_str(text).unwrap();
        Config::new(settings, Places::default())
    }

    #[test]
    fn the_help_of_a_setting_names_its_variable_and_its_default() {
        let command = <Settings as clap::Args>::augment_args(clap::Command::default());
        for (field, _, value) in Config::defaults().all() {
            let argument = command.get_arguments().find(|it| it.get_id() == field);
            let help = argument.unwrap().get_help().unwrap().to_string();
            let variable = format!("[env: MOIM_{}", field.to_uppercase());
            assert!(help.contains(&variable), "{field}: {help}");
            // What is empty, false or found out at the start is said in other words, if at all.
            let said = help.split_once("[default: ");
            if let (Some((_, said)), Some(value)) = (said, value) {
                let value = value.to_string();
                let value = value.trim_matches('"');
                assert_eq!(said.split(']').next(), Some(value), "{field}: {help}");
            }
        }
    }

    #[test]
    fn nothing_changes_nothing() {
        assert_eq!(config("").changes(&config("")), Changes::default());
    }

    #[test]
    fn what_changes_is_named_by_when_it_takes_effect() {
        let new = config(
            "tcp = 'off'\nmax-memory = 64\nturn-mbit = 1\nbootstrap = ['/ip4/1.2.3.4/tcp/1']",
        );
        let changes = config("").changes(&new);
        assert_eq!(changes.live, ["turn-mbit", "bootstrap", "max-memory"]);
        assert_eq!(changes.at_start, ["tcp"]);
    }

    #[test]
    fn what_is_called_live_is_all_that_a_running_node_takes_up() {
        let old = config("");
        let new = config(
            "tcp = 'off'\nmax-memory = 64\nexternal-address = ['/ip4/1.2.3.4/tcp/1']
            bootstrap = ['/ip4/1.2.3.4/tcp/1']\nweb = 'off'
            turn-allocations-per-peer = 7\nturn-allocations-per-address = 7\nturn-mbit = 7
            turn-mbit-per-allocation = 7\nturn-allow-private = 'on'",
        );
        let mixed = old.with_live(&new);
        let live = old.all().filter(|(_, when, _)| *when == When::Live);
        assert_eq!(old.changes(&mixed).live.len(), live.count());
        assert_eq!(old.changes(&mixed).at_start, Vec::<String>::new());
        assert_eq!(mixed.changes(&new).live, Vec::<String>::new());
        assert_eq!(mixed.changes(&new).at_start, ["tcp"]);
        assert_ne!(mixed.tcp, Listen::Off);
    }
}
