//! What was run, how it ended and what the test runners said.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use crate::ui;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed(Duration),
    Failed(Duration),
    NotRun,
}

/// All steps so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    steps: Vec<(&'static str, Outcome)>,
    quotes: Vec<String>,
    /// Everything the chosen steps need is there.
    pub(super) is_set_up: bool,
}

impl Report {
    pub(super) fn add(&mut self, name: &'static str, outcome: Outcome) {
        self.steps.push((name, outcome));
    }

    pub(super) fn failed(&self) -> bool {
        self.steps
            .iter()
            .any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    }

    /// Keeps the closing lines of a test runner, to be repeated at the end.
    pub(super) fn quote(&mut self, log: &Path) {
        let text = fs::read_to_string(log).unwrap_or_default();
        self.quotes.extend(closing_lines(&text));
    }

    /// The table, then what the runners said.
    pub(super) fn print(&self) {
        ui::headline("Summary");
        for (name, outcome) in &self.steps {
            println!("{}", line(name, *outcome));
        }
        if !self.quotes.is_empty() {
            ui::headline("What the test runners said");
            for quote in &self.quotes {
                println!("{quote}");
            }
        }
    }
}

fn line(name: &str, outcome: Outcome) -> String {
    match outcome {
        Outcome::Passed(took) => {
            format!(
                "  {} {name:<12} {:>6}",
                ui::paint("32", "passed "),
                ui::clock(took)
            )
        }
        Outcome::Failed(took) => {
            format!(
                "  {} {name:<12} {:>6}",
                ui::paint("31", "FAILED "),
                ui::clock(took)
            )
        }
        Outcome::NotRun => format!("  not run {name:<12}"),
    }
}

/// The lines in which nextest, libtest, wasm-bindgen-test and Playwright say how many tests passed and
/// name those that failed, each once. (nextest names them when they fail and at its end.)
fn closing_lines(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    text.lines()
        .map(ui::strip_colours)
        .filter(|line| {
            let line = line.trim();
            let nextest = ["Summary [", "FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV ["]
                .iter()
                .any(|start| line.starts_with(start));
            let libtest = line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed")
                || line.starts_with("test ") && line.ends_with("FAILED")
                || line.starts_with("test ") && line.ends_with("FAIL");
            let mut words = line.split(' ');
            let count = words.next().is_some_and(|word| word.parse::<u32>().is_ok());
            let verb = words.next().map(|word| word.trim_end_matches(','));
            let playwright = count && matches!(verb, Some("passed" | "failed" | "flaky"));
            let named = line.starts_with("failed: ");
            nextest || libtest || playwright || named
        })
        .filter(|line| seen.insert(line.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_every_runner_are_kept() {
        let text = "\
            running 3 tests\n\
            test a ... ok\n\
            \x1b[32;1m     Summary\x1b[0m [   0.012s] 3 tests run: 3 passed, 0 skipped\n\
            test result: ok. 2 passed; 0 failed; 0 ignored\n\
            test result: ok. 0 passed; 0 failed; 0 ignored\n\
            test b ... FAILED\n    \
                FAIL [   0.4s] moim-peer::it a::b\n    \
                FAIL [   0.4s] moim-peer::it a::b\n\
            failed: tests/a.spec.ts:3 a page opens: expected 1\n  \
              1 failed\n  \
              12 passed (41.3s)\n\
            12 passed, 0 failed\n\
            12 passengers\n";
        let lines: Vec<String> = closing_lines(text)
            .iter()
            .map(|line| line.trim().to_owned())
            .collect();
        assert_eq!(
            lines,
            [
                "Summary [   0.012s] 3 tests run: 3 passed, 0 skipped",
                "test result: ok. 2 passed; 0 failed; 0 ignored",
                "test b ... FAILED",
                "FAIL [   0.4s] moim-peer::it a::b",
                "failed: tests/a.spec.ts:3 a page opens: expected 1",
                "1 failed",
                "12 passed (41.3s)",
                "12 passed, 0 failed",
            ]
        );
    }

    #[test]
    fn a_report_fails_with_any_of_its_steps() {
        let mut report = Report::default();
        report.add("a", Outcome::Passed(Duration::ZERO));
        report.add("b", Outcome::NotRun);
        assert!(!report.failed());
        report.add("c", Outcome::Failed(Duration::ZERO));
        assert!(report.failed());
    }
}
