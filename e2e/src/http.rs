//! The little HTTP that the tests need (RFC 9112, one request per connection).

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a local HTTP server may take over each step.
const STEP_MAX: Duration = Duration::from_secs(10);

/// An HTTP response.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// Status line and header fields, as sent.
    pub head: String,
    /// The body as text.
    pub body: String,
}

/// Fetches `path` from a server on this machine.
///
/// # Errors
/// When the server cannot be reached, stalls, or what it says is not HTTP.
pub fn get(server: SocketAddr, path: &str) -> io::Result<HttpAnswer> {
    let mut stream = TcpStream::connect_timeout(&server, STEP_MAX)?;
    stream.set_read_timeout(Some(STEP_MAX))?;
    stream.set_write_timeout(Some(STEP_MAX))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP response"))
}

fn parse(answer: &str) -> Option<HttpAnswer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let chunked = head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("transfer-encoding") && value.trim() == "chunked"
        })
    });
    let body = if chunked {
        unchunk(body)?
    } else {
        body.to_owned()
    };
    Some(HttpAnswer {
        status,
        head: head.to_owned(),
        body,
    })
}

fn unchunk(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").expect("HTTP");
        assert_eq!((answer.status, answer.body.as_str()), (200, "hi"));
        let chunked =
            "HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        let answer = parse(chunked).expect("HTTP");
        assert_eq!((answer.status, answer.body.as_str()), (503, "hi!"));
        assert!(parse("SSH-2.0-x").is_none());
    }
}
