//! Bootstrap addresses that are malformed, dead, somebody else's, or that stall: each is named, and
//! a good one beside it carries the peer.

use std::{
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
};

use moim_e2e::{
    BootstrapNode, Output, PATIENCE, Terminal, TerminalBuilder, Transport, moim_binary, run,
    see_each_other, topic,
};

/// The id of nobody in these tests.
const STRANGER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

/// A listener that takes connections and never says a word, for as long as the program runs.
fn silent_listener() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        let held: Vec<TcpStream> = listener.incoming().filter_map(Result::ok).collect();
        drop(held);
    });
    port
}

/// A port where nobody listens: it was free a moment ago.
fn dead_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Two peers: one enters by `bad` and a good address, the other by the good one alone.
fn joins_in_spite_of(about: &str, bad: &[String]) {
    let node = BootstrapNode::start();
    let topic = topic(about);
    let other = Terminal::join(&topic, "other", node.address(Transport::Quic));
    let mut builder = TerminalBuilder::new(&topic, "hindered");
    for source in bad {
        builder = builder.bootstrap(source);
    }
    let mut hindered = builder.bootstrap(node.address(Transport::Tcp)).start();
    see_each_other(&[&hindered, &other]);
    hindered.say("made it");
    other.hears(hindered.peer_id(), "made it");
    hindered.wait("it is in the DHT", PATIENCE, |event| {
        event.kind() == "status" && event.text("state") == "connected"
    });
}

#[test]
fn a_dead_address_beside_a_good_one() {
    joins_in_spite_of(
        "dead",
        &[
            format!("/ip4/127.0.0.1/tcp/{}/p2p/{STRANGER}", dead_port()),
            format!("http://127.0.0.1:{}/bootstrap.json", dead_port()),
        ],
    );
}

#[test]
fn a_silent_address_beside_a_good_one() {
    let port = silent_listener();
    joins_in_spite_of(
        "silent",
        &[
            format!("/ip4/127.0.0.1/tcp/{port}/p2p/{STRANGER}"),
            format!("/ip4/127.0.0.1/tcp/{port}/ws"),
            format!("http://127.0.0.1:{port}/bootstrap.json"),
        ],
    );
}

#[test]
fn a_wrong_peer_id_beside_a_good_address() {
    let impostor = BootstrapNode::start();
    let address = impostor.address(Transport::Tcp);
    joins_in_spite_of("impostor", &[address.replace(impostor.peer_id(), STRANGER)]);
}

#[test]
fn a_page_that_is_no_bootstrap_json_beside_a_good_address() {
    let node = BootstrapNode::start();
    joins_in_spite_of(
        "page",
        &[
            format!("http://{}/metrics", node.http()),
            format!("http://{}/nothing", node.http()),
        ],
    );
}

#[test]
fn a_malformed_address_is_refused_before_anything_is_tried() {
    for bad in [
        "nonsense",
        "/ip4/999.0.0.1/tcp/1",
        "localhost",
        "/ip4/127.0.0.1/tcp/1/p2p/x",
        "",
    ] {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = Command::new(moim_binary());
        command
            .args(["join", "t", "--json", "--bootstrap", bad, "--data-dir"])
            .arg(data.path());
        let (status, process) = run("moim", &mut command, PATIENCE);
        assert!(!status.success(), "{bad:?}: {status}");
        let said = format!(
            "{}{}",
            process.text(Output::Stdout),
            process.text(Output::Stderr)
        );
        assert!(
            said.contains(bad) && said.to_lowercase().contains("bootstrap"),
            "{bad:?}: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// What a peer says that has only `source`: that it goes on trying, and why it is not in.
fn says_why_not(source: &str) -> String {
    let mut peer = TerminalBuilder::new(&topic("alone"), "alone")
        .bootstrap(source)
        .start();
    let told = peer.wait("why it is not connected", PATIENCE, |event| {
        let state = event.text("state");
        (event.kind() == "status" && state != "connected" && !event.text("reason").is_empty())
            || event.kind() == "error"
    });
    assert!(peer.process().is_running(), "it goes on trying");
    assert!(peer.leave().success(), "and can be left as always");
    told.value.to_string()
}

#[test]
fn without_a_good_address_a_peer_says_why_and_goes_on_trying() {
    let impostor = BootstrapNode::start();
    let wrong_id = impostor
        .address(Transport::Tcp)
        .replace(impostor.peer_id(), STRANGER);
    let cases = [
        (format!("/ip4/127.0.0.1/tcp/{}", dead_port()), "refused"),
        (
            format!("/ip4/127.0.0.1/tcp/{}", silent_listener()),
            "no answer in time",
        ),
        (wrong_id, "another peer"),
        (
            format!("http://127.0.0.1:{}/bootstrap.json", dead_port()),
            "bootstrap.json",
        ),
        (format!("http://{}/metrics", impostor.http()), "JSON"),
    ];
    for (source, hint) in cases {
        let told = says_why_not(&source);
        assert!(told.contains(hint), "{source} ({hint}): {told}");
    }
}

#[test]
fn a_peer_started_before_its_bootstrap_node_joins_when_that_comes() {
    let mut node = BootstrapNode::start();
    assert!(node.stop().success());
    let topic = topic("early");
    let early = Terminal::join(&topic, "early", node.address(Transport::Tcp));
    let url = TerminalBuilder::new(&topic, "url")
        .bootstrap(&node.url())
        .start();
    let back = node.start_again();
    for peer in [&early, &url] {
        let event = peer.wait("it is in the DHT", PATIENCE, |event| {
            event.kind() == "status" && event.text("state") == "connected"
        });
        let took = event.at.saturating_duration_since(back);
        assert!(
            took <= moim_e2e::BACK_WITHIN,
            "{} after {took:?}",
            peer.name()
        );
    }
    early.sees_by(url.peer_id(), back + PATIENCE);
    url.sees_by(early.peer_id(), back + PATIENCE);
}

#[test]
fn a_second_bootstrap_node_carries_on_when_the_first_is_gone() {
    let mut first = BootstrapNode::start();
    let second = BootstrapNode::start();
    let topic = topic("second");
    let entrances = [
        first.address(Transport::Tcp),
        second.address(Transport::Quic),
    ]
    .map(str::to_owned);
    let join = |name: &str| {
        TerminalBuilder::new(&topic, name)
            .bootstrap(&entrances[0])
            .bootstrap(&entrances[1])
            .start()
    };
    let (a, b) = (join("a"), join("b"));
    see_each_other(&[&a, &b]);
    assert!(first.stop().success());
    // One that knows the dead one and the living, and one that knows the living only.
    let mut late = join("late");
    let only = Terminal::join(&topic, "only second", second.address(Transport::WebSocket));
    for peer in [&late, &only] {
        peer.sees_by(a.peer_id(), peer.started() + PATIENCE);
        peer.sees_by(b.peer_id(), peer.started() + PATIENCE);
    }
    late.say("the way round");
    for peer in [&a, &b, &only] {
        peer.hears(late.peer_id(), "the way round");
    }
}
