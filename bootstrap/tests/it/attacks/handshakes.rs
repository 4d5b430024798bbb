//! What those cost who do nothing but shake hands.

use std::time::{Duration, Instant};

use crate::{
    client::Client,
    process::Node,
    tls::{self, Authority},
    tls_client,
};

/// Half of a core, in a debug build, for those whom one source may have set up in a second by one transport.
const EACH_MAX: Duration = Duration::from_millis(500 / 50);

/// As many as come at once.
const HANDSHAKES: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_of_one_source_leave_the_processor_to_others() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.sign(dir.path());
    let flags = tls::flags(&dir);
    let mut flags: Vec<_> = flags.iter().map(String::as_str).collect();
    flags.push("--limit-loopback");
    let node = Node::start_with(&flags).await;
    let tls_port = tls::port(&node);
    for carrier in ["tcp", "quic", "webrtc", "tls"] {
        let shake_hands = async || match carrier {
            "tls" => {
                let mut client = tls_client::client(&authority.trust);
                tls_client::connect(&mut client, tls_port).await;
            }
            _ => Client::new().await.connect(&node.address(carrier)).await,
        };
        // The first of everything takes longer.
        shake_hands().await;
        #[cfg(target_os = "linux")]
        let before = node.processor_time();
        let began = Instant::now();
        for _ in 0..HANDSHAKES {
            shake_hands().await;
        }
        let took = began.elapsed() / HANDSHAKES;
        #[cfg(target_os = "linux")]
        let each = (node.processor_time() - before) / HANDSHAKES;
        #[cfg(not(target_os = "linux"))]
        let each = Duration::ZERO;
        println!(
            "{carrier} | {} µs of the node's processor for each handshake, {} ms for both",
            each.as_micros(),
            took.as_millis()
        );
        assert!(each <= EACH_MAX, "{carrier}: {each:?}");
    }
}
