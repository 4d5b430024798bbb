//! What came out, as one table in Markdown: medians of the rounds, with the lowest and the highest.

use std::fmt::Write as _;

use super::process::Subject;

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim {
    Most(f64),
    Least(f64),
    /// So many times what another has in the same run, or more.
    LeastTimes(f64, Subject),
}

#[derive(Debug)]
struct Row {
    what: String,
    unit: &'static str,
    aim: Option<Aim>,
    /// Of each subject, in the order of [`Subject::ALL`].
    samples: [Vec<f64>; 3],
}

/// The rows in the order in which they were first measured.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a figure of one round.
    pub(super) fn add(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        aim: Option<Aim>,
        subject: Subject,
        value: f64,
    ) {
        let what = what.into();
        let known = self.rows.iter().position(|row| row.what == what);
        let index = known.unwrap_or_else(|| {
            self.rows.push(Row {
                what,
                unit,
                aim,
                samples: Default::default(),
            });
            self.rows.len() - 1
        });
        self.rows[index].samples[subject as usize].push(value);
    }

    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| | Moim | bare rust-libp2p | js-libp2p | Moim : bare | Moim : js | aim | met |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let [ours, bare, js] = Subject::ALL.map(|subject| row.cell(subject));
            let [_, to_bare, to_js] = Subject::ALL.map(|subject| figure(row.ratio(subject)));
            let (aim, met) = row.verdict();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "| {}, {} | {ours} | {bare} | {js} | {to_bare} | {to_js} | {aim} | {met} |",
                row.what, row.unit
            );
        }
        text
    }
}

impl Row {
    fn median(&self, subject: Subject) -> Option<f64> {
        median(&self.samples[subject as usize])
    }

    fn ratio(&self, to: Subject) -> Option<f64> {
        let to = self.median(to).filter(|other| *other > 0.0)?;
        Some(self.median(Subject::Ours)? / to)
    }

    fn cell(&self, subject: Subject) -> String {
        let samples = &self.samples[subject as usize];
        let low = samples.iter().copied().reduce(f64::min);
        let high = samples.iter().copied().reduce(f64::max);
        match (median(samples), samples.len()) {
            (None, _) => "–".to_owned(),
            (median, 1) => format!("**{}**", figure(median)),
            (median, _) => format!("**{}** ({}–{})", figure(median), figure(low), figure(high)),
        }
    }

    fn verdict(&self) -> (String, &'static str) {
        let Some(aim) = self.aim else {
            return Default::default();
        };
        let ours = self.median(Subject::Ours);
        let of = |times, subject| self.median(subject).map(|other| times * other);
        let name = |subject| match subject {
            Subject::Ours => "ours",
            Subject::Bare => "bare",
            Subject::Js => "js",
        };
        let (text, bound, is_at_most) = match aim {
            Aim::Most(bound) => (format!("≤ {bound}"), Some(bound), true),
            Aim::Least(bound) => (format!("≥ {bound}"), Some(bound), false),
            Aim::LeastTimes(times, subject) => (
                format!("≥ {times} × {}", name(subject)),
                of(times, subject),
                false,
            ),
        };
        let met = match (ours, bound) {
            (Some(ours), Some(bound)) if (ours <= bound) == is_at_most || ours == bound => "yes",
            (Some(_), Some(_)) => "**no**",
            _ => "?",
        };
        (text, met)
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The value below which so many hundredths of the samples are.
pub(crate) fn percentile(samples: &[f64], hundredths: usize) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted
        .get((sorted.len() * hundredths / 100).min(last))
        .copied()
}

/// Three digits, as far as they mean anything.
pub(crate) fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
