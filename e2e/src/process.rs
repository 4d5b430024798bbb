//! A process, what it printed and when, and signals to it.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

/// How often a wait looks whether the process has ended.
const EXIT_POLL: Duration = Duration::from_millis(20);

/// How long the streams of an ended process may stay open: a grandchild could hold them.
const STREAM_END_MAX: Duration = Duration::from_secs(2);

/// Lines of each process that a failed test prints; the kept log has all.
const LINES_PRINTED: usize = 60;

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a process printed.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// From where.
    pub from: Output,
    /// The line without its end.
    pub text: String,
}

/// What the tests do to processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGCONT: run on after a stop.
    Continue,
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
    /// SIGKILL: gone without a word.
    Kill,
    /// SIGSTOP: there, but hung.
    Stop,
    /// SIGTERM: what service managers send.
    Terminate,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Continue => "CONT",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Terminate => "TERM",
        }
    }
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Line>,
    open_streams: usize,
}

#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Lines>,
    changed: Condvar,
}

impl Log {
    /// A reader that panicked has lost a line at most.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn read(self: &Arc<Self>, from: Output, stream: impl Read + Send + 'static) {
        self.lock().open_streams += 1;
        let log = Arc::clone(self);
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut bytes = Vec::new();
            while matches!(stream.read_until(b'\n', &mut bytes), Ok(read) if read > 0) {
                let text = String::from_utf8_lossy(&bytes)
                    .trim_end_matches(['\n', '\r'])
                    .to_owned();
                log.lock().lines.push(Line {
                    at: Instant::now(),
                    from,
                    text,
                });
                log.changed.notify_all();
                bytes.clear();
            }
            log.lock().open_streams -= 1;
            log.changed.notify_all();
        });
    }
}

/// A running program. Dropped: killed.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    started: Instant,
    log: Arc<Log>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("id", &self.child.id())
            .finish()
    }
}

impl Process {
    /// Starts `command`; `name` is what failures call it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let log = Arc::new(Log::default());
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        log.read(Output::Stdout, stdout);
        log.read(Output::Stderr, stderr);
        let stdin = child.stdin.take();
        Self {
            name,
            child,
            stdin,
            started,
            log,
        }
    }

    /// What failures call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far, both streams.
    pub fn lines(&self) -> Vec<Line> {
        self.log.lock().lines.clone()
    }

    /// Everything it printed on `from` so far, as one text.
    pub fn text(&self, from: Output) -> String {
        let state = self.log.lock();
        let lines: Vec<_> = state
            .lines
            .iter()
            .filter(|line| line.from == from)
            .map(|line| line.text.as_str())
            .collect();
        lines.join("\n")
    }

    /// Waits until `pick` takes one of the lines from number `since` on; answers with what it made
    /// of it, or `None` at the deadline or once the process has closed both streams.
    pub fn pick_line<T>(
        &self,
        since: usize,
        deadline: Instant,
        mut pick: impl FnMut(usize, &Line) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.log.lock();
        let mut next = since;
        loop {
            while let Some(line) = state.lines.get(next) {
                if let Some(picked) = pick(next, line) {
                    return Some(picked);
                }
                next += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.open_streams == 0 {
                return None;
            }
            let waited = self.log.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Writes bytes to its standard input.
    ///
    /// # Panics
    /// If it has closed its input or ended.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        let written = stdin.write_all(bytes).and_then(|()| stdin.flush());
        if let Err(error) = written {
            panic!("{} does not read its input: {error}", self.name);
        }
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal. Does nothing to a process that has ended.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn signal(&mut self, signal: Signal) {
        // Not reaped before here, so the id is still this process's.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // std can only kill, and `sh` has `kill` built in wherever there is one.
        let command = format!("kill -s {} {}", signal.name(), self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status();
        assert!(
            matches!(status, Ok(status) if status.success()),
            "`{command}` failed: {status:?}"
        );
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended and everything it printed is read.
    ///
    /// # Panics
    /// If it has not within `within`.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.read_to_end();
                    return status;
                }
                Ok(None) if Instant::now() < deadline => thread::park_timeout(EXIT_POLL),
                Ok(None) => panic!("{} has not ended within {within:?}", self.name),
                Err(error) => panic!("cannot wait for {}: {error}", self.name),
            }
        }
    }

    /// Waits for the last of what an ended process printed.
    fn read_to_end(&self) {
        self.pick_line(
            usize::MAX,
            Instant::now() + STREAM_END_MAX,
            |_, _| None::<()>,
        );
    }

    /// The log with times since the start, for people.
    fn render(&self, lines: &[Line]) -> String {
        let mut text = String::new();
        for line in lines {
            let at = line
                .at
                .saturating_duration_since(self.started)
                .as_secs_f64();
            let mark = if line.from == Output::Stdout {
                ' '
            } else {
                '!'
            };
            text.push_str(&format!("{at:9.3}{mark} {}\n", line.text));
        }
        text
    }

    fn keep_log(&self, lines: &[Line]) -> Option<PathBuf> {
        let dir = std::env::temp_dir().join("moim-e2e-logs");
        std::fs::create_dir_all(&dir).ok()?;
        let name: String = self
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let path = dir.join(format!(
            "{}-{}-{name}.log",
            std::process::id(),
            self.child.id()
        ));
        let mut file = File::create(&path).ok()?;
        file.write_all(self.render(lines).as_bytes()).ok()?;
        Some(path)
    }

    #[expect(
        clippy::print_stderr,
        reason = "the harness tells people what the programs said"
    )]
    fn report(&self) {
        let lines = self.lines();
        let shown = lines
            .get(lines.len().saturating_sub(LINES_PRINTED)..)
            .unwrap_or_default();
        let kept = self.keep_log(&lines);
        let place = kept
            .as_deref()
            .map(Path::display)
            .map(|path| format!(", all in {path}"));
        eprintln!(
            "--- {} (process {}): last {} of {} lines{}\n{}",
            self.name,
            self.child.id(),
            shown.len(),
            lines.len(),
            place.unwrap_or_default(),
            self.render(shown)
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            self.report();
        }
    }
}

/// Runs `command` to its end.
///
/// # Panics
/// If it cannot be started or has not ended within `within`.
pub fn run(name: &str, command: &mut Command, within: Duration) -> (ExitStatus, Process) {
    let mut process = Process::start(name, command);
    process.close_input();
    (process.wait(within), process)
}
