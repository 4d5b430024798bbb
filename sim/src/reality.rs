//! The simulation beside real processes on the same schedule.
//!
//! `e2e/src/bin/moim-schedule.rs` runs the processes on one machine, and says what it saw. Here the same is simulated,
//! with a network that takes no time, and both are compared.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    event::{Deed, Event, Turn},
    measure::quantile,
    terrain::Terrain,
    time::{Time, millis, seconds},
    world::{Config, World},
};

/// How far the simulation may be off.
const TOLERANCE: f64 = 0.15;

/// The schedule: see `moim-schedule.rs`.
const STARTED_EVERY: Duration = seconds(3);
const SETTLING: Duration = seconds(30);
const SAID_EVERY: Duration = millis(500);
const ARRIVING: Duration = seconds(15);

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Of the processes.
    pub real: f64,
    /// Of the simulation.
    pub simulated: f64,
    /// What both may differ by in any case: what one machine needs to schedule its processes.
    pub noise: f64,
}

impl Figure {
    /// Whether the two agree.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let difference = (self.real - self.simulated).abs();
        difference <= self.noise.max(TOLERANCE * self.real.abs())
    }
}

/// What was seen of both kinds of peers.
#[derive(Debug, Default)]
struct Seen {
    whole: Vec<f64>,
    heard: f64,
    delays: Vec<f64>,
    connections: Vec<f64>,
    bytes: f64,
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().into_iter().flatten();
    let mut numbers: Vec<f64> = values
        .map(|it| it.as_f64().unwrap_or(f64::INFINITY))
        .collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers
}

fn read(text: &str) -> Result<(usize, Seen)> {
    let value: Value = serde_json::from_str(text).context("reading what the processes did")?;
    let peers = value["peers"]
        .as_u64()
        .context("it does not say how many peers there were")?;
    let seen = Seen {
        whole: numbers(&value["whole"]),
        heard: value["heard"].as_f64().unwrap_or_default(),
        delays: numbers(&value["delays"]),
        connections: numbers(&value["connections"]),
        bytes: value["bytes_per_peer_second"].as_f64().unwrap_or_default(),
    };
    Ok((peers as usize, seen))
}

fn simulate(peers: usize) -> Seen {
    let mut world = World::new(Config {
        seed: 1,
        terrain: Terrain::LOOPBACK,
        servers: 1,
        skew: Duration::ZERO,
    });
    for number in 0..peers {
        let node = world.add();
        let at = Time::ZERO + STARTED_EVERY * number as u32;
        world.plan(at, Event::Deed(node, Deed::Join));
    }
    let talk = Time::ZERO + STARTED_EVERY * peers as u32 + SETTLING;
    world.plan(talk, Event::Turn(Turn::Measure));
    for node in 0..peers {
        world.plan(
            talk + SAID_EVERY * node as u32,
            Event::Deed(node, Deed::Say),
        );
    }
    let end = talk + SAID_EVERY * peers as u32 + ARRIVING;
    world.run_until(end);
    let newcomers = world.ledger.newcomers.iter().skip(1);
    let mut whole: Vec<f64> = newcomers
        .map(|(_, it)| it.all.map_or(f64::INFINITY, |it| it.as_secs_f64()))
        .collect();
    whole.sort_unstable_by(f64::total_cmp);
    let heard = world.ledger.said.iter().flat_map(|said| &said.heard);
    let mut delays: Vec<f64> = heard.map(|(_, after)| after.as_secs_f64()).collect();
    delays.sort_unstable_by(f64::total_cmp);
    let wanted = world.ledger.said.len() * peers.saturating_sub(1);
    let mut connections: Vec<f64> = world
        .nodes()
        .iter()
        .map(|node| (node.links.len() + world.servers().len()) as f64)
        .collect();
    connections.sort_unstable_by(f64::total_cmp);
    let seconds = (end - talk).as_secs_f64();
    let traffic = world.nodes().iter().flat_map(|node| node.traffic.sent);
    let bytes: u64 = traffic.map(|amount| amount.bytes).sum();
    Seen {
        whole,
        heard: delays.len() as f64 / wanted.max(1) as f64,
        delays,
        connections,
        bytes: bytes as f64 / peers as f64 / seconds,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Compares what the processes did, as `moim-schedule` wrote it into a file, with the simulation of the same.
pub fn compare(file: &Path) -> Result<Vec<Figure>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let (peers, real) = read(&text)?;
    let simulated = simulate(peers);
    let figure = |name, of: &dyn Fn(&Seen) -> f64, noise| Figure {
        name,
        real: of(&real),
        simulated: of(&simulated),
        noise,
    };
    Ok(vec![
        figure(
            "a newcomer's list is whole after, median (s)",
            &|it| quantile(&it.whole, 0.5),
            0.1,
        ),
        figure(
            "a newcomer's list is whole after, 95 % (s)",
            &|it| quantile(&it.whole, 0.95),
            0.1,
        ),
        figure("share of messages heard once", &|it| it.heard, 0.0),
        figure(
            "delay of a message, median (s)",
            &|it| quantile(&it.delays, 0.5),
            0.05,
        ),
        figure(
            "connections of a peer, mean",
            &|it| mean(&it.connections),
            0.0,
        ),
        figure(
            "connections of a peer, most",
            &|it| quantile(&it.connections, 1.0),
            0.0,
        ),
        figure("bytes a peer sends a second", &|it| it.bytes, 0.0),
    ])
}

/// The figures as a table, in Markdown.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let mut text = "| | real | simulated | agree |\n|---|---|---|---|\n".to_owned();
    for figure in figures {
        let Figure {
            name,
            real,
            simulated,
            ..
        } = figure;
        let agree = if figure.agrees() { "yes" } else { "no" };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "| {name} | {real:.3} | {simulated:.3} | {agree} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_agree_within_their_tolerance() {
        let figure = |real, simulated, noise| Figure {
            name: "",
            real,
            simulated,
            noise,
        };
        for (figure, agrees) in [
            (figure(100.0, 114.0, 0.0), true),
            (figure(100.0, 116.0, 0.0), false),
            (figure(0.01, 0.05, 0.1), true),
        ] {
            assert_eq!(figure.agrees(), agrees, "{figure:?}");
        }
    }

    #[test]
    fn what_the_processes_did_is_read() {
        let text = r#"{"peers":2,"whole":[0.5,null],"heard":1.0,"delays":[0.2,0.1],"connections":[2,2],"bytes_per_peer_second":10.0}"#;
        let (peers, seen) = read(text).unwrap();
        assert_eq!(
            (peers, seen.whole, seen.delays),
            (2, vec![0.5, f64::INFINITY], vec![0.1, 0.2])
        );
        assert!(read("{}").is_err());
    }

    #[test]
    fn the_schedule_is_simulated() {
        let seen = simulate(10);
        assert_eq!((seen.heard, seen.whole.len()), (1.0, 9));
        assert!(
            seen.connections.iter().all(|count| *count == 10.0),
            "{seen:?}"
        );
    }
}
