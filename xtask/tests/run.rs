//! `cargo xtask run` from outside, with stand-ins for cargo, trunk and the bootstrap node: what is
//! started is announced, watched and stopped. The stand-ins are shell scripts that sleep; the HTTP
//! answers come from this test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// A workspace and the programs around it, none of them real.
struct Stage {
    folder: TempDir,
    page: u16,
    http: u16,
}

impl Stage {
    fn new() -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            page: free_port(),
            http: free_port(),
        };
        let root = stage.folder.path();
        for folder in ["xtask", "target/debug", "cargo/bin", "cache", "pids"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let lock = "[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.108\"\n";
        fs::write(root.join("Cargo.lock"), lock).unwrap();
        fs::write(
            root.join("Trunk.toml"),
            "[[proxy]]\nbackend = \"http://127.0.0.1:8470/\"\n",
        )
        .unwrap();
        let metadata = format!(
            "{{\"packages\":[],\"workspace_members\":[],\"target_directory\":\"{}\"}}",
            root.join("target").display()
        );
        stage.script(
            "cargo/bin/cargo",
            &format!("case $1 in metadata) echo '{metadata}';; esac"),
        );
        stage.script("cargo/bin/rustc", "echo 'rustc 1.95.0'");
        stage.script("cargo/bin/wasm-bindgen", "echo 'wasm-bindgen 0.2.108'");
        stage.script(
            "cargo/bin/trunk",
            "case $1 in --version) echo 'trunk 0.21.14';; serve) touch $ROOT/serving; stay;; esac",
        );
        stage.script(
            "target/debug/moim-bootstrap",
            "touch $ROOT/bootstrapping; stay",
        );
        stage
    }

    /// `stay` starts a grandchild, as real servers do, and lasts until it is stopped.
    fn script(&self, file: &str, body: &str) {
        let root = self.folder.path();
        let path = root.join(file);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = format!(
            "#!/bin/sh\nROOT={0}\necho \"{name} $*\" >> $ROOT/calls\n\
             stay() {{ sleep 300 & echo $! > $ROOT/pids/{name}-child; echo $$ > $ROOT/pids/{name}; \
             wait; }}\n{body}\n",
            root.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self) -> Run {
        let root = self.folder.path();
        let output = fs::File::create(root.join("output")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["run", "--no-open", "--page-port", &self.page.to_string()])
            .args(["--http", &format!("127.0.0.1:{}", self.http)])
            .args([
                "--tcp",
                "off",
                "--quic",
                "off",
                "--ws",
                "off",
                "--webrtc-direct",
                "off",
                "--stun",
                "off",
            ])
            .env("CARGO_MANIFEST_DIR", root.join("xtask"))
            .env("CARGO_HOME", root.join("cargo"))
            .env("XDG_CACHE_HOME", root.join("cache"))
            .env("PATH", "/usr/bin:/bin")
            .env_remove("MOIM_WASM_ROUTE")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Run {
            child,
            output: root.join("output"),
        }
    }

    /// Answers as a server would, once it was started.
    fn answer(&self, mark: &str, port: u16, body: &'static str) {
        let mark = self.folder.path().join(mark);
        thread::spawn(move || {
            wait_until("a server is started", || mark.exists());
            for stream in TcpListener::bind(("127.0.0.1", port)).unwrap().incoming() {
                let mut stream: TcpStream = stream.unwrap();
                let mut request = [0; 1024];
                let _length = stream.read(&mut request).unwrap();
                let answer = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
    }

    fn answer_all(&self) {
        let info = r#"{"peer_id":"12D3KooW","addresses":["/ip4/127.0.0.1/tcp/8469/ws"]}"#;
        self.answer("bootstrapping", self.http, info);
        self.answer("serving", self.page, "<title>Moim</title>");
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }

    /// The processes of both servers and of what they started.
    fn pids(&self) -> Vec<Pid> {
        let folder = self.folder.path().join("pids");
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            Pid::from_raw(text.trim().parse().unwrap()).unwrap()
        };
        fs::read_dir(folder).unwrap().map(read).collect()
    }

    fn expect_nothing_left(&self) {
        for pid in self.pids() {
            wait_until("a process is gone", || !is_alive(pid));
        }
    }
}

struct Run {
    child: Child,
    output: PathBuf,
}

impl Run {
    fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        while !self.output().contains(text) {
            assert!(
                started.elapsed() < DEADLINE,
                "no {text:?} in:\n{}",
                self.output()
            );
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}:\n{}", self.output());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                started.elapsed() < DEADLINE,
                "still running:\n{}",
                self.output()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Only after a failed assertion is it still there.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn is_alive(pid: Pid) -> bool {
    let stat = Path::new("/proc").join(pid.to_string()).join("stat");
    let zombie = fs::read_to_string(stat).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    });
    !zombie && test_kill_process(pid).is_ok()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_signal_stops_everything_that_was_started() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let stage = Stage::new();
        stage.answer_all();
        let mut run = stage.run();
        run.wait_for("Ctrl-C stops everything");
        let output = run.output();
        for text in [
            &format!("http://localhost:{}", stage.page),
            "12D3KooW",
            "/ip4/127.0.0.1/tcp/8469/ws",
            &format!("--bootstrap http://127.0.0.1:{}/bootstrap.json", stage.http),
        ] {
            assert!(output.contains(text), "no {text:?} in:\n{output}");
        }
        assert_eq!(stage.pids().len(), 4);
        kill_process(Pid::from_child(&run.child), signal).unwrap();
        assert_eq!(run.wait(), 0, "{signal:?}:\n{}", run.output());
        stage.expect_nothing_left();
    }
}

#[test]
fn when_one_server_dies_the_other_is_stopped_and_the_reason_shown() {
    let stage = Stage::new();
    stage.script(
        "target/debug/moim-bootstrap",
        "touch $ROOT/bootstrapping; while [ ! -e $ROOT/die ]; do sleep 0.02; done\n\
         echo 'the disk is full' >&2; exit 7",
    );
    stage.answer_all();
    let mut run = stage.run();
    run.wait_for("Ctrl-C stops everything");
    fs::write(stage.folder.path().join("die"), "").unwrap();
    assert_eq!(run.wait(), 1);
    let output = run.output();
    for text in ["bootstrap node", "exit code 7", "the disk is full"] {
        assert!(output.contains(text), "no {text:?} in:\n{output}");
    }
    stage.expect_nothing_left();
}

#[test]
fn a_taken_port_is_reported_before_anything_is_built() {
    let stage = Stage::new();
    let _taken = TcpListener::bind(("127.0.0.1", stage.page)).unwrap();
    let mut run = stage.run();
    assert_eq!(run.wait(), 1);
    let output = run.output();
    assert!(
        output.contains(&stage.page.to_string()) && output.contains("--page-port"),
        "{output}"
    );
    assert!(!stage.calls().contains("cargo build"), "{}", stage.calls());
}

#[test]
fn a_failed_build_shows_its_output_and_starts_nothing() {
    let stage = Stage::new();
    stage.script(
        "cargo/bin/trunk",
        "case $1 in --version) echo 'trunk 0.21.14';; *) echo 'error: no such thing'; exit 1;; esac",
    );
    let mut run = stage.run();
    assert_eq!(run.wait(), 1);
    assert!(
        run.output().contains("error: no such thing"),
        "{}",
        run.output()
    );
    assert!(stage.pids().is_empty());
}
