//! Whose DHT it is, and a node of it as a process.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Longer than any of them takes.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Whose DHT it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contestant {
    /// `moim-peer`.
    Ours,
    /// The least that rust-libp2p makes of one, which checks nothing and signs nothing.
    Bare,
    /// `kademlia` of PyPI: UDP, nothing is encrypted, checked or signed.
    Python,
    /// js-libp2p's `@libp2p/kad-dht` on Node.
    Js,
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It keeps values for others.
    Server,
    /// It uses the DHT. Where every node keeps values, it drops its own copy before it gets one.
    User,
}

impl Contestant {
    pub(super) const ALL: [Self; 4] = [Self::Ours, Self::Python, Self::Bare, Self::Js];
}

/// Where the programs are; what is not there is left out.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// This program.
    pub(super) own: PathBuf,
    /// The js-libp2p node, one script.
    pub(super) js: Option<PathBuf>,
    /// Python with `kademlia`.
    pub(super) python: Option<PathBuf>,
}

impl Programs {
    pub(super) fn contestants(&self) -> Vec<Contestant> {
        let mut all = Contestant::ALL.to_vec();
        all.retain(|contestant| match contestant {
            Contestant::Ours | Contestant::Bare => true,
            Contestant::Python => self.python.is_some(),
            Contestant::Js => self.js.is_some(),
        });
        all
    }

    fn command(&self, contestant: Contestant) -> Result<Command> {
        Ok(match contestant {
            Contestant::Ours | Contestant::Bare => {
                let mut command = Command::new(&self.own);
                let whose = if contestant == Contestant::Ours {
                    "ours"
                } else {
                    "bare"
                };
                command.args(["dht-node", whose]);
                command
            }
            Contestant::Python => {
                let python = self.python.as_ref().context("there is no Python")?;
                let mut command = Command::new(python);
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/node.py"));
                command
            }
            Contestant::Js => {
                let mut command = Command::new("node");
                command.arg(self.js.as_ref().context("there is no js-libp2p")?);
                command
            }
        })
    }
}

/// What a node has done.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    /// Milliseconds, by its own clock.
    pub(super) took: f64,
    /// Whether it was stored, or found.
    pub(super) done: bool,
}

/// A node that is in the DHT. Killed when dropped.
pub(super) struct Node {
    /// By which others enter.
    pub(super) address: String,
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Node {
    /// Starts one; returns once it is in the DHT that is entered by the node there, or is its first.
    pub(super) async fn start(
        programs: &Programs,
        contestant: Contestant,
        entry: Option<&str>,
        role: Role,
    ) -> Result<Self> {
        #[derive(Deserialize)]
        struct Ready {
            address: String,
        }
        let mut command = programs.command(contestant)?;
        command
            .args(entry)
            .args((role == Role::User).then_some("user"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("starting a node")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let Ready { address } = next(&mut lines).await?;
        Ok(Self {
            address,
            _child: child,
            stdin,
            lines,
        })
    }

    /// Has it do something.
    pub(super) async fn ask(&mut self, what: &str) -> Result<Done> {
        self.say(what).await?;
        next(&mut self.lines).await
    }

    /// How many others it knows.
    pub(super) async fn known(&mut self) -> Result<usize> {
        #[derive(Deserialize)]
        struct Known {
            known: usize,
        }
        self.say("known").await?;
        let Known { known } = next(&mut self.lines).await?;
        Ok(known)
    }

    async fn say(&mut self, what: &str) -> Result<()> {
        self.stdin.write_all(format!("{what}\n").as_bytes()).await?;
        Ok(self.stdin.flush().await?)
    }
}

/// The next line that it says.
async fn next<T: for<'a> Deserialize<'a>>(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<T> {
    let line = tokio::time::timeout(ANSWER_LIMIT, lines.next_line())
        .await
        .context("a node does not answer")??
        .context("a node has ended; see above")?;
    serde_json::from_str(&line).with_context(|| line.clone())
}
