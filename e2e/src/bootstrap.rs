//! A bootstrap node on loopback.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    PATIENCE, bootstrap_binary,
    http::get,
    process::{Process, Signal},
};

/// Time that a bootstrap node has to end after SIGINT or SIGTERM.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// The transports of a bootstrap node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// `/quic-v1`
    Quic,
    /// `/tcp`
    Tcp,
    /// `/webrtc-direct`
    WebRtcDirect,
    /// `/ws`
    WebSocket,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quic, Self::Tcp, Self::WebRtcDirect, Self::WebSocket];

    /// The node's flag for it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Quic => "--quic",
            Self::Tcp => "--tcp",
            Self::WebRtcDirect => "--webrtc-direct",
            Self::WebSocket => "--ws",
        }
    }

    /// Whether a multiaddr is of this transport.
    fn is_of(self, address: &str) -> bool {
        match self {
            Self::Quic => address.contains("/quic-v1"),
            Self::Tcp => address.contains("/tcp/") && !address.contains("/ws"),
            Self::WebRtcDirect => address.contains("/webrtc-direct"),
            Self::WebSocket => address.contains("/ws"),
        }
    }
}

/// A bootstrap node with a data directory of its own, listening on free ports of 127.0.0.1.
#[derive(Debug)]
pub struct BootstrapNode {
    process: Process,
    data: TempDir,
    peer_id: String,
    /// Every transport that is on with its address, `/p2p/<id>` included.
    addresses: Vec<(Transport, String)>,
    http: SocketAddr,
    extra: Vec<String>,
    environment: Vec<(String, PathBuf)>,
}

impl BootstrapNode {
    /// Starts a node with every transport on and waits until it serves.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Self::start`], with more arguments; the last of a flag counts.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_with(extra: &[&str]) -> Self {
        Self::launch(extra, &[])
    }

    /// As [`Self::start`], with variables in its environment.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_in(environment: &[(&str, PathBuf)]) -> Self {
        Self::launch(&[], environment)
    }

    fn launch(extra: &[&str], environment: &[(&str, PathBuf)]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let extra: Vec<_> = extra.iter().map(|&arg| arg.to_owned()).collect();
        let mut flags = vec![
            ("--http", "127.0.0.1:0".to_owned()),
            ("--stun", "127.0.0.1:0".to_owned()),
        ];
        flags.extend(Transport::ALL.map(|transport| (transport.flag(), "127.0.0.1:0".to_owned())));
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let environment: Vec<_> = environment.collect();
        let process = launch(data.path(), &flags, &extra, &environment);
        let http = wait_for_http(&process);
        let (peer_id, addresses) = fetch_addresses(http);
        Self {
            process,
            data,
            peer_id,
            addresses,
            http,
            extra,
            environment,
        }
    }

    /// Its peer id.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// Its address for `transport`, with its peer id.
    ///
    /// # Panics
    /// If the transport is off.
    pub fn address(&self, transport: Transport) -> &str {
        self.addresses
            .iter()
            .find(|(of, _)| *of == transport)
            .map(|(_, address)| address.as_str())
            .unwrap_or_else(|| panic!("{transport:?} is off: {:?}", self.addresses))
    }

    /// Every address with its transport, in the order of `/bootstrap.json`.
    pub fn addresses(&self) -> &[(Transport, String)] {
        &self.addresses
    }

    /// The socket address behind [`Self::address`], TCP or UDP.
    pub fn socket(&self, transport: Transport) -> SocketAddr {
        socket(self.address(transport))
    }

    /// Where it serves HTTP.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The URL of its `/bootstrap.json`.
    pub fn url(&self) -> String {
        format!("http://{}/bootstrap.json", self.http)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether it is alive and says so.
    pub fn is_healthy(&mut self) -> bool {
        self.process.is_running()
            && get(self.http, "/health").is_ok_and(|answer| answer.status == 200)
    }

    /// Stops it as a service manager would, and waits.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::Terminate);
        self.process.wait(STOPPED_WITHIN)
    }

    /// Starts it again on the same ports and data directory; answers when it serves again.
    ///
    /// # Panics
    /// If it does not come up, or is somebody else now.
    pub fn start_again(&mut self) -> Instant {
        let mut flags = vec![("--http", self.http.to_string())];
        for (transport, address) in &self.addresses {
            flags.push((transport.flag(), socket(address).to_string()));
        }
        self.process = launch(self.data.path(), &flags, &self.extra, &self.environment);
        self.http = wait_for_http(&self.process);
        let back = Instant::now();
        let (peer_id, mut addresses) = fetch_addresses(self.http);
        assert_eq!(peer_id, self.peer_id, "the identity survives a restart");
        addresses.sort();
        self.addresses.sort();
        assert_eq!(
            addresses, self.addresses,
            "an address once handed out stays good"
        );
        back
    }
}

fn launch(
    data: &Path,
    flags: &[(&str, String)],
    extra: &[String],
    environment: &[(String, PathBuf)],
) -> Process {
    let mut command = Command::new(bootstrap_binary());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
        .arg("--data-dir")
        .arg(data)
        .args(["--log-format", "json"]);
    for (flag, value) in flags
        .iter()
        .filter(|(flag, _)| !extra.iter().any(|arg| arg == flag))
    {
        command.args([flag, value.as_str()]);
    }
    command.args(extra);
    Process::start("moim-bootstrap", &mut command)
}

/// The node says on standard output where it serves HTTP, once everything listens.
fn wait_for_http(process: &Process) -> SocketAddr {
    process
        .pick_line(0, Instant::now() + PATIENCE, |_, line| {
            let line: Value = serde_json::from_str(&line.text).ok()?;
            let url = line.get("http")?.as_array()?.first()?.as_str()?.to_owned();
            (line["type"] == "ready").then(|| url.strip_prefix("http://")?.parse().ok())?
        })
        .expect("the bootstrap node says that it is ready and where it serves HTTP")
}

fn fetch_addresses(http: SocketAddr) -> (String, Vec<(Transport, String)>) {
    let answer = get(http, "/bootstrap.json").expect("the bootstrap node serves HTTP");
    assert_eq!(answer.status, 200, "{answer:?}");
    let document: Value = serde_json::from_str(&answer.body).expect("bootstrap.json is JSON");
    let peer_id = document["peer_id"]
        .as_str()
        .expect("bootstrap.json has a peer id")
        .to_owned();
    let addresses = document["addresses"]
        .as_array()
        .expect("bootstrap.json has addresses");
    let addresses = addresses.iter().map(|address| {
        let address = address.as_str().expect("an address is a text").to_owned();
        let transport = Transport::ALL
            .into_iter()
            .find(|transport| transport.is_of(&address));
        (
            transport.unwrap_or_else(|| panic!("what transport is {address}?")),
            address,
        )
    });
    (peer_id, addresses.collect())
}

fn socket(address: &str) -> SocketAddr {
    let parts: Vec<_> = address.split('/').collect();
    let ["", "ip4", host, "tcp" | "udp", port, ..] = parts.as_slice() else {
        panic!("{address} is no address on 127.0.0.1");
    };
    format!("{host}:{port}")
        .parse()
        .expect("host and port of a multiaddr")
}
