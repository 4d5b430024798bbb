//! Browser: the bootstrap node is a program beside the browser, the same one for all tests.

use moim_peer::{BootstrapSource, Peer, PeerBuilder};
use wasm_bindgen_test::wasm_bindgen_test_configure;

wasm_bindgen_test_configure!(run_in_browser);

/// Set by `cargo xtask test wasm-tests`, which starts the node.
const BOOTSTRAP: Option<&str> = option_env!("MOIM_TEST_BOOTSTRAP");

/// The same node by another transport.
const WEBRTC_DIRECT: Option<&str> = option_env!("MOIM_TEST_WEBRTC_DIRECT");

/// With it set when the tests are built (`moim_peer=debug`), a failing test shows what the peers did.
const LOG: Option<&str> = option_env!("MOIM_TEST_LOG");

/// The node, and nothing that has to be kept.
pub(crate) async fn server() -> ((), BootstrapSource) {
    if let Some(filter) = LOG {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .without_time()
            .with_writer(tracing_web::MakeWebConsoleWriter::new())
            .try_init();
    }
    let address = BOOTSTRAP.expect("compiled with the address of a bootstrap node");
    ((), address.parse().expect("an address"))
}

/// The node's address for WebRTC-direct.
pub(crate) const fn webrtc_direct() -> &'static str {
    WEBRTC_DIRECT.expect("compiled with the WebRTC-direct address of a bootstrap node")
}

/// What a peer here is made with: it is reached through the node.
pub(crate) fn builder(source: &BootstrapSource) -> PeerBuilder {
    Peer::builder().bootstrap([source.clone()])
}
