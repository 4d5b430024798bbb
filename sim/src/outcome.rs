//! What came of a scenario.

use std::{fmt::Write as _, time::Duration};

use crate::{
    event::Index,
    measure::{Kind, Traffic, Truth, quantile},
    node::{Node, Server},
    scenario::{Plot, Scenario},
    time::{Time, seconds},
    world::World,
};

/// Who stays for less is not asked how long its list took.
const STAYS: Duration = seconds(15);

/// Whoever is there for so long after something was said should have heard it.
const HEARD_WITHIN: Duration = seconds(12);

/// The state of all lists in some seconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Seconds since the measurement began, at the end of these.
    pub at: f64,
    /// What the lists were worth.
    pub truth: Truth,
    /// Members present at the end.
    pub present: usize,
}

impl Sample {
    /// What has changed since `before`.
    #[must_use]
    pub fn new(at: Duration, before: Truth, world: &World) -> Self {
        let now = world.ledger.truth;
        Self {
            at: at.as_secs_f64(),
            truth: Truth {
                listed: now.listed - before.listed,
                missing: now.missing - before.missing,
                gone: now.gone - before.gone,
                made_up: now.made_up - before.made_up,
            },
            present: world.ledger.present(),
        }
    }
}

/// What a member sends or gets, on average of all members.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// Messages a minute.
    pub count: f64,
    /// Bytes a second.
    pub bytes: f64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Outcome {
    /// What was run.
    pub scenario: Scenario,
    /// With which seed.
    pub seed: u64,
    /// How often lists were right.
    pub truth: Truth,
    /// How that went.
    pub samples: Vec<Sample>,
    /// Seconds until newcomers listed 99 %, in order; without end where they never did.
    pub most: Vec<f64>,
    /// Seconds until they listed all.
    pub all: Vec<f64>,
    /// Of each message the share of those who should have heard it that did.
    pub heard: Vec<f64>,
    /// Seconds until somebody has heard something, in order.
    pub delays: Vec<f64>,
    /// What a member sends, by [`Kind`].
    pub sent: [Rate; 4],
    /// What it gets.
    pub got: [Rate; 4],
    /// Of what it gets, messages of the gossip that it had already.
    pub repeated: Rate,
    /// Connections of a member, on average and at most.
    pub connections: (f64, usize),
    /// Neighbours of a member in gossip's mesh, on average.
    pub mesh: f64,
    /// Of each bootstrap node: requests a second, bytes a second got, sent and relayed, and connections at most.
    pub servers: Vec<[f64; 5]>,
    /// What must not be.
    pub faults: Vec<String>,
    /// How many events there were.
    pub events: u64,
    /// How long it took to run.
    pub took: Duration,
}

impl Outcome {
    /// Reads off what was measured.
    #[must_use]
    pub fn new(
        scenario: Scenario,
        seed: u64,
        world: &World,
        samples: Vec<Sample>,
        took: Duration,
    ) -> Self {
        let (begun, length) = (world.measured(), scenario.measured.as_secs_f64());
        let (most, all) = newcomers(world, begun);
        let (heard, delays) = messages(world);
        // Those who were there all the time.
        let members: Vec<&Node> = world
            .nodes()
            .iter()
            .filter(|node| node.is_present() && node.joined.is_some_and(|joined| joined < begun))
            .collect();
        let rate = |amount: &dyn Fn(&Traffic) -> crate::measure::Amount| {
            let count = members.len().max(1) as f64;
            let amounts = members.iter().map(|node| amount(&node.traffic));
            amounts.fold(Rate::default(), |sum, amount| Rate {
                count: sum.count + amount.count as f64 / count / length * 60.0,
                bytes: sum.bytes + amount.bytes as f64 / count / length,
            })
        };
        let by_kind = |is_sent: bool| {
            [Kind::Message, Kind::Control, Kind::Request, Kind::Dht].map(|kind| {
                rate(&|traffic| {
                    if is_sent {
                        traffic.sent[kind as usize]
                    } else {
                        traffic.got[kind as usize]
                    }
                })
            })
        };
        let mean = |value: &dyn Fn(&Node) -> usize| {
            let sum: usize = members.iter().map(|node| value(node)).sum();
            sum as f64 / members.len().max(1) as f64
        };
        let most_connections = members.iter().map(|node| node.links.len()).max();
        let servers = world.servers().iter().map(|server: &Server| {
            let load = server.load;
            let [got, sent, relayed] =
                [load.got, load.sent, load.relayed].map(|bytes| bytes as f64 / length);
            let requests = load.requests as f64 / length;
            [requests, got, sent, relayed, load.connections_most as f64]
        });
        Self {
            scenario,
            seed,
            truth: world.ledger.truth,
            samples,
            most,
            all,
            heard,
            delays,
            sent: by_kind(true),
            got: by_kind(false),
            repeated: rate(&|traffic| traffic.repeated),
            connections: (
                mean(&|node| node.links.len()),
                most_connections.unwrap_or_default(),
            ),
            mesh: mean(&|node| node.gossip.mesh_len()),
            servers: servers.collect(),
            faults: world.faults.clone(),
            events: world.events(),
            took,
        }
    }

    /// The share of messages that all have heard who should have.
    #[must_use]
    pub fn heard_by_all(&self) -> f64 {
        let all = self.heard.iter().filter(|share| **share >= 1.0).count();
        all as f64 / self.heard.len().max(1) as f64
    }

    /// Bytes a second that a member sends, and gets.
    #[must_use]
    pub fn bytes(&self) -> [f64; 2] {
        [&self.sent, &self.got].map(|rates| rates.iter().map(|rate| rate.bytes).sum())
    }

    /// Moim's own messages a minute that a member sends: requests and answers, to members and to the DHT.
    #[must_use]
    pub fn own_messages(&self) -> f64 {
        self.sent[Kind::Request as usize].count + self.sent[Kind::Dht as usize].count
    }

    /// All of it, in a few lines. It is the same in each run of the same seed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let Scenario { name, about, .. } = self.scenario;
        let part = |values: &[f64], share| quantile(values, share);
        let [sent, got] = self.bytes();
        let kinds = ["messages", "control", "requests", "DHT"];
        // Nothing can go wrong in writing to a text.
        let _ = writeln!(text, "{name}: {about} (seed {})", self.seed);
        let _ = writeln!(
            text,
            "  lists right {:.3} % of member-seconds; missing {:.0}, gone {:.0}, made up {:.0}",
            100.0 * self.truth.share(),
            self.truth.missing,
            self.truth.gone,
            self.truth.made_up
        );
        let _ = writeln!(
            text,
            "  {} newcomers: 99 % of the list in {:.1} s (p50), {:.1} (p95), {:.1} (most); all in {:.1}, {:.1}, {:.1}",
            self.all.len(),
            part(&self.most, 0.5),
            part(&self.most, 0.95),
            part(&self.most, 1.0),
            part(&self.all, 0.5),
            part(&self.all, 0.95),
            part(&self.all, 1.0)
        );
        let _ = writeln!(
            text,
            "  {} said, heard by all {:.1} %; delay {:.3} s (p50), {:.3} (p95), {:.3} (most)",
            self.heard.len(),
            100.0 * self.heard_by_all(),
            part(&self.delays, 0.5),
            part(&self.delays, 0.95),
            part(&self.delays, 1.0)
        );
        let _ = writeln!(
            text,
            "  a member sends {sent:.0} B/s and gets {got:.0} B/s:"
        );
        for (kind, name) in kinds.iter().enumerate() {
            let (sent, got) = (self.sent[kind], self.got[kind]);
            let _ = writeln!(
                text,
                "    {name}: sends {:.1} a minute, {:.0} B/s; gets {:.1}, {:.0}",
                sent.count, sent.bytes, got.count, got.bytes
            );
        }
        let _ = writeln!(
            text,
            "    repeated: gets {:.1} a minute, {:.0} B/s",
            self.repeated.count, self.repeated.bytes
        );
        let (mean, most) = self.connections;
        let _ = writeln!(
            text,
            "  connections {mean:.1}, most {most}; mesh {:.1}",
            self.mesh
        );
        for [requests, got, sent, relayed, connections] in &self.servers {
            let _ = writeln!(
                text,
                "  bootstrap node: {requests:.1} requests/s, {got:.0} B/s in, {sent:.0} out, {relayed:.0} relayed, {connections:.0} connections"
            );
        }
        for fault in &self.faults {
            let _ = writeln!(text, "  FAULT: {fault}");
        }
        text
    }
}

/// How long those took who have come since, and have stayed.
fn newcomers(world: &World, since: Time) -> (Vec<f64>, Vec<f64>) {
    let nodes = world.nodes();
    let stayed = |index: Index| {
        let node = &nodes[index];
        let joined = node.joined.filter(|joined| *joined >= since);
        let end = node.ended.unwrap_or_else(|| world.time());
        joined.is_some_and(|joined| end - joined >= STAYS)
    };
    let newcomers = world.ledger.newcomers.iter();
    let newcomers: Vec<_> = newcomers.filter(|(index, _)| stayed(*index)).collect();
    let [mut most, mut all]: [Vec<f64>; 2] = [
        newcomers
            .iter()
            .map(|(_, it)| it.most.map_or(f64::INFINITY, |it| it.as_secs_f64()))
            .collect(),
        newcomers
            .iter()
            .map(|(_, it)| it.all.map_or(f64::INFINITY, |it| it.as_secs_f64()))
            .collect(),
    ];
    most.sort_unstable_by(f64::total_cmp);
    all.sort_unstable_by(f64::total_cmp);
    (most, all)
}

/// By which share of those who should have heard it each message was heard, and how long that took.
fn messages(world: &World) -> (Vec<f64>, Vec<f64>) {
    let mut delays = Vec::new();
    let shares = world.ledger.said.iter().map(|said| {
        let should = |index: Index| {
            let node = &world.nodes()[index];
            index != said.author
                && node.joined.is_some_and(|joined| joined + STAYS <= said.at)
                && node
                    .ended
                    .is_none_or(|ended| ended >= said.at + HEARD_WITHIN)
        };
        let wanted = (0..world.nodes().len())
            .filter(|index| should(*index))
            .count();
        let heard = said.heard.iter().filter(|(index, _)| should(*index));
        let heard: Vec<f64> = heard.map(|(_, after)| after.as_secs_f64()).collect();
        delays.extend(&heard);
        heard.len() as f64 / wanted.max(1) as f64
    });
    let shares = shares.collect();
    delays.sort_unstable_by(f64::total_cmp);
    (shares, delays)
}

/// Whether a scenario has newcomers to speak of.
#[must_use]
pub fn has_newcomers(plot: Plot) -> bool {
    !matches!(plot, Plot::HalfLeaves(_) | Plot::Partition(_))
}
