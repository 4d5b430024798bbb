//! What is measured of Moim: natively the server that pages talk to and meet through, compiled for
//! wasm the peer in the page. `cargo xtask bench` runs both; `bench/README.md` says what it measures
//! and how.

#![forbid(unsafe_code)]

mod protocols;

#[cfg(target_arch = "wasm32")]
pub mod page;
#[cfg(not(target_arch = "wasm32"))]
mod server;

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    server::run().await
}

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
}
