//! The prompt, at a terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::pty::openpty;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `moim join` at a terminal of its own.
struct Screen {
    child: Child,
    keys: File,
    parts: mpsc::Receiver<String>,
    shown: String,
}

impl Screen {
    fn open() -> Self {
        let pty = openpty(None, None).expect("a terminal");
        let data = tempfile::tempdir().expect("a folder").keep();
        let side = || {
            Stdio::from(OwnedFd::from(File::from(
                pty.slave.try_clone().expect("a file"),
            )))
        };
        let child = Command::new(env!("CARGO_BIN_EXE_moim"))
            .args([
                "join",
                "prompt",
                "--name",
                "Ada",
                "--listen",
                "none",
                "--data-dir",
            ])
            .arg(data)
            .args(["--bootstrap", "/ip4/127.0.0.1/tcp/1"])
            .env("TERM", "xterm")
            .stdin(side())
            .stdout(side())
            .stderr(Stdio::null())
            .spawn()
            .expect("moim starts");
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().expect("a file");
        let (sender, parts) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = screen.read(&mut bytes) {
                let part = String::from_utf8_lossy(&bytes[..count]).into_owned();
                if count == 0 || sender.send(part).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys,
            parts,
            shown: String::new(),
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Waits until this was shown so many times.
    fn until(&mut self, text: &str, times: usize) {
        let asked = Instant::now();
        while self.shown.matches(text).count() < times {
            let left = PATIENCE.saturating_sub(asked.elapsed());
            let part = self.parts.recv_timeout(left);
            self.shown += &part.unwrap_or_else(|_| panic!("{times} times {text}: {}", self.shown));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_that_are_typed_ahead_are_all_said() {
    let mut screen = Screen::open();
    screen.until("prompt> ", 1);
    screen.press("one\rtwo\rthree\rfour\r");
    // Nobody is there, and each line is told so.
    screen.until("nobody heard that", 4);
    for said in ["one", "two", "three", "four"] {
        assert!(screen.shown.contains(said), "{said} in {}", screen.shown);
    }
    screen.press("/leave\r");
    screen.until("Leaving prompt", 1);
}
