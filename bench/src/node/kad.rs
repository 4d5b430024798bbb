//! Requests to a server of the DHT, as libp2p's Kademlia specification writes them: one on a stream of
//! its own, which is what each step of a lookup is.

use anyhow::{Context as _, Result, ensure};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identity::Keypair};
use libp2p_stream::Control;
use moim_protocol::names;
use prost::Message;
use tokio::task::JoinHandle;

use super::client::Client;

const PROTOCOL: StreamProtocol = StreamProtocol::new(names::KAD_PROTOCOL);

const PUT_VALUE: i32 = 0;
const GET_VALUE: i32 = 1;
const FIND_NODE: i32 = 4;

/// The largest answer: the largest message of Moim's DHT and its length.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 + 8;

/// `Message` of the specification, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    record: Option<Record>,
}

/// `Record` of the specification.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// A client of one server of the DHT. Cheap to clone, for many requests at one time.
#[derive(Clone)]
pub(super) struct Asking {
    control: Control,
    server: PeerId,
}

/// A connection to ask on. Ends when it is dropped.
pub(super) struct Connection {
    pub(super) asking: Asking,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects somebody new, the client with this number.
    pub(super) async fn open(number: usize, address: &Multiaddr) -> Result<Self> {
        Self::open_as(Keypair::generate_ed25519(), number, address).await
    }

    /// The same as somebody known.
    pub(super) async fn open_as(
        keypair: Keypair,
        number: usize,
        address: &Multiaddr,
    ) -> Result<Self> {
        let client = Client::connect_as(keypair, number, address, false).await?;
        let asking = Asking {
            control: client.swarm.behaviour().streams.new_control(),
            server: client.server,
        };
        let task = tokio::spawn(client.until_closed());
        Ok(Self { asking, task })
    }
}

impl Asking {
    /// Puts a record; done when the server has acknowledged it.
    pub(super) async fn put(&self, record: &Record) -> Result<()> {
        let answer = self
            .ask(Request {
                kind: PUT_VALUE,
                key: record.key.clone(),
                record: Some(record.clone()),
            })
            .await
            .context("the record was not acknowledged")?;
        ensure!(answer.key == record.key, "another record was acknowledged");
        Ok(())
    }

    /// Gets a record that has to be there.
    pub(super) async fn get(&self, key: &[u8]) -> Result<Record> {
        let request = Request {
            kind: GET_VALUE,
            key: key.to_vec(),
            record: None,
        };
        let answer = self.ask(request).await?;
        answer.record.context("the record is not there")
    }

    /// Asks who is close to a key.
    pub(super) async fn find_node(&self, key: &[u8]) -> Result<()> {
        let request = Request {
            kind: FIND_NODE,
            key: key.to_vec(),
            record: None,
        };
        self.ask(request).await.map(drop)
    }

    async fn ask(&self, request: Request) -> Result<Request> {
        let mut control = self.control.clone();
        let mut stream = control.open_stream(self.server, PROTOCOL).await?;
        stream
            .write_all(&request.encode_length_delimited_to_vec())
            .await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let read = stream.read(&mut chunk).await?;
            ensure!(read > 0, "the stream ended without an answer");
            answer.extend_from_slice(&chunk[..read]);
            // Before the last byte is there it is no message yet.
            if let Ok(answer) = Request::decode_length_delimited(&answer[..]) {
                // The other half goes with the stream.
                stream.close().await?;
                return Ok(answer);
            }
            ensure!(answer.len() as u64 <= ANSWER_BYTES_MAX, "an endless answer");
        }
    }
}
