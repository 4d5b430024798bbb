//! A bootstrap node under churn: peers join, talk and leave at random, and its memory is watched.
//!
//! `cargo run -p moim-e2e --bin moim-soak -- [--minutes 30] [--peers 12] [--seed 1]`
//!
//! Every minute it prints how things stand. It fails if a message isn't heard, a newcomer finds
//! nobody, or the node's memory grows: the median of the last quarter of the time may be at most
//! [`GROWTH_MAX`] over that of the quarter after the first, which is for warming up.

#![allow(
    clippy::print_stdout,
    reason = "what it finds is for whoever started it"
)]

use std::{
    fs,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use lexopt::{Arg::Long, Parser, ValueExt as _};
use moim_e2e::{BootstrapNode, PATIENCE, Terminal, Transport, topic};
use serde_json::json;

/// Growth of the median resident memory that is within what an allocator does by itself.
const GROWTH_MAX: f64 = 1.05;
/// How often something happens, and how often the memory is read.
const STEP: Duration = Duration::from_millis(500);
/// How often it is said how things stand.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// Transports that peers come by, in turns.
const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Quic, Transport::WebSocket];

struct Options {
    minutes: u64,
    peers: usize,
    seed: u64,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Count {
    joined: u32,
    left: u32,
    killed: u32,
    said: u32,
    stored: u32,
}

struct Soak {
    node: BootstrapNode,
    topic: String,
    peers: Vec<Terminal>,
    peers_max: usize,
    random: Random,
    count: Count,
}

/// A linear congruential generator (Knuth's MMIX): a run can be repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

impl Soak {
    /// Does one thing.
    fn step(&mut self) {
        let is_full = self.peers.len() >= self.peers_max;
        match self.random.below(10) {
            _ if self.peers.len() < 2 => self.join(),
            0 | 1 if !is_full => self.join(),
            2 if is_full || self.random.below(2) == 0 => self.leave(),
            3 if is_full => self.kill(),
            4 => self.store(),
            _ => self.say(),
        }
    }

    fn join(&mut self) {
        let by = TRANSPORTS[self.count.joined as usize % TRANSPORTS.len()];
        let name = format!("peer {}", self.count.joined);
        let peer = Terminal::join(&self.topic, &name, self.node.address(by));
        if let Some(other) = self.peers.last() {
            peer.sees_by(other.peer_id(), Instant::now() + PATIENCE);
        }
        self.peers.push(peer);
        self.count.joined += 1;
    }

    fn leave(&mut self) {
        let status = self.pick().leave();
        assert!(status.success(), "a peer left with {status}");
        self.count.left += 1;
    }

    fn kill(&mut self) {
        drop(self.pick().kill());
        self.count.killed += 1;
    }

    /// One says something, another hears it.
    fn say(&mut self) {
        let from = self.random.below(self.peers.len());
        let to = (from + 1 + self.random.below(self.peers.len() - 1)) % self.peers.len();
        let text = format!("message {}", self.count.said);
        let (sender, receiver) = (
            self.peers[from].peer_id().to_owned(),
            self.peers[to].peer_id(),
        );
        self.peers[from].sees_by(receiver, Instant::now() + PATIENCE);
        self.peers[from].say(&text);
        self.peers[to].hears(&sender, &text);
        self.count.said += 1;
    }

    /// One puts a value into the DHT.
    fn store(&mut self) {
        let at = self.random.below(self.peers.len());
        // Some are new, some replace what is there.
        let key = format!("key {}", self.random.below(1_000));
        let value = "x".repeat(self.random.below(2_000));
        let mark = self.peers[at].mark();
        self.peers[at].command(&json!({"cmd": "put", "key": key, "value": value}));
        self.peers[at].wait_since(mark, "a copy", PATIENCE, |event| event.kind() == "stored");
        self.count.stored += 1;
    }

    fn pick(&mut self) -> Terminal {
        let at = self.random.below(self.peers.len());
        self.peers.swap_remove(at)
    }

    /// Resident memory of the node, in KiB.
    fn memory(&mut self) -> u64 {
        let path = format!("/proc/{}/status", self.node.process().id());
        let status = fs::read_to_string(path).expect("the node runs, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number
            .and_then(|number| number.parse().ok())
            .expect("its memory is told")
    }

    fn report(&self, after: Duration, memory: u64) {
        let Count {
            joined,
            left,
            killed,
            said,
            stored,
        } = self.count;
        println!(
            "{:>5.1} min: {} peers; {joined} joined, {left} left, {killed} killed, {said} messages \
             heard, {stored} values stored; memory {:.1} MiB",
            after.as_secs_f64() / 60.0,
            self.peers.len(),
            memory as f64 / 1024.0
        );
    }
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            println!("{error}");
            return ExitCode::from(2);
        }
    };
    let total = Duration::from_secs(options.minutes * 60);
    let mut soak = Soak {
        node: BootstrapNode::start(),
        topic: topic("soak"),
        peers: Vec::new(),
        peers_max: options.peers,
        random: Random(options.seed),
        count: Count::default(),
    };
    let started = Instant::now();
    let mut samples = Vec::new();
    let mut reported = started;
    while started.elapsed() < total {
        let next = Instant::now() + STEP;
        soak.step();
        let memory = soak.memory();
        samples.push((started.elapsed(), memory));
        if reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            soak.report(started.elapsed(), memory);
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let quarter = |number: u32| {
        let of = samples
            .iter()
            .filter(|(at, _)| *at >= total / 4 * number && *at < total / 4 * (number + 1));
        median(of.map(|(_, memory)| *memory).collect())
    };
    let (early, late) = (quarter(1), quarter(3));
    let growth = late / early;
    println!(
        "memory: median {:.1} MiB in the second quarter, {:.1} MiB in the last: {:+.1} % (at most \
         {:+.1} %)",
        early / 1024.0,
        late / 1024.0,
        (growth - 1.0) * 100.0,
        (GROWTH_MAX - 1.0) * 100.0
    );
    if growth <= GROWTH_MAX {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default() as f64
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        minutes: 30,
        peers: 12,
        seed: 1,
    };
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("minutes") => options.minutes = number(&mut parser)?,
            Long("peers") => options.peers = number(&mut parser)? as usize,
            Long("seed") => options.seed = number(&mut parser)?,
            other => {
                let unexpected = other.unexpected();
                return Err(
                    format!("{unexpected}; there are --minutes, --peers and --seed").into(),
                );
            }
        }
    }
    Ok(options)
}

fn number(parser: &mut Parser) -> Result<u64, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.ok_or("this is not a number of 1 or more")
    })
}
