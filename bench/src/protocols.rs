//! Tiny protocols to measure with. Every implementation that is compared speaks the same ones.

use std::io;

use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _, future::BoxFuture,
};
use libp2p::StreamProtocol;
use libp2p_stream::{AlreadyRegistered, Control};

/// What comes goes back as it comes, until the stream ends.
pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/moim-bench/echo/1");

/// What comes goes back when all of it is there: the asking side closes its half after the request,
/// the answering side after the answer, as Moim's own protocols do.
pub(crate) const REQUEST: StreamProtocol = StreamProtocol::new("/moim-bench/request/1");

/// A count of 8 bytes, big-endian, and as many bytes: one byte comes back when all are there.
pub(crate) const UP: StreamProtocol = StreamProtocol::new("/moim-bench/up/1");

/// A count of 8 bytes, big-endian: as many bytes come back.
pub(crate) const DOWN: StreamProtocol = StreamProtocol::new("/moim-bench/down/1");

/// Bytes that are read or written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The largest request.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// Starts a task.
pub(crate) type Spawn = fn(BoxFuture<'static, ()>);

/// A stream of bytes, of whatever connection.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Bytes for T {}

/// Answers all protocols, each stream in a task of its own.
///
/// # Errors
///
/// When somebody answers one of them already.
pub(crate) fn answer_all(control: &mut Control, spawn: Spawn) -> Result<(), AlreadyRegistered> {
    for protocol in [ECHO, REQUEST, UP, DOWN] {
        let mut streams = control.accept(protocol.clone())?;
        spawn(Box::pin(async move {
            while let Some((_, stream)) = streams.next().await {
                let protocol = protocol.clone();
                spawn(Box::pin(async move {
                    // The asking side sees what came of it.
                    let _ = answer(&protocol, stream).await;
                }));
            }
        }));
    }
    Ok(())
}

async fn answer(protocol: &StreamProtocol, stream: impl Bytes) -> io::Result<()> {
    if *protocol == ECHO {
        echo(stream).await
    } else if *protocol == REQUEST {
        answer_request(stream).await
    } else if *protocol == UP {
        take(stream).await
    } else {
        give(stream).await
    }
}

/// Answers [`ECHO`].
pub(crate) async fn echo(mut stream: impl Bytes) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return stream.close().await;
        }
        stream.write_all(&chunk[..count]).await?;
        stream.flush().await?;
    }
}

async fn answer_request(mut stream: impl Bytes) -> io::Result<()> {
    let mut request = Vec::new();
    (&mut stream)
        .take(REQUEST_BYTES_MAX)
        .read_to_end(&mut request)
        .await?;
    stream.write_all(&request).await?;
    stream.close().await
}

/// Answers [`UP`].
pub(crate) async fn take(mut stream: impl Bytes) -> io::Result<()> {
    let count = read_count(&mut stream).await?;
    read(&mut stream, count).await?;
    stream.write_all(&[1]).await?;
    stream.close().await
}

/// Answers [`DOWN`].
pub(crate) async fn give(mut stream: impl Bytes) -> io::Result<()> {
    let count = read_count(&mut stream).await?;
    write(&mut stream, count).await?;
    stream.close().await
}

async fn read_count(stream: &mut impl Bytes) -> io::Result<u64> {
    let mut count = [0; 8];
    stream.read_exact(&mut count).await?;
    Ok(u64::from_be_bytes(count))
}

/// Reads so many bytes and forgets them.
pub(crate) async fn read(stream: &mut impl Bytes, count: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut rest = count;
    while rest > 0 {
        match stream.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => rest = rest.saturating_sub(read as u64),
        }
    }
    Ok(())
}

/// Writes so many bytes, and sees to it that they go out.
pub(crate) async fn write(stream: &mut impl Bytes, count: u64) -> io::Result<()> {
    let chunk = vec![0; CHUNK_BYTES];
    let mut rest = count;
    while rest > 0 {
        let part = usize::try_from(rest).map_or(CHUNK_BYTES, |rest| rest.min(CHUNK_BYTES));
        stream.write_all(&chunk[..part]).await?;
        rest = rest.saturating_sub(part as u64);
    }
    stream.flush().await
}
