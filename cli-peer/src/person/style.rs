//! Colours, where they are wanted.

use std::io::{IsTerminal as _, stdout};

use moim_peer::PeerId;

/// How text is marked. Without colours the text itself says everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    colour: bool,
}

/// Foreground colours that are readable on light and on dark, for names.
const NAMES: [&str; 6] = ["31", "32", "33", "34", "35", "36"];

impl Style {
    /// Colours on a terminal, unless NO_COLOR (<https://no-color.org>) says otherwise.
    pub(super) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: stdout().is_terminal() && !unwanted && !dumb,
        }
    }

    /// With colours or without.
    #[cfg(test)]
    pub(super) fn with(colour: bool) -> Self {
        Self { colour }
    }

    fn marked(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Less important.
    pub(super) fn dim(self, text: &str) -> String {
        self.marked("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.marked("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.marked("31", text)
    }

    /// Wants attention.
    pub(super) fn strong(self, text: &str) -> String {
        self.marked("1", text)
    }

    /// A peer's name, in a colour of its own as far as there are enough.
    pub(super) fn name(self, peer: &PeerId, name: &str) -> String {
        let sum: usize = peer.to_bytes().iter().map(|byte| usize::from(*byte)).sum();
        self.marked(&format!("1;{}", NAMES[sum % NAMES.len()]), name)
    }
}
