//! The log: to standard error, and above the prompt while a person types at one. Quiet by default.

use std::{
    io::{self, Write},
    sync::{Arc, RwLock},
};

use tokio::sync::mpsc;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    exit::{Exit, Failure},
    text,
};

/// Only what a user cannot see otherwise and must know.
const DEFAULT_FILTER: &str = "moim=warn,moim_peer=error";

/// Where the log goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    screen: Arc<RwLock<Option<mpsc::WeakSender<String>>>>,
}

impl Log {
    /// Starts to log what `filter`, else RUST_LOG, else [`DEFAULT_FILTER`] choose.
    pub(crate) fn start(filter: Option<&str>) -> Result<Self, Failure> {
        let log = Self::default();
        let wrong = |error| {
            Failure::new(
                Exit::Usage,
                "usage",
                format!("the log filter is not valid: {error}; for example moim_peer=debug"),
            )
        };
        let environment = std::env::var(EnvFilter::DEFAULT_ENV)
            .ok()
            .filter(|filter| !filter.is_empty());
        let filter = filter
            .map(str::to_owned)
            .or(environment)
            .unwrap_or_else(|| DEFAULT_FILTER.to_owned());
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::try_new(filter).map_err(wrong)?)
            .with_ansi(false)
            .with_writer(log.clone())
            .init();
        Ok(log)
    }

    /// From now on writes to the terminal through `screen`, which keeps the prompt whole, for as
    /// long as that exists. Not if standard error goes elsewhere.
    pub(crate) fn to_screen(&self, screen: mpsc::WeakSender<String>) {
        if io::IsTerminal::is_terminal(&io::stderr())
            && let Ok(mut place) = self.screen.write()
        {
            *place = Some(screen);
        }
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        // What is logged may quote what others sent.
        let line = text::line(line.trim_end()) + "\n";
        let screen = self
            .screen
            .read()
            .ok()
            .and_then(|screen| screen.as_ref().and_then(mpsc::WeakSender::upgrade));
        match screen {
            // A full screen loses a line of the log rather than hold up the peer.
            Some(screen) => {
                let _ = screen.try_send(line);
                Ok(())
            }
            None => io::stderr().lock().write_all(line.as_bytes()),
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Writer<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Writer { log: self }
    }
}

/// Writes one event.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    log: &'a Log,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.write_line(&String::from_utf8_lossy(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
