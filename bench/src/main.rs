//! What is measured of Moim: natively the server that pages talk to and meet through, and everything
//! that is measured of the bootstrap node; compiled for wasm the peer in the page. `cargo xtask bench`
//! runs them; `bench/README.md` says what it measures and how.

#![forbid(unsafe_code)]

#[cfg(not(target_arch = "wasm32"))]
mod dht;
#[cfg(not(target_arch = "wasm32"))]
mod node;
#[cfg(target_arch = "wasm32")]
pub mod page;
mod protocols;
#[cfg(not(target_arch = "wasm32"))]
mod server;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> anyhow::Result<()> {
    let mut arguments = lexopt::Parser::from_env();
    let command = word(&mut arguments)?;
    if command.as_deref() == Some("dht-node") {
        // As `moim` is.
        return tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(dht::run_node(arguments));
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match command.as_deref() {
            // What the page's benchmark starts.
            None => server::run().await,
            Some("dht") => dht::run(arguments).await,
            Some(command) => node::run(command, arguments).await,
        }
    })
}

/// The next argument, which is no option.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn word(arguments: &mut lexopt::Parser) -> Result<Option<String>, lexopt::Error> {
    use lexopt::{Arg, ValueExt as _};

    match arguments.next()? {
        Some(Arg::Value(word)) => word.string().map(Some),
        Some(option) => Err(option.unexpected()),
        None => Ok(None),
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
}
