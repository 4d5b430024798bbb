//! A `moim-bootstrap` process, and what it says.

use std::{
    path::Path,
    process::{ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use serde::Deserialize;
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{soon, until};

/// Every transport on a free loopback port.
pub(crate) const FREE_PORTS: [&str; 6] = [
    "--tcp=127.0.0.1:0",
    "--quic=127.0.0.1:0",
    "--ws=127.0.0.1:0",
    "--webrtc-direct=127.0.0.1:0",
    "--stun=127.0.0.1:0",
    "--http=127.0.0.1:0",
];

/// The line a node says on stdout once it is ready.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) r#type: String,
    pub(crate) peer_id: String,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) http: Vec<String>,
    pub(crate) https: Vec<String>,
    pub(crate) stun: Vec<String>,
    pub(crate) turn: Vec<String>,
}

/// A running node. Killed when dropped.
pub(crate) struct Node {
    pub(crate) ready: Ready,
    pub(crate) data: TempDir,
    child: Child,
    log: Log,
}

/// What a node logs. Shown if the test fails.
struct Log(NamedTempFile);

impl Drop for Log {
    #[allow(
        clippy::print_stdout,
        reason = "the test harness shows it with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = std::fs::read_to_string(self.0.path()).unwrap_or_default();
            println!("--- log of the node\n{text}---");
        }
    }
}

/// An answer of the node's HTTP server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The binary with a clean environment, these flags and this data directory.
pub(crate) fn command(data: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moim-bootstrap"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOIM_")) {
        command.env_remove(name);
    }
    command
        .env("RUST_LOG", "warn,moim_bootstrap=debug")
        .args(FREE_PORTS)
        .arg("--log-format=json")
        .arg("--data-dir")
        .arg(data)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the binary until it ends by itself.
pub(crate) async fn run_to_end(data: &Path, flags: &[&str]) -> Output {
    let mut command = command(data, flags);
    command.env("RUST_LOG", "off");
    soon("the node to end", command.output()).await.unwrap()
}

/// Sends a running process a signal, e.g. `TERM`.
pub(crate) async fn kill(child: &Child, signal: &str) {
    let id = child.id().expect("still running").to_string();
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &id])
        .status()
        .await;
    assert!(sent.unwrap().success());
}

impl Node {
    /// Starts a node and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), flags).await
    }

    pub(crate) async fn start_in(data: TempDir, flags: &[&str]) -> Self {
        let command = command(data.path(), flags);
        Self::start_command(data, command).await
    }

    /// Starts a node that can't make a file larger than so many bytes, as if the disk were full.
    #[cfg(target_os = "linux")]
    pub(crate) async fn start_small_disk(bytes: u64) -> Self {
        let limit = format!("trap '' XFSZ; prlimit --pid $$ --fsize={bytes}:");
        Self::start_limited(&limit, &[]).await
    }

    /// Ends what [`start_small_disk`](Self::start_small_disk) began.
    #[cfg(target_os = "linux")]
    pub(crate) async fn enlarge_disk(&self) {
        let id = self.child.id().unwrap().to_string();
        let done = Command::new("prlimit")
            .args(["--pid", &id, "--fsize=unlimited:"])
            .status();
        assert!(done.await.unwrap().success());
    }

    /// Starts a node that may have no more than so many files open.
    pub(crate) async fn start_with_files(files: u32, flags: &[&str]) -> Self {
        // The hard limit too, or the node would raise it again.
        Self::start_limited(&format!("ulimit -n {files}"), flags).await
    }

    /// Starts a node from a shell that has run `limit` before.
    async fn start_limited(limit: &str, flags: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let node = command(data.path(), flags);
        let node = node.as_std();
        let mut limited = Command::new("sh");
        limited
            .arg("-c")
            .arg(format!("{limit} && exec \"$0\" \"$@\""))
            .arg(node.get_program())
            .args(node.get_args());
        // Those of `command` are there to be removed, or say what is logged, which is left as it is
        // for everybody.
        for (name, _) in node.get_envs() {
            limited.env_remove(name);
        }
        limited
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Self::start_command(data, limited).await
    }

    pub(crate) async fn start_command(data: TempDir, mut command: Command) -> Self {
        let log = Log(NamedTempFile::new().unwrap());
        let stderr = log.0.reopen().unwrap();
        let mut child = command.stderr(stderr).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the node to be ready", lines.next_line())
            .await
            .unwrap();
        let ready: Ready = serde_json::from_str(&line.expect("a line on stdout")).unwrap();
        assert_eq!(ready.r#type, "ready");
        Self {
            ready,
            data,
            child,
            log,
        }
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        self.ready.peer_id.parse().unwrap()
    }

    /// The loopback address of a transport: `tcp`, `quic`, `ws` or `webrtc`.
    pub(crate) fn address(&self, transport: &str) -> Multiaddr {
        let is_it = |text: &str| match transport {
            "tcp" => text.contains("/tcp/") && !text.contains("/ws"),
            "quic" => text.contains("/quic-v1"),
            "ws" => text.contains("/ws"),
            "webrtc" => text.contains("/webrtc-direct"),
            other => panic!("no transport: {other}"),
        };
        let found = self.ready.addresses.iter().find(|a| is_it(&a.to_string()));
        found
            .unwrap_or_else(|| panic!("{transport} in {:?}", self.ready.addresses))
            .clone()
    }

    pub(crate) fn port(&self, transport: &str) -> u16 {
        let address = self.address(transport).to_string();
        address.split('/').nth(4).unwrap().parse().unwrap()
    }

    pub(crate) fn http_port(&self) -> u16 {
        self.ready.http[0]
            .rsplit_once(':')
            .unwrap()
            .1
            .parse()
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).await
    }

    pub(crate) async fn request(&self, method: &str, path: &str) -> Answer {
        self.request_with(method, path, "Host: a\r\n").await
    }

    /// A request with these headers, each with its line end.
    pub(crate) async fn request_with(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port()))
            .await
            .unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        soon("an HTTP answer", stream.read_to_string(&mut text))
            .await
            .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) async fn get_json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The value of a metric, named with its labels where it has some, not older than the call.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        // A text that was kept is served some times more. The next one differs: it counts the request for this one.
        let first = self.get("/metrics").await.body;
        let mut text = first.clone();
        until("metrics that are written anew", async || {
            let answer = self.get("/metrics").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            text = answer.body;
            text != first
        })
        .await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}"))
            .parse()
            .unwrap()
    }

    /// What was refused so far for a reason.
    pub(crate) async fn rejected(&self, reason: &str) -> u64 {
        let name = format!("moim_bootstrap_rejected_total{{reason=\"{reason}\"}}");
        self.metric(&name).await
    }

    /// What the node has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.0.path()).unwrap()
    }

    /// Memory in use, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_kib(&self) -> u64 {
        self.memory_field("VmRSS:")
    }

    /// The most memory that ever was in use, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        self.memory_field("VmHWM:")
    }

    /// The processor time that the process has taken.
    #[cfg(target_os = "linux")]
    pub(crate) fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id().unwrap());
        let stat = std::fs::read_to_string(path).unwrap();
        // The name, which may have spaces, ends with the last parenthesis (proc_pid_stat(5)).
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
        // 100 a second on Linux, whatever the kernel's own.
        Duration::from_millis((ticks() + ticks()) * 10)
    }

    #[cfg(target_os = "linux")]
    fn memory_field(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until the node has logged this.
    pub(crate) async fn until_logged(&self, text: &str) {
        until(text, async || self.log().contains(text)).await;
    }

    /// Sends a signal, e.g. `HUP`.
    pub(crate) async fn signal(&self, signal: &str) {
        kill(&self.child, signal).await;
    }

    /// Sends a signal, e.g. `TERM`, and says how the process ended and after how long.
    pub(crate) async fn stop(mut self, signal: &str) -> (ExitStatus, Duration, TempDir) {
        let started = Instant::now();
        self.signal(signal).await;
        let status = soon("the node to stop", self.child.wait()).await.unwrap();
        (status, started.elapsed(), self.data)
    }

    /// Whether the process is still there and answers.
    pub(crate) async fn assert_alive(&self) {
        assert_eq!(self.get_json("/health").await["status"], "ok");
    }
}
