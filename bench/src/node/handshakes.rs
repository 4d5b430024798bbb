//! How fast a server lets clients in, by transport, and whether all of them get in.

use std::{fs, time::Instant};

use anyhow::Result;
use futures::{StreamExt as _, future, stream};
use libp2p::Multiaddr;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{
    Bench,
    dial::{connect, source},
    process::{Server, Subject},
    say,
    table::{Aim, Table},
};

/// Handshakes of each transport in a round.
const COUNT: usize = 500;
/// Those by WebRTC-direct with one node: all come from an address of this machine that is not a loopback address, and
/// one source may make 600 connections at once (docs/security.md).
const OF_ONE_NODE: usize = 500;

/// Handshakes by WebRTC-direct in a round of `webrtc`.
const MANY: usize = 2000;
/// Before them, so that neither side does anything for the first time.
const WARM_UP: usize = 50;
/// Handshakes at one time.
const AT_ONCE: usize = 16;
/// How many times as many as js-libp2p there are to be.
const TIMES_JS: f64 = 2.5;

/// The name that the certificate is for.
const NAME: &str = "moim.example";

/// What each transport is called in the table and in [`Server::address`].
const TRANSPORTS: [(&str, &str); 5] = [
    ("TCP", "tcp"),
    ("WebSocket", "ws"),
    ("secure WebSocket", "wss"),
    ("QUIC", "quic"),
    ("WebRTC-direct", "webrtc"),
];

pub(super) async fn round(bench: &Bench, round: usize, table: &mut Table) -> Result<()> {
    for subject in bench.order(round) {
        let tls = Tls::new()?;
        let flags = tls.flags();
        let flags: Vec<_> = match subject {
            Subject::Ours => flags.iter().map(String::as_str).collect(),
            Subject::Bare | Subject::Js => Vec::new(),
        };
        let server = Server::start(&bench.programs, subject, &flags).await?;
        for (name, transport) in TRANSPORTS {
            let Some((address, trust)) = tls.address(&server, transport) else {
                continue;
            };
            connections(&address, trust, WARM_UP).await;
            let count = bench.scaled(COUNT);
            let (used, started) = (server.processor_seconds()?, Instant::now());
            let failed = connections(&address, trust, count).await;
            let done = count.saturating_sub(failed) as f64;
            let rate = done / started.elapsed().as_secs_f64();
            let cost = (server.processor_seconds()? - used) * 1e3 / done.max(1.0);
            let what = format!("handshakes by {name}");
            let aim = Some(Aim::LeastTimes(TIMES_JS, Subject::Js));
            table.add(&what, "each second", aim, subject, rate);
            table.add(
                format!("{what}: the server's processor time"),
                "ms each",
                None,
                subject,
                cost,
            );
            if failed > 0 {
                let what = format!("handshakes by {name}: failed");
                let share = failed as f64 * 100.0 / count as f64;
                table.add(what, "%", None, subject, share);
            }
        }
        server.stop().await?;
    }
    Ok(())
}

/// Many handshakes by WebRTC-direct, of which none is to fail. Others have no server of it.
pub(super) async fn webrtc(bench: &Bench, _: usize, table: &mut Table) -> Result<()> {
    let count = bench.scaled(MANY);
    let (mut begun, mut failed) = (0, 0);
    while begun < count {
        let server = Server::start(&bench.programs, Subject::Ours, &[]).await?;
        let address = server.address("webrtc")?;
        let some = OF_ONE_NODE.min(count - begun);
        failed += connections(&address, None, some).await;
        begun += some;
        server.stop().await?;
    }
    table.add(
        format!("of {count} handshakes by WebRTC-direct, failed"),
        "handshakes",
        Some(Aim::Most(0.0)),
        Subject::Ours,
        failed as f64,
    );
    Ok(())
}

/// So many clients come, each somebody new, and leave when they are in. Says how many did not get in.
async fn connections(address: &Multiaddr, trust: Option<&[u8]>, count: usize) -> usize {
    stream::iter(0..count)
        .map(|number| connect(address, source(number), trust))
        .buffer_unordered(AT_ONCE)
        .filter(|connection| {
            if let Err(error) = connection {
                // That the line is not said must not change the count.
                let _ = say(&format!("a handshake failed: {error:#}"));
            }
            future::ready(connection.is_err())
        })
        .count()
        .await
}

/// A certificate for the node, and what a client has to trust.
struct Tls {
    dir: TempDir,
    authority: Vec<u8>,
}

impl Tls {
    fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key)?.der().to_vec();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([NAME.to_owned()])?.signed_by(&key, &issuer)?;
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("key.pem"), key.serialize_pem())?;
        fs::write(dir.path().join("cert.pem"), certificate.pem())?;
        Ok(Self { dir, authority })
    }

    fn flags(&self) -> [String; 4] {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        [
            "--tls=127.0.0.1:0".to_owned(),
            format!("--tls-cert={}", file("cert.pem")),
            format!("--tls-key={}", file("key.pem")),
            format!("--domain={NAME}"),
        ]
    }

    /// Where to dial, and what to trust there, if the server has the transport.
    fn address(&self, server: &Server, transport: &str) -> Option<(Multiaddr, Option<&[u8]>)> {
        if transport != "wss" {
            return Some((server.address(transport).ok()?, None));
        }
        let port = server.https_port()?;
        let address = format!("/ip4/127.0.0.1/tcp/{port}/tls/sni/{NAME}/ws");
        Some((address.parse().ok()?, Some(&self.authority)))
    }
}
