//! Child processes: each in a process group of its own, stopped together with us.
//!
//! A signal sent to us alone (as `kill`, systemd and CI services do) would leave the compilers and
//! servers that we started behind. So SIGINT, SIGTERM and SIGHUP are noted here, every wait looks
//! at the note, and a group that goes out of scope is stopped.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::ui::Progress;

/// How long a stopped program may take to end by itself: a bootstrap node promises 5 s.
const STOP_GRACE: Duration = Duration::from_secs(7);
/// How often a waiting loop looks at its child. Short enough that nobody notices.
const POLL: Duration = Duration::from_millis(40);
/// Lines of a log shown when a step fails.
const TAIL_LINES: usize = 40;

static SIGNAL: AtomicUsize = AtomicUsize::new(0);
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Starts to note SIGINT, SIGTERM and SIGHUP instead of dying of them.
pub(crate) fn watch_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("catching signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in &mut signals {
                SIGNAL.store(
                    usize::try_from(signal).unwrap_or_default(),
                    Ordering::SeqCst,
                );
                SIGNALS.fetch_add(1, Ordering::SeqCst);
            }
        })?;
    Ok(())
}

/// The signal that asked us to stop, if one did.
pub(crate) fn interrupted() -> Option<u8> {
    u8::try_from(SIGNAL.load(Ordering::SeqCst))
        .ok()
        .filter(|signal| *signal != 0)
}

/// A running program with all that it started.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    pid: Pid,
    ended: Option<ExitStatus>,
}

impl Group {
    /// Starts `command` as the leader of a new process group.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", describe(command)))?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            child,
            pid,
            ended: None,
        })
    }

    /// How it ended, or nothing while it runs.
    pub(crate) fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self
                .child
                .try_wait()
                .context("waiting for a child process")?;
        }
        Ok(self.ended)
    }

    /// Waits until it ends. Fails when `limit` passes or a signal asks us to stop; dropping the
    /// group then stops it.
    pub(crate) fn wait(&mut self, limit: Duration, mut tick: impl FnMut()) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.poll()? {
                return Ok(status);
            }
            if let Some(signal) = interrupted() {
                bail!("stopped by signal {signal}");
            }
            if started.elapsed() > limit {
                bail!("not finished after {} s, stopped", limit.as_secs());
            }
            tick();
            thread::sleep(POLL);
        }
    }

    /// Asks the whole group to end, insists after a while or when the user does, and waits for it.
    pub(crate) fn stop(&mut self) {
        let signals_before = SIGNALS.load(Ordering::SeqCst);
        if matches!(self.poll(), Ok(None)) {
            // The only error is that the group is gone already.
            let _gone = kill_process_group(self.pid, Signal::TERM);
            let asked = Instant::now();
            while matches!(self.poll(), Ok(None))
                && asked.elapsed() < STOP_GRACE
                && SIGNALS.load(Ordering::SeqCst) == signals_before
            {
                thread::sleep(POLL);
            }
        }
        // The leader may have ended and left children of its own behind.
        let _gone = kill_process_group(self.pid, Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a short command and returns its standard output.
pub(crate) fn output(mut command: Command, limit: Duration) -> Result<String> {
    let name = describe(&command);
    let mut group = Group::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let stdout = reader(group.child.stdout.take());
    let stderr = reader(group.child.stderr.take());
    let status = group.wait(limit, || {}).with_context(|| name.clone())?;
    let text = stdout.join().unwrap_or_default();
    if status.success() {
        return Ok(text);
    }
    let reason = stderr.join().unwrap_or_default();
    bail!(
        "{name}: {}\n{}",
        explain(status),
        tail_of(&format!("{text}{reason}"))
    )
}

/// Reads a pipe to its end in the background, so that a full pipe never stalls the child.
fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until the error is what there is to show.
            let _partial = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs a command with its output in `log` and its progress on the screen; a failure shows the
/// log's tail.
pub(crate) fn run_logged(
    mut command: Command,
    log: &Path,
    limit: Duration,
    progress: &mut Progress,
) -> Result<()> {
    let name = describe(&command);
    let file = create_log(log)?;
    writeln!(&file, "$ {name}").context("writing a log")?;
    let mut group = Group::spawn(command.stdout(file.try_clone()?).stderr(file))?;
    let result = group.wait(limit, || progress.tick(log));
    progress.clear();
    finish(result, &name, log, true)
}

/// Runs a command with its output both on the screen and in `log`.
pub(crate) fn run_shown(mut command: Command, log: &Path, limit: Duration) -> Result<()> {
    let name = describe(&command);
    let mut file = create_log(log)?;
    // One pipe for both streams keeps their lines in order.
    let (mut pipe, writer) = io::pipe().context("making a pipe")?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut group = Group::spawn(&mut command)?;
    // Our copies of the pipe's end go, or it would never be at its end.
    drop(command);
    let (done, copied) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    // A closed terminal must not lose the log, nor a full disk the screen.
                    let _shown = io::stdout().write_all(&buffer[..length]);
                    let _shown = io::stdout().flush();
                    let _logged = file.write_all(&buffer[..length]);
                }
            }
        }
        // Nobody waits any more only when we are on our way out.
        let _waiting = done.send(());
    });
    let result = group.wait(limit, || {});
    group.stop();
    // A detached grandchild may hold the pipe open for ever: what it says is not the command's
    // output.
    let _late = copied.recv_timeout(Duration::from_secs(3));
    finish(result, &name, log, false)
}

fn finish(result: Result<ExitStatus>, name: &str, log: &Path, show: bool) -> Result<()> {
    let reason = match result {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => explain(status),
        Err(error) => error.to_string(),
    };
    if show {
        bail!(
            "{name}: {reason}\n{}\n(all of it: {})",
            tail(log),
            log.display()
        );
    }
    bail!("{name}: {reason} (output kept in {})", log.display())
}

/// Creates a log file and the folder it lies in.
pub(crate) fn create_log(log: &Path) -> Result<File> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    File::create(log).with_context(|| format!("creating {}", log.display()))
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    tail_of(&String::from_utf8_lossy(&bytes))
}

fn tail_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..]
        .iter()
        .map(|line| format!("  │ {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// How a process ended, in words.
pub(crate) fn explain(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name)
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
