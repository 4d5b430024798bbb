//! The bootstrap node from outside: start, stop, restart, what it says when it cannot.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use moim_e2e::{
    BACK_WITHIN, BootstrapNode, Event, Output, PATIENCE, Process, Signal, Terminal,
    TerminalBuilder, Transport, bootstrap_binary, get, run, see_each_other, topic,
};
use serde_json::{Value, json};

/// Time that the node has to end.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// How long the node is away in the restart test.
const AWAY: Duration = Duration::from_secs(30);

#[test]
fn it_serves_its_addresses_health_and_metrics() {
    let mut node = BootstrapNode::start();
    assert_eq!(
        node.addresses().len(),
        4,
        "one per transport: {:?}",
        node.addresses()
    );
    for (_, address) in node.addresses() {
        assert!(
            address.ends_with(&format!("/p2p/{}", node.peer_id())),
            "{address}"
        );
    }
    assert!(node.address(Transport::WebRtcDirect).contains("/certhash/"));
    assert!(node.is_healthy());

    let answer = get(node.http(), "/bootstrap.json").expect("an answer");
    assert!(
        answer
            .head
            .to_lowercase()
            .contains("content-type: application/json"),
        "{answer:?}"
    );
    let metrics = get(node.http(), "/metrics").expect("an answer");
    assert_eq!(metrics.status, 200);
    for line in metrics
        .body
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let value = line.rsplit(' ').next().expect("a line has a last word");
        assert!(
            value.parse::<f64>().is_ok(),
            "Prometheus text format: {line}"
        );
    }
    assert_eq!(get(node.http(), "/nothing").expect("an answer").status, 404);
}

#[test]
fn it_stops_in_time_on_either_signal() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let mut node = BootstrapNode::start();
        let peer = Terminal::join(&topic("stop"), "peer", node.address(Transport::Tcp));
        wait_for_status(&peer, 0, "connected");
        let asked = Instant::now();
        node.process().signal(signal);
        let status = node.process().wait(STOPPED_WITHIN);
        println!("{signal:?}: {status} after {:?}", asked.elapsed());
        assert!(status.success(), "{signal:?}: {status}");
    }
}

#[test]
fn its_secrets_are_private_and_survive() {
    let mut node = BootstrapNode::start();
    let mut files = 0;
    for entry in fs::read_dir(node.data()).expect("the data directory can be read") {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("metadata");
        if metadata.is_file() {
            let mode = metadata.permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files >= 2, "a key and a certificate");
    assert!(node.stop().success());
    // Asserts that the peer id and all addresses are the same, the certificate's hash among them.
    node.start_again();
}

#[test]
fn without_a_clean_stop_it_comes_back_too() {
    let mut node = BootstrapNode::start();
    node.process().signal(Signal::Kill);
    node.process().wait(PATIENCE);
    node.start_again();
    assert!(node.is_healthy());
}

fn wait_for_status(peer: &Terminal, mark: usize, state: &str) -> Event {
    peer.wait_since(mark, &format!("status {state}"), PATIENCE, |event| {
        event.kind() == "status" && event.text("state") == state
    })
}

#[test]
fn peers_talk_on_while_it_is_away_and_are_back_soon_after_it() {
    let mut node = BootstrapNode::start();
    let topic = topic("away");
    let mut peers = [
        Terminal::join(&topic, "tcp", node.address(Transport::Tcp)),
        Terminal::join(&topic, "quic", node.address(Transport::Quic)),
        TerminalBuilder::new(&topic, "url")
            .bootstrap(&node.url())
            .start(),
    ];
    see_each_other(&peers.each_ref());
    for peer in &peers {
        wait_for_status(peer, 0, "connected");
    }
    put_and_read(&mut peers);
    let marks = peers.each_ref().map(Terminal::mark);

    let stopped = Instant::now();
    assert!(node.stop().success());
    for (peer, mark) in peers.iter().zip(marks) {
        wait_for_status(peer, mark, "reconnecting");
    }
    // As long as it is away, the room and direct messages go on between directly connected peers.
    let mut round = 0;
    while stopped.elapsed() < AWAY {
        talk(&mut peers, round);
        round += 1;
        let next = stopped + AWAY.min(Duration::from_secs(5) * round);
        let lost = peers[0].wait_until(marks[0], next, |event| event.kind() == "member_left");
        assert!(lost.is_none(), "nobody left: {lost:?}");
    }

    let marks = peers.each_ref().map(Terminal::mark);
    let back = node.start_again();
    for (peer, mark) in peers.iter().zip(marks) {
        let event = wait_for_status(peer, mark, "connected");
        let took = event.at.saturating_duration_since(back);
        println!("{} is back after {took:?}", peer.name());
        assert!(
            took <= BACK_WITHIN,
            "{} is back after {took:?}",
            peer.name()
        );
    }
    put_and_read(&mut peers);
    // Newcomers find those who were there all along.
    let late = Terminal::join(&topic, "late", node.address(Transport::Tcp));
    for peer in &peers {
        late.sees_by(peer.peer_id(), late.started() + PATIENCE);
    }
    for peer in &peers {
        assert!(
            peer.events_of("member_left").is_empty(),
            "{} lost somebody",
            peer.name()
        );
    }
}

fn talk(peers: &mut [Terminal; 3], round: u32) {
    for from in 0..peers.len() {
        let (text, to) = (
            format!("round {round} from {from}"),
            (from + 1) % peers.len(),
        );
        let receiver = peers[to].peer_id().to_owned();
        peers[from].say(&text);
        peers[from].send(&receiver, &text);
        let sender = peers[from].peer_id().to_owned();
        for other in (0..peers.len()).filter(|&other| other != from) {
            peers[other].hears(&sender, &text);
        }
        peers[to].wait(&format!("direct: {text}"), PATIENCE, |event| {
            event.kind() == "direct_message" && event.text("text") == text
        });
    }
}

fn put_and_read(peers: &mut [Terminal; 3]) {
    let mark = peers[0].mark();
    let key = format!("key {mark}");
    peers[0].command(&json!({"cmd": "put", "key": key, "value": mark}));
    peers[0].wait_since(mark, "stored", PATIENCE, |event| {
        event.kind() == "stored" && event.text("key") == key
    });
    let since = peers[1].mark();
    peers[1].command(&json!({"cmd": "get", "key": key}));
    let value = peers[1].wait_since(since, "the value", PATIENCE, |event| {
        event.text("key") == key
    });
    assert_eq!(value.value["value"], json!(mark), "{value:?}");
}

#[test]
fn a_port_in_use_is_named() {
    // Held until the end: these are what is in the way.
    let held_tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let held_udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let tcp = held_tcp.local_addr().expect("its address").to_string();
    let udp = held_udp.local_addr().expect("its address").to_string();
    for (flag, address) in [
        ("--tcp", &tcp),
        ("--ws", &tcp),
        ("--http", &tcp),
        ("--quic", &udp),
        ("--webrtc-direct", &udp),
    ] {
        let error = fails_to_start(&[(flag, address)], |_| {});
        let port = address.rsplit(':').next().expect("a port");
        assert!(error.contains(port), "{flag} {address}: {error}");
    }
    drop((held_tcp, held_udp));
}

#[test]
fn wrong_settings_are_named() {
    for (flag, value) in [
        ("--tcp", "nowhere"),
        ("--http", "127.0.0.1:99999"),
        ("--ws", "/ip4/127.0.0.1/tcp/1"),
        ("--log-format", "yaml"),
    ] {
        let error = fails_to_start(&[(flag, value)], |_| {});
        assert!(
            error.contains(value) && error.contains(flag.trim_start_matches("--")),
            "{flag} {value}: {error}"
        );
    }
}

/// Starts a node that cannot start and answers with what it says; `prepare` gets its data
/// directory.
fn fails_to_start(flags: &[(&str, &str)], prepare: impl Fn(&std::path::Path)) -> String {
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    prepare(data.path());
    let mut command = node_command(data.path(), flags);
    let (status, process) = run("moim-bootstrap", &mut command, PATIENCE);
    failure(status.success(), &process)
}

fn node_command(data: &std::path::Path, flags: &[(&str, &str)]) -> Command {
    let mut command = Command::new(bootstrap_binary());
    command.arg("--data-dir").arg(data);
    for flag in [
        "--tcp",
        "--quic",
        "--ws",
        "--webrtc-direct",
        "--stun",
        "--http",
    ] {
        if !flags.iter().any(|(given, _)| *given == flag) {
            command.args([flag, "127.0.0.1:0"]);
        }
    }
    for (flag, value) in flags {
        command.args([flag, value]);
    }
    command
}

fn failure(success: bool, process: &Process) -> String {
    assert!(
        !success,
        "it must not start: {}",
        process.text(Output::Stderr)
    );
    let error = process.text(Output::Stderr);
    assert!(!error.is_empty(), "it says why on stderr");
    assert!(!error.contains("panicked"), "{error}");
    error
}

#[test]
fn broken_files_in_the_data_directory_are_named_and_kept() {
    let mut node = BootstrapNode::start();
    let names: Vec<_> = fs::read_dir(node.data())
        .expect("the data directory can be read")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.metadata().expect("metadata").is_file())
        .map(|entry| entry.file_name())
        .filter(|name| !name.to_string_lossy().contains("lock"))
        .collect();
    assert!(node.stop().success());
    for name in names {
        for broken in [&b""[..], b"not a key", &[0xff; 4096]] {
            let error = fails_to_start(&[], |data| {
                fs::write(data.join(&name), broken).expect("the file can be written");
            });
            assert!(
                error.contains(&*name.to_string_lossy()),
                "names {name:?}: {error}"
            );
        }
        // What is there is never overwritten: it may be repaired or restored.
        let path = node.data().join(&name);
        fs::write(&path, b"half a fi").expect("the file can be written");
        let (status, process) = run(
            "moim-bootstrap",
            &mut node_command(node.data(), &[]),
            PATIENCE,
        );
        failure(status.success(), &process);
        assert_eq!(fs::read(&path).expect("still there"), b"half a fi");
        fs::remove_file(&path).expect("it can be removed");
    }
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("a-file");
    fs::write(&file, b"").expect("a file can be written");
    let (status, process) = run("moim-bootstrap", &mut node_command(&file, &[]), PATIENCE);
    let error = failure(status.success(), &process);
    assert!(error.contains("a-file"), "{error}");

    // No room left: the size limit of files makes every write fail, as a full disk does.
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let inner = node_command(data.path(), &[]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
    command.arg(inner.get_program()).args(inner.get_args());
    let (status, process) = run("moim-bootstrap", &mut command, PATIENCE);
    let error = failure(status.success(), &process);
    assert!(error.contains(&*data.path().to_string_lossy()), "{error}");
    // And nothing half-written is left that would be in the way when there is room again.
    let mut process = Process::start(
        "moim-bootstrap",
        &mut node_command(data.path(), &[("--log-format", "json")]),
    );
    let up = process.pick_line(0, Instant::now() + PATIENCE, |_, line| {
        let line: Value = serde_json::from_str(&line.text).ok()?;
        (line["type"] == "ready").then_some(())
    });
    assert!(up.is_some() && process.is_running());
}

#[test]
fn transports_can_be_switched_off() {
    let node = BootstrapNode::start_with(&["--ws", "off", "--quic", "off"]);
    let on: Vec<_> = node
        .addresses()
        .iter()
        .map(|(transport, _)| *transport)
        .collect();
    assert_eq!(on.len(), 2, "{on:?}");
    assert!(
        on.contains(&Transport::Tcp) && on.contains(&Transport::WebRtcDirect),
        "{on:?}"
    );
}
