//! A CA that says what it is told to: what pebble never says.

use std::{net::Ipv4Addr, sync::Arc};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use futures_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};
use rcgen::CertificateParams;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use crate::tls::Authority;

/// A running stub. Ends when dropped.
pub(super) struct Stub {
    port: u16,
    task: JoinHandle<()>,
}

/// Status, further headers (each with its line end) and body.
pub(super) type Answer = (u16, &'static str, Value);

impl Stub {
    /// Answers the directory, nonces and accounts by itself, everything else by `answer`, which is
    /// given the path and the URL of the CA.
    pub(super) async fn start(
        authority: &Authority,
        answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = authority.issue(&params);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream.compat()).await?;
                    let mut head = Vec::new();
                    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                        let mut buffer = [0; 4096];
                        let count = stream.read(&mut buffer).await?;
                        if count == 0 {
                            return Ok(());
                        }
                        head.extend_from_slice(&buffer[..count]);
                    }
                    let head = String::from_utf8_lossy(&head);
                    let path = head.split(' ').nth(1).unwrap_or_default();
                    let text = reply(path, &format!("https://127.0.0.1:{port}"), &*answer);
                    stream.write_all(text.as_bytes()).await?;
                    stream.close().await
                });
            }
        });
        Self { port, task }
    }

    /// URL of the directory.
    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply(path: &str, ca: &str, answer: &dyn Fn(&str, &str) -> Answer) -> String {
    let (status, headers, body) = match path {
        "/dir" => (
            200,
            "",
            json!({
                "newNonce": format!("{ca}/nonce"),
                "newAccount": format!("{ca}/account"),
                "newOrder": format!("{ca}/order"),
                "renewalInfo": format!("{ca}/renewal"),
            }),
        ),
        "/nonce" => (200, "", Value::Null),
        "/account" => (201, "", json!({ "status": "valid" })),
        other => answer(other, ca),
    };
    let content_type = if status < 400 { "json" } else { "problem+json" };
    // Whoever asked with HEAD reads no further than the headers.
    let body = if path == "/nonce" {
        String::new()
    } else {
        body.to_string()
    };
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/{content_type}\r\n{headers}\
         Location: {ca}{path}/1\r\nReplay-Nonce: n\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
