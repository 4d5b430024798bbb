//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use moim_peer::{BootstrapSource, Multiaddr, NameError, Profile, Topic, TopicError, limits};

/// Where a bootstrap node on this machine lists its addresses.
pub(crate) const DEFAULT_BOOTSTRAP: &str = "http://127.0.0.1:8470/bootstrap.json";

/// Where a peer listens unless told otherwise, as far as the machine has IPv4 and IPv6: any free port on
/// every transport, so that several peers run on one machine. WebSocket is for those who know IPv4 only.
const DEFAULT_LISTEN: [&str; 5] = [
    "/ip4/0.0.0.0/tcp/0",
    "/ip4/0.0.0.0/udp/0/quic-v1",
    "/ip6/::/tcp/0",
    "/ip6/::/udp/0/quic-v1",
    "/ip4/0.0.0.0/tcp/0/ws",
];

const AFTER_HELP: &str = "\
EXAMPLES
  moim join global-chat --name Ada
  moim join global-chat --bootstrap /dns4/moim.example.org/tcp/8468 --bootstrap http://192.0.2.7:8470/bootstrap.json
  moim put weather '{\"temperature\": 21}' && moim get weather
  moim peers global-chat

EXIT CODES
  0  done
  1  tried and failed
  2  wrong usage
  3  not found: no such value, nobody in the topic
  4  not connected: could not get into the DHT within --timeout

Standard error has what went wrong. RUST_LOG or --log choose what is logged there, e.g. moim_peer=debug.";

const JOIN_AFTER_HELP: &str = "\
At the prompt, what you type is said in the room; /help lists the commands. Ctrl-D and Ctrl-C leave.

With --json, events go to standard output and commands come from standard input, one JSON object a
line. The end of the input leaves.
  commands  {\"cmd\":\"say\",\"text\":…}  {\"cmd\":\"send\",\"to\":PEER,\"text\":…}  {\"cmd\":\"put\",\"key\":…,\"value\":…,\"ttl\":SECONDS}
            {\"cmd\":\"get\",\"key\":…}  {\"cmd\":\"members\"}  {\"cmd\":\"connections\"}  {\"cmd\":\"leave\"}
            A command may have a \"ref\"; its answers have it too. `ttl` is optional.
  events    ready  addresses  status  clock  member_joined  member_updated  member_left  room_message
            direct_message  copies  lagged  left
  answers   said  receipt  stored  value  members  connections  error

EXIT CODES
  0  left    1  could not start or go on    2  wrong usage";

/// The command line of `moim`.
#[derive(Debug, Parser)]
#[command(name = "moim", version, about = "A Moim peer in a terminal", after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What to log to standard error, as RUST_LOG, e.g. moim_peer=debug
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the value kept in the DHT under a key
    Get(GetArgs),
    /// Join a topic and talk
    #[command(after_help = JOIN_AFTER_HELP)]
    Join(JoinArgs),
    /// List who is in a topic, without joining it
    Peers(PeersArgs),
    /// Keep a value in the DHT
    Put(PutArgs),
}

impl Command {
    /// Whether a program reads the output.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Get(GetArgs { common, .. })
            | Self::Peers(PeersArgs { common, .. })
            | Self::Put(PutArgs { common, .. }) => common.json,
            Self::Join(join) => join.json,
        }
    }
}

/// Where to enter the DHT.
#[derive(Debug, clap::Args)]
pub(crate) struct BootstrapArgs {
    /// Bootstrap node, by multiaddr or by the URL of its bootstrap.json; may be repeated
    /// [default: http://127.0.0.1:8470/bootstrap.json]
    #[arg(long = "bootstrap", value_name = "ADDR|URL")]
    bootstrap: Vec<BootstrapSource>,
}

impl BootstrapArgs {
    pub(crate) fn sources(&self) -> Vec<BootstrapSource> {
        if self.bootstrap.is_empty() {
            vec![BootstrapSource::Url(DEFAULT_BOOTSTRAP.to_owned())]
        } else {
            self.bootstrap.clone()
        }
    }
}

/// Arguments of `moim join`.
#[derive(Debug, clap::Args)]
pub(crate) struct JoinArgs {
    /// The topic to join, e.g. global-chat
    #[arg(value_parser = topic)]
    pub(crate) topic: Topic,
    /// The name the others see [default: $USER, else made from the peer id]
    #[arg(long, value_parser = profile)]
    pub(crate) name: Option<Profile>,
    #[command(flatten)]
    pub(crate) bootstrap: BootstrapArgs,
    /// Speak JSON lines on standard input and output, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Directory of the identity (identity.key) [default: that of the platform]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Be somebody new and keep nothing
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) ephemeral: bool,
    /// Address to listen on, or `none`; may be repeated [default: any free port of TCP and QUIC
    /// on every address, and of WebSocket on every IPv4 address]
    #[arg(long = "listen", value_name = "MULTIADDR|none")]
    listen: Vec<Listen>,
    /// Answer others' DHT queries and keep values for them; for peers that others can reach
    #[arg(long)]
    pub(crate) serve_dht: bool,
    /// Take no part in the room's gossip (for tests)
    #[arg(long, hide = true)]
    pub(crate) no_gossip: bool,
    /// How long the others keep this peer when they hear nothing more of it (for tests)
    #[arg(long, hide = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=120))]
    pub(crate) presence_lifetime: Option<u64>,
}

impl JoinArgs {
    /// Where to listen unless told otherwise; empty when told.
    pub(crate) fn listen_by_default(&self) -> Vec<Multiaddr> {
        if !self.listen.is_empty() {
            return Vec::new();
        }
        // Constants that a test parses too.
        DEFAULT_LISTEN
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect()
    }

    /// The addresses that were given to listen on; none for `--listen none`.
    pub(crate) fn listen(&self) -> Vec<Multiaddr> {
        self.listen
            .iter()
            .filter_map(|listen| listen.0.clone())
            .collect()
    }
}

/// A multiaddr, or `none`.
#[derive(Clone, Debug)]
struct Listen(Option<Multiaddr>);

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        match text.parse::<Multiaddr>() {
            Ok(address) if !address.is_empty() => Ok(Self(Some(address))),
            Ok(_) => Err("the address is empty".to_owned()),
            Err(error) => Err(format!(
                "{error}; expected an address such as /ip4/0.0.0.0/tcp/9000, or none"
            )),
        }
    }
}

/// What the commands that do one thing have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct OneShotArgs {
    #[command(flatten)]
    pub(crate) bootstrap: BootstrapArgs,
    /// Print the result as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// How long to try to get into the DHT
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl OneShotArgs {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Arguments of `moim get`.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The key
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) common: OneShotArgs,
}

/// Arguments of `moim peers`.
#[derive(Debug, clap::Args)]
pub(crate) struct PeersArgs {
    /// The topic, e.g. global-chat
    #[arg(value_parser = topic)]
    pub(crate) topic: Topic,
    /// How long to look for members at most
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    wait: u64,
    #[command(flatten)]
    pub(crate) common: OneShotArgs,
}

impl PeersArgs {
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

/// Arguments of `moim put`.
#[derive(Debug, clap::Args)]
pub(crate) struct PutArgs {
    /// The key
    pub(crate) key: String,
    /// The value: JSON, or a string if it does not look like JSON
    #[arg(allow_hyphen_values = true, value_parser = moim_peer::from_typed)]
    pub(crate) value: serde_json::Value,
    /// How long it is kept, 60 to 172800 (two days)
    #[arg(long, value_name = "SECONDS", default_value_t = limits::RECORD_TTL_DEFAULT.as_secs(), value_parser = lifetime())]
    ttl: u64,
    #[command(flatten)]
    pub(crate) common: OneShotArgs,
}

impl PutArgs {
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs(self.ttl)
    }
}

fn lifetime() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64)
        .range(limits::RECORD_TTL_MIN.as_secs()..=limits::RECORD_TTL_MAX.as_secs())
}

fn topic(text: &str) -> Result<Topic, TopicError> {
    Topic::new(text)
}

fn profile(text: &str) -> Result<Profile, NameError> {
    Profile::named(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn join(arguments: &[&str]) -> Result<JoinArgs, clap::Error> {
        let arguments = ["moim", "join", "global-chat"].iter().chain(arguments);
        match Args::try_parse_from(arguments)?.command {
            Command::Join(join) => Ok(join),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clap_finds_no_fault() {
        Args::command().debug_assert();
    }

    #[test]
    fn defaults_are_a_local_bootstrap_node_and_three_transports_by_ipv4_and_ipv6() {
        let join = join(&[]).unwrap();
        assert_eq!(
            join.bootstrap.sources(),
            [BootstrapSource::Url(DEFAULT_BOOTSTRAP.to_owned())]
        );
        assert_eq!(join.listen(), []);
        assert_eq!(join.listen_by_default().len(), DEFAULT_LISTEN.len());
        assert!(join.name.is_none());
    }

    #[test]
    fn listening_can_be_switched_off() {
        let none = join(&["--listen", "none"]).unwrap();
        assert_eq!((none.listen(), none.listen_by_default()), (vec![], vec![]));
        let address = "/ip4/127.0.0.1/tcp/9000";
        assert_eq!(
            join(&["--listen", address]).unwrap().listen(),
            [address.parse().unwrap()]
        );
        assert!(
            join(&["--listen", "9000"])
                .unwrap_err()
                .to_string()
                .contains("or none")
        );
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_starts() {
        for (arguments, reason) in [
            (vec!["--bootstrap", "localhost"], "neither a multiaddr"),
            (
                vec!["--bootstrap", "/ip4/300.0.0.1/tcp/1"],
                "neither a multiaddr",
            ),
            (vec!["--name", "  "], "the name is empty"),
            (vec!["--name", "a\x1bb"], "the character U+001B"),
            (vec!["--name", "Ada\u{200b}"], "the character U+200B"),
            (vec!["--name", "\u{3164}"], "the character U+3164"),
            (
                vec!["--data-dir", "x", "--ephemeral"],
                "cannot be used with",
            ),
            (vec!["--presence-lifetime", "1"], "2..=120"),
        ] {
            let error = join(&arguments).unwrap_err();
            assert!(error.to_string().contains(reason), "{arguments:?}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(Args::try_parse_from(["moim", "join", "a\nb"]).is_err());
        assert!(Args::try_parse_from(["moim", "put", "k", "v", "--ttl", "59"]).is_err());
    }

    #[test]
    fn a_value_is_json_or_else_a_string() {
        let value = |text| match Args::try_parse_from(["moim", "put", "t", text])?.command {
            Command::Put(put) => Ok::<_, clap::Error>(put.value),
            other => panic!("{other:?}"),
        };
        assert_eq!(value("{\"a\":1}").unwrap(), serde_json::json!({"a": 1}));
        assert_eq!(value("-5").unwrap(), serde_json::json!(-5));
        assert_eq!(
            value("hello there").unwrap(),
            serde_json::json!("hello there")
        );
        let error = value("{\"a\":1e999}").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("out of range"), "{error}");
    }
}
