//! `/bootstrap.json`, `/health`, `/metrics`, and what else is asked for.

use libp2p::{Multiaddr, PeerId};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    process::{Answer, Node},
    soon,
};

#[tokio::test]
async fn bootstrap_json_tells_a_page_what_to_dial_websocket_first() {
    let node = Node::start().await;
    let json = node.get_json("/bootstrap.json").await;
    let peer: PeerId = json["peer_id"].as_str().unwrap().parse().unwrap();
    let texts: Vec<_> = json["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    let suffix = format!("/p2p/{peer}");
    let transports = ["/ws/", "/webrtc-direct/certhash/", "/quic-v1/", "/tcp/"];
    assert_eq!(texts.len(), transports.len(), "{texts:?}");
    for (text, transport) in texts.iter().zip(transports) {
        assert!(text.contains(transport), "{text}");
        assert!(text.starts_with("/ip4/127.0.0.1/"), "{text}");
        assert!(text.ends_with(&suffix), "{text}");
        text.parse::<Multiaddr>().unwrap();
    }
    assert_eq!(json["peer_id"], node.ready.peer_id);
    let ready: Vec<_> = node
        .ready
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(texts, ready);
}

/// Who may read an answer, if anybody but the node's own pages may.
fn readers(answer: &Answer) -> Option<&str> {
    let mut lines = answer.head.lines();
    lines.find_map(|line| line.strip_prefix("access-control-allow-origin: "))
}

#[tokio::test]
async fn a_page_of_any_origin_may_read_where_a_node_is_but_not_at_the_visitors_own_machine() {
    let node = Node::start().await;
    let here = format!("Host: 127.0.0.1:{}\r\n", node.http_port());
    let local = "Host: localhost\r\nOrigin: http://localhost:8080\r\n";
    for (headers, reader) in [
        // By a proxy, or a name.
        (
            "Host: moim.example\r\nOrigin: https://page.example\r\n",
            Some("*"),
        ),
        (
            "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n",
            Some("*"),
        ),
        (local, Some("http://localhost:8080")),
        (
            "Host: [::1]\r\nOrigin: https://[::1]:1\r\n",
            Some("https://[::1]:1"),
        ),
        (&here, None),
        (&format!("{here}Origin: https://page.example\r\n"), None),
        (&format!("{here}Origin: null\r\n"), None),
        (
            &format!("{here}Origin: http://localhost.page.example\r\n"),
            None,
        ),
        (
            &format!("{here}Origin: http://127.0.0.1.page.example\r\n"),
            None,
        ),
        (
            &format!("{here}Origin: http://[::1].page.example\r\n"),
            None,
        ),
        (
            &format!("{here}Origin: http://localhost:80@page.example\r\n"),
            None,
        ),
        // What leads to the same.
        (
            "Host: 0.0.0.0:8470\r\nOrigin: https://page.example\r\n",
            None,
        ),
        ("Host: [::]:8470\r\nOrigin: https://page.example\r\n", None),
        ("Host: localhost.\r\nOrigin: https://page.example\r\n", None),
        (
            "Host: a.localhost\r\nOrigin: https://page.example\r\n",
            None,
        ),
    ] {
        for method in ["GET", "OPTIONS"] {
            let answer = node.request_with(method, "/bootstrap.json", headers).await;
            let status = if method == "GET" { 200 } else { 204 };
            assert_eq!(answer.status, status, "{headers}");
            assert_eq!(readers(&answer), reader, "{method} {headers}");
            assert!(answer.head.contains("vary: origin"), "{}", answer.head);
        }
    }
    let answer = node.get("/bootstrap.json").await;
    for header in ["cache-control: no-store", "content-type: application/json"] {
        assert!(answer.head.contains(header), "{}", answer.head);
    }
    // What operators look at is nobody else's.
    for path in ["/health", "/metrics"] {
        for headers in ["Host: moim.example\r\n", local] {
            let answer = node.request_with("GET", path, headers).await;
            assert_eq!((answer.status, readers(&answer)), (200, None), "{path}");
        }
    }
}

#[tokio::test]
async fn an_external_address_is_announced_first() {
    let external = "/dns4/moim.example.org/tcp/443/tls/ws";
    let node = Node::start_with(&["--external-address", external]).await;
    let json = node.get_json("/bootstrap.json").await;
    assert_eq!(
        json["addresses"][0],
        format!("{external}/p2p/{}", node.ready.peer_id)
    );
}

#[tokio::test]
async fn health_says_that_the_node_listens() {
    let node = Node::start().await;
    let health = node.get_json("/health").await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["peer_id"], node.ready.peer_id);
    assert_eq!(health["listening"], 4);
    assert_eq!(health["peers"], 0);
}

#[tokio::test]
async fn metrics_are_text_for_prometheus() {
    let node = Node::start().await;
    let answer = node.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .contains("content-type: application/openmetrics-text"),
        "{}",
        answer.head
    );
    for name in [
        "moim_bootstrap_peers 0\n",
        "moim_bootstrap_relay_reservations 0\n",
        "moim_bootstrap_relay_circuits 0\n",
        "moim_bootstrap_dht_records 0\n",
        "moim_bootstrap_dht_provider_keys 0\n",
        "moim_bootstrap_uptime_seconds ",
        "libp2p_swarm_",
        "libp2p_kad_",
    ] {
        assert!(answer.body.contains(name), "{name} in {}", answer.body);
    }
    assert!(answer.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn anything_else_is_refused_politely() {
    let node = Node::start().await;
    assert_eq!(node.get("/../identity.key").await.status, 404);
    assert_eq!(node.request("POST", "/bootstrap.json").await.status, 405);
    assert_eq!(node.request("HEAD", "/health").await.body, "");
}

#[tokio::test]
async fn broken_and_silent_http_clients_are_nobodys_problem() {
    let node = Node::start().await;
    let connect = || TcpStream::connect(("127.0.0.1", node.http_port()));
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect().await.unwrap());
    }
    for garbage in [
        &b"\0\0\0\0"[..],
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        &[b'a'; 100_000],
    ] {
        let mut stream = connect().await.unwrap();
        // The node may have hung up before everything was sent.
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = soon("the node to hang up", stream.read_to_end(&mut answer)).await;
    }
    node.assert_alive().await;
}
