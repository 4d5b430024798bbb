//! The DHT as a store, and the one-shot commands.

use std::{
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use moim_e2e::{
    BootstrapNode, Output, PATIENCE, Process, Signal, Terminal, TerminalBuilder, Transport,
    moim_binary, run, see_each_other, topic,
};
use serde_json::{Value, json};

/// What a fifth of the DHT's servers being hung may cost a put.
const STALL_MAX: Duration = Duration::from_secs(1);

fn put(peer: &mut Terminal, key: &str, value: &Value) -> (Duration, u64) {
    let mark = peer.mark();
    let asked = Instant::now();
    peer.command(&json!({"cmd": "put", "key": key, "value": value}));
    let stored = peer.wait_since(mark, &format!("{key} is stored"), PATIENCE, |event| {
        (event.kind() == "stored" && event.text("key") == key) || event.kind() == "error"
    });
    assert_eq!(stored.kind(), "stored", "{stored:?}");
    let copies = stored.value["copies"].as_u64().unwrap_or_default();
    assert!(copies >= 1, "{stored:?}");
    (stored.at.saturating_duration_since(asked), copies)
}

fn get(peer: &mut Terminal, key: &str) -> Value {
    let mark = peer.mark();
    peer.command(&json!({"cmd": "get", "key": key}));
    let answer = peer.wait_since(mark, &format!("the value of {key}"), PATIENCE, |event| {
        (event.kind() == "value" && event.text("key") == key) || event.kind() == "error"
    });
    assert_eq!(answer.kind(), "value", "{answer:?}");
    answer.value["value"].clone()
}

/// Runs `moim` and answers with how it ended.
fn one_shot(args: &[&str]) -> (ExitStatus, Process) {
    let mut command = Command::new(moim_binary());
    command.args(args);
    run(&format!("moim {}", args.join(" ")), &mut command, PATIENCE)
}

#[test]
fn a_value_is_read_by_others_also_when_its_publisher_has_left() {
    let node = BootstrapNode::start();
    let topic = topic("put");
    let mut writer = Terminal::join(&topic, "writer", node.address(Transport::Tcp));
    let mut reader = Terminal::join(&topic, "reader", node.address(Transport::Quic));
    let value = json!({"모임": ["a", 1, null, {"deep": true}], "π": 3.25});
    put(&mut writer, "shelf/one", &value);
    assert_eq!(get(&mut reader, "shelf/one"), value);
    assert_eq!(get(&mut writer, "shelf/one"), value, "its own too");

    put(&mut writer, "shelf/one", &json!("newer"));
    assert_eq!(
        get(&mut reader, "shelf/one"),
        json!("newer"),
        "the newest counts"
    );

    assert!(writer.leave().success());
    drop(writer);
    let mut late = Terminal::join(&topic, "late", node.address(Transport::WebSocket));
    assert_eq!(
        get(&mut late, "shelf/one"),
        json!("newer"),
        "it outlives its publisher"
    );
}

#[test]
fn what_nobody_stored_is_not_found() {
    let node = BootstrapNode::start();
    let mut peer = Terminal::join(&topic("nothing"), "reader", node.address(Transport::Tcp));
    peer.command(&json!({"cmd": "get", "key": "no such key"}));
    let answer = peer.wait("an answer", PATIENCE, |event| {
        event.kind() == "error" || (event.kind() == "value" && event.value["value"].is_null())
    });
    assert!(
        answer.value.to_string().contains("no such key"),
        "it says what is missing: {answer:?}"
    );
}

#[test]
fn values_that_cannot_be_stored_are_refused() {
    let node = BootstrapNode::start();
    let mut peer = Terminal::join(&topic("refuse"), "writer", node.address(Transport::Tcp));
    let long_key = "k".repeat(300);
    for (what, key, value) in [
        ("an empty key", "", json!(1)),
        ("a key of 300 bytes", long_key.as_str(), json!(1)),
        ("a value of 9 KiB", "big", json!("x".repeat(9 * 1024))),
    ] {
        let mark = peer.mark();
        peer.command(&json!({"cmd": "put", "key": key, "value": value}));
        let answer = peer.wait_since(mark, what, PATIENCE, |event| {
            matches!(event.kind(), "stored" | "error")
        });
        assert_eq!(answer.kind(), "error", "{what}: {answer:?}");
    }
    put(&mut peer, "small", &json!(1));
}

#[test]
fn values_are_kept_by_peers_that_serve_the_dht() {
    let node = BootstrapNode::start();
    let topic = topic("serve");
    let servers: Vec<_> = (0..3).map(|number| server(&node, &topic, number)).collect();
    let mut writer = Terminal::join(&topic, "writer", node.address(Transport::Tcp));
    for server in &servers {
        writer.sees_by(server.peer_id(), Instant::now() + PATIENCE);
    }
    // The bootstrap node and the three.
    wait_for_copies(&mut writer, 4);
}

#[test]
fn of_two_bootstrap_nodes_that_know_each_other_one_may_go() {
    let mut first = BootstrapNode::start();
    let known = first.address(Transport::Tcp).to_owned();
    let mut second = BootstrapNode::start_with(&["--bootstrap", &known]);
    let topic = topic("two-nodes");
    let mut a = Terminal::join(&topic, "a", first.address(Transport::Tcp));
    let mut b = Terminal::join(&topic, "b", second.address(Transport::WebSocket));
    see_each_other(&[&a, &b]);
    wait_for_copies(&mut a, 2);
    put(&mut a, "menu", &json!("soup"));

    assert!(first.stop().success());
    let c = Terminal::join(&topic, "c", second.address(Transport::Tcp));
    see_each_other(&[&a, &b, &c]);
    b.say("who is left?");
    for peer in [&a, &c] {
        peer.hears(b.peer_id(), "who is left?");
    }
    assert_eq!(get(&mut b, "menu"), json!("soup"));
    assert!(second.is_healthy());
}

fn server(node: &BootstrapNode, topic: &str, number: usize) -> Terminal {
    TerminalBuilder::new(topic, &format!("server {number}"))
        .bootstrap(node.address(Transport::Tcp))
        .serve_dht()
        .start()
}

/// Puts until `wanted` servers keep a value: routing tables fill as peers hear of each other.
fn wait_for_copies(writer: &mut Terminal, wanted: u64) {
    let deadline = Instant::now() + PATIENCE;
    let mut number = 0;
    loop {
        let (_, copies) = put(writer, &format!("warm {number}"), &json!(number));
        if copies >= wanted {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{copies} of {wanted} servers keep a value"
        );
        number += 1;
    }
}

#[test]
fn a_hung_fifth_of_the_servers_does_not_stall_a_put() {
    // With the bootstrap node five servers.
    let node = BootstrapNode::start();
    let topic = topic("stall");
    let mut servers: Vec<_> = (0..4).map(|number| server(&node, &topic, number)).collect();
    let mut writer = Terminal::join(&topic, "writer", node.address(Transport::Tcp));
    wait_for_copies(&mut writer, 5);
    let usual = (0..3)
        .map(|number| put(&mut writer, &format!("usual {number}"), &json!(number)).0)
        .max();
    let usual = usual.expect("three puts");

    servers[0].process().signal(Signal::Stop);
    for number in 0..5 {
        let (took, copies) = put(&mut writer, &format!("stalled {number}"), &json!(number));
        println!("put {number}: {took:?} with a hung server, {usual:?} before; {copies} copies");
        assert!(
            took <= usual + STALL_MAX,
            "a put took {took:?}, usually {usual:?}"
        );
    }
    servers[0].process().signal(Signal::Continue);
}

#[test]
fn one_shot_commands_put_get_and_list() {
    let node = BootstrapNode::start();
    let url = node.url();
    let topic = topic("shots");
    let member = Terminal::join(&topic, "member", node.address(Transport::Tcp));

    let (status, _) = one_shot(&[
        "put",
        "greeting",
        r#"{"hello":["world"]}"#,
        "--bootstrap",
        &url,
    ]);
    assert!(status.success(), "put: {status}");
    // The process that put it is gone; another reads it, over another transport.
    let (status, got) = one_shot(&[
        "get",
        "greeting",
        "--bootstrap",
        node.address(Transport::Quic),
    ]);
    assert!(status.success(), "get: {status}");
    let value: Value =
        serde_json::from_str(got.text(Output::Stdout).trim()).expect("get prints JSON alone");
    assert_eq!(value, json!({"hello": ["world"]}));

    let (status, list) = one_shot(&["peers", &topic, "--bootstrap", &url]);
    assert!(status.success(), "peers: {status}");
    let listed = list.text(Output::Stdout);
    assert!(listed.contains(member.peer_id()), "{listed}");
    assert_eq!(
        listed
            .lines()
            .filter(|line| line.contains("12D3KooW"))
            .count(),
        1,
        "{listed}"
    );
    // Asking is not joining.
    assert!(member.events_of("member_joined").is_empty());
}

#[test]
fn one_shot_commands_fail_with_a_reason_and_an_exit_code() {
    let node = BootstrapNode::start();
    let url = node.url();
    let missing = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
    // As `moim --help` lists them.
    let (usage, not_found, not_connected) = (2, 3, 4);
    for (args, code, says) in [
        (
            &["get", "never put", "--bootstrap", &url][..],
            not_found,
            "never put",
        ),
        (
            &["get", "x", "--timeout", "2", "--bootstrap", missing],
            not_connected,
            "127.0.0.1/tcp/1",
        ),
        (
            &["put", "x", "1", "--timeout", "2", "--bootstrap", missing],
            not_connected,
            "127.0.0.1/tcp/1",
        ),
        (
            &["peers", "x", "--timeout", "2", "--bootstrap", missing],
            not_connected,
            "127.0.0.1/tcp/1",
        ),
        (
            &["peers", "nobody is here", "--bootstrap", &url],
            not_found,
            "nobody",
        ),
        (&["get", "x", "--bootstrap", "nonsense"], usage, "nonsense"),
        (&["peers", "", "--bootstrap", &url], usage, "topic"),
    ] {
        let (status, process) = one_shot(args);
        let error = process.text(Output::Stderr);
        assert_eq!(status.code(), Some(code), "{args:?}: {error}");
        assert!(
            error.to_lowercase().contains(says),
            "{args:?} says what is wrong ({says}): {error}"
        );
        assert!(!error.contains("panicked"), "{error}");
        assert_eq!(process.text(Output::Stdout), "", "nothing on stdout");
    }
}
