//! What the process asks of the operating system: signals, and enough open files.

use std::{future::Future, io, process};

/// Open files the node may need: 4,200 connections and 1,000 that are being set up, 512 of HTTP, and of
/// a TURN server 2,048 connections and 1,024 ports, each use with its part.
#[cfg(unix)]
const OPEN_FILES: u64 = 12_288;

/// Exit code when a second signal cuts the stop short: 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

/// Ready at the first signal to stop (SIGINT or SIGTERM, or Ctrl-C where there are no signals). The
/// second ends the process at once.
///
/// # Errors
///
/// If the system doesn't let us listen for signals.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    let (tx, rx) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        // The receiver is gone if the node is.
        let _ = tx.send(());
        signals.next().await;
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
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            interrupt,
            terminate,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // No way to hear of it: then nothing stops us but the system itself.
            std::future::pending().await
        }
    }
}

/// Raises this process' limit of open files as far as it is allowed to and needs to. Many systems
/// start programs with 1,024, which is a crowd of 1,000 peers and then refusals.
pub(crate) fn raise_open_file_limit() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let result = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
            let wanted = OPEN_FILES.min(hard);
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
}
