//! The clock of the bootstrap node's machine is set, while it runs; and a peer's is wrong.
//!
//! By libfaketime (Debian's package `faketime`), which stands between a program and the wall clock.

#![cfg(target_os = "linux")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use moim_e2e::{
    BootstrapNode, Event, Output, PATIENCE, Terminal, TerminalBuilder, Transport, get, moim_binary,
    run, see_each_other, topic,
};
use tempfile::TempDir;

/// How long a message may take; with a right clock it is a matter of milliseconds.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// A wall clock that can be set.
struct Clock(TempDir);

impl Clock {
    fn new() -> Self {
        let clock = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        clock.set("+0");
        clock
    }

    /// So far from the right time, e.g. `-1d`.
    fn set(&self, offset: &str) {
        // In one step: the program may be reading it.
        let new = self.0.path().join("new");
        fs::write(&new, offset).expect("can be written");
        fs::rename(new, self.file()).expect("can be replaced");
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("offset")
    }

    /// What makes a program look at it. Its monotonic clock stays what it is.
    fn environment(&self, library: &Path) -> [(&'static str, PathBuf); 4] {
        [
            ("LD_PRELOAD", library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }
}

/// `None` where it is not installed; but where `cargo xtask test` has found it, it has to be there.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").expect("there are libraries");
    let found = folders
        .filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .find(|path| path.exists());
    assert!(
        found.is_some() || env::var_os("MOIM_FAKETIME").is_none(),
        "libfaketime is missing"
    );
    found
}

/// The day that the node believes it is: the first four words of the field `date` (RFC 9110, section
/// 6.6.1).
fn day(node: &BootstrapNode) -> Vec<String> {
    let answer = get(node.http(), "/health").expect("answers");
    let head = answer.head.to_ascii_lowercase();
    let date = head.lines().find_map(|line| line.strip_prefix("date: "));
    let words = date.expect("a date").split(' ').map(str::to_owned);
    words.take(4).collect()
}

#[test]
fn peers_join_find_each_other_and_talk_while_the_nodes_clock_jumps_by_days() {
    let Some(library) = library() else {
        return;
    };
    let clock = Clock::new();
    let mut node = BootstrapNode::start_in(&clock.environment(&library));
    let topic = topic("clock");
    let mut peers = vec![
        Terminal::join(&topic, "before", node.address(Transport::Tcp)),
        Terminal::join(&topic, "too", node.address(Transport::WebSocket)),
    ];
    see_each_other(&peers.iter().collect::<Vec<_>>());

    let today = day(&node);
    clock.set("+1d");
    // After a jump back it would be said late: hyper keeps the date until it is a later one.
    assert_ne!(day(&node), today, "the node knows no better");
    for (offset, name) in [("+1d", "tomorrow"), ("-1d", "yesterday")] {
        clock.set(offset);
        peers.push(Terminal::join(&topic, name, node.address(Transport::Tcp)));
        see_each_other(&peers.iter().collect::<Vec<_>>());
        let (newest, others) = peers.split_last_mut().expect("there are some");
        newest.say(name);
        for other in others {
            let heard = other.hears(newest.peer_id(), name);
            assert!(heard.at.elapsed() < HEARD_WITHIN, "{heard:?}");
        }
        assert!(node.is_healthy());
    }
    // Nobody has seemed to leave, though their presences are a day old or of tomorrow for the node.
    for peer in &peers {
        let left = peer.events_of("member_left");
        assert!(left.is_empty(), "{left:?}");
    }
}

fn clock_is<'a>(state: &'a str) -> impl Fn(&Event) -> bool + use<'a> {
    move |event| event.kind() == "clock" && event.text("state") == state
}

/// Alone with a wrong clock, it is told how wrong it is; and when it is set right, that all is well.
#[test]
fn a_peer_whose_clock_is_half_an_hour_off_says_so_until_it_is_set() {
    let Some(library) = library() else {
        return;
    };
    let node = BootstrapNode::start();
    for (offset, state) in [("+30m", "ahead"), ("-30m", "behind")] {
        let clock = Clock::new();
        clock.set(offset);
        let topic = topic("off");
        let address = node.address(Transport::Tcp);
        let mut right = Terminal::join(&topic, "right", address);
        let mut off = TerminalBuilder::new(&topic, "off")
            .bootstrap(address)
            .environment(&clock.environment(&library))
            .start();
        let told = off.wait("that its clock is off", PATIENCE, clock_is(state));
        assert_eq!(told.value["seconds"], 1_800, "{told:?}");
        assert!(told.text("reason").contains("30 min"), "{told:?}");
        // Those who are connected to each other need no clock for that.
        let soon = std::time::Instant::now() + PATIENCE;
        right.sees_by(off.peer_id(), soon);
        off.sees_by(right.peer_id(), soon);
        off.say("what time is it?");
        right.hears(off.peer_id(), "what time is it?");
        right.say("half an hour from yours");
        off.hears(right.peer_id(), "half an hour from yours");

        clock.set("+0");
        off.wait("that its clock is right", PATIENCE, clock_is("right"));
        let now = std::time::Instant::now();
        right.sees_by(off.peer_id(), now + PATIENCE);
        off.sees_by(right.peer_id(), now + PATIENCE);
        off.say("on time");
        right.hears(off.peer_id(), "on time");
        assert!(
            right.events_of("clock").is_empty(),
            "nothing is wrong there"
        );
    }
}

/// An operator's clock is as wrong as anybody's; who runs the peer is told that they differ.
#[test]
fn a_peer_is_told_when_its_nodes_clock_is_set_wrong_before_it_comes() {
    let Some(library) = library() else {
        return;
    };
    let clock = Clock::new();
    clock.set("+1h");
    let node = BootstrapNode::start_in(&clock.environment(&library));
    let topic = topic("node-off");
    let peer = Terminal::join(&topic, "right", node.address(Transport::Quic));
    let told = peer.wait("that they differ", PATIENCE, clock_is("behind"));
    assert_eq!(told.value["seconds"], 3_600, "{told:?}");
}

#[test]
fn a_value_that_nobody_takes_is_said_to_be_the_clocks_fault() {
    let Some(library) = library() else {
        return;
    };
    let node = BootstrapNode::start();
    let clock = Clock::new();
    clock.set("+30m");
    let mut command = Command::new(moim_binary());
    command.args([
        "put",
        "late",
        "1",
        "--bootstrap",
        node.address(Transport::Tcp),
    ]);
    command.envs(clock.environment(&library));
    let (status, process) = run("put", &mut command, PATIENCE);
    assert!(!status.success());
    let said = process.text(Output::Stderr);
    assert!(said.contains("30 min ahead"), "{said}");
}
