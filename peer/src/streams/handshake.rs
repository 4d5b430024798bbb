//! The headers of a stream, both sides of it.

use std::io;

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use libp2p::Stream;
use moim_protocol::{
    limits::STREAM_HEADER_TIME,
    stream_wire::{ProtocolName, Request, Response},
    wire::ErrorCode,
};

use super::{Accepted, Duplex, Raw, chunks::Chunks};
use crate::{error::OpenError, platform};

/// The side that opens: says what it wants to speak, and hears whether it may.
pub(crate) async fn open(raw: Raw, protocol: ProtocolName) -> Result<Duplex, OpenError> {
    let (mut chunks, finish) = raw.into_parts();
    let header = Request::Open {
        protocol: protocol.clone(),
    };
    match platform::within(STREAM_HEADER_TIME, ask(&mut chunks, &header)).await {
        None => Err(OpenError::NoAnswer),
        Some(Err(error)) => {
            tracing::debug!(%error, "a stream broke before its header came");
            Err(OpenError::Broken)
        }
        Some(Ok(answer)) => match Response::decode(&answer) {
            Ok(Response::Accepted) => Ok(finish(chunks, protocol)),
            Ok(Response::Error { code, reason }) => {
                tracing::debug!(%code, %reason, "a stream is refused");
                Err(match code {
                    ErrorCode::UnknownProtocol => OpenError::UnknownProtocol,
                    code => OpenError::Refused(code),
                })
            }
            Err(error) => {
                tracing::debug!(%error, "a stream is answered with nonsense");
                Err(OpenError::Unsupported)
            }
        },
    }
}

async fn ask(chunks: &mut Chunks<Stream>, header: &Request) -> io::Result<Vec<u8>> {
    chunks.write_all(&header.encode()).await?;
    chunks.flush().await?;
    chunks.read_header().await
}

/// The other side: hears what is to be spoken, and hands the stream to the program that speaks it.
pub(crate) async fn answer(raw: Raw, accepted: Accepted) {
    let peer = raw.peer;
    let exchange = async move {
        let (mut chunks, finish) = raw.into_parts();
        let header = chunks.read_header().await?;
        let refused = match Request::decode(&header) {
            Err(error) => Response::from(&error),
            Ok(Request::Open { protocol }) => match accepted.speaker(&protocol) {
                None => {
                    let why = "no program here speaks this protocol";
                    Response::error(ErrorCode::UnknownProtocol, why)
                }
                Some(speaker) => match speaker.try_reserve() {
                    Ok(place) => {
                        respond(&mut chunks, &Response::Accepted).await?;
                        place.send(finish(chunks, protocol));
                        return Ok(());
                    }
                    Err(_) => {
                        let why = "as many streams of this protocol wait as may";
                        Response::error(ErrorCode::Busy, why)
                    }
                },
            },
        };
        refuse(chunks, &refused).await
    };
    ended(&peer, platform::within(STREAM_HEADER_TIME, exchange).await);
}

/// Says that there is no place, without listening to what is wanted.
pub(crate) async fn turn_away(stream: Stream) {
    let why = "too many streams are open";
    let busy = Response::error(ErrorCode::Busy, why);
    // It is reset if this does not reach the other side.
    let _ = platform::within(STREAM_HEADER_TIME, refuse(Chunks::new(stream), &busy)).await;
}

async fn respond<T>(chunks: &mut Chunks<T>, response: &Response) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    chunks.write_all(&response.encode()).await?;
    chunks.flush().await
}

async fn refuse<T>(mut chunks: Chunks<T>, response: &Response) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    respond(&mut chunks, response).await?;
    chunks.close().await
}

fn ended(peer: &libp2p::PeerId, outcome: Option<io::Result<()>>) {
    match outcome {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%peer, %error, "a stream broke before it was open"),
        None => tracing::debug!(%peer, "a stream has no header in time"),
    }
}
