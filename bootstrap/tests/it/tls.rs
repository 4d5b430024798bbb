//! HTTPS and secure WebSocket on one port, and a certificate that changes under them.

use std::{fs, path::Path, sync::Arc};

use futures::{StreamExt as _, future::join_all};
use futures_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};
use libp2p::{
    Multiaddr, Swarm, Transport as _, core::upgrade::Version, identity::Keypair, noise, ping,
    swarm, swarm::SwarmEvent, tcp, websocket, yamux,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};

use crate::{
    process::{self, Node},
    soon,
};

const NAME: &str = "moim.example";

/// Somebody who signs certificates.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    /// Writes a certificate of this authority for [`NAME`], and its key.
    fn sign(&self, dir: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    }

    fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// Asks for something by HTTPS; an error if the certificate isn't of this authority.
    async fn get(&self, port: u16, path: &str) -> std::io::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let connector = TlsConnector::from(Arc::new(self.client_config()));
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = connector.connect(name, stream.compat()).await?.compat();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer)).await?;
        Ok(answer)
    }
}

fn flags(dir: &TempDir) -> [String; 4] {
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
    let url = &node.ready.https[0];
    let port = url.strip_prefix(&format!("https://{NAME}:")).unwrap();
    let port = port.parse().unwrap();
    (node, port)
}

/// A peer that trusts this authority.
fn client(authority: &Authority) -> Swarm<ping::Behaviour> {
    let keypair = Keypair::generate_ed25519();
    let mut tls = websocket::tls::Config::builder();
    tls.add_trust(&websocket::tls::Certificate::new(
        authority.certificate.to_vec(),
    ))
    .unwrap();
    let mut websocket = websocket::Config::new(tcp::tokio::Transport::default());
    websocket.set_tls_config(tls.finish());
    let transport = websocket
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(crate::DEADLINE);
    let id = keypair.public().to_peer_id();
    Swarm::new(transport, ping::Behaviour::default(), id, config)
}

fn wss(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}/tls/sni/{NAME}/ws")
        .parse()
        .unwrap()
}

/// Connects and waits for an answered ping.
async fn connect(client: &mut Swarm<ping::Behaviour>, port: u16) {
    client.dial(wss(port)).unwrap();
    ping(client).await;
}

async fn ping(client: &mut Swarm<ping::Behaviour>) {
    soon("a ping", async {
        loop {
            match client.select_next_some().await {
                SwarmEvent::Behaviour(ping::Event { result, .. }) => {
                    result.unwrap();
                    return;
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                SwarmEvent::ConnectionClosed { cause, .. } => panic!("closed: {cause:?}"),
                _ => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_port_serves_https_and_secure_websockets_and_is_told_by_its_name() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.sign(dir.path());
    let (node, port) = start(&dir).await;

    let answer = authority.get(port, "/bootstrap.json").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let address = format!("/dns4/{NAME}/tcp/{port}/tls/ws/p2p/{}", node.peer_id());
    let body: serde_json::Value =
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    // A page tries the first one first.
    assert_eq!(body["addresses"][0], address);

    let mut client = client(&authority);
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
    let mut peers: Vec<_> = (0..PEERS).map(|_| client(&before)).collect();
    join_all(peers.iter_mut().map(|peer| connect(peer, port))).await;

    after.sign(dir.path());
    soon("the new certificate", async {
        while after.get(port, "/health").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    before.get(port, "/health").await.unwrap_err();

    // Half a certificate changes nothing.
    fs::write(dir.path().join("cert.pem"), "-----BEGIN CERT").unwrap();
    node.until_logged("the one before stays in use").await;
    connect(&mut client(&after), port).await;

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
    let answer = authority.get(port, "/health").await.unwrap();
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
    connect(&mut client(&authority), port).await;
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
