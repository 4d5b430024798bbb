//! Other settings while the node runs (SIGHUP).

use std::{path::Path, process::Stdio};

use crate::{
    client::{self, Client},
    process::{self, Node},
    soon, until,
};

/// What the tests change, where the node looks for it.
fn write(data: &Path, settings: &str) {
    std::fs::write(data.join("moim-bootstrap.toml"), settings).unwrap();
}

#[tokio::test]
async fn what_can_be_taken_up_is_and_what_needs_a_start_is_named() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), "");
    let node = Node::start_in(data, &[]).await;
    let mut client = Client::new().await;
    client.connect(&node.address("tcp")).await;

    let page = tempfile::tempdir().unwrap();
    std::fs::write(
        page.path().join("index.html"),
        "<title>Another page</title>",
    )
    .unwrap();
    let settings = format!(
        "external-address = ['/dns4/moim.example.org/tcp/8469/ws']\nweb = '{}'\nstore-memory = 5\n",
        page.path().display()
    );
    write(node.data.path(), &settings);
    node.signal("HUP").await;
    node.until_logged("the settings are in force").await;
    let bootstrap = node.get("/bootstrap.json").await.body;
    assert!(
        bootstrap.contains("/dns4/moim.example.org/tcp/8469/ws"),
        "{bootstrap}"
    );
    assert!(node.get("/").await.body.contains("Another page"));
    node.until_logged("take effect at the next start").await;
    assert!(node.log().contains("store-memory"));

    // A new build in the same folder.
    std::fs::write(
        page.path().join("index.html"),
        "<title>A newer page</title>",
    )
    .unwrap();
    node.signal("HUP").await;
    until("the newer page", async || {
        node.get("/").await.body.contains("A newer page")
    })
    .await;

    // Nobody noticed.
    assert!(client.swarm.is_connected(&node.peer_id()));
    client::pong_from(&mut client, node.peer_id()).await;
}

#[tokio::test]
async fn settings_that_are_wrong_change_nothing_and_are_said_once() {
    let data = tempfile::tempdir().unwrap();
    write(
        data.path(),
        "external-address = ['/dns4/before.example.org/tcp/1/ws']",
    );
    let node = Node::start_in(data, &[]).await;
    let wrong = [
        ("tcp = 5", "tcp", 1),
        (
            "external-address = ['/ip4/192.0.2.1/tcp/1']\nweb = '/nowhere'",
            "/nowhere",
            2,
        ),
        (
            "\n\nexternal-address = ['/ip4/192.0.2.1/tcp/1/p2p/12D3KooWEfMSMfkKj4p66aRFnXDDGAKGkZqvdyV8CxNLmQpBkNfN']",
            "names another peer",
            3,
        ),
        (
            "bootstrap = ['/ip4/192.0.2.1/tcp/1']",
            "has to end in /p2p/",
            1,
        ),
    ];
    let told = "the settings can't be used";
    for (number, (settings, mention, line)) in (1..).zip(wrong) {
        write(node.data.path(), settings);
        node.signal("HUP").await;
        until(mention, async || node.log().matches(told).count() == number).await;
        let log = node.log();
        let last = log.lines().rfind(|line| line.contains(told)).unwrap();
        for part in [mention, "moim-bootstrap.toml", &format!("line {line}")] {
            assert!(last.contains(part), "{part} in {last}");
        }
        let bootstrap = node.get("/bootstrap.json").await.body;
        assert!(bootstrap.contains("before.example.org"), "{bootstrap}");
        assert!(!bootstrap.contains("192.0.2.1"), "{bootstrap}");
    }
}

#[tokio::test]
async fn nodes_that_are_named_later_are_joined() {
    let first = Node::start().await;
    let second = Node::start().await;
    write(
        first.data.path(),
        &format!("bootstrap = ['{}']", second.address("tcp")),
    );
    first.signal("HUP").await;
    until("the two are connected", async || {
        let health = second.get_json("/health").await;
        health["peers"] == 1
    })
    .await;
}

#[tokio::test]
async fn a_supervisor_is_told_of_a_reload() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let child = process::command(data.path(), &[])
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = async || {
        let mut buffer = [0; 256];
        let length = soon("a notice", socket.recv(&mut buffer)).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(said().await.trim(), "READY=1");
    process::kill(&child, "HUP").await;
    let reloading = said().await;
    assert!(reloading.contains("RELOADING=1"), "{reloading}");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert_eq!(said().await.trim(), "READY=1");
}
