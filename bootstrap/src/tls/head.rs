//! The head of a first HTTP request: read, and put back.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite};

/// Headers of a request that are looked at. Browsers send some fifteen.
const HEADERS_MAX: usize = 64;

/// A connection with what was read of it already.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    head: Vec<u8>,
    read: usize,
    inner: S,
}

/// What the first request of a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// An answer. So does what is no HTTP: the HTTP server says what is wrong with it.
    Http,
    /// To be a WebSocket (RFC 6455, section 4.1).
    WebSocket,
}

/// Reads the head of the first request, at most `max` bytes of it, and finds out what it wants.
pub(super) async fn read<S: AsyncRead + Unpin>(
    mut inner: S,
    max: usize,
) -> io::Result<(Wants, Rewound<S>)> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    let mut looked_at = 0;
    let wants = loop {
        let room = buffer.len().min(max - head.len());
        let count = inner.read(&mut buffer[..room]).await?;
        head.extend_from_slice(&buffer[..count]);
        // Each look begins at the start: byte by byte, that would be thousands of times the work.
        let is_due = count == 0 || head.len() >= 2 * looked_at || has_ended(&head, count);
        if !is_due && head.len() < max {
            continue;
        }
        looked_at = head.len();
        match wants(&head) {
            Some(wants) => break wants,
            // Too long, or the end of it.
            None if count == 0 || head.len() == max => break Wants::Http,
            None => {}
        }
    };
    let read = 0;
    Ok((wants, Rewound { head, read, inner }))
}

/// Whether an empty line may be among the last bytes, of which so many are new.
fn has_ended(head: &[u8], new: usize) -> bool {
    let tail = &head[head.len().saturating_sub(new + 3)..];
    let lines = tail.windows(2).any(|two| two == b"\n\n");
    lines || tail.windows(3).any(|three| three == b"\n\r\n")
}

/// `None` while the head isn't complete.
fn wants(head: &[u8]) -> Option<Wants> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(Wants::Http),
    }
    let is_upgrade = request.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("upgrade")
            && header
                .value
                .split(|byte| *byte == b',')
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    });
    Some(if is_upgrade {
        Wants::WebSocket
    } else {
        Wants::Http
    })
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let rest = this.head.get(this.read..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buffer);
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        this.read += count;
        if this.read == this.head.len() {
            // Connections live long, and there are thousands.
            this.head = Vec::new();
            this.read = 0;
        }
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    fn found(text: &str, max: usize) -> (Wants, String) {
        let (wants, mut rewound) = block_on(read(Cursor::new(text.as_bytes()), max)).unwrap();
        let mut again = String::new();
        block_on(rewound.read_to_string(&mut again)).unwrap();
        (wants, again)
    }

    #[test]
    fn what_was_read_is_read_again() {
        let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nupgrade: h2c, WebSocket\r\n\r\nmore";
        let long = format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(5_000));
        for (text, max, wants) in [
            (upgrade, 8_192, Wants::WebSocket),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 8_192, Wants::Http),
            (&long, 8_192, Wants::Http),
            (&long, 100, Wants::Http),
            ("\0\u{1}garbage", 8_192, Wants::Http),
            ("", 8_192, Wants::Http),
            ("GET / HT", 8_192, Wants::Http),
            // Not a header, but in the path.
            (
                "GET /upgrade:websocket HTTP/1.1\r\n\r\n",
                8_192,
                Wants::Http,
            ),
        ] {
            assert_eq!(found(text, max), (wants, text.to_owned()));
            // Byte by byte the same is found.
            let slow = SlowReader {
                rest: text.as_bytes(),
            };
            assert_eq!(block_on(read(slow, max)).unwrap().0, wants, "{text}");
        }
    }

    struct SlowReader<'a> {
        rest: &'a [u8],
    }

    impl AsyncRead for SlowReader<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let count = self.rest.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.rest[..count]);
            self.rest = &self.rest[count..];
            Poll::Ready(Ok(count))
        }
    }
}
