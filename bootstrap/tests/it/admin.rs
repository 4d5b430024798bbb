//! `/admin`: who sees it, and that it tells what is.

use std::fs;

use serde_json::Value;

use crate::{
    client::Client,
    process::{Answer, Node, run_to_end},
    soon, until,
};

async fn ask(node: &Node, headers: &str) -> Answer {
    node.request_with("GET", "/admin/status.json", headers)
        .await
}

async fn report(node: &Node) -> Value {
    let answer = ask(node, "Host: localhost\r\n").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

fn token(node: &Node) -> String {
    let token = fs::read_to_string(node.data.path().join("admin.token")).unwrap();
    token.trim().to_owned()
}

#[tokio::test]
async fn the_dashboard_is_for_this_machine_or_the_token() {
    let node = Node::start().await;
    let token = token(&node);
    let with_token = format!("Host: moim.example.org\r\nAuthorization: Bearer {token}\r\n");
    for seen in [
        "Host: localhost:8470\r\n",
        "Host: 127.0.0.1\r\n",
        "Host: [::1]:8470\r\nSec-Fetch-Site: same-origin\r\n",
        &with_token,
    ] {
        assert_eq!(ask(&node, seen).await.status, 200, "{seen}");
    }
    let part_of_it = format!(
        "Host: moim.example.org\r\nAuthorization: Bearer {}\r\n",
        &token[..63]
    );
    for refused in [
        "Host: moim.example.org\r\n",
        "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n",
        "Host: localhost\r\nForwarded: for=192.0.2.1\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
        "Host: moim.example.org\r\nAuthorization: Bearer wrong\r\n",
        &part_of_it,
    ] {
        let answer = ask(&node, refused).await;
        assert_eq!(answer.status, 401, "{refused}");
        assert!(
            answer.head.contains("www-authenticate: bearer"),
            "{}",
            answer.head
        );
        assert!(!answer.body.contains("peer_id"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_browser_may_do_nothing_with_it_but_show_it() {
    let node = Node::start().await;
    for path in [
        "/admin",
        "/admin/",
        "/admin/dashboard.js",
        "/admin/dashboard.css",
        "/admin/status.json",
    ] {
        let answer = node.get(path).await;
        for header in [
            "content-security-policy: default-src 'none'",
            "frame-ancestors 'none'",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(answer.head.contains(header), "{header}: {}", answer.head);
        }
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
        assert!(!answer.head.contains("unsafe-"), "{}", answer.head);
    }
    assert_eq!(node.get("/admin/secret").await.status, 404);
}

#[tokio::test]
async fn the_token_is_for_its_owner_and_stays() {
    let node = Node::start().await;
    let before = token(&node);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::metadata(node.data.path().join("admin.token")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    let (_, _, data) = node.stop("TERM").await;
    let node = Node::start_in(data, &["--admin=token"]).await;
    assert_eq!(token(&node), before);
    // Here, too, when so configured.
    assert_eq!(ask(&node, "Host: localhost\r\n").await.status, 401);
    let with_token = format!("Host: localhost\r\nAuthorization: Bearer {before}\r\n");
    assert_eq!(ask(&node, &with_token).await.status, 200);
}

#[tokio::test]
async fn it_can_be_off_and_a_broken_token_is_said() {
    let node = Node::start_with(&["--admin=off"]).await;
    assert_eq!(node.get("/admin").await.status, 404);
    assert_eq!(ask(&node, "Host: localhost\r\n").await.status, 404);
    assert!(!node.data.path().join("admin.token").exists());

    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("admin.token"), "short").unwrap();
    let output = run_to_end(data.path(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("admin.token"), "{error}");
}

#[tokio::test]
async fn it_tells_who_is_there_and_forgets_who_left() {
    let node = Node::start().await;
    let mut one = Client::new().await;
    one.connect(&node.address("ws")).await;
    one.identify().await;
    one.reserve(&node.address("ws")).await;
    let mut other = Client::new().await;
    other.connect(&node.address("quic")).await;
    other.identify().await;

    let row = |report: &Value, peer: &str| {
        let rows = report["connections"]["listed"].as_array().unwrap();
        rows.iter().find(|row| row["peer"] == peer).cloned()
    };
    let (one_id, other_id) = (one.id().to_string(), other.id().to_string());
    let seen = soon("both with what they are", async {
        loop {
            let seen = report(&node).await;
            let agent = |id| row(&seen, id).is_some_and(|row| row["agent"].is_string());
            // The numbers follow within a second.
            if agent(&one_id) && agent(&other_id) && seen["numbers"]["moim_bootstrap_peers"] == 2.0
            {
                return seen;
            }
        }
    })
    .await;
    assert_eq!(seen["peer_id"], node.ready.peer_id);
    assert_eq!(seen["ready"], true);
    assert_eq!(seen["connections"]["total"], 2);
    let (one_row, other_row) = (row(&seen, &one_id).unwrap(), row(&seen, &other_id).unwrap());
    assert_eq!(one_row["transport"], "ws");
    assert_eq!(one_row["direction"], "inbound");
    assert_eq!(one_row["reservation"], true);
    assert!(one_row["address"].as_str().unwrap().ends_with("/ws"));
    assert_eq!(other_row["transport"], "quic");
    assert_eq!(other_row["reservation"], false);
    let connections = |transport| {
        let name = format!(
            "moim_bootstrap_connections{{transport=\"{transport}\",direction=\"inbound\"}}"
        );
        seen["numbers"][name].as_f64().unwrap()
    };
    assert_eq!(
        ["ws", "quic", "tcp"].map(connections),
        [1.0, 1.0, 0.0],
        "{seen}"
    );

    drop(other);
    until("the end of one", async || {
        row(&report(&node).await, &other_id).is_none()
    })
    .await;
    let left = report(&node).await;
    assert_eq!(left["connections"]["total"], 1);
    assert!(row(&left, &one_id).is_some());
}
