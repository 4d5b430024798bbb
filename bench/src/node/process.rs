//! The servers that are measured, each a process of its own with a fresh data directory.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use libp2p::Multiaddr;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Every transport of the node on a free loopback port.
const FREE_PORTS: [&str; 6] = [
    "--tcp=127.0.0.1:0",
    "--quic=127.0.0.1:0",
    "--ws=127.0.0.1:0",
    "--webrtc-direct=127.0.0.1:0",
    "--stun=127.0.0.1:0",
    "--http=127.0.0.1:0",
];

/// A full store takes seconds to open when its pages are not in memory.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Time to notice that everybody has left.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Ticks of processor time in a second, which Linux shows in these on every machine (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// `moim-bootstrap`.
    Ours,
    /// The least that rust-libp2p makes a server of, without a bound but libp2p's own.
    Bare,
    /// js-libp2p, with its limits raised.
    Js,
}

impl Subject {
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Bare, Self::Js];
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// `moim-bootstrap`.
    pub(super) node: PathBuf,
    /// This program, which is the bare server too.
    pub(super) own: PathBuf,
    /// The js-libp2p server, one script; without it js-libp2p is left out.
    pub(super) js: Option<PathBuf>,
}

/// The line a server says on stdout once it serves.
#[derive(Debug, Deserialize)]
struct Ready {
    addresses: Vec<Multiaddr>,
    #[serde(default)]
    http: Vec<String>,
    #[serde(default)]
    https: Vec<String>,
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// What it has in memory, with what it shares.
    pub(super) rss: f64,
    /// Its part of it, where shared pages are divided among those who have them.
    pub(super) pss: f64,
}

/// A running server. Killed when dropped.
pub(super) struct Server {
    subject: Subject,
    child: Child,
    ready: Ready,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// Its data directory, unless that is somebody else's.
    _data: Option<TempDir>,
}

impl Server {
    /// Starts one; `flags` are for our node and for the bare server.
    pub(super) async fn start(
        programs: &Programs,
        subject: Subject,
        flags: &[&str],
    ) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut command = match subject {
            Subject::Ours => ours(programs, data.path()),
            Subject::Bare => {
                let mut command = Command::new(&programs.own);
                command.arg("bare");
                command
            }
            Subject::Js => {
                let script = programs.js.as_ref().context("there is no js-libp2p")?;
                let mut command = Command::new("node");
                command.arg("--expose-gc").arg(script);
                command
            }
        };
        command.args(flags);
        Self::spawn(subject, command, Some(data)).await
    }

    /// Starts our node with this data directory.
    pub(super) async fn start_in(programs: &Programs, data: &Path, flags: &[&str]) -> Result<Self> {
        let mut command = ours(programs, data);
        command.args(flags);
        Self::spawn(Subject::Ours, command, None).await
    }

    /// Starts a program that says when it serves.
    pub(super) async fn spawn(
        subject: Subject,
        mut command: Command,
        data: Option<TempDir>,
    ) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line())
            .await
            .context("a server did not start in time")??
            .context("a server ended before it served; see above")?;
        let ready = serde_json::from_str(&line).with_context(|| line.clone())?;
        Ok(Self {
            subject,
            stdin: child.stdin.take(),
            child,
            ready,
            lines,
            _data: data,
        })
    }

    /// Whether clients are to hold a place at its relay: our node hangs up on who wants nothing.
    pub(super) fn is_relay(&self) -> bool {
        self.subject == Subject::Ours
    }

    /// The address of a transport: `tcp`, `ws`, `quic` or `webrtc`.
    pub(super) fn address(&self, transport: &str) -> Result<Multiaddr> {
        let is_it = |text: &str| match transport {
            "tcp" => text.contains("/tcp/") && !text.contains("/ws"),
            "ws" => text.contains("/ws") && !text.contains("/tls/"),
            "quic" => text.contains("/quic-v1"),
            _ => text.contains("/webrtc-direct"),
        };
        let mut addresses = self.ready.addresses.iter();
        addresses
            .find(|address| is_it(&address.to_string()))
            .cloned()
            .with_context(|| format!("no {transport} in {:?}", self.ready.addresses))
    }

    /// The port of its HTTPS.
    pub(super) fn https_port(&self) -> Option<u16> {
        self.ready.https.first()?.rsplit_once(':')?.1.parse().ok()
    }

    /// Whether it says by HTTP that it is well.
    pub(super) async fn is_healthy(&self) -> Result<bool> {
        let url = self.ready.http.first().context("no HTTP")?;
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let address: SocketAddr = host.parse().with_context(|| host.to_owned())?;
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    }

    pub(super) fn process_id(&self) -> Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// What it has in memory; a JavaScript engine is asked to collect its garbage before.
    pub(super) async fn memory(&mut self) -> Result<Memory> {
        if self.subject == Subject::Js {
            let stdin = self.stdin.as_mut().context("no stdin")?;
            stdin.write_all(b"gc\n").await?;
            stdin.flush().await?;
            self.lines.next_line().await?.context("the server ended")?;
        }
        let text = self.proc("smaps_rollup")?;
        let field = |name: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_whitespace().next());
            Ok(value.context("no such line in smaps_rollup")?.parse()?)
        };
        Ok(Memory {
            rss: field("Rss:")?,
            pss: field("Pss:")?,
        })
    }

    /// Seconds of processor time that it has used.
    pub(super) fn processor_seconds(&self) -> Result<f64> {
        let text = self.proc("stat")?;
        // The name before the parenthesis may have anything in it.
        let (_, rest) = text.rsplit_once(')').context("no name in stat")?;
        let mut times = rest.split_whitespace().skip(11).map(str::parse::<f64>);
        let (user, system) = (times.next(), times.next());
        let user = user.context("no user time in stat")??;
        let system = system.context("no system time in stat")??;
        Ok((user + system) / TICKS_PER_SECOND)
    }

    /// Files, sockets among them, that it has open.
    pub(super) fn open_files(&self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.process_id()?);
        Ok(fs::read_dir(folder)?.count())
    }

    /// Waits until it has no more files open than that.
    pub(super) async fn settle(&self, files: usize) -> Result<()> {
        let settled = async {
            while self.open_files()? > files {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(SETTLE_LIMIT, settled)
            .await
            .context("the server keeps connections that are gone")?
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.process_id()?);
        fs::read_to_string(&path).with_context(|| format!("{path}: this is for Linux"))
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}

fn ours(programs: &Programs, data: &Path) -> Command {
    let mut command = Command::new(&programs.node);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOIM_")) {
        command.env_remove(name);
    }
    command
        .env("RUST_LOG", "error")
        .args(FREE_PORTS)
        .arg("--log-format=json")
        .arg("--data-dir")
        .arg(data);
    command
}

/// Raises the limit of open files to what is allowed; what is started later has it too.
pub(super) fn raise_open_file_limit(wanted: u64) -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        hard >= wanted,
        "{wanted} open files are needed, and this process may have {hard}: raise the limit (ulimit -Hn)"
    );
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
