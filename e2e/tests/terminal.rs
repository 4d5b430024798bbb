//! The terminal peer as a program: its files, its ports, its streams.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use moim_e2e::{
    BootstrapNode, Output, PATIENCE, Terminal, TerminalBuilder, Transport, moim_binary, run, topic,
};

fn join(data: &Path, extra: &[&str]) -> Command {
    let mut command = Command::new(moim_binary());
    command
        .args(["join", "t", "--json", "--name", "n", "--data-dir"])
        .arg(data)
        .args(extra);
    command.args(["--bootstrap", "/ip4/127.0.0.1/tcp/1"]);
    command
}

/// Runs a `moim join` that cannot start and answers with what it says.
fn fails(data: &Path, extra: &[&str]) -> String {
    let (status, process) = run("moim", &mut join(data, extra), PATIENCE);
    assert!(!status.success(), "{status}");
    let error = process.text(Output::Stderr);
    assert!(!error.contains("panicked"), "{error}");
    error
}

#[test]
fn a_broken_identity_is_named_and_kept() {
    for broken in [&b""[..], b"not a key", &[0xff; 4096]] {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let path = data.path().join("identity.key");
        fs::write(&path, broken).expect("the file can be written");
        let error = fails(data.path(), &[]);
        assert!(error.contains(&*path.to_string_lossy()), "{error}");
        assert_eq!(fs::read(&path).expect("still there"), broken);
    }
}

#[test]
fn its_key_is_private_and_used_by_one_at_a_time() {
    let node = BootstrapNode::start();
    let mut peer = Terminal::join(&topic("key"), "first", node.address(Transport::Tcp));
    let data = peer.data().to_owned();
    let mode = fs::metadata(data.join("identity.key"))
        .expect("the key is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = fails(&data, &[]);
    assert!(
        error.contains("in use") && error.contains(&*data.to_string_lossy()),
        "{error}"
    );
    assert!(peer.process().is_running());
}

#[test]
fn a_port_in_use_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("its address").port();
    for address in [
        format!("/ip4/127.0.0.1/tcp/{port}"),
        format!("/ip4/127.0.0.1/tcp/{port}/ws"),
    ] {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let error = fails(data.path(), &["--listen", &address]);
        assert!(error.contains(&port.to_string()), "{error}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let mut child = join(data.path(), &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("moim starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut first)
        .expect("a line");
    // The pipe is closed by now. What it writes next has no reader.
    let mut input = child.stdin.take().expect("a pipe");
    let asked = Instant::now();
    let mut gone = None;
    while gone.is_none() && asked.elapsed() < PATIENCE {
        use std::io::Write as _;
        // An error means that it has ended already.
        let _ = input.write_all(b"{\"cmd\":\"members\"}\n");
        gone = child.try_wait().expect("it can be asked for");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("its output");
    assert!(first.contains("\"ready\""), "{first}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(gone.is_some(), "it ends when nobody reads it: {error}");
    assert!(!error.contains("panicked"), "{error}");
}

#[test]
fn commands_given_before_it_is_connected_are_answered() {
    let node = BootstrapNode::start();
    let mut peer = TerminalBuilder::new(&topic("eager"), "eager")
        .bootstrap(node.address(Transport::Tcp))
        .launch();
    for command in [
        "{\"cmd\":\"members\",\"ref\":1}\n",
        "{\"cmd\":\"connections\",\"ref\":2}\n",
        "{\"cmd\":\"say\",\"text\":\"hi\",\"ref\":3}\n",
    ] {
        peer.process().write(command.as_bytes());
    }
    for reference in 1..=3 {
        peer.wait(
            &format!("the answer to command {reference}"),
            PATIENCE,
            |event| event.value["ref"] == reference,
        );
    }
    let first = peer.events().into_iter().next().expect("an event");
    assert_eq!(first.kind(), "ready", "the first line");
    assert!(peer.leave().success());
    let last = peer.events().into_iter().next_back().expect("an event");
    assert_eq!(last.kind(), "left", "the last line");
}

#[test]
fn commands_from_a_pipe_are_answered_before_the_end() {
    let node = BootstrapNode::start();
    let mut peer = TerminalBuilder::new(&topic("pipe"), "pipe")
        .bootstrap(&node.url())
        .start();
    peer.wait("it is in the DHT", PATIENCE, |event| {
        event.text("state") == "connected"
    });
    peer.process()
        .write(b"{\"cmd\":\"put\",\"key\":\"from a pipe\",\"value\":1}\n");
    peer.process().close_input();
    let status = peer.process().wait(PATIENCE);
    assert!(status.success(), "{status}");
    assert_eq!(peer.events_of("stored").len(), 1);
}
