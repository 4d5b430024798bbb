//! Runs the program and reads what it says.

#![expect(
    clippy::unwrap_used,
    reason = "only tests use this; a panic is how they fail"
)]

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// An address at which nobody listens.
pub(crate) fn dead_address() -> String {
    // Nothing gets this port by chance within the test: ports are handed out in turn.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!(
        "/ip4/127.0.0.1/tcp/{}",
        listener.local_addr().unwrap().port()
    )
}

/// The program with a home of its own, so that no test touches the user's identity.
pub(crate) fn moim(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moim"));
    command
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("data"))
        .env("USER", "tester")
        .env_remove("RUST_LOG");
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let home = TempDir::new().unwrap();
    moim(home.path())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running `moim join`. Killed when dropped.
pub(crate) struct Joined {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Option<Receiver<String>>,
    reader: Option<JoinHandle<()>>,
    /// Events that were read and that nobody has asked for yet.
    waiting: VecDeque<Value>,
    /// What was read so far, for messages of failures.
    seen: Vec<String>,
    _home: TempDir,
}

impl Joined {
    /// Starts `moim join global-chat`, listening on loopback.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let home = TempDir::new().unwrap();
        let mut command = moim(home.path());
        command
            .args(["join", "global-chat", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(arguments);
        Self::spawn(command, home)
    }

    /// Starts a JSON peer that enters the DHT at `bootstrap`, and waits until it is ready. Returns
    /// its id and its first address with it.
    pub(crate) fn ready(name: &str, bootstrap: &str, more: &[&str]) -> (Self, String, String) {
        let mut joined = Self::start(
            &[
                &[
                    "--json",
                    "--ephemeral",
                    "--name",
                    name,
                    "--bootstrap",
                    bootstrap,
                ],
                more,
            ]
            .concat(),
        );
        let ready = joined.event("ready");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            joined,
            text(&ready["peer_id"]),
            text(&ready["addresses"][0]),
        )
    }

    pub(crate) fn spawn(mut command: Command, home: TempDir) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    // Closes the pipe.
                    return;
                }
            }
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines: Some(lines),
            reader: Some(reader),
            waiting: VecDeque::new(),
            seen: Vec::new(),
            _home: home,
        }
    }

    /// Writes raw bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Writes raw bytes to a program that may be gone.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stdin.as_mut().map_or(Ok(()), |stdin| {
            stdin.write_all(bytes).and_then(|()| stdin.flush())
        })
    }

    /// Gives a command.
    pub(crate) fn command(&mut self, command: &Value) {
        self.write(format!("{command}\n").as_bytes());
    }

    /// Ends the input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Closes the other end of the output, with the next line of it.
    pub(crate) fn close_output(&mut self) {
        self.lines = None;
        self.command(&json!({"cmd": "members"}));
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// The next line, or `None` at the end of the output.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.as_ref().unwrap().recv_timeout(DEADLINE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("silent for {DEADLINE:?} after:\n{}", self.seen.join("\n"))
            }
        }
    }

    /// The next line that `wanted` takes.
    pub(crate) fn line_that(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            match self.line() {
                Some(line) if wanted(&line) => return line,
                Some(_) => {}
                None => panic!("ended after:\n{}", self.seen.join("\n")),
            }
        }
        panic!("not seen within {DEADLINE:?}:\n{}", self.seen.join("\n"));
    }

    /// The first event that `wanted` takes and that was not asked for before. What has nothing to
    /// do with each other may come in any order. Every line must be an event.
    pub(crate) fn event_that(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(index).unwrap();
        }
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            let Some(line) = self.line() else {
                panic!("ended after:\n{}", self.seen.join("\n"))
            };
            let event =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if wanted(&event) {
                return event;
            }
            self.waiting.push_back(event);
        }
        panic!("not seen within {DEADLINE:?}:\n{}", self.seen.join("\n"));
    }

    /// The next event of this type.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        self.event_that(|event| event["type"] == kind)
    }

    /// What is still said until the output ends.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Waits for the end of the program.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < end,
                "still running after:\n{}",
                self.seen.join("\n")
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        // Most have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
