//! What people see while they wait: one line per step, the time it takes, and the reason when it
//! fails.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

/// On a terminal the progress line is rewritten this often.
const REDRAW_TERMINAL: Duration = Duration::from_millis(500);
/// In a log file a new line is written this often: often enough to show life, rare enough to read.
const REDRAW_LOG: Duration = Duration::from_secs(30);
/// Progress lines are cut here, so that they never wrap.
const WIDTH: usize = 96;
/// As much of a log's end as holds its last line.
const LAST_LINE_BYTES: u64 = 4096;

/// A step that is going on.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    started: Instant,
    drawn: Instant,
    terminal: bool,
    dirty: bool,
}

impl Progress {
    /// Starts the clock of a step. Nothing is written until it takes noticeable time.
    pub(crate) fn start(name: &str) -> Self {
        let now = Instant::now();
        let terminal = io::stdout().is_terminal();
        Self {
            name: name.to_owned(),
            started: now,
            drawn: now,
            terminal,
            dirty: false,
        }
    }

    /// Says what is about to happen and why.
    pub(crate) fn begin(name: &str, about: &str) -> Self {
        println!("{} {name}: {about}", paint("36", "…"));
        Self::start(name)
    }

    /// Shows the time gone by and the last line of the log, now and then.
    pub(crate) fn tick(&mut self, log: &Path) {
        let pause = if self.terminal {
            REDRAW_TERMINAL
        } else {
            REDRAW_LOG
        };
        if self.drawn.elapsed() < pause {
            return;
        }
        self.drawn = Instant::now();
        let line = format!("  {} {}", clock(self.started.elapsed()), last_line(log));
        let line: String = line.chars().take(WIDTH).collect();
        if self.terminal {
            print!("\r\x1b[2K{}", paint("2", &line));
            self.dirty = true;
        } else {
            println!("{line}");
        }
        // Nobody reads a closed terminal.
        let _closed = io::stdout().flush();
    }

    /// Takes the progress line away.
    pub(crate) fn clear(&mut self) {
        if self.dirty {
            print!("\r\x1b[2K");
            let _closed = io::stdout().flush();
            self.dirty = false;
        }
    }

    /// The step went well.
    pub(crate) fn done(mut self, note: &str) {
        self.clear();
        let took = self.started.elapsed();
        let time = if took < Duration::from_secs(1) {
            String::new()
        } else {
            format!(" ({})", clock(took))
        };
        println!("{} {}: {note}{time}", paint("32", "✓"), self.name);
    }
}

/// A headline between groups of lines.
pub(crate) fn headline(text: &str) {
    println!("\n{}", paint("1", text));
}

/// Something worth knowing that is no failure.
pub(crate) fn note(text: &str) {
    println!("{} {text}", paint("33", "!"));
}

/// The reason why nothing goes on.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("\n{} {error}", paint("31", "✗"));
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// Colours a text where somebody sees it.
pub(crate) fn paint(code: &str, text: &str) -> String {
    if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A duration as `m:ss`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The last line with something in it, without colours.
fn last_line(log: &Path) -> String {
    let text = read_end(log).unwrap_or_default();
    let line = text
        .rsplit(['\n', '\r'])
        .map(strip_colours)
        .find(|line| !line.trim().is_empty());
    line.map(|line| line.trim().to_owned()).unwrap_or_default()
}

fn read_end(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_LINE_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_LINE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Removes terminal colour sequences (`ESC [ … letter`).
pub(crate) fn strip_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            plain.push(character);
            continue;
        }
        if characters.next() == Some('[') {
            for inner in characters.by_ref() {
                if inner.is_ascii_alphabetic() {
                    break;
                }
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_secs(0)), "0:00");
        assert_eq!(clock(Duration::from_secs(75)), "1:15");
        assert_eq!(clock(Duration::from_secs(3601)), "60:01");
    }

    #[test]
    fn the_last_line_is_the_last_with_something_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "first\n\x1b[32mCompiling\x1b[0m moim\n\n").unwrap();
        assert_eq!(last_line(&log), "Compiling moim");
        assert_eq!(last_line(&folder.path().join("absent")), "");
    }

    #[test]
    fn colours_are_stripped() {
        assert_eq!(strip_colours("\x1b[1;32mok\x1b[0m done"), "ok done");
        assert_eq!(strip_colours("plain"), "plain");
    }
}
