//! The signals that ask the program to leave.

use std::io;

use crate::exit::Exit;

/// SIGINT, SIGTERM and SIGHUP, from the moment this is made. Elsewhere than on Unix: Ctrl-C.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next signal, as the exit code it stands for. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.hangup.recv() => Exit::Hangup,
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the Unix twin can fail")]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next Ctrl-C, as the exit code it stands for. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Exit {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals the program still ends by `/leave` and the end of its input.
            std::future::pending::<()>().await;
        }
        Exit::Interrupted
    }
}
