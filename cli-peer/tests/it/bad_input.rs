//! Wrong arguments, wrong files, wrong places: each is an error that says what, why and what to do.

use std::{fs, net::TcpListener, process::Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Joined, dead_address, moim, run, text};

#[test]
fn a_malformed_bootstrap_address_is_wrong_usage() {
    for (address, reason) in [
        ("localhost", "neither a multiaddr"),
        ("/ip4/300.0.0.1/tcp/8468", "neither a multiaddr"),
        ("/ip4/127.0.0.1/tcp/8468/p2p/garbage", "neither a multiaddr"),
        ("", "neither a multiaddr"),
    ] {
        for command in [
            &["join", "t"][..],
            &["get", "k"],
            &["peers", "t"],
            &["put", "k", "v"],
        ] {
            let output = run(&[command, &["--bootstrap", address]].concat());
            assert_eq!(output.status.code(), Some(2), "{address}");
            let error = text(&output.stderr);
            assert!(
                error.contains(reason) && error.contains("bootstrap.json"),
                "{error}"
            );
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn a_dead_bootstrap_address_is_not_connected() {
    let address = dead_address();
    for command in [&["get", "k"][..], &["peers", "t"], &["put", "k", "v"]] {
        let output = run(&[command, &["--bootstrap", &address, "--timeout", "1"]].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{error}");
        assert!(
            error.contains("could not get into the DHT within 1 s") && error.contains(&address),
            "{error}"
        );
        assert!(output.stdout.is_empty());
    }
    let output = run(&[
        "get",
        "k",
        "--json",
        "--bootstrap",
        &address,
        "--timeout",
        "1",
    ]);
    assert_eq!(output.status.code(), Some(4));
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&event["type"], &event["error"]),
        (&"error".into(), &"not_connected".into())
    );
}

#[test]
fn a_topic_or_name_that_cannot_be_is_wrong_usage() {
    for arguments in [
        &["join", ""][..],
        &["join", "a\nb"],
        &["peers", "\x07"],
        &["join", "t", "--name", " "],
        &["fly"],
        &[],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_broken_identity_is_reported_and_kept() {
    let directory = TempDir::new().unwrap();
    let key = directory.path().join("identity.key");
    fs::write(&key, b"garbage").unwrap();
    let output = run(&[
        "join",
        "t",
        "--json",
        "--data-dir",
        directory.path().to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("identity.key") && error.contains("damaged"),
        "{error}"
    );
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&event["type"], &event["error"]),
        (&"error".into(), &"identity".into())
    );
    assert_eq!(fs::read(&key).unwrap(), b"garbage");
}

#[test]
fn a_directory_that_cannot_be_made_is_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = run(&[
        "join",
        "t",
        "--data-dir",
        file.path().join("below").to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("cannot make the directory"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_port_in_use_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "/ip4/127.0.0.1/tcp/{}",
        listener.local_addr().unwrap().port()
    );
    let output = run(&["join", "t", "--ephemeral", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains(&address) && error.contains("--listen"),
        "{error}"
    );
}

#[test]
fn one_identity_is_used_by_one_peer_at_a_time() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    let dead = dead_address();
    let arguments = ["--json", "--data-dir", path, "--bootstrap", &dead];
    let mut first = Joined::start(&arguments);
    let id = first.event("ready")["peer_id"].clone();
    let output = run(&["join", "t", "--json", "--data-dir", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("in use by another running peer"),
        "{}",
        text(&output.stderr)
    );
    first.end_input();
    assert!(first.exit().success());
    // The identity is kept, and free again.
    let mut again = Joined::start(&arguments);
    assert_eq!(again.event("ready")["peer_id"], id);
}

#[test]
fn a_second_peer_of_the_same_user_is_somebody_new_for_now() {
    let home = TempDir::new().unwrap();
    let command = |listen| {
        let mut command = moim(home.path());
        command.args([
            "join",
            "global-chat",
            "--json",
            "--listen",
            listen,
            "--bootstrap",
            &dead_address(),
        ]);
        command
    };
    let mut first = Joined::spawn(command("none"), TempDir::new().unwrap());
    let id = first.event("ready")["peer_id"].clone();
    let output = command("none").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stderr).contains("somebody new for now"),
        "{}",
        text(&output.stderr)
    );
    let ready: Value = serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap();
    assert_ne!(ready["peer_id"], id);
}
