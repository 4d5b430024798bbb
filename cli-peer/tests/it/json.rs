//! `moim join --json` with nobody else there.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Joined, dead_address, moim, run};

/// A peer that is alone.
fn alone() -> Joined {
    Joined::ready("Ada", &dead_address(), &[]).0
}

#[test]
fn garbage_on_standard_input_is_answered_and_the_rest_goes_on() {
    let mut peer = alone();
    peer.write(b"garbage\n");
    peer.write(b"\xff\xfe\n");
    peer.write(
        &[
            b"{\"cmd\":\"say\",\"text\":\"".as_slice(),
            &[b'x'; 300_000],
            b"\"}\n",
        ]
        .concat(),
    );
    peer.write(b"\n  \n[]\n");
    peer.command(&json!({"cmd": "fly"}));
    peer.command(&json!({"cmd": "say"}));
    peer.command(&json!({"cmd": "say", "text": 7}));
    peer.command(&json!({"cmd": "send", "to": "Ada", "text": "hi"}));
    peer.command(&json!({"cmd": "put", "key": "k", "value": 1, "ttl": -1}));
    peer.command(&json!({"cmd": "get", "key": "k", "extra": true}));
    peer.write("[".repeat(50_000).as_bytes());
    peer.write(b"\n");
    for (line, code) in [
        (1, "invalid_json"),
        (2, "invalid_json"),
        (3, "line_too_long"),
        (6, "invalid_command"),
        (7, "unknown_command"),
        (8, "invalid_command"),
        (9, "invalid_command"),
        (10, "invalid_command"),
        (11, "invalid_command"),
        (12, "invalid_command"),
        (13, "invalid_json"),
    ] {
        let error = peer.event("error");
        assert_eq!(
            (&error["line"], &error["error"]),
            (&json!(line), &json!(code)),
            "{error}"
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
    }
    peer.command(&json!({"cmd": "members", "ref": 1}));
    assert_eq!(
        peer.event("members"),
        json!({"type": "members", "members": [], "ref": 1})
    );
    peer.command(&json!({"cmd": "connections"}));
    assert_eq!(peer.event("connections")["connections"], json!([]));
    peer.command(&json!({"cmd": "leave"}));
    assert_eq!(peer.rest().last().unwrap(), "{\"type\":\"left\"}");
    assert!(peer.exit().success());
}

#[test]
fn what_breaks_a_limit_is_an_error_of_that_command() {
    let (_server, _, address) = Joined::ready("Server", &dead_address(), &["--serve-dht"]);
    let (mut peer, own, _) = Joined::ready("Ada", &address, &[]);
    for (command, code) in [
        (json!({"cmd": "say", "text": ""}), "empty"),
        (
            json!({"cmd": "say", "text": "x".repeat(20_000)}),
            "too_long",
        ),
        (json!({"cmd": "send", "to": own, "text": "hi"}), "to_self"),
        (json!({"cmd": "send", "to": own, "text": ""}), "empty"),
        (json!({"cmd": "put", "key": "", "value": 1}), "invalid"),
        (
            json!({"cmd": "put", "key": "k", "value": 1, "ttl": 1}),
            "invalid",
        ),
        (
            json!({"cmd": "put", "key": "k", "value": 1, "ttl": u64::MAX}),
            "invalid",
        ),
        (
            json!({"cmd": "put", "key": "k", "value": "x".repeat(10_000)}),
            "invalid",
        ),
        (json!({"cmd": "get", "key": "k".repeat(300)}), "invalid"),
    ] {
        let mut command = command;
        command["ref"] = json!(code);
        peer.command(&command);
        let error = peer.event("error");
        assert_eq!(
            (&error["error"], &error["ref"], &error["cmd"]),
            (&json!(code), &json!(code), &command["cmd"]),
            "{error}"
        );
    }
    peer.command(&json!({"cmd": "say", "text": "hello"}));
    assert_eq!(peer.event("said")["text"], "hello");
}

#[test]
fn without_the_dht_a_command_says_so_in_the_end_and_holds_up_no_other() {
    let mut peer = alone();
    peer.command(&json!({"cmd": "get", "key": "k", "ref": "slow"}));
    peer.command(&json!({"cmd": "put", "key": "k", "value": 1, "ref": "slow"}));
    peer.command(&json!({"cmd": "say", "text": "quick", "ref": "quick"}));
    let answer = peer.event_that(|event| event["ref"].is_string());
    assert_eq!(answer["ref"], "quick", "{answer}");
    for _ in 0..2 {
        let answer = peer.event_that(|event| event["ref"] == "slow");
        assert_eq!(answer["error"], "not_connected", "{answer}");
    }
}

#[test]
fn the_end_of_the_input_leaves() {
    let mut peer = alone();
    peer.end_input();
    assert_eq!(peer.rest().last().unwrap(), "{\"type\":\"left\"}");
    assert_eq!(peer.exit().code(), Some(0));
}

#[test]
fn commands_before_the_end_of_the_input_get_their_answers() {
    let mut peer = alone();
    peer.write(
        b"{\"cmd\":\"get\",\"key\":\"k\",\"ref\":1}\n{\"cmd\":\"say\",\"text\":\"bye\",\"ref\":2}",
    );
    peer.end_input();
    let answers: Vec<Value> = peer
        .rest()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for reference in [1, 2] {
        assert!(
            answers.iter().any(|answer| answer["ref"] == reference),
            "{answers:?}"
        );
    }
    assert!(peer.exit().success());
}

#[cfg(unix)]
#[test]
fn signals_leave() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut peer = alone();
        peer.signal(signal);
        assert_eq!(peer.rest().last().unwrap(), "{\"type\":\"left\"}");
        assert_eq!(peer.exit().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_closed_output_ends_the_program() {
    let mut peer = alone();
    peer.close_output();
    // The next line has nowhere to go.
    let _ = peer.try_write(b"{\"cmd\":\"members\"}\n");
    assert_eq!(peer.exit().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_reader_that_does_not_read_cannot_hold_up_the_end() {
    use std::{
        io::{Read as _, Write as _},
        process::Stdio,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    let home = TempDir::new().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = moim(home.path());
    command
        .args(["join", "t", "--json", "--ephemeral", "--listen", "none"])
        .args(["--bootstrap", &dead_address()]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // From its first byte on it listens for signals.
    reader.read_exact(&mut [0]).unwrap();
    // More answers than a pipe holds. The program stops reading when it cannot write.
    let mut stdin = child.stdin.take().unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let writing = thread::spawn(move || {
        let command = format!(
            "{{\"cmd\":\"members\",\"ref\":\"{}\"}}\n",
            "x".repeat(10_000)
        );
        while stdin.write_all(command.as_bytes()).is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut before = usize::MAX;
    while before != written.load(Ordering::SeqCst) {
        before = written.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(500));
    }
    let status = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(50));
    }
    let ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ended, "still running 10 s after it was told to end");
    writing.join().unwrap();
}

#[test]
fn without_json_lines_are_read_and_shown_as_text() {
    let home = TempDir::new().unwrap();
    let mut command = moim(home.path());
    command.args([
        "join",
        "global-chat",
        "--name",
        "Ada",
        "--listen",
        "none",
        "--bootstrap",
        &dead_address(),
    ]);
    let mut peer = Joined::spawn(command, home);
    let first = peer.line().unwrap();
    assert!(
        first.starts_with("You are Ada …") && first.contains("global-chat"),
        "{first}"
    );
    peer.write(b"/help\n");
    peer.line_that(|line| line.contains("/members"));
    peer.write(b"/dance\n");
    peer.line_that(|line| line.contains("there is no command /dance"));
    peer.write(b"/to nobody hi\n");
    peer.line_that(|line| line.contains("nobody here is nobody"));
    peer.write(b"/members\n");
    peer.line_that(|line| line.contains("Nobody else is here yet"));
    peer.write(b"/connections\n");
    peer.line_that(|line| line.starts_with("bootstrap node: "));
    peer.write(b"hello\n");
    peer.line_that(|line| line.contains("nobody heard that"));
    peer.write(b"/leave\n");
    let rest = peer.rest();
    assert!(
        rest.iter().any(|line| line.starts_with("Leaving")),
        "{rest:?}"
    );
    assert!(!rest.concat().contains('\x1b'));
    assert!(peer.exit().success());
}

#[test]
fn help_names_commands_and_exit_codes() {
    for arguments in [&["--help"][..], &["join", "--help"]] {
        let output = run(arguments);
        assert!(output.status.success());
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("EXIT CODES")
        );
    }
}
