//! WebSockets without libp2p on them, which show what the browser and the network take by
//! themselves. The first byte says what one is for.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    channel::oneshot,
    future::{self, poll_fn},
};
use libp2p::{
    Multiaddr, Transport as _,
    core::transport::{ListenerId, TransportEvent},
    multiaddr::Protocol,
};

use super::{any_port, websocket};
use crate::protocols::{self, Bytes};

/// Bytes that are carried at once from one page to the other.
const SIGNAL_BYTES: usize = 16 * 1024;

/// A page that waits for another to signal with.
type Waiting = Arc<Mutex<Option<oneshot::Sender<Box<dyn Bytes>>>>>;

/// Listens, and returns the URL.
pub(super) async fn listen() -> Result<String> {
    let mut transport = websocket();
    transport.listen_on(ListenerId::next(), any_port()?)?;
    let first = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
    let address = first
        .into_new_address()
        .context("no address to listen on")?;
    let waiting = Waiting::default();
    tokio::spawn(async move {
        loop {
            let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
            if let TransportEvent::Incoming { upgrade, .. } = event {
                let waiting = Arc::clone(&waiting);
                tokio::spawn(async move {
                    if let Ok(socket) = upgrade.await {
                        // The page sees what came of it.
                        let _ = serve(socket, waiting).await;
                    }
                });
            }
        }
    });
    url(&address).context("an address without a port")
}

fn url(address: &Multiaddr) -> Option<String> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(format!("ws://127.0.0.1:{port}/")),
        _ => None,
    })
}

async fn serve(mut socket: impl Bytes, waiting: Waiting) -> io::Result<()> {
    let mut purpose = [0];
    socket.read_exact(&mut purpose).await?;
    match &purpose {
        b"e" => protocols::echo(socket).await,
        b"u" => protocols::take(socket).await,
        b"d" => protocols::give(socket).await,
        b"s" => signal(socket, &waiting).await,
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Carries what two pages say to each other.
async fn signal(socket: impl Bytes, waiting: &Waiting) -> io::Result<()> {
    let first = waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(first) = first {
        // The first one carries for both; if it is gone, this one is dropped.
        let _ = first.send(Box::new(socket));
        return Ok(());
    }
    let (sender, second) = oneshot::channel();
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    let Ok(second) = second.await else {
        return Ok(());
    };
    let (mut from_one, mut to_one) = socket.split();
    let (mut from_two, mut to_two) = second.split();
    future::try_join(
        carry(&mut from_one, &mut to_two),
        carry(&mut from_two, &mut to_one),
    )
    .await?;
    Ok(())
}

async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut bytes = vec![0; SIGNAL_BYTES];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return to.close().await;
        }
        to.write_all(&bytes[..count]).await?;
        to.flush().await?;
    }
}
