//! Real peers on one schedule, for the simulator to be compared with: `cargo xtask sim --check 50`.
//!
//! `cargo run -p moim-e2e --bin moim-schedule -- [--peers 50]`
//!
//! Peers join one room, one after the other. When all have been there for a while, each says something. At the end each is
//! asked for its connections. What was seen is printed as one JSON object; `sim/src/reality.rs` reads it, and has the same
//! schedule.

#![allow(
    clippy::print_stdout,
    reason = "what it finds is for whoever started it"
)]

use std::{
    collections::{HashMap, HashSet},
    fs,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use lexopt::{Arg::Long, Parser, ValueExt as _};
use moim_e2e::{BootstrapNode, Event, PATIENCE, Terminal, TerminalBuilder, Transport, topic};
use serde_json::json;

/// From the start of one peer to that of the next.
const STARTED_EVERY: Duration = Duration::from_secs(3);
/// From the last one's start until somebody says something.
const SETTLING: Duration = Duration::from_secs(30);
/// From what one says to what the next says.
const SAID_EVERY: Duration = Duration::from_millis(500);
/// What is said last has so long to arrive.
const ARRIVING: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    match peers(Parser::from_env()) {
        Ok(peers) => {
            println!("{}", run(peers));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn peers(mut parser: Parser) -> Result<usize, lexopt::Error> {
    let mut peers = 50;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("peers") => peers = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(peers)
}

/// Bytes that went over the loopback interface of this network namespace, each counted once.
fn bytes_on_loopback() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/dev").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Waits until a moment of the schedule: it is the schedule, and waits for nothing to happen.
fn wait_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn run(count: usize) -> serde_json::Value {
    let node = BootstrapNode::start();
    let topic = topic("schedule");
    let begun = Instant::now();
    let mut peers: Vec<Terminal> = Vec::new();
    for number in 0..count {
        wait_until(begun + STARTED_EVERY * number as u32);
        let builder = TerminalBuilder::new(&topic, &format!("peer {number}"));
        peers.push(builder.bootstrap(node.address(Transport::Quic)).launch());
    }
    for peer in &mut peers {
        peer.read_ready();
    }
    let talk = begun + STARTED_EVERY * count as u32 + SETTLING;
    wait_until(talk);
    let bytes = bytes_on_loopback();
    for (number, peer) in peers.iter_mut().enumerate() {
        wait_until(talk + SAID_EVERY * number as u32);
        peer.say(&format!("message {number}"));
    }
    let end = talk + SAID_EVERY * count as u32 + ARRIVING;
    wait_until(end);
    let bytes = bytes_on_loopback().zip(bytes).map(|(now, then)| now - then);
    let seconds = (end - talk).as_secs_f64();
    let connections: Vec<usize> = peers.iter_mut().map(connections).collect();
    let (heard, delays) = heard(&peers);
    json!({
        "peers": count,
        "whole": whole(&peers),
        "heard": heard,
        "delays": delays,
        "connections": connections,
        "bytes_per_peer_second": bytes.map(|bytes| bytes as f64 / count as f64 / seconds),
    })
}

/// When something happened that a peer has reported: the first of its kind.
fn ready_at(peer: &Terminal) -> Instant {
    let ready = peer.events_of("ready");
    ready
        .first()
        .map_or_else(|| peer.started(), |event| event.at)
}

/// For each newcomer how many seconds it took from when it was ready until it listed all who were before.
fn whole(peers: &[Terminal]) -> Vec<Option<f64>> {
    let ready: Vec<(&str, Instant)> = peers
        .iter()
        .map(|peer| (peer.peer_id(), ready_at(peer)))
        .collect();
    let newcomers = peers.iter().zip(&ready).skip(1);
    newcomers
        .map(|(peer, (_, came))| {
            let joined = peer.events_of("member_joined");
            let when = |id: &str| {
                joined
                    .iter()
                    .find(|event| event.text("peer") == id)
                    .map(|event| event.at)
            };
            let before = ready.iter().filter(|(_, other)| other < came);
            let listed: Option<Vec<Instant>> = before.map(|(id, _)| when(id)).collect();
            let last = listed?.into_iter().max()?;
            Some(last.saturating_duration_since(*came).as_secs_f64())
        })
        .collect()
}

/// The share of what was said that was heard exactly once, and how many seconds that took.
fn heard(peers: &[Terminal]) -> (f64, Vec<f64>) {
    let events: Vec<Vec<Event>> = peers.iter().map(Terminal::events).collect();
    let mut said = HashMap::new();
    for event in events
        .iter()
        .flatten()
        .filter(|event| event.kind() == "said")
    {
        said.insert(event.text("id"), event.at);
    }
    let mut delays = Vec::new();
    for events in &events {
        let mut times: HashMap<&str, (u32, Instant)> = HashMap::new();
        for event in events.iter().filter(|event| event.kind() == "room_message") {
            times.entry(event.text("id")).or_insert((0, event.at)).0 += 1;
        }
        let once = times.iter().filter(|(_, (count, _))| *count == 1);
        delays.extend(once.filter_map(|(id, (_, at))| {
            let said = said.get(id)?;
            Some(at.saturating_duration_since(*said).as_secs_f64())
        }));
    }
    let wanted = said.len() * peers.len().saturating_sub(1);
    (delays.len() as f64 / wanted.max(1) as f64, delays)
}

/// How many others a peer is connected to, bootstrap nodes among them.
fn connections(peer: &mut Terminal) -> usize {
    let mark = peer.mark();
    peer.command(&json!({"cmd": "connections"}));
    let is_answer = |event: &Event| event.kind() == "connections";
    let answer = peer.wait_since(mark, "its connections", PATIENCE, is_answer);
    let rows = answer.value["connections"].as_array().into_iter().flatten();
    let others: HashSet<&str> = rows.filter_map(|row| row["peer"].as_str()).collect();
    others.len()
}
