//! What came out, as one table in Markdown.

use std::fmt::Write as _;

use super::contestant::Contestant;
use crate::node::{figure, median, percentile};

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim {
    /// At most so many times what Python takes in the same run, by the medians.
    OfPython(f64),
    /// Not one: a sample is one or nothing.
    None,
}

#[derive(Debug)]
struct Row {
    what: String,
    unit: &'static str,
    aim: Option<Aim>,
    /// Of each contestant, in the order of [`Contestant::ALL`]: the samples of all rounds.
    samples: [Vec<f64>; Contestant::ALL.len()],
}

/// The rows in the order in which they were first measured.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds the figures of a round.
    pub(super) fn add(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        aim: Option<Aim>,
        contestant: Contestant,
        values: &[f64],
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
        self.rows[index].samples[place(contestant)].extend(values);
    }

    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| p50 (p99) | Moim | Python kademlia | bare rust-libp2p | js-libp2p | Moim : Python | Moim : bare | aim | met |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let [ours, python, bare, js] = Contestant::ALL.map(|contestant| row.cell(contestant));
            let to_python = figure(row.ratio(Contestant::Python));
            let to_bare = figure(row.ratio(Contestant::Bare));
            let (aim, met) = row.verdict();
            let unit = if row.unit.is_empty() {
                String::new()
            } else {
                format!(", {}", row.unit)
            };
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "| {}{unit} | {ours} | {python} | {bare} | {js} | {to_python} | {to_bare} | {aim} | {met} |",
                row.what
            );
        }
        text
    }
}

fn place(contestant: Contestant) -> usize {
    let is_it = |other: &Contestant| *other == contestant;
    Contestant::ALL.iter().position(is_it).unwrap_or_default()
}

impl Row {
    fn samples(&self, contestant: Contestant) -> &[f64] {
        &self.samples[place(contestant)]
    }

    fn ratio(&self, to: Contestant) -> Option<f64> {
        let to = median(self.samples(to)).filter(|other| *other > 0.0)?;
        Some(median(self.samples(Contestant::Ours))? / to)
    }

    fn cell(&self, contestant: Contestant) -> String {
        let samples = self.samples(contestant);
        if matches!(self.aim, Some(Aim::None)) && !samples.is_empty() {
            return format!("**{}** of {}", samples.iter().sum::<f64>(), samples.len());
        }
        match (median(samples), percentile(samples, 99)) {
            (None, _) => "–".to_owned(),
            (middle, high) if self.unit == "ms" => {
                format!("**{}** ({})", figure(middle), figure(high))
            }
            (middle, _) => format!("**{}**", figure(middle)),
        }
    }

    fn verdict(&self) -> (String, &'static str) {
        let (text, met) = match self.aim {
            None => return Default::default(),
            Some(Aim::OfPython(most)) => (
                format!("≤ {most} × Python"),
                self.ratio(Contestant::Python).map(|ratio| ratio <= most),
            ),
            Some(Aim::None) => {
                let samples = self.samples(Contestant::Ours);
                let none = samples.iter().all(|missed| *missed == 0.0);
                ("0".to_owned(), (!samples.is_empty()).then_some(none))
            }
        };
        let met = match met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "?",
        };
        (text, met)
    }
}
