//! A libp2p transport that neither listens nor dials: it is handed connections.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::{self, Pending, Ready};
use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    multiaddr::Protocol,
    websocket,
};
use tokio::sync::mpsc;

/// A connection that begins with the request for a WebSocket.
#[derive(Debug)]
pub(crate) struct HandedOver<S> {
    pub(crate) stream: S,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// WebSockets over connections whose TLS somebody else has ended. What it takes has `/tls/ws` in its
/// addresses.
#[derive(Debug)]
pub(crate) struct Tls<S: Stream>(websocket::Config<Handed<S>>);

/// What can be handed over.
pub(crate) trait Stream:
    futures::AsyncRead + futures::AsyncWrite + Unpin + Send + 'static
{
}

impl<S: futures::AsyncRead + futures::AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// The plain connections below the WebSockets.
#[derive(Debug)]
pub(crate) struct Handed<S> {
    listener: Option<ListenerId>,
    incoming: mpsc::Receiver<HandedOver<S>>,
}

impl<S: Stream> Tls<S> {
    /// Takes what comes by `incoming`. No message may be longer than `message_bytes_max`.
    pub(crate) fn new(incoming: mpsc::Receiver<HandedOver<S>>, message_bytes_max: usize) -> Self {
        let handed = Handed {
            listener: None,
            incoming,
        };
        let mut websocket = websocket::Config::new(handed);
        websocket.set_max_data_size(message_bytes_max);
        // It knows only listeners that it was told of. This one is never told to anybody else.
        let nowhere = Multiaddr::empty()
            .with(Protocol::Tcp(0))
            .with(Protocol::Ws("/".into()));
        let told = websocket.listen_on(ListenerId::next(), nowhere);
        debug_assert!(told.is_ok(), "Handed takes every address");
        Self(websocket)
    }
}

impl<S: Stream> Transport for Tls<S> {
    type Output = <websocket::Config<Handed<S>> as Transport>::Output;
    type Error = <websocket::Config<Handed<S>> as Transport>::Error;
    type ListenerUpgrade = <websocket::Config<Handed<S>> as Transport>::ListenerUpgrade;
    type Dial = Pending<Result<Self::Output, Self::Error>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        let event = std::task::ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(match event {
            TransportEvent::Incoming {
                listener_id,
                upgrade,
                local_addr,
                send_back_addr,
            } => TransportEvent::Incoming {
                listener_id,
                upgrade,
                local_addr: with_tls(&local_addr),
                send_back_addr: with_tls(&send_back_addr),
            },
            other => other,
        })
    }
}

impl<S: Stream> Transport for Handed<S> {
    type Output = S;
    type Error = io::Error;
    type ListenerUpgrade = Ready<Result<S, io::Error>>;
    type Dial = Pending<Result<S, io::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        _: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.listener = Some(id);
        Ok(())
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        let Some(listener_id) = self.listener else {
            return Poll::Pending;
        };
        match self.incoming.poll_recv(cx) {
            Poll::Ready(Some(connection)) => Poll::Ready(TransportEvent::Incoming {
                listener_id,
                upgrade: future::ready(Ok(connection.stream)),
                local_addr: multiaddr(connection.local),
                send_back_addr: multiaddr(connection.remote),
            }),
            // Nobody hands over any more: TLS is off, or the node stops.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

fn multiaddr(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip().to_canonical()).with(Protocol::Tcp(socket.port()))
}

/// `/tls/ws` in place of `/ws`.
fn with_tls(address: &Multiaddr) -> Multiaddr {
    address
        .iter()
        .flat_map(|part| match part {
            Protocol::Ws(_) => [Some(Protocol::Tls), Some(part)],
            part => [Some(part), None],
        })
        .flatten()
        .collect()
}
