//! The prompt: a line editor on one thread, and above it, from another, whatever happens.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as blocking,
    },
    thread,
};

use rustyline::{Config, Editor, ExternalPrinter as _, error::ReadlineError, history::MemHistory};
use tokio::sync::mpsc;

use crate::{
    lines::{Input, LINE_BYTES_MAX, Line},
    output::Output,
};

/// Lines that can be fetched back with the arrow keys. They are kept nowhere.
const HISTORY_LINES_MAX: usize = 200;

/// Whether somebody sits there: a prompt needs a terminal on both sides that can move its cursor.
pub(super) fn possible() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// A prompt that is shown.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) input: mpsc::Receiver<Input>,
    pub(super) output: Output,
    /// The prompt comes back when this is told that a line was dealt with.
    pub(super) next: blocking::SyncSender<()>,
    /// Puts the terminal back in order when the program ends while a line is being typed.
    pub(super) terminal: Terminal,
}

/// Shows `prompt` (and `styled`, the same with colours) and reads lines.
pub(super) fn open(prompt: String, styled: String) -> anyhow::Result<Prompt> {
    let terminal = Terminal::remember();
    let config = Config::builder()
        .auto_add_history(true)
        .max_history_size(HISTORY_LINES_MAX)?
        .build();
    let history = MemHistory::with_config(&config);
    let mut editor: Editor<(), MemHistory> = Editor::with_history(config, history)?;
    let mut printer = editor.create_external_printer()?;
    let output = Output::start(move |text| printer.print(text).map_err(io::Error::other))?;
    let (sender, input) = mpsc::channel(1);
    let (next, dealt_with) = blocking::sync_channel(1);
    let reading = Arc::clone(&terminal.reading);
    thread::Builder::new()
        .name("prompt".to_owned())
        .spawn(move || {
            let prompt = (prompt, styled);
            loop {
                reading.store(true, Ordering::SeqCst);
                let line = editor.readline(&prompt);
                reading.store(false, Ordering::SeqCst);
                let input = match line {
                    Ok(line) if line.len() > LINE_BYTES_MAX => Input::Line(Line::TooLong {
                        bytes: line.len() as u64,
                    }),
                    Ok(line) => Input::Line(Line::Text(line)),
                    Err(ReadlineError::Eof) => Input::End,
                    Err(ReadlineError::Interrupted) => Input::Interrupted,
                    Err(ReadlineError::Signal(_)) => continue,
                    Err(error) => Input::Failed(io::Error::other(error)),
                };
                // After the last line nobody answers, and the terminal stays as the user had it.
                if sender.blocking_send(input).is_err() || dealt_with.recv().is_err() {
                    return;
                }
            }
        })?;
    Ok(Prompt {
        input,
        output,
        next,
        terminal,
    })
}

/// The terminal as it was before the prompt. While a line is typed it is in raw mode, and a program
/// that ends then (by a signal) would leave it so.
#[derive(Debug)]
pub(super) struct Terminal {
    reading: Arc<AtomicBool>,
    #[cfg(unix)]
    mode: Option<nix::sys::termios::Termios>,
}

impl Terminal {
    fn remember() -> Self {
        Self {
            reading: Arc::new(AtomicBool::new(false)),
            #[cfg(unix)]
            mode: nix::sys::termios::tcgetattr(io::stdin()).ok(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.reading.load(Ordering::SeqCst) {
            return;
        }
        #[cfg(unix)]
        if let Some(mode) = &self.mode {
            use nix::sys::termios::{SetArg, tcsetattr};
            // If the terminal is gone there is nothing to put in order.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, mode);
        }
        // Wipes the prompt and ends bracketed paste (xterm, "Bracketed Paste Mode").
        let _ = io::stdout().lock().write_all(b"\r\x1b[K\x1b[?2004l");
        let _ = io::stdout().lock().flush();
    }
}
