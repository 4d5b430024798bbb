//! Who comes by the TLS port: browsers and peers that trust somebody's signature.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use futures::StreamExt as _;
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
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};

use crate::soon;

/// The name of the node.
pub(crate) const NAME: &str = "moim.example";

/// The certificate of somebody whose signature is trusted.
#[derive(Clone)]
pub(crate) struct Trust(pub(crate) CertificateDer<'static>);

impl Trust {
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// Asks for something by HTTPS; an error if the certificate isn't of this authority.
    pub(crate) async fn get(&self, port: u16, path: &str) -> std::io::Result<String> {
        self.get_at((Ipv4Addr::LOCALHOST, port).into(), path).await
    }

    pub(crate) async fn get_at(&self, at: SocketAddr, path: &str) -> std::io::Result<String> {
        let stream = TcpStream::connect(at).await?;
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

/// A peer that trusts whom `trust` signs.
pub(crate) fn client(trust: &Trust) -> Swarm<ping::Behaviour> {
    let keypair = Keypair::generate_ed25519();
    let mut tls = websocket::tls::Config::builder();
    tls.add_trust(&websocket::tls::Certificate::new(trust.0.to_vec()))
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
pub(crate) async fn connect(client: &mut Swarm<ping::Behaviour>, port: u16) {
    client.dial(wss(port)).unwrap();
    ping(client).await;
}

pub(crate) async fn ping(client: &mut Swarm<ping::Behaviour>) {
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
