//! A bootstrap node does not let a peer in: it says why, and the peer comes back seldom.

use std::time::Duration;

use moim_e2e::{
    BootstrapNode, Event, PATIENCE, Process, Terminal, TerminalBuilder, Transport, get,
};
use serde_json::Value;

/// A peer that is turned away waits for at least a second before it tries again, and for longer later.
const PAUSE_MIN: Duration = Duration::from_secs(1);

fn is_refusal<'a>(code: &'a str) -> impl Fn(&Event) -> bool + use<'a> {
    move |event| event.kind() == "status" && event.text("refusal") == code
}

/// How often the node has turned somebody away for this reason.
fn rejected(node: &BootstrapNode, reason: &str) -> u64 {
    let metrics = get(node.http(), "/metrics").expect("answers").body;
    let line = format!("moim_bootstrap_rejected_total{{reason=\"{reason}\"}} ");
    let count = metrics.lines().find_map(|found| found.strip_prefix(&line));
    count.map_or(0, |count| count.parse().expect("a number"))
}

/// The peer says why it is not let in, and knocks no more often than it should.
fn is_turned_away(node: &BootstrapNode, peer: &Terminal, code: &str, metric: &str) {
    let told = peer.wait("why", PATIENCE, is_refusal(code));
    assert!(!told.text("reason").is_empty(), "{told:?}");
    // It knocks again by and by. Four times a second, three would take less than one.
    let first = rejected(node, metric);
    let began = std::time::Instant::now();
    while rejected(node, metric) < first + 3 {
        assert!(began.elapsed() < PATIENCE, "it never comes back");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let took = began.elapsed();
    assert!(took >= 2 * PAUSE_MIN, "three times in {took:?}");
}

fn join(node: &BootstrapNode, transport: Transport) -> Terminal {
    let topic = moim_e2e::topic("turned-away");
    TerminalBuilder::new(&topic, "newcomer")
        .bootstrap(node.address(transport))
        .start()
}

fn is_in(peer: &Terminal, mark: usize) -> Event {
    peer.wait_since(mark, "to be in the DHT", PATIENCE, |event| {
        event.kind() == "status" && event.text("state") == "connected"
    })
}

#[test]
fn a_full_node_says_so_and_takes_the_peer_when_somebody_has_left() {
    let node = BootstrapNode::start_with(&["--max-connections", "1"]);
    let mut first = join(&node, Transport::Tcp);
    is_in(&first, 0);
    let second = join(&node, Transport::Tcp);
    is_turned_away(&node, &second, "full", "connections");
    // By whichever way it comes.
    for transport in [Transport::Quic, Transport::WebSocket] {
        let other = join(&node, transport);
        other.wait("why", PATIENCE, is_refusal("full"));
    }
    first.leave();
    let connected = is_in(&second, 0);
    assert!(connected.value.get("refusal").is_none(), "{connected:?}");
}

#[test]
fn a_blocked_peer_is_told_so() {
    let node = BootstrapNode::start();
    let peer = join(&node, Transport::Quic);
    is_in(&peer, 0);
    let mark = peer.mark();
    let mut command = std::process::Command::new(moim_e2e::bootstrap_binary());
    command.arg("--data-dir").arg(node.data());
    command.args(["block", "add", peer.peer_id()]);
    let (status, _) = moim_e2e::run("block", &mut command, PATIENCE);
    assert!(status.success());
    peer.wait_since(mark, "that it is blocked", PATIENCE, is_refusal("blocked"));
    is_turned_away(&node, &peer, "blocked", "blocked");
}

/// As many programs with one identity as the node takes, and one more.
#[test]
fn who_uses_an_identity_that_many_others_use_is_told_so() {
    const ALLOWED: usize = 8;
    let node = BootstrapNode::start();
    let first = join(&node, Transport::Tcp);
    is_in(&first, 0);
    let copy = || {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let key = "identity.key";
        std::fs::copy(first.data().join(key), data.path().join(key)).expect("copied");
        TerminalBuilder::new(first.topic(), "copy")
            .data(data)
            .bootstrap(node.address(Transport::Tcp))
            .start()
    };
    let others: Vec<Terminal> = (1..ALLOWED).map(|_| copy()).collect();
    for other in &others {
        is_in(other, 0);
    }
    let last = copy();
    is_turned_away(&node, &last, "identity_in_use", "peer");
}

/// A node of before, or somebody who only pretends to be one: it closes every connection.
#[test]
fn a_node_that_closes_every_connection_is_not_dialled_all_the_time() {
    use std::net::TcpListener;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    let began = std::time::Instant::now();
    let mut command = std::process::Command::new(moim_e2e::moim_binary());
    command.args([
        "join",
        "closed",
        "--json",
        "--ephemeral",
        "--listen",
        "none",
    ]);
    command.args([
        "--bootstrap",
        &format!("/ip4/127.0.0.1/tcp/{}", address.port()),
    ]);
    let process = Process::start("newcomer", &mut command);
    for _ in 0..5 {
        // Closed as soon as it is there.
        listener.accept().expect("it dials");
    }
    // Pauses of at least a quarter of a second, of which the later ones are longer.
    assert!(began.elapsed() >= Duration::from_secs(1), "{began:?}");
    let failed = process.pick_line(0, began + PATIENCE, |_, line| {
        let event: Value = serde_json::from_str(&line.text).ok()?;
        (event["type"] == "status" && event["state"] == "failed").then_some(event)
    });
    assert!(failed.is_some(), "it says that it is not in the DHT");
}
