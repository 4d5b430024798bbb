//! `/metrics`: that what it counts is what happened.

use crate::{client::Client, process::Node, until};

#[tokio::test]
async fn connections_are_counted_by_what_carries_them() {
    let node = Node::start().await;
    let mut clients = Vec::new();
    for transport in ["tcp", "quic", "ws", "webrtc"] {
        let mut client = Client::new().await;
        client.connect(&node.address(transport)).await;
        clients.push(client);
    }
    let count = async |transport: &str| {
        let labels = format!("{{transport=\"{transport}\",direction=\"inbound\"}}");
        node.metric(&format!("moim_bootstrap_connections{labels}"))
            .await
    };
    for transport in ["tcp", "quic", "ws", "webrtc-direct"] {
        until(transport, async || count(transport).await == 1).await;
    }
    assert_eq!(count("wss").await, 0);
    clients.remove(1);
    until("the end of one", async || count("quic").await == 0).await;
    assert_eq!(count("tcp").await, 1);
}

#[tokio::test]
async fn requests_are_counted_by_what_was_asked_for_and_answered() {
    let node = Node::start_with(&["--web=off"]).await;
    let count = async |path: &str, status: u16| {
        let labels = format!("{{path=\"{path}\",status=\"{status}\"}}");
        node.metric(&format!("moim_bootstrap_http_requests_total{labels}"))
            .await
    };
    for path in ["/", "/health", "/a", "/b?c", "/admin/status.json"] {
        node.get(path).await;
    }
    node.request("POST", "/health").await;
    assert_eq!(count("page", 200).await, 1);
    assert_eq!(count("health", 200).await, 1);
    assert_eq!(count("health", 405).await, 1);
    assert_eq!(count("other", 404).await, 2);
    assert_eq!(count("admin", 401).await, 1);
    // Each is asked for twice, for numbers that are not of before; without the one that asks.
    assert_eq!(count("metrics", 200).await, 11);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_tells_what_it_takes() {
    let node = Node::start().await;
    let text = node.get("/metrics").await.body;
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}"))
            .parse()
            .unwrap()
    };
    let kib = node.memory_kib() as f64;
    let told = value("process_resident_memory_bytes") / 1024.0;
    assert!((told / kib - 1.0).abs() < 0.5, "{told} {kib}");
    assert!(value("process_open_fds") > 6.0);
    assert!(value("process_open_fds") < value("process_max_fds"));
    assert!(value("process_cpu_seconds_total") > 0.0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let started = value("process_start_time_seconds");
    assert!((0.0..60.0).contains(&(now.as_secs_f64() - started)));
}
