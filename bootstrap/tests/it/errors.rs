//! What stops the node from starting: each says what, why and what to do, and changes nothing.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::Path,
    process::Output,
};

use crate::process::{self, Node};

fn check(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word} in: {text}");
    }
    assert!(text.starts_with("moim-bootstrap: ") || code == 2, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(output.stdout, b"");
}

async fn run(data: &Path, flags: &[&str]) -> Output {
    process::run_to_end(data, flags).await
}

#[tokio::test]
async fn a_port_in_use_names_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, udp) = (tcp.local_addr().unwrap(), (udp.local_addr().unwrap(), udp));
    let taken = TcpListener::bind(tcp);
    for (flag, socket) in [
        ("--tcp", tcp),
        ("--ws", tcp),
        ("--http", tcp),
        ("--quic", udp.0),
        ("--webrtc-direct", udp.0),
        ("--stun", udp.0),
    ] {
        let socket = socket.to_string();
        let output = run(dir.path(), &[&format!("{flag}={socket}")]).await;
        check(
            &output,
            1,
            &[flag, &socket, "another program uses this port"],
        );
    }
    drop(taken);
}

#[tokio::test]
async fn a_second_node_on_the_same_ports_is_refused() {
    let node = Node::start().await;
    let dir = tempfile::tempdir().unwrap();
    for (flag, transport) in [("--tcp", "tcp"), ("--ws", "ws"), ("--quic", "quic")] {
        let port = node.port(transport);
        let output = run(dir.path(), &[&format!("{flag}=127.0.0.1:{port}")]).await;
        check(&output, 1, &[flag, "another program uses this port"]);
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--tcp=192.0.2.77:0"]).await;
    // Port 0 isn't tried beforehand; the transport says it.
    check(&output, 1, &["--tcp", "192.0.2.77"]);
    let output = run(dir.path(), &["--ws=192.0.2.77:8469"]).await;
    check(&output, 1, &["--ws", "192.0.2.77:8469", "no such address"]);
}

#[tokio::test]
async fn a_broken_identity_is_reported_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for content in [&b""[..], b"not a key", &[0x08, 0x01, 0x12, 0x40, 0, 0]] {
        fs::write(dir.path().join("identity.key"), content).unwrap();
        let output = run(dir.path(), &[]).await;
        check(
            &output,
            1,
            &["identity.key", "damaged", "restore it from a copy"],
        );
        assert_eq!(fs::read(dir.path().join("identity.key")).unwrap(), content);
    }
}

#[tokio::test]
async fn a_broken_certificate_is_reported_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("webrtc.pem"), "-----BEGIN EXPIRES-----").unwrap();
    let output = run(dir.path(), &[]).await;
    check(
        &output,
        1,
        &["webrtc.pem", "damaged", "--webrtc-direct off"],
    );
    // Without WebRTC the node doesn't need it.
    Node::start_in(dir, &["--webrtc-direct=off"])
        .await
        .assert_alive()
        .await;
}

#[tokio::test]
async fn two_nodes_do_not_share_a_data_directory() {
    let node = Node::start().await;
    let output = run(node.data.path(), &[]).await;
    check(
        &output,
        1,
        &["in use by another bootstrap node", "--data-dir"],
    );
    node.assert_alive().await;
}

#[tokio::test]
async fn a_killed_node_leaves_no_lock_behind() {
    let node = Node::start().await;
    let peer_id = node.peer_id();
    let (status, _, data) = node.stop("KILL").await;
    assert_eq!(status.code(), None);
    assert_eq!(Node::start_in(data, &[]).await.peer_id(), peer_id);
}

#[tokio::test]
async fn a_data_directory_that_can_not_be_made_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let output = run(&file.join("below"), &[]).await;
    check(&output, 1, &["can't create it", "--data-dir"]);
}

/// A full disk, as far as a process can tell: no file may grow.
#[cfg(unix)]
#[tokio::test]
async fn a_full_data_directory_is_reported_and_leaves_no_half_written_key() {
    let dir = tempfile::tempdir().unwrap();
    let binary = env!("CARGO_BIN_EXE_moim-bootstrap");
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {binary} \"$@\" 2>&1 | cat");
    let output = tokio::process::Command::new("sh")
        .args(["-c", &script, "sh"])
        .args(process::FREE_PORTS)
        .arg("--data-dir")
        .arg(dir.path())
        .output();
    let output = crate::soon("the node to end", output).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for word in ["identity.key", "can't write it", "space left", "--data-dir"] {
        assert!(text.contains(word), "{word} in: {text}");
    }
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}

#[tokio::test]
async fn wrong_settings_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--tcp=8468"]).await;
    check(&output, 2, &["--tcp", "HOST:PORT"]);
    let output = run(dir.path(), &["--external-address=http://example.org"]).await;
    check(&output, 2, &["--external-address"]);
    let output = run(dir.path(), &["--no-such-flag"]).await;
    check(&output, 2, &["--no-such-flag"]);
    let off = ["--tcp=off", "--quic=off", "--ws=off", "--webrtc-direct=off"];
    check(
        &run(dir.path(), &off).await,
        2,
        &["nobody could reach the node"],
    );

    fs::write(dir.path().join("moim-bootstrap.toml"), "tcp-port = 8468\n").unwrap();
    let output = run(dir.path(), &[]).await;
    check(&output, 2, &["moim-bootstrap.toml", "tcp-port", "line 1"]);
}

#[tokio::test]
async fn an_external_address_of_somebody_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let other = libp2p::PeerId::random();
    let address = format!("--external-address=/ip4/192.0.2.1/tcp/1/p2p/{other}");
    let output = run(dir.path(), &[&address]).await;
    check(
        &output,
        1,
        &["--external-address", &other.to_string(), "12D3KooW"],
    );
}
