//! Certificates that the node gets by itself, from a real CA on loopback and from one that is trouble.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use futures::future::join_all;
use futures_rustls::rustls::pki_types::CertificateDer;
use rcgen::{CertificateParams, date_time_ymd};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    pebble::{Gate, Pebble},
    stub::Stub,
    validator::challenge,
};
use crate::{
    process::{self, Node},
    soon,
    tls::Authority,
    tls_client::{NAME, client, connect, ping},
    until,
};

mod pebble;
mod stub;
mod validator;

/// Nobody listens there.
const NOBODY: &str = "https://127.0.0.1:1/dir";
const ACCOUNT: &str = "acme-account.json";
const CERTIFICATE: &str = "acme-certificate.json";

/// A data directory, and in it the certificate by which the CA's own server is trusted.
fn data(authority: &Authority) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let pem = pem(&authority.trust.0);
    fs::write(dir.path().join("root.pem"), pem).unwrap();
    dir
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let base64 = data_encoding::BASE64.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

fn flags(data: &Path, ca: &str) -> Vec<String> {
    vec![
        "--tls=127.0.0.1:0".to_owned(),
        format!("--domain={NAME}"),
        format!("--acme={ca}"),
        "--acme-accept-terms".to_owned(),
        format!("--acme-root={}", data.join("root.pem").display()),
    ]
}

/// A node that gets its certificate from this CA, and the port of its TLS.
async fn start(data: TempDir, ca: &str) -> (Node, u16) {
    let flags = flags(data.path(), ca);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let node = Node::start_in(data, &flags).await;
    let port = node.ready.https[0].rsplit_once(':').unwrap().1;
    let port = port.parse().unwrap();
    (node, port)
}

/// Puts a certificate of this authority where a node would have put it that had got it from this CA.
fn have_certificate(data: &Path, authority: &Authority, ca: &str, is_old: bool) {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(1975, 1, 1);
    // Its last third began in 2018, so that it is to be renewed, and it is good until 2040; or far from
    // either.
    params.not_after = date_time_ymd(if is_old { 2040 } else { 4000 }, 1, 1);
    let (certificate, key) = authority.issue(&params);
    let stored = json!({
        "directory": ca, "domain": NAME, "certificate": certificate, "key": key,
    });
    fs::write(data.join(CERTIFICATE), stored.to_string()).unwrap();
}

async fn attempts(node: &Node, result: &str) -> u64 {
    let name = format!("moim_bootstrap_acme_attempts_total{{result=\"{result}\"}}");
    node.metric(&name).await
}

async fn until_attempted(node: &Node, result: &str) {
    until_attempts(node, result, 1).await;
}

async fn until_attempts(node: &Node, result: &str, count: u64) {
    until("the end of an attempt", async || {
        attempts(node, result).await >= count
    })
    .await;
}

async fn end_of_certificate(node: &Node) -> u64 {
    node.metric("moim_bootstrap_tls_certificate_end_seconds{source=\"acme\"}")
        .await
}

#[tokio::test]
async fn a_certificate_is_got_and_used_and_kept_for_the_next_start() {
    if !pebble::is_there() {
        return;
    }
    let (authority, gate) = (Authority::new(), Gate::new().await);
    let (node, port) = start(data(&authority), &gate.url()).await;
    // There is none yet. Who comes is sent away, and nobody else suffers.
    authority.trust.get(port, "/health").await.unwrap_err();
    challenge(port, NAME).await.unwrap_err();
    assert_eq!(node.get_json("/health").await["certificate"], "missing");
    assert_eq!(end_of_certificate(&node).await, 0);

    let ca = gate.open(&authority, port).await;
    until_attempted(&node, "obtained").await;
    let answer = ca.trust.get(port, "/health").await.unwrap();
    assert!(answer.contains("\"certificate\":\"ok\""), "{answer}");
    connect(&mut client(&ca.trust), port).await;
    challenge(port, NAME).await.unwrap_err();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(end_of_certificate(&node).await > now);
    assert_eq!(attempts(&node, "failed").await, 0);

    let kept = fs::read(node.data.path().join(CERTIFICATE)).unwrap();
    for name in [ACCOUNT, CERTIFICATE] {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::metadata(node.data.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let (_, _, data) = node.stop("TERM").await;
    let (node, port) = start(data, &gate.url()).await;
    connect(&mut client(&ca.trust), port).await;
    for result in ["obtained", "failed"] {
        assert_eq!(attempts(&node, result).await, 0, "{result}");
    }
    assert_eq!(fs::read(node.data.path().join(CERTIFICATE)).unwrap(), kept);
}

#[tokio::test]
async fn a_certificate_is_renewed_under_peers_and_none_is_dropped() {
    const PEERS: usize = 20;
    if !pebble::is_there() {
        return;
    }
    let (authority, gate) = (Authority::new(), Gate::new().await);
    let data = data(&authority);
    have_certificate(data.path(), &authority, &gate.url(), true);
    let (node, port) = start(data, &gate.url()).await;
    let before = end_of_certificate(&node).await;
    let mut peers: Vec<_> = (0..PEERS).map(|_| client(&authority.trust)).collect();
    join_all(peers.iter_mut().map(|peer| connect(peer, port))).await;

    let ca: Pebble = gate.open(&authority, port).await;
    until_attempted(&node, "obtained").await;
    assert_ne!(end_of_certificate(&node).await, before);
    authority.trust.get(port, "/health").await.unwrap_err();
    connect(&mut client(&ca.trust), port).await;
    join_all(peers.iter_mut().map(ping)).await;
    assert!(
        peers
            .iter()
            .all(|peer| peer.network_info().num_peers() == 1)
    );
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends() {
    if !pebble::is_there() {
        return;
    }
    let (authority, gate) = (Authority::new(), Gate::new().await);
    let (node, port) = start(data(&authority), &gate.url()).await;
    let life = Duration::from_secs(24);
    let ca = gate.open_with(&authority, port, life).await;
    until_attempted(&node, "obtained").await;
    let first = end_of_certificate(&node).await;
    until_attempts(&node, "obtained", 2).await;
    // That it is early enough is for the tests of the schedule: here a busy machine may take its time.
    assert!(first < end_of_certificate(&node).await);
    connect(&mut client(&ca.trust), port).await;
    assert_eq!(attempts(&node, "failed").await, 0);
}

#[tokio::test]
async fn a_ca_that_is_not_there_costs_nothing_but_a_word() {
    let authority = Authority::new();
    let data = data(&authority);
    have_certificate(data.path(), &authority, NOBODY, true);
    let (node, port) = start(data, NOBODY).await;
    until_attempted(&node, "failed").await;
    connect(&mut client(&authority.trust), port).await;
    let log = node.log();
    let told = "no new certificate; the one there is stays in use";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    assert!(
        log.contains("can't connect to the CA at 127.0.0.1:1"),
        "{log}"
    );
    assert!(log.contains("\"again\":\"2 min\""), "{log}");
    node.assert_alive().await;

    let path = "/admin/status.json";
    let answer = node.request_with("GET", path, "Host: localhost\r\n").await;
    let report: Value = serde_json::from_str(&answer.body).unwrap();
    let certificate = &report["certificate"];
    assert_eq!(certificate["state"], "ok");
    let trouble = certificate["trouble"].as_str().unwrap();
    assert!(trouble.contains("can't connect"), "{trouble}");
    assert!(certificate["again"].is_u64() && certificate["ends"].is_u64());
}

#[tokio::test]
async fn a_ca_that_does_not_find_the_node_says_so() {
    if !pebble::is_there() {
        return;
    }
    let (authority, gate) = (Authority::new(), Gate::new().await);
    let data = data(&authority);
    have_certificate(data.path(), &authority, &gate.url(), true);
    let (node, port) = start(data, &gate.url()).await;
    // It looks at a port where nobody is.
    let _ca = gate.open(&authority, 1).await;
    until_attempted(&node, "failed").await;
    connect(&mut client(&authority.trust), port).await;
    let log = node.log();
    let told = format!("the CA could not see that {NAME} leads here: ");
    assert_eq!(log.matches(&told).count(), 1, "{log}");
    assert!(
        log.contains("127.0.0.1:1 for the tls-alpn-01 challenge"),
        "{log}"
    );
    challenge(port, NAME).await.unwrap_err();
}

#[tokio::test]
async fn a_ca_with_rate_limits_is_left_alone_as_long_as_it_asks() {
    let authority = Authority::new();
    let stub = Stub::start(&authority, |path, _| {
        assert_eq!(path, "/order");
        let problem = json!({
            "type": "urn:ietf:params:acme:error:rateLimited",
            "detail": "too many certificates already issued",
        });
        (429, "Retry-After: 20000\r\n", problem)
    })
    .await;
    let (node, port) = start(data(&authority), &stub.url()).await;
    until_attempted(&node, "failed").await;
    let log = node.log();
    assert!(
        log.contains("too many certificates already issued"),
        "{log}"
    );
    let hours = ["5 h", "6 h"].map(|hours| format!("\"again\":\"{hours}\""));
    assert!(hours.iter().any(|hours| log.contains(hours)), "{log}");
    assert!(
        log.contains("until there is one, TLS connections are refused"),
        "{log}"
    );
    authority.trust.get(port, "/health").await.unwrap_err();
    node.assert_alive().await;
}

#[tokio::test]
async fn answers_that_are_none_are_failures_like_others() {
    let authority = Authority::new();
    for (status, body, told) in [
        (503, json!("down"), "down"),
        (200, Value::Null, "JSON"),
        (200, json!("x".repeat(1_000_000)), "length limit"),
    ] {
        let answer = move |_: &str, _: &str| (status, "", body.clone());
        let stub = Stub::start(&authority, answer).await;
        let (node, _) = start(data(&authority), &stub.url()).await;
        until_attempted(&node, "failed").await;
        let log = node.log();
        assert!(log.contains("no new certificate"), "{log}");
        assert!(log.contains(told), "{told}: {log}");
        node.assert_alive().await;
    }
}

/// A CA that never looks for the proof: the challenge stays pending.
fn undecided(path: &str, ca: &str) -> stub::Answer {
    let body = match path {
        "/order" | "/order/1" => json!({
            "status": "pending",
            "authorizations": [format!("{ca}/authorization")],
            "finalize": format!("{ca}/finalize"),
        }),
        "/authorization" => json!({
            "status": "pending",
            "identifier": { "type": "dns", "value": NAME },
            "challenges": [challenge_of(ca)],
        }),
        "/challenge" => challenge_of(ca),
        _ => return (404, "", Value::Null),
    };
    let status = if path == "/order" { 201 } else { 200 };
    (status, "", body)
}

#[tokio::test]
async fn a_ca_that_looks_at_once_says_what_it_saw() {
    let authority = Authority::new();
    let is_told = AtomicBool::new(false);
    let stub = Stub::start(&authority, move |path, ca| {
        let (status, headers, mut body) = undecided(path, ca);
        let problem =
            json!({ "type": "urn:ietf:params:acme:error:connection", "detail": "a wall" });
        if path == "/challenge" {
            is_told.store(true, Ordering::Relaxed);
            body["status"] = "invalid".into();
            body["error"] = problem;
        } else if path == "/authorization" && is_told.load(Ordering::Relaxed) {
            body["status"] = "invalid".into();
            body["challenges"][0]["error"] = problem;
        }
        (status, headers, body)
    })
    .await;
    let (node, _) = start(data(&authority), &stub.url()).await;
    until_attempted(&node, "failed").await;
    let log = node.log();
    let told = format!("the CA could not see that {NAME} leads here: a wall");
    assert!(log.contains(&told), "{log}");
}

fn challenge_of(ca: &str) -> Value {
    json!({
        "type": "tls-alpn-01", "url": format!("{ca}/challenge"), "status": "pending", "token": "t",
    })
}

#[tokio::test]
async fn strangers_get_nothing_from_a_pending_challenge_but_the_proof() {
    let authority = Authority::new();
    let stub = Stub::start(&authority, undecided).await;
    let data = data(&authority);
    have_certificate(data.path(), &authority, &stub.url(), true);
    let (_node, port) = start(data, &stub.url()).await;
    let (proof, rest) = soon("the proof", async {
        loop {
            if let Ok(found) = challenge(port, NAME).await {
                return found;
            }
        }
    })
    .await;
    assert_ne!(proof, authority.trust.0);
    // id-pe-acmeIdentifier is in it.
    let identifier = [0x2b, 6, 1, 5, 5, 7, 1, 31];
    assert!(proof.windows(8).any(|bytes| bytes == identifier));
    assert!(rest.is_empty(), "{rest:?}");
    challenge(port, "other.example").await.unwrap_err();
    // Meanwhile everybody else is served.
    authority.trust.get(port, "/health").await.unwrap();
    connect(&mut client(&authority.trust), port).await;
}

#[tokio::test]
async fn a_certificate_is_renewed_early_when_the_ca_advises_to() {
    let authority = Authority::new();
    let stub = Stub::start(&authority, |path, _| {
        if path.starts_with("/renewal/") {
            let window = json!({
                "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z",
            });
            return (
                200,
                "Retry-After: 21600\r\n",
                json!({ "suggestedWindow": window }),
            );
        }
        (403, "", json!({ "detail": "not today" }))
    })
    .await;
    // The first start makes the account.
    let (node, _) = start(data(&authority), &stub.url()).await;
    until_attempted(&node, "failed").await;
    let (_, _, data) = node.stop("TERM").await;
    have_certificate(data.path(), &authority, &stub.url(), false);
    let (node, port) = start(data, &stub.url()).await;
    until_attempted(&node, "failed").await;
    assert!(node.log().contains("not today"), "{}", node.log());
    connect(&mut client(&authority.trust), port).await;
}

#[tokio::test]
async fn a_node_that_is_started_again_and_again_asks_five_times_an_hour() {
    let authority = Authority::new();
    let mut data = data(&authority);
    for _ in 0..5 {
        let (node, _) = start(data, NOBODY).await;
        until_attempted(&node, "failed").await;
        data = node.stop("TERM").await.2;
    }
    let (node, _) = start(data, NOBODY).await;
    // It has begun everything that it begins.
    node.assert_alive().await;
    assert_eq!(attempts(&node, "failed").await, 0);
}

#[tokio::test]
async fn broken_files_are_told_and_left_alone() {
    let authority = Authority::new();
    for (name, content, told) in [
        (ACCOUNT, "{}", "the node doesn't know its account at the CA"),
        (ACCOUNT, "\0\u{7f}", "remove it to get a new account"),
        (CERTIFICATE, "", "remove it to get a new certificate"),
        (
            CERTIFICATE,
            r#"{"directory": "a", "domain": "b", "certificate": "c", "key": "d"}"#,
            "no certificate in PEM form",
        ),
        ("root.pem", "nonsense", "--acme-root"),
    ] {
        let data = data(&authority);
        let path = data.path().join(name);
        fs::write(&path, content).unwrap();
        let flags = flags(data.path(), NOBODY);
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let output = process::run_to_end(data.path(), &flags).await;
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(name) && text.contains(told), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn another_ca_or_name_gets_another_certificate() {
    let authority = Authority::new();
    let data = data(&authority);
    have_certificate(data.path(), &authority, "https://other.example/dir", false);
    let (node, port) = start(data, NOBODY).await;
    until_attempted(&node, "failed").await;
    authority.trust.get(port, "/health").await.unwrap_err();
    assert_eq!(node.get_json("/health").await["certificate"], "missing");
}
