//! The peer in the page. It is used by JavaScript, which measures the others in the same way.

mod driver;
mod swarm;

use std::time::Duration;

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _, SinkExt as _,
    channel::{mpsc, oneshot},
};
use futures_timer::Delay;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, identity::Keypair};
use libp2p_stream::Control;
use wasm_bindgen::{JsError, prelude::wasm_bindgen};
use web_time::Instant;

use self::driver::{Command, Reply};
use crate::protocols;

/// Bytes of a small message.
const MESSAGE_BYTES: usize = 64;

/// Between two requests, so that none is measured together with the end of the one before.
const PAUSE: Duration = Duration::from_millis(5);

/// Commands that wait: whoever gives one waits for what comes of it.
const COMMANDS: usize = 1;

/// A peer with nothing but what is measured. Times are in milliseconds.
#[derive(Debug)]
#[wasm_bindgen]
pub struct Peer {
    id: PeerId,
    commands: mpsc::Sender<Command>,
    streams: Streams,
}

/// [`Control`], which cannot be shown.
#[derive(Clone)]
struct Streams(Control);

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams")
    }
}

#[wasm_bindgen]
impl Peer {
    /// Starts one that answers, and dials. With the address of a relay it holds a reservation there
    /// and can be dialled through it.
    ///
    /// # Errors
    ///
    /// When the address is none, or the relay does not take it.
    pub async fn start(relay: Option<String>) -> Result<Self, JsError> {
        let keypair = Keypair::generate_ed25519();
        let mut swarm = swarm::build(&keypair)?;
        let mut streams = swarm.behaviour().streams.new_control();
        protocols::answer_all(&mut streams, wasm_bindgen_futures::spawn_local)?;
        if let Some(relay) = relay {
            driver::reserve(&mut swarm, relay.parse()?)
                .await
                .map_err(|error| JsError::new(&error))?;
        }
        let (commands, waiting) = mpsc::channel(COMMANDS);
        wasm_bindgen_futures::spawn_local(driver::drive(swarm, waiting));
        Ok(Self {
            id: keypair.public().to_peer_id(),
            commands,
            streams: Streams(streams),
        })
    }

    /// Its peer id.
    #[must_use]
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// Dials; the time until the connection is encrypted and multiplexed.
    ///
    /// # Errors
    ///
    /// When there is no connection.
    pub async fn dial(&self, address: String) -> Result<f64, JsError> {
        let address: Multiaddr = address.parse()?;
        self.command(|reply| Command::Dial { address, reply }).await
    }

    /// Dials through a relay and waits for the direct connection that comes of it; the time between
    /// both. The relayed connection is closed then.
    ///
    /// # Errors
    ///
    /// When there is no direct connection.
    pub async fn upgrade(&self, circuit: String) -> Result<f64, JsError> {
        let circuit: Multiaddr = circuit.parse()?;
        self.command(|reply| Command::Upgrade { circuit, reply })
            .await
    }

    /// Closes all connections to a peer, and waits until they are closed.
    ///
    /// # Errors
    ///
    /// When this peer has ended.
    pub async fn disconnect(&self, peer: String) -> Result<(), JsError> {
        let peer: PeerId = peer.parse()?;
        self.command(|reply| Command::Disconnect { peer, reply })
            .await
    }

    /// The times of so many messages there and back, one after the other, on one open stream.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    #[wasm_bindgen(js_name = roundTrips)]
    pub async fn round_trips(&self, peer: String, count: u32) -> Result<Vec<f64>, JsError> {
        let mut stream = self.open(&peer, protocols::ECHO).await?;
        let mut message = [0; MESSAGE_BYTES];
        let mut times = Vec::new();
        // The first one is the stream's opening.
        for number in 0..=count {
            let since = Instant::now();
            stream.write_all(&message).await?;
            stream.flush().await?;
            stream.read_exact(&mut message).await?;
            if number > 0 {
                times.push(milliseconds(since));
            }
        }
        stream.close().await?;
        Ok(times)
    }

    /// The times of so many requests, one after the other, each on a stream of its own.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn requests(&self, peer: String, count: u32) -> Result<Vec<f64>, JsError> {
        let mut times = Vec::new();
        let mut answer = Vec::with_capacity(MESSAGE_BYTES);
        for _ in 0..count {
            Delay::new(PAUSE).await;
            answer.clear();
            let since = Instant::now();
            let mut stream = self.open(&peer, protocols::REQUEST).await?;
            stream.write_all(&[0; MESSAGE_BYTES]).await?;
            stream.close().await?;
            stream.read_to_end(&mut answer).await?;
            times.push(milliseconds(since));
            if answer.len() != MESSAGE_BYTES {
                return Err(JsError::new("another answer than expected"));
            }
        }
        Ok(times)
    }

    /// The time that so many bytes take to the other side, on one stream.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn up(&self, peer: String, bytes: u32) -> Result<f64, JsError> {
        let mut stream = self.open(&peer, protocols::UP).await?;
        let bytes = u64::from(bytes);
        let since = Instant::now();
        stream.write_all(&bytes.to_be_bytes()).await?;
        protocols::write(&mut stream, bytes).await?;
        stream.read_exact(&mut [0]).await?;
        let time = milliseconds(since);
        stream.close().await?;
        Ok(time)
    }

    /// The time that so many bytes take from the other side, on one stream.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn down(&self, peer: String, bytes: u32) -> Result<f64, JsError> {
        let mut stream = self.open(&peer, protocols::DOWN).await?;
        let bytes = u64::from(bytes);
        let since = Instant::now();
        stream.write_all(&bytes.to_be_bytes()).await?;
        stream.flush().await?;
        protocols::read(&mut stream, bytes).await?;
        let time = milliseconds(since);
        stream.close().await?;
        Ok(time)
    }
}

impl Peer {
    async fn open(&self, peer: &str, protocol: StreamProtocol) -> Result<Stream, JsError> {
        let Streams(mut control) = self.streams.clone();
        Ok(control.open_stream(peer.parse()?, protocol).await?)
    }

    async fn command<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, JsError> {
        let (reply, answer) = oneshot::channel();
        self.commands.clone().send(command(reply)).await?;
        answer.await?.map_err(|error| JsError::new(&error))
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
