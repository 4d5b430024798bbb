//! Like netcat: what one end is given on standard input comes out at the other, and back.
//!
//! `cargo run --example pipe -- BOOTSTRAP` says its peer id and waits. `… pipe -- BOOTSTRAP PEER` calls it. The DHT says
//! where the other one is, and the stream goes straight to it where there is a way.

#![allow(
    clippy::print_stderr,
    reason = "standard output is for what comes through the pipe"
)]

use std::{
    env,
    error::Error,
    io::{self, Read as _, Write as _},
    thread,
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future};
use moim_peer::{Duplex, Peer, PeerId, ProtocolName, ProviderKey};
use tokio::sync::mpsc;

/// What both programs speak.
const PROTOCOL: &str = "moim-example-pipe/1";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let Some(bootstrap) = arguments.next() else {
        return Err("usage: pipe BOOTSTRAP [PEER]".into());
    };
    let (peer, _) = Peer::builder()
        .bootstrap([bootstrap.parse()?])
        .listen(["/ip4/0.0.0.0/udp/0/quic-v1".parse()?])
        .start()
        .await?;
    let protocol: ProtocolName = PROTOCOL.parse()?;
    let key = |id: PeerId| ProviderKey::of(format!("{PROTOCOL} {id}"));
    let stream = if let Some(other) = arguments.next() {
        let other: PeerId = other.parse()?;
        if !peer.providers(key(other)).await?.contains(&other) {
            return Err("the DHT does not know where that peer is".into());
        }
        peer.open(other, protocol).await?
    } else {
        let mut incoming = peer.accept(protocol)?;
        peer.provide(key(peer.id())).await?;
        eprintln!("{}", peer.id());
        incoming.next().await.ok_or("the peer has stopped")?
    };
    eprintln!("with {} by a {} way", stream.peer(), stream.path().word());
    pass_through(stream).await?;
    peer.stop().await;
    Ok(())
}

/// Until both directions have ended.
async fn pass_through(stream: Duplex) -> io::Result<()> {
    let (mut reading, mut writing) = stream.split();
    let (sender, mut input) = mpsc::channel::<Vec<u8>>(4);
    // Standard input blocks: it has a thread of its own, which waits for the stream.
    thread::spawn(move || {
        let (mut stdin, mut buffer) = (io::stdin().lock(), [0; 16 * 1024]);
        while let Ok(read @ 1..) = stdin.read(&mut buffer) {
            if sender.blocking_send(buffer[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    let there = async {
        while let Some(bytes) = input.recv().await {
            writing.write_all(&bytes).await?;
            writing.flush().await?;
        }
        writing.close().await
    };
    let back = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = reading.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let mut stdout = io::stdout().lock();
            stdout.write_all(&buffer[..read])?;
            stdout.flush()?;
        }
    };
    future::try_join(there, back).await.map(|_| ())
}
