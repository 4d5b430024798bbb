//! How clients reach a server: every transport that is measured, each client from an address of its own.

use std::{
    future::{Pending, poll_fn},
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxer as _, StreamMuxerBox},
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise, quic,
    tcp::tokio::TcpStream,
    websocket, yamux,
};
use moim_webrtc::{backend::native::Native, direct};
use tokio::net::TcpSocket;

/// Longer than a server takes for any handshake; js-libp2p under a flood takes seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Clients of one /24; it has 254 addresses.
const PER_NETWORK: usize = 250;

/// The loopback address of the client with this number. Each has its own, as in the world, so that
/// neither the ports of one address nor a server's bounds for one are what is measured.
pub(super) fn source(number: usize) -> Ipv4Addr {
    let network = 1 + number / PER_NETWORK % PER_NETWORK;
    Ipv4Addr::new(127, 1, network as u8, 1 + (number % PER_NETWORK) as u8)
}

/// TCP connections from one address of this machine.
#[derive(Clone, Debug)]
pub(super) struct From(pub(super) Ipv4Addr);

impl Transport for From {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = Pending<io::Result<TcpStream>>;
    type Dial = BoxFuture<'static, io::Result<TcpStream>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let mut parts = address.iter();
        let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_))) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let source = self.0;
        Ok(Box::pin(async move {
            let socket = TcpSocket::new_v4()?;
            socket.set_nodelay(true)?;
            socket.bind(SocketAddr::from((source, 0)))?;
            let stream = socket.connect(SocketAddr::from((ip, port))).await?;
            Ok(TcpStream(stream))
        }))
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

/// An authenticated connection that carries streams.
pub(super) type Connected = (PeerId, StreamMuxerBox);

/// WebSocket and TCP, secure WebSocket too if there is a certificate to trust.
pub(super) fn over_tcp(
    keypair: &Keypair,
    source: Ipv4Addr,
    trust: Option<&[u8]>,
) -> Result<Boxed<Connected>> {
    let noise = noise::Config::new(keypair)?;
    let mut websocket = websocket::Config::new(From(source));
    if let Some(certificate) = trust {
        let mut tls = websocket::tls::Config::builder();
        tls.add_trust(&websocket::tls::Certificate::new(certificate.to_vec()))?;
        websocket.set_tls_config(tls.finish());
    }
    // WebSocket first: it leaves what is not for it.
    let websocket = websocket
        .upgrade(Version::V1Lazy)
        .authenticate(noise.clone())
        .multiplex(yamux::Config::default())
        .boxed();
    let tcp = From(source)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .boxed();
    Ok(websocket
        .or_transport(tcp)
        .map(|either, _| either.into_inner())
        .boxed())
}

/// A transport for this very address.
fn for_address(
    address: &Multiaddr,
    source: Ipv4Addr,
    trust: Option<&[u8]>,
) -> Result<Boxed<Connected>> {
    let keypair = Keypair::generate_ed25519();
    let has = |wanted: Protocol<'_>| address.iter().any(|part| part == wanted);
    if has(Protocol::QuicV1) {
        return Ok(quic::tokio::Transport::new(quic::Config::new(&keypair))
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed());
    }
    if has(Protocol::WebRTCDirect) {
        return Ok(direct::Transport::new(Native, keypair, PATIENCE)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed());
    }
    over_tcp(&keypair, source, trust)
}

/// Connects as somebody new, and waits until the server opens a stream: it introduces itself (identify)
/// once the connection is whole on its side too.
pub(super) async fn connect(
    address: &Multiaddr,
    source: Ipv4Addr,
    trust: Option<&[u8]>,
) -> Result<StreamMuxerBox> {
    let mut transport = for_address(address, source, trust)?;
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let dial = transport.dial(address.clone(), options)?;
    let connect = async {
        // A transport with sockets of its own works only while it is polled.
        let mut dial = dial.fuse();
        let (_, mut muxer) = poll_fn(|cx| {
            if let Poll::Ready(done) = dial.poll_unpin(cx) {
                return Poll::Ready(done);
            }
            let _ = Pin::new(&mut transport).poll(cx);
            Poll::Pending
        })
        .await?;
        poll_fn(|cx| {
            let _ = Pin::new(&mut transport).poll(cx);
            if let Poll::Ready(Err(error)) = Pin::new(&mut muxer).poll(cx) {
                return Poll::Ready(Err(error));
            }
            Pin::new(&mut muxer).poll_inbound(cx).map_ok(drop)
        })
        .await?;
        anyhow::Ok(muxer)
    };
    tokio::time::timeout(PATIENCE, connect)
        .await
        .context("no connection in time")?
        .with_context(|| format!("connecting to {address}"))
}
