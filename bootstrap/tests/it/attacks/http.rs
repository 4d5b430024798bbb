//! HTTP that is none, HTTP that is slow, and what belongs to other ports.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    ATTACKER, Siege,
    raw::{HELLO, NOISE, tcp},
};
use crate::soon;

/// Requests that are wrong, each in its own way.
fn malformed() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b"\r\n\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%00%2e%2e/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        // What belongs to the ports of libp2p.
        HELLO,
        NOISE,
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    all.push([b"GET / HTTP/1.1\r\n", &b"X-A: b\r\n".repeat(20_000)[..]].concat());
    all.push([b"GET /", &[b'a'; 200_000][..], b" HTTP/1.1\r\n\r\n"].concat());
    all
}

#[tokio::test]
async fn malformed_http_and_http_on_the_ports_of_libp2p() {
    let siege = Siege::lay().await;
    let ports = [
        siege.node.http_port(),
        siege.node.port("tcp"),
        siege.node.port("ws"),
    ];
    let ask_in_every_way = async || {
        let mut count = 0;
        for port in ports {
            for bytes in malformed() {
                let mut stream = tcp(ATTACKER, port).await.unwrap();
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let mut answer = Vec::new();
                let _ = soon("the node to hang up", stream.read_to_end(&mut answer)).await;
                let answer = String::from_utf8_lossy(&answer);
                assert!(!answer.contains("root:"), "{answer}");
                count += 1;
            }
        }
        count
    };
    let mut count = 0;
    for _ in 0..5 {
        count += ask_in_every_way().await;
    }
    let attack = format!("{count} malformed requests to HTTP, TCP and WebSocket, and more");
    let asking = async {
        loop {
            ask_in_every_way().await;
        }
    };
    siege.judge_amid(asking, &attack, 16, "").await;
}

#[tokio::test]
async fn slow_http_from_one_address_leaves_slots_for_others() {
    let siege = Siege::lay().await;
    let mut held = Vec::new();
    let openings = [
        &b""[..],
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\na",
    ];
    for n in 0..600 {
        let mut stream = tcp(ATTACKER, siege.node.http_port()).await.unwrap();
        // It may have been turned away already.
        let _ = stream.write_all(openings[n % openings.len()]).await;
        held.push(stream);
    }
    let started = Instant::now();
    siege.node.assert_alive().await;
    let answered = started.elapsed();
    assert!(answered < Duration::from_secs(5), "{answered:?}");
    assert!(siege.node.rejected("http-address").await > 0);
    let extra = format!("/health answers in {} ms", answered.as_millis());
    siege
        .judge("600 slow HTTP connections from one address", 16, &extra)
        .await;
    for mut stream in held {
        let mut rest = Vec::new();
        // Ten seconds for a head, and not much more for a body.
        let _ = soon("the node to hang up", stream.read_to_end(&mut rest)).await;
    }
}

/// Makes so many requests at once on a connection of the attacker's. Says how many were answered, and how many refused
/// by 429.
async fn ask(siege: &Siege, path: &str, requests: usize) -> (usize, usize) {
    let mut stream = tcp(ATTACKER, siege.node.http_port()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut reader, mut writer) = stream.split();
    let asking = async {
        // Who asks too much is hung up on.
        let _ = writer.write_all(request.repeat(requests).as_bytes()).await;
        let _ = writer.shutdown().await;
    };
    let reading = async {
        let mut answers = Vec::new();
        let _ = reader.read_to_end(&mut answers).await;
        let answers = String::from_utf8_lossy(&answers);
        let refused = answers.matches("HTTP/1.1 429 ").count();
        (answers.matches("HTTP/1.1 ").count() - refused, refused)
    };
    let both = async { tokio::join!(asking, reading).1 };
    soon("the node to answer or to hang up", both).await
}

/// Microseconds of the processor that the node takes for each of these, where the system says it.
async fn processor_micros(siege: &Siege, asking: impl Future<Output = usize>) -> (usize, u128) {
    #[cfg(target_os = "linux")]
    let before = siege.node.processor_time();
    let count = asking.await;
    #[cfg(target_os = "linux")]
    let taken = siege.node.processor_time() - before;
    #[cfg(not(target_os = "linux"))]
    let taken = Duration::ZERO;
    (count, taken.as_micros() / count.max(1) as u128)
}

#[tokio::test]
async fn requests_at_line_rate_from_one_address_are_refused_and_cost_little() {
    const CONNECTIONS: usize = 4;
    const REQUESTS: usize = 5_000;
    const MORE: usize = 4_000;
    let siege = Siege::lay().await;
    let asking = async {
        let mut all_answered = 0;
        for path in [
            "/metrics",
            "/health",
            "/bootstrap.json",
            "/",
            "/admin/status.json",
        ] {
            let mut all_refused = 0;
            for _ in 0..CONNECTIONS {
                let (answered, refused) = ask(&siege, path, REQUESTS).await;
                all_answered += answered;
                all_refused += refused;
            }
            // The bucket may have been empty before the first answer.
            assert!(
                all_refused <= CONNECTIONS,
                "{path}: each is hung up on once"
            );
        }
        all_answered
    };
    let (answered, micros) = processor_micros(&siege, asking).await;
    // Nothing is left: connections are closed before a byte of them is read.
    let knocking = async {
        let mut closed = 0;
        for _ in 0..MORE {
            let (answered, refused) = ask(&siege, "/health", 1).await;
            closed += 1 - answered - refused;
        }
        closed
    };
    let (closed, closed_micros) = processor_micros(&siege, knocking).await;
    // A few tokens come back meanwhile.
    assert!(closed > MORE / 4, "{closed}");
    assert!(siege.node.rejected("http-rate").await > 0);
    let attack = format!("{REQUESTS} requests at once on each of 20 HTTP connections");
    let extra = format!(
        "{answered} answered, {micros} µs of the processor for each; then {closed} of {MORE} connections closed, \
         {closed_micros} µs for each"
    );
    assert!(micros < 5_000, "{extra}");
    assert!(closed_micros < 5_000, "{extra}");
    let asking = async {
        loop {
            ask(&siege, "/metrics", REQUESTS).await;
        }
    };
    siege.judge_amid(asking, &attack, 16, &extra).await;
}
