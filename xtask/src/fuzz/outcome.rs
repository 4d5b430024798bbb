//! What libFuzzer says of a run.

use std::{fmt, path::PathBuf};

/// A run of one target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Inputs that were tried.
    runs: u64,
    /// Places in the program that were reached.
    coverage: u64,
    /// Inputs that are kept because each reaches something of its own.
    corpus: u64,
    /// The file with the input that it failed of.
    pub(super) input: Option<PathBuf>,
}

impl Outcome {
    /// Reads what a target has written.
    pub(super) fn read(text: &str) -> Self {
        let mut outcome = Self::default();
        for line in text.lines() {
            if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
                outcome.runs = count.trim().parse().unwrap_or_default();
            } else if let Some((_, path)) = line.split_once("Test unit written to ") {
                outcome.input = Some(path.trim().into());
            } else if let Some(status) = line.strip_prefix('#') {
                outcome.note(status);
            }
        }
        outcome
    }

    /// `1024  NEW    cov: 12 ft: 34 corp: 5/67b …`
    fn note(&mut self, status: &str) {
        let mut words = status.split_whitespace();
        let runs = words.next().and_then(|runs| runs.parse().ok());
        self.runs = runs.unwrap_or(self.runs);
        while let Some(word) = words.next() {
            let field = match word {
                "cov:" => &mut self.coverage,
                "corp:" => &mut self.corpus,
                _ => continue,
            };
            let count = words
                .next()
                .and_then(|value| value.split('/').next()?.parse().ok());
            *field = count.unwrap_or(*field);
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            coverage,
            corpus,
            ..
        } = self;
        write!(
            f,
            "{runs} runs, {coverage} places reached, {corpus} inputs kept"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counts_are_taken() {
        let text = "INFO: seed corpus: files: 3\n\
            #2\tINITED cov: 9 ft: 9 corp: 1/1b exec/s: 0 rss: 27Mb\n\
            #1048576\tpulse  cov: 1013 ft: 5 corp: 60/38b lim: 4096 exec/s: 52 rss: 62Mb\n\
            Done 1100000 runs in 60 second(s)\n\
            stat::number_of_executed_units: 1100000\n\
            stat::peak_rss_mb:              62\n";
        let outcome = Outcome::read(text);
        let said = "1100000 runs, 1013 places reached, 60 inputs kept";
        assert_eq!(outcome.to_string(), said);
        assert_eq!(outcome.input, None);
    }

    #[test]
    fn the_input_of_a_failure_is_found() {
        let text = "thread panicked at src/a.rs:1:1:\n\
            artifact_prefix='/t/'; Test unit written to /t/crash-07\n\
            Base64: AA==\n";
        assert_eq!(Outcome::read(text).input, Some("/t/crash-07".into()));
        assert_eq!(Outcome::read(""), Outcome::default());
    }
}
