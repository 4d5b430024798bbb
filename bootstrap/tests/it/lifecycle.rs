//! Start, stop, start again.

use std::time::Duration;

use crate::{
    client::Client,
    process::{self, Node},
    soon,
};

/// The promise of the documentation.
const STOP_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn peer_id_and_certificate_survive_a_restart() {
    let first = Node::start().await;
    let (peer_id, webrtc) = (first.peer_id(), first.address("webrtc").to_string());
    let certhash = |address: &str| address.split('/').nth(7).unwrap().to_owned();
    let (.., data) = first.stop("TERM").await;
    let second = Node::start_in(data, &[]).await;
    assert_eq!(second.peer_id(), peer_id);
    assert_eq!(
        certhash(&second.address("webrtc").to_string()),
        certhash(&webrtc)
    );
}

#[cfg(unix)]
#[tokio::test]
async fn key_and_certificate_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::start().await;
    for name in ["identity.key", "webrtc.pem"] {
        let metadata = std::fs::metadata(node.data.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn signals_stop_the_node_cleanly_and_soon_with_peers_connected() {
    for signal in ["TERM", "INT"] {
        let node = Node::start().await;
        let mut clients = Vec::new();
        for transport in ["tcp", "ws", "quic"] {
            let mut client = Client::new().await;
            client.connect(&node.address(transport)).await;
            clients.push(client);
        }
        let (status, took, _) = node.stop(signal).await;
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(took < STOP_MAX, "{signal}: {took:?}");
        // Their peers hear of it instead of waiting for a time-out.
        for client in &mut clients {
            client.until_disconnected().await;
        }
    }
}

#[tokio::test]
async fn half_open_connections_do_not_delay_the_stop() {
    let node = Node::start().await;
    let mut silent = Vec::new();
    for port in [node.port("tcp"), node.port("ws"), node.http_port()] {
        silent.push(
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .unwrap(),
        );
    }
    let (status, took, _) = node.stop("TERM").await;
    assert_eq!(status.code(), Some(0));
    assert!(took < STOP_MAX, "{took:?}");
}

#[tokio::test]
async fn the_same_ports_are_free_again_at_once() {
    let node = Node::start().await;
    let mut client = Client::new().await;
    client.connect(&node.address("tcp")).await;
    let flags = [
        format!("--tcp=127.0.0.1:{}", node.port("tcp")),
        format!("--ws=127.0.0.1:{}", node.port("ws")),
        format!("--quic=127.0.0.1:{}", node.port("quic")),
        format!("--webrtc-direct=127.0.0.1:{}", node.port("webrtc")),
        format!("--http=127.0.0.1:{}", node.http_port()),
    ];
    let (.., data) = node.stop("TERM").await;
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Node::start_in(data, &flags).await.assert_alive().await;
}

#[tokio::test]
async fn any_transport_may_be_off_and_http_too() {
    let flags = [
        "--quic=off",
        "--webrtc-direct=off",
        "--ws=off",
        "--http=off",
    ];
    let node = Node::start_with(&flags).await;
    assert_eq!(node.ready.addresses.len(), 1);
    assert_eq!(node.ready.http, [""; 0]);
    assert!(!node.data.path().join("webrtc.pem").exists());
    let mut client = Client::new().await;
    client.connect(&node.address("tcp")).await;
    let (status, ..) = node.stop("TERM").await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn all_addresses_means_loopback_too() {
    let node = Node::start_with(&["--ws=*:0", "--tcp=0.0.0.0:0", "--http=*:0"]).await;
    let has = |part: &str| {
        node.ready
            .addresses
            .iter()
            .any(|a| a.to_string().starts_with(part))
    };
    assert!(has("/ip4/127.0.0.1/tcp/"));
    node.assert_alive().await;
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert!(has("/ip6/::1/tcp/"));
    }
}

#[tokio::test]
async fn settings_come_from_environment_and_file_too() {
    let data = tempfile::tempdir().unwrap();
    let external = "/dns4/file.example.org/tcp/1";
    let settings = format!("external-address = ['{external}']\nws = 'off'\n");
    std::fs::write(data.path().join("moim-bootstrap.toml"), settings).unwrap();
    // Only here without the usual flags, which would win.
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_moim-bootstrap"))
        .env_clear()
        .env("MOIM_DATA_DIR", data.path())
        .env("MOIM_TCP", "127.0.0.1:0")
        .env("MOIM_QUIC", "off")
        .env("MOIM_WEBRTC_DIRECT", "off")
        .env("MOIM_HTTP", "off")
        .env("MOIM_STUN", "off")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.expect("piped")));
    let mut text = String::new();
    while let Some(line) = soon("the start-up block", lines.next_line()).await.unwrap() {
        text += &line;
        text += "\n";
        if line.contains("/ip4/127.0.0.1/tcp/") {
            break;
        }
    }
    assert!(text.starts_with("Moim bootstrap node 12D3KooW"), "{text}");
    assert!(text.contains(external), "{text}");
    assert!(!text.contains("/ws"), "{text}");
}

#[tokio::test]
async fn help_and_version_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let help = process::run_to_end(dir.path(), &["--help"]).await;
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for word in [
        "--webrtc-direct",
        "MOIM_WEBRTC_DIRECT",
        "/bootstrap.json",
        "identity.key",
    ] {
        assert!(text.contains(word), "{word}");
    }
    let version = process::run_to_end(dir.path(), &["--version"]).await;
    assert!(
        String::from_utf8(version.stdout)
            .unwrap()
            .starts_with("moim-bootstrap ")
    );
}

#[tokio::test]
async fn a_settings_file_is_written_once_and_understood() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("moim-bootstrap.toml");
    let output = process::run_to_end(data.path(), &["init"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("#store-memory = 64", "store-memory = 5");
    assert_ne!(changed, text);
    std::fs::write(&file, &changed).unwrap();

    let again = process::run_to_end(data.path(), &["init"]).await;
    assert_eq!(again.status.code(), Some(1));
    let error = String::from_utf8(again.stderr).unwrap();
    assert!(
        error.contains("moim-bootstrap.toml is there already"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), changed);

    let check = process::run_to_end(data.path(), &["--check-config", "--web=off"]).await;
    assert_eq!(check.status.code(), Some(0));
    let said = String::from_utf8(check.stdout).unwrap();
    for line in [
        "store-memory = 5\n",
        "web = \"off\"\n",
        "tcp = \"127.0.0.1:0\"\n",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    // It looked, and did nothing else.
    assert!(!data.path().join("identity.key").exists());

    for (wrong, mention) in [
        ("store-memory = 'much'", "store-memory"),
        ("web = '/nowhere'", "/nowhere"),
    ] {
        std::fs::write(&file, wrong).unwrap();
        let check = process::run_to_end(data.path(), &["--check-config"]).await;
        assert_eq!(check.status.code(), Some(2), "{wrong}");
        let error = String::from_utf8(check.stderr).unwrap();
        assert!(error.contains(mention), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_supervisor_is_told_when_the_node_is_ready_and_when_it_stops() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut child = process::command(data.path(), &[])
        .env("NOTIFY_SOCKET", &path)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let said = async || {
        let mut buffer = [0; 256];
        let length = soon("a notice", socket.recv(&mut buffer)).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(said().await, "READY=1");
    process::kill(&child, "TERM").await;
    assert_eq!(said().await, "STOPPING=1");
    assert!(soon("the end", child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn an_empty_or_wrong_log_filter_does_not_silence_the_node() {
    for (filter, expected) in [
        ("", "\"ready\""),
        (" ", "\"ready\""),
        ("moim=no=level", "RUST_LOG can't be used"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut command = process::command(data.path(), &[]);
        command.env("RUST_LOG", filter);
        let node = Node::start_command(data, command).await;
        node.until_logged(expected).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_supervisor_that_wants_signs_of_life_gets_them() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut command = process::command(data.path(), &[]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "30000000");
    let _node = Node::start_command(data, command).await;
    for _ in 0..2 {
        soon("a sign of life", async {
            let mut state = [0; 256];
            loop {
                let length = socket.recv(&mut state).await.unwrap();
                if state[..length].starts_with(b"WATCHDOG=1") {
                    return;
                }
            }
        })
        .await;
    }
}
