use futures::{AsyncWriteExt as _, executor::block_on, io::Cursor};

use super::*;

fn reading(bytes: &[u8]) -> Chunks<Cursor<Vec<u8>>> {
    Chunks::new(Cursor::new(bytes.to_vec()))
}

/// Takes and gives one byte at a time, and waits before each.
#[derive(Default)]
struct Slow {
    bytes: Vec<u8>,
    at: usize,
    waited: bool,
    closed: bool,
}

impl Slow {
    fn wait(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.waited = !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.wait(cx));
        let at = self.at;
        match (self.bytes.get(at).copied(), buffer.first_mut()) {
            (Some(byte), Some(place)) => {
                *place = byte;
                self.at += 1;
                Poll::Ready(Ok(1))
            }
            _ => Poll::Ready(Ok(0)),
        }
    }
}

impl AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.wait(cx));
        self.bytes.extend(bytes.first());
        Poll::Ready(Ok(bytes.len().min(1)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wait(cx));
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wait(cx));
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_is_written_is_read_and_then_there_is_an_end() {
    let large = vec![7; 3 * CHUNK_BYTES];
    for text in [&b""[..], b"x", b"hello", &large] {
        let mut writing = Chunks::new(Slow::default());
        block_on(async {
            writing.write_all(text).await.unwrap();
            writing.close().await.unwrap();
            let error = writing.write(b"more").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        });
        assert!(writing.inner.closed);
        let mut reading = Chunks::new(Slow {
            bytes: writing.inner.bytes,
            ..Slow::default()
        });
        let mut read = Vec::new();
        block_on(reading.read_to_end(&mut read)).unwrap();
        assert_eq!(read, text);
        assert_eq!(block_on(reading.read(&mut [0; 1])).unwrap(), 0, "again");
    }
}

#[test]
fn a_direction_that_ends_without_saying_so_was_broken_off() {
    for (bytes, before) in [
        (&b""[..], &b""[..]),
        (b"\x00", b""),
        (b"\x00\x05", b""),
        (b"\x00\x05hel", b"hel"),
        (b"\x00\x05hello", b"hello"),
        (b"\x00\x05hello\x00", b"hello"),
    ] {
        let mut reading = reading(bytes);
        let mut read = Vec::new();
        let error = block_on(reading.read_to_end(&mut read)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{bytes:?}");
        assert_eq!(read, before, "{bytes:?}");
    }
    let mut whole = reading(b"\x00\x05hello\x00\x00and more");
    let mut read = Vec::new();
    block_on(whole.read_to_end(&mut read)).unwrap();
    assert_eq!(read, b"hello");
}

#[test]
fn nothing_written_is_no_end() {
    let mut writing = Chunks::new(Slow::default());
    block_on(async {
        assert_eq!(writing.write(b"").await.unwrap(), 0);
        writing.write_all(b"x").await.unwrap();
        writing.flush().await.unwrap();
    });
    assert_eq!(writing.inner.bytes, b"\x00\x01x");
}

#[test]
fn a_header_is_one_chunk_and_too_large_a_one_is_not_kept() {
    let mut whole = reading(b"\x00\x02{}\x00\x01x\x00\x00");
    assert_eq!(block_on(whole.read_header()).unwrap(), b"{}");
    let mut rest = Vec::new();
    block_on(whole.read_to_end(&mut rest)).unwrap();
    assert_eq!(rest, b"x");
    let mut large = reading(&[&[0xff, 0xff][..], &[b'x'; 0xffff]].concat());
    let header = block_on(large.read_header()).unwrap();
    assert_eq!(header.len(), STREAM_HEADER_BYTES_MAX + 1);
    assert_eq!(block_on(reading(b"\x00\x00").read_header()).unwrap(), b"");
}
