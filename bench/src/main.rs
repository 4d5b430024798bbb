//! What is measured of Moim: natively the server that pages talk to and meet through, and everything
//! that is measured of the bootstrap node; compiled for wasm the peer in the page. `cargo xtask bench`
//! runs them; `bench/README.md` says what it measures and how.

#![forbid(unsafe_code)]

#[cfg(not(target_arch = "wasm32"))]
mod node;
#[cfg(target_arch = "wasm32")]
pub mod page;
mod protocols;
#[cfg(not(target_arch = "wasm32"))]
mod server;

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        // What the page's benchmark starts.
        None => server::run().await,
        Some(command) => node::run(command, arguments).await,
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
}
