//! Writes the tables and plots of docs/scale.md. What is said about them there is written by hand.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    lookup::{self, Lookups},
    measure::{Kind, quantile},
    outcome::{Outcome, has_newcomers},
    plot::{self, Line, Plot},
    scenario::{self, SCENARIOS, Scenario},
};

/// The seed of all that is written down.
pub const SEED: u64 = 1;

/// The sizes of the DHT, and the share of its servers that hang.
const DHT: (&[usize], f64) = (&[10, 100, 1_000, 10_000, 100_000], 0.2);

/// Lookups in each.
const LOOKUPS: usize = 200;

/// Runs all scenarios, on two threads for each core: some take far longer than others.
fn outcomes(scenarios: &[Scenario]) -> Vec<Outcome> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..2 * threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(number) else {
                        return;
                    };
                    let outcome = scenario.run(SEED);
                    if let Ok(mut done) = done.lock() {
                        done.push((number, outcome));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn time(seconds: f64) -> String {
    if seconds.is_finite() {
        format!("{seconds:.1}")
    } else {
        "never".to_owned()
    }
}

/// A table, in Markdown.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

fn lists(outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|it| {
        let newcomers = |values: &[f64], share| {
            if has_newcomers(it.scenario.plot) && !values.is_empty() {
                time(quantile(values, share))
            } else {
                "–".to_owned()
            }
        };
        let hours = |seconds: f64| format!("{:.2}", seconds / 3_600.0);
        vec![
            it.scenario.about.to_owned(),
            newcomers(&it.most, 0.5),
            newcomers(&it.most, 0.95),
            newcomers(&it.all, 0.5),
            newcomers(&it.all, 0.95),
            format!("{:.2} %", 100.0 * it.truth.share()),
            hours(it.truth.missing),
            hours(it.truth.gone),
            hours(it.truth.made_up),
        ]
    });
    let head = [
        "room",
        "99 % of the list, p50 (s)",
        "p95",
        "all, p50 (s)",
        "p95",
        "lists right",
        "missing (member-hours)",
        "gone",
        "made up",
    ];
    table(&head, &rows.collect::<Vec<_>>())
}

fn messages(outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|it| {
        vec![
            it.scenario.about.to_owned(),
            it.heard.len().to_string(),
            format!("{:.1} %", 100.0 * it.heard_by_all()),
            format!(
                "{:.2} %",
                100.0 * it.heard.iter().sum::<f64>() / it.heard.len().max(1) as f64
            ),
            format!("{:.2}", quantile(&it.delays, 0.5)),
            format!("{:.2}", quantile(&it.delays, 0.95)),
            format!("{:.2}", quantile(&it.delays, 1.0)),
        ]
    });
    let head = [
        "room",
        "said",
        "heard by all",
        "heard",
        "delay, p50 (s)",
        "p95",
        "most",
    ];
    table(&head, &rows.collect::<Vec<_>>())
}

fn costs(outcomes: &[Outcome]) -> String {
    let kilobytes = |bytes: f64| format!("{:.2}", bytes / 1_000.0);
    let rows = outcomes.iter().map(|it| {
        let [sent, got] = it.bytes();
        let kind = |kind: Kind| kilobytes(it.got[kind as usize].bytes);
        let (mean, most) = it.connections;
        vec![
            it.scenario.about.to_owned(),
            kilobytes(sent),
            kilobytes(got),
            kind(Kind::Message),
            kilobytes(it.repeated.bytes),
            kind(Kind::Control),
            kind(Kind::Request),
            kind(Kind::Dht),
            format!("{:.1}", it.own_messages()),
            format!("{mean:.0} ({most})"),
        ]
    });
    let head = [
        "room",
        "sent (kB/s)",
        "got (kB/s)",
        "of it gossip's messages",
        "of these repeated",
        "gossip's control",
        "Moim's requests",
        "DHT",
        "own messages a minute",
        "connections (most)",
    ];
    table(&head, &rows.collect::<Vec<_>>())
}

fn servers(outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|it| {
        let [requests, got, sent, relayed, connections] = [0, 1, 2, 3, 4].map(|which| {
            let values = it.servers.iter().map(|server| server[which]);
            values.fold(0.0, f64::max)
        });
        vec![
            it.scenario.about.to_owned(),
            format!("{connections:.0}"),
            format!("{requests:.1}"),
            format!("{:.1}", got / 1_000.0),
            format!("{:.1}", sent / 1_000.0),
            format!("{:.1}", relayed / 1_000.0),
        ]
    });
    let head = [
        "room",
        "connections",
        "DHT requests/s",
        "in (kB/s)",
        "out (kB/s)",
        "relayed (kB/s)",
    ];
    table(&head, &rows.collect::<Vec<_>>())
}

fn dht(lookups: &[[Lookups; 2]]) -> String {
    let rows = lookups.iter().map(|[going_on, waiting]| {
        vec![
            going_on.servers.to_string(),
            format!("{:.1}", (going_on.servers as f64).log2()),
            format!("{:.2}", going_on.hops),
            format!("{:.0}", going_on.asked),
            format!("{:.1} / {:.1}", going_on.took.0, going_on.took.1),
            format!("{:.1} / {:.1}", waiting.took.0, waiting.took.1),
            format!("{:.1} %", 100.0 * going_on.found),
        ]
    });
    let head = [
        "servers",
        "log2",
        "hops",
        "asked",
        "time, p50 / p95 (s)",
        "the same if each time-out is waited for",
        "of the closest found",
    ];
    table(&head, &rows.collect::<Vec<_>>())
}

/// Puts a table into its place: between its mark and the next empty line after a table.
fn insert(text: &str, name: &str, table: &str) -> Result<String> {
    let (start, end) = (
        format!("<!-- sim: {name} -->\n"),
        format!("<!-- end: {name} -->"),
    );
    let Some((before, rest)) = text.split_once(&start) else {
        bail!("docs/scale.md has no place for {name}");
    };
    let Some((_, after)) = rest.split_once(&end) else {
        bail!("docs/scale.md does not say where {name} ends");
    };
    Ok(format!("{before}{start}\n{table}\n{end}{after}"))
}

/// How wrong lists are over time, in several rooms.
fn plot_truth(folder: &Path, outcomes: &[Outcome]) -> Result<()> {
    let restless = outcomes.iter();
    for it in restless.filter(|it| it.scenario.plot != scenario::Plot::Quiet) {
        let share = |part: fn(&crate::measure::Truth) -> f64| {
            let samples = it.samples.iter();
            samples.map(move |sample| {
                let truth = &sample.truth;
                let all = truth.listed + truth.missing + truth.gone;
                (sample.at / 60.0, 100.0 * part(truth) / all.max(1.0))
            })
        };
        let lines = [
            Line {
                name: "present, not listed".to_owned(),
                points: share(|it| it.missing).collect(),
            },
            Line {
                name: "gone, still listed".to_owned(),
                points: share(|it| it.gone).collect(),
            },
        ];
        let plot = Plot {
            title: &format!("{} (seed {})", it.scenario.about, it.seed),
            x: "minutes",
            y: "% of all pairs",
            is_log: (false, false),
        };
        plot::write(
            &folder.join(format!("{}.svg", it.scenario.name)),
            plot,
            &lines,
        )?;
    }
    Ok(())
}

/// What a quiet room costs and how long a newcomer takes, by its size.
fn plot_sizes(folder: &Path, outcomes: &[Outcome]) -> Result<()> {
    let quiet = || {
        outcomes
            .iter()
            .filter(|it| it.scenario.plot == scenario::Plot::Quiet)
    };
    let line = |name: &str, value: &dyn Fn(&Outcome) -> f64| Line {
        name: name.to_owned(),
        points: quiet()
            .map(|it| (it.scenario.members as f64, value(it)))
            .collect(),
    };
    let costs = [
        line("all that it gets", &|it| it.bytes()[1] / 1_000.0),
        line("gossip's messages, for the first time", &|it| {
            (it.got[Kind::Message as usize].bytes - it.repeated.bytes) / 1_000.0
        }),
        line("gossip's messages, repeated", &|it| {
            it.repeated.bytes / 1_000.0
        }),
        line("gossip's control", &|it| {
            it.got[Kind::Control as usize].bytes / 1_000.0
        }),
        line("Moim's requests", &|it| {
            it.got[Kind::Request as usize].bytes / 1_000.0
        }),
    ];
    let plot = Plot {
        title: "What a member of a quiet room gets",
        x: "members",
        y: "kB/s",
        is_log: (true, true),
    };
    plot::write(&folder.join("costs.svg"), plot, &costs)?;
    let times = [
        line("99 % of the list, median", &|it| quantile(&it.most, 0.5)),
        line("all, median", &|it| quantile(&it.all, 0.5)),
        line("all, the slowest", &|it| quantile(&it.all, 1.0)),
    ];
    let plot = Plot {
        title: "How long a newcomer takes to know a quiet room",
        x: "members",
        y: "seconds",
        is_log: (true, false),
    };
    plot::write(&folder.join("newcomers.svg"), plot, &times)
}

fn plot_lookups(folder: &Path, lookups: &[[Lookups; 2]]) -> Result<()> {
    let line = |name: &str, value: &dyn Fn(&[Lookups; 2]) -> f64| Line {
        name: name.to_owned(),
        points: lookups
            .iter()
            .map(|it| ((it[0].servers as f64).log2(), value(it)))
            .collect(),
    };
    let lines = [
        line("hops", &|it| it[0].hops),
        line("seconds, median", &|it| it[0].took.0),
        line("seconds, if each time-out is waited for", &|it| {
            it[1].took.0
        }),
    ];
    let plot = Plot {
        title: "Lookups in a DHT of which a fifth hangs",
        x: "log2 of the number of servers",
        y: "hops, seconds",
        is_log: (false, false),
    };
    plot::write(&folder.join("lookups.svg"), plot, &lines)
}

/// Runs everything, and writes it into docs/scale.md and docs/scale/. Returns what must not be, and was.
pub fn write(docs: &Path) -> Result<Vec<String>> {
    let outcomes = outcomes(SCENARIOS);
    let lookups: Vec<[Lookups; 2]> = DHT
        .0
        .iter()
        .map(|servers| {
            [true, false].map(|goes_on| lookup::run(*servers, DHT.1, LOOKUPS, goes_on, SEED))
        })
        .collect();
    let folder = docs.join("scale");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    plot_truth(&folder, &outcomes)?;
    plot_sizes(&folder, &outcomes)?;
    plot_lookups(&folder, &lookups)?;
    let file = docs.join("scale.md");
    let mut text =
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let tables = [
        ("lists", lists(&outcomes)),
        ("messages", messages(&outcomes)),
        ("costs", costs(&outcomes)),
        ("servers", servers(&outcomes)),
        ("dht", dht(&lookups)),
    ];
    for (name, table) in tables {
        text = insert(&text, name, &table)?;
    }
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    let faults = outcomes.iter().flat_map(|it| {
        let name = it.scenario.name;
        it.faults
            .iter()
            .map(move |fault| format!("{name}: {fault}"))
    });
    Ok(faults.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let text = "a\n<!-- sim: x -->\nold\n<!-- end: x -->\nb\n";
        let new = insert(
            text,
            "x",
            &table(&["k", "v"], &[vec!["1".into(), "2".into()]]),
        )
        .unwrap();
        assert_eq!(
            new,
            "a\n<!-- sim: x -->\n\n| k | v |\n|---|---|\n| 1 | 2 |\n\n<!-- end: x -->\nb\n"
        );
        assert_eq!(
            insert(&new, "x", "old").unwrap(),
            insert(text, "x", "old").unwrap()
        );
        assert!(insert(text, "y", "").is_err());
    }
}
