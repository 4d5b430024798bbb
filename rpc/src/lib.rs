//! The stream format of Moim's own protocols: one UTF-8 JSON body each way, the sender closes its
//! half after it (`docs/protocol.md`). Bodies are passed on as bytes; what is in them is decoded
//! where an invalid one can be answered with an error. Both sides have 8 s for an exchange.
//!
//! ```
//! use moim_rpc::{ProtocolSupport, behaviour};
//!
//! // A part of a swarm's behaviour that asks and answers.
//! let behaviour = behaviour("/example/1.0.0", ProtocolSupport::Full);
//! ```

#![forbid(unsafe_code)]

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
pub use libp2p::request_response::ProtocolSupport;
use libp2p::{StreamProtocol, request_response};
use moim_protocol::limits;

/// A request that takes longer has lost its peer; the sender tries again by another connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// Requests of one peer that may be open at once, each at most 64 KiB.
const CONCURRENT_STREAMS_MAX: usize = 32;

/// One such protocol.
pub type Behaviour = request_response::Behaviour<Codec>;
/// What it reports.
pub type Event = request_response::Event<Vec<u8>, Vec<u8>>;

/// A behaviour that asks in `protocol`, answers in it, or both.
#[must_use]
pub fn behaviour(protocol: &'static str, support: ProtocolSupport) -> Behaviour {
    let config = request_response::Config::default()
        .with_request_timeout(REQUEST_TIMEOUT)
        .with_max_concurrent_streams(CONCURRENT_STREAMS_MAX);
    let protocol = StreamProtocol::new(protocol);
    request_response::Behaviour::with_codec(Codec, [(protocol, support)], config)
}

/// Reads and writes the bodies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Codec;

/// Reads to the end of the stream. A body over the limit comes back one byte too long, so that it
/// can be answered as such.
async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(limits::BODY_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut body = Vec::new();
    io.take(limit).read_to_end(&mut body).await?;
    Ok(body)
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, body: &[u8]) -> io::Result<()> {
    io.write_all(body).await?;
    io.close().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &body).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &body).await
    }
}
