//! Pebble, the CA that Let's Encrypt made for tests: real ACME, with certificates that nobody trusts.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    process::{self, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use futures_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rcgen::CertificateParams;
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    LOOK_AGAIN, soon,
    tls::Authority,
    tls_client::{NAME, Trust},
};

/// The ports of one CA, on a loopback address of this process: these programs don't tell which port
/// they got, so that theirs are fixed.
struct Ports {
    acme: SocketAddr,
    management: SocketAddr,
    dns: SocketAddr,
    dns_management: SocketAddr,
}

/// Where the CA is, before it is there: connections wait until it is let in. So the node can be
/// started first, and the CA be told the node's port.
pub(super) struct Gate {
    address: SocketAddr,
    opened: watch::Sender<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

/// A running CA, and its DNS. Both are killed when dropped.
pub(super) struct Pebble {
    /// Those that have its certificates are trusted by this.
    pub(super) trust: Trust,
    _processes: [Child; 2],
}

/// Whether the programs are there: Debian's package `pebble` has them. `cargo xtask test` installs
/// it there, and says that it has to be found.
pub(super) fn is_there() -> bool {
    if cfg!(not(target_os = "linux")) {
        // Others have one loopback address.
        return false;
    }
    let found = ["pebble", "pebble-challtestsrv"].iter().all(|program| {
        let mut command = process::Command::new(program);
        command
            .arg("-help")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.status() {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => panic!("{program}: {error}"),
        }
    });
    assert!(
        found || std::env::var_os("MOIM_PEBBLE").is_none(),
        "pebble is missing"
    );
    found
}

impl Gate {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, gate) = watch::channel(None);
        let task = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut gate = gate.clone();
                tokio::spawn(async move {
                    let Ok(Some(to)) = gate.wait_for(Option::is_some).await.map(|to| *to) else {
                        return;
                    };
                    let mut far = TcpStream::connect(to).await.unwrap();
                    // Either end may just go.
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self {
            address,
            opened,
            task,
        }
    }

    /// URL of the CA's directory.
    pub(super) fn url(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// Starts a CA that looks for the proof of every name at this port, and lets everybody in to it.
    /// `authority` is whom the node trusts.
    pub(super) async fn open(&self, authority: &Authority, port: u16) -> Pebble {
        self.open_with(authority, port, Duration::from_secs(60 * 60 * 24 * 90))
            .await
    }

    /// [`open`](Self::open), with certificates that are good for so long.
    pub(super) async fn open_with(
        &self,
        authority: &Authority,
        port: u16,
        life: Duration,
    ) -> Pebble {
        let ports = Ports::new();
        let pebble = Pebble::start(authority, port, life, &ports).await;
        self.opened.send(Some(ports.acme)).unwrap();
        pebble
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ports {
    fn new() -> Self {
        // Where tests are threads, one process has several.
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let [_, a, b, c] = process::id().to_be_bytes();
        // Not 127.0.0.1, and not 127.255.255.255.
        let ip = Ipv4Addr::new(127, 64 | (a & 0x3f), b, c);
        let at = |first: u16| SocketAddr::from((ip, first + number));
        Self {
            acme: at(14_000),
            management: at(15_000),
            dns: at(16_000),
            dns_management: at(17_000),
        }
    }
}

impl Pebble {
    async fn start(
        authority: &Authority,
        validated_port: u16,
        life: Duration,
        ports: &Ports,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = ["127.0.0.1".to_owned(), NAME.to_owned()];
        let (certificate, key) = authority.issue(&CertificateParams::new(names).unwrap());
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let config = json!({ "pebble": {
            "listenAddress": ports.acme,
            "managementListenAddress": ports.management,
            "certificate": write("cert.pem", &certificate),
            "privateKey": write("key.pem", &key),
            "httpPort": 1,
            "tlsPort": validated_port,
            "certificateValidityPeriod": life.as_secs(),
        }});
        let config = write("config.json", &config.to_string());

        let mut command = Command::new("pebble-challtestsrv");
        // No IPv6 and nothing but DNS.
        command
            .args(["-http01=", "-https01=", "-tlsalpn01=", "-defaultIPv6="])
            .arg(format!("-dns01={}", ports.dns))
            .arg(format!("-management={}", ports.dns_management));
        let names = run(&mut command);
        let mut command = Command::new("pebble");
        command
            .arg("-strict")
            .args(["-dnsserver", &ports.dns.to_string(), "-config"])
            .arg(&config)
            .envs([
                ("PEBBLE_VA_NOSLEEP", "1"),
                // It refuses good nonces by chance otherwise, and a client may try again only so often.
                ("PEBBLE_WFE_NONCEREJECT", "0"),
            ]);
        let pebble = run(&mut command);
        let trust = soon("pebble", root(authority, ports.management)).await;
        Self {
            trust,
            _processes: [names, pebble],
        }
    }
}

/// The certificate that those of the CA lead to, once it answers.
async fn root(authority: &Authority, management: SocketAddr) -> Trust {
    loop {
        let answer = authority.trust.get_at(management, "/roots/0").await;
        if let Ok(answer) = answer {
            let pem = CertificateDer::from_pem_slice(answer.as_bytes()).unwrap();
            return Trust(pem);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn run(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
