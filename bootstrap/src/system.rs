//! What the process asks of the operating system: signals, and enough open files.

use std::{future::Future, io, process};

/// Open files the node may need beside the connections of others: 200 connections to others and 1,000
/// that are being set up, 512 of HTTP, and of a TURN server 2,048 connections and 1,024 ports, each use
/// with its part.
#[cfg(unix)]
const OPEN_FILES: u64 = 8_288;

/// Exit code when a second signal cuts the stop short: 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

/// What somebody wants who sends a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Reload,
    Stop,
}

/// Ready at the first signal to stop: SIGINT, SIGTERM, SIGHUP if it comes because our terminal is gone,
/// or Ctrl-C where there are no signals. The second ends the process at once. At every other SIGHUP
/// `reload` is called.
///
/// # Errors
///
/// If the system doesn't let us listen for signals.
pub(crate) fn stop_signal(
    reload: impl Fn() + Send + 'static,
) -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    let (tx, rx) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        while signals.next().await == Wish::Reload {
            reload();
        }
        // The receiver is gone if the node is.
        let _ = tx.send(());
        while signals.next().await == Wish::Reload {}
        process::exit(EXIT_INTERRUPTED);
    });
    Ok(async {
        let _ = rx.await;
    })
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` where it is to be ignored (nohup(1)).
    hangup: Option<tokio::signal::unix::Signal>,
    has_terminal: bool,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hangup = match is_hangup_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self {
            interrupt,
            terminate,
            hangup,
            has_terminal: has_terminal(),
        })
    }

    async fn next(&mut self) -> Wish {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            // As it was before there was anything to reload: who closes a terminal ends what runs in it.
            _ = hangup => match self.has_terminal && !has_terminal() {
                true => Wish::Stop,
                false => Wish::Reload,
            },
        }
    }
}

/// Whether the process has a terminal that controls it (tty(4)).
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether whoever started us wants SIGHUP ignored, as far as the system says: the lowest bit of `SigIgn`
/// in `/proc/self/status` (proc_pid_status(5)).
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Wish {
        if tokio::signal::ctrl_c().await.is_err() {
            // No way to hear of it: then nothing stops us but the system itself.
            std::future::pending().await
        }
        Wish::Stop
    }
}

/// Raises this process' limit of open files as far as it is allowed to and needs to for so many
/// connections of others. Many systems
/// start programs with 1,024, which is a crowd of 1,000 peers and then refusals.
pub(crate) fn raise_open_file_limit(connections: u32) {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let result = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
            let wanted = (OPEN_FILES + u64::from(connections)).min(hard);
            if soft < wanted {
                setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
            } else {
                Ok(())
            }
        });
        if let Err(error) = result {
            tracing::warn!(%error, "can't raise the limit of open files");
        }
    }
    #[cfg(not(unix))]
    let _ = connections;
}
