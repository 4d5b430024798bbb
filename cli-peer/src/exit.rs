//! How the program ends: exit codes, and errors that carry one.

use std::{fmt::Display, process::ExitCode};

use moim_peer::json::Event;

use crate::json::ToLine as _;

/// The exit codes, as `moim --help` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done = 0,
    /// It was tried and failed.
    Failed = 1,
    /// The arguments are wrong. Clap uses the same number.
    Usage = 2,
    /// It was looked for in the DHT and is not there.
    NotFound = 3,
    /// The DHT could not be reached in time.
    NotConnected = 4,
    /// Ended at once by a second SIGHUP, as shells count it (128 + 1).
    Hangup = 129,
    /// Ended at once by a second SIGINT (128 + 2).
    Interrupted = 130,
    /// Ended at once by a second SIGTERM (128 + 15).
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program ends with something else than [`Exit::Done`].
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the program exits with.
    pub(crate) exit: Exit,
    /// The error as a word, for programs that read `--json`.
    pub(crate) code: &'static str,
    /// What happened, why, and what to do, for people.
    pub(crate) message: String,
    /// Whether standard output has all that it should have. Nothing more may be written to it then:
    /// its reader may have stopped reading.
    pub(crate) told: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Display) -> Self {
        Self {
            exit,
            code,
            message: message.to_string(),
            told: false,
        }
    }

    /// It as an event of `--json`, in its own words.
    pub(crate) fn to_line(&self) -> String {
        Event::error(self.code, self.message.as_str()).to_line()
    }

    /// Nothing of it is for standard output (any more).
    pub(crate) fn told(self) -> Self {
        Self { told: true, ..self }
    }
}

/// An error and all its sources in one line.
pub(crate) fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        // Some libraries repeat their source in their own text.
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}
