//! HTTPS and secure WebSocket on one port, and a certificate that changes under them.

use std::{fs, path::Path};

use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    process::{self, Node},
    soon,
    tls_client::{NAME, Trust, client, connect, ping},
    until,
};

/// Somebody who signs certificates.
pub(crate) struct Authority {
    pub(crate) trust: Trust,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let trust = Trust(params.self_signed(&key).unwrap().der().clone());
        let issuer = Issuer::new(params, key);
        Self { trust, issuer }
    }

    /// A certificate of this authority, and its key, both PEM.
    pub(crate) fn issue(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a certificate of this authority for [`NAME`], and its key.
    pub(crate) fn sign(&self, dir: &Path) {
        let params = CertificateParams::new([NAME.to_owned()]).unwrap();
        let (certificate, key) = self.issue(&params);
        fs::write(dir.join("key.pem"), key).unwrap();
        fs::write(dir.join("cert.pem"), certificate).unwrap();
    }
}

pub(crate) fn flags(dir: &TempDir) -> [String; 4] {
    let file = |name: &str| dir.path().join(name).display().to_string();
    [
        "--tls=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", file("cert.pem")),
        format!("--tls-key={}", file("key.pem")),
        format!("--domain={NAME}"),
    ]
}

async fn start(dir: &TempDir) -> (Node, u16) {
    let flags = flags(dir);
    let node = Node::start_with(&flags.each_ref().map(String::as_str)).await;
    let port = port(&node);
    (node, port)
}

/// Its TLS port.
pub(crate) fn port(node: &Node) -> u16 {
    let url = &node.ready.https[0];
    let port = url.strip_prefix(&format!("https://{NAME}:")).unwrap();
    port.parse().unwrap()
}

#[tokio::test]
async fn one_port_serves_https_and_secure_websockets_and_is_told_by_its_name() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.sign(dir.path());
    let (node, port) = start(&dir).await;

    let answer = authority.trust.get(port, "/bootstrap.json").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let address = format!("/dns4/{NAME}/tcp/{port}/tls/ws/p2p/{}", node.peer_id());
    let body: serde_json::Value =
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    // A page tries the first one first.
    assert_eq!(body["addresses"][0], address);

    let mut client = client(&authority.trust);
    connect(&mut client, port).await;
    let metrics = node.get("/metrics").await.body;
    let line = metrics
        .lines()
        .find(|line| line.contains("transport=\"wss\"") && line.contains("inbound"));
    assert!(line.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
}

#[tokio::test]
async fn a_certificate_is_replaced_under_a_hundred_peers_and_none_is_dropped() {
    const PEERS: usize = 100;
    let (dir, before, after) = (
        tempfile::tempdir().unwrap(),
        Authority::new(),
        Authority::new(),
    );
    before.sign(dir.path());
    let (node, port) = start(&dir).await;
    let mut peers: Vec<_> = (0..PEERS).map(|_| client(&before.trust)).collect();
    join_all(peers.iter_mut().map(|peer| connect(peer, port))).await;

    after.sign(dir.path());
    until("the new certificate", async || {
        after.trust.get(port, "/health").await.is_ok()
    })
    .await;
    before.trust.get(port, "/health").await.unwrap_err();

    // Half a certificate changes nothing.
    fs::write(dir.path().join("cert.pem"), "-----BEGIN CERT").unwrap();
    node.until_logged("the one before stays in use").await;
    connect(&mut client(&after.trust), port).await;

    join_all(peers.iter_mut().map(ping)).await;
    assert!(
        peers
            .iter()
            .all(|peer| peer.network_info().num_peers() == 1)
    );
    assert!(node.get_json("/health").await["peers"].as_u64().unwrap() >= PEERS as u64);
}

#[tokio::test]
async fn who_does_not_speak_tls_is_sent_away_and_the_others_are_served() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.sign(dir.path());
    let (node, port) = start(&dir).await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        &[0; 5_000],
        &[0xff; 64],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // It may be closed before everything is written.
        let _ = stream.write_all(bytes).await;
        let mut rest = Vec::new();
        // An alert, perhaps, and the end.
        let _ = soon("the end", stream.read_to_end(&mut rest)).await;
        assert!(rest.len() < 64, "{rest:?}");
    }
    // Silent ones hold a slot each for some seconds.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let answer = authority.trust.get(port, "/health").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for mut stream in silent {
        let mut rest = Vec::new();
        let _ = soon("the end of a silent one", stream.read_to_end(&mut rest)).await;
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_node_may_have_tls_alone() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.sign(dir.path());
    let off = ["tcp", "quic", "ws", "webrtc-direct"].map(|name| format!("--{name}=off"));
    let flags = [&flags(&dir)[..], &off].concat();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let node = Node::start_with(&flags).await;
    let port = node.ready.https[0]
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap();
    connect(&mut client(&authority.trust), port).await;
    node.assert_alive().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_certificate_is_said_at_the_start() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let flags = flags(&dir);
    let flags = flags.each_ref().map(String::as_str);
    let error = async || {
        let output = process::run_to_end(data.path(), &flags).await;
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let text = error().await;
    assert!(
        text.contains("cert.pem") && text.contains("--tls-cert"),
        "{text}"
    );
    Authority::new().sign(dir.path());
    fs::write(dir.path().join("key.pem"), "nonsense").unwrap();
    let text = error().await;
    assert!(
        text.contains("key.pem: no private key in PEM form"),
        "{text}"
    );
    fs::write(
        dir.path().join("key.pem"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let text = error().await;
    assert!(text.contains("cert.pem and key"), "{text}");

    let output = process::run_to_end(data.path(), &flags[..1]).await;
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--tls needs --tls-cert"), "{text}");
}
