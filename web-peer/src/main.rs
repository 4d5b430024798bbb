//! A Moim peer in a web page: Leptos, rendered in the browser, over the `moim-peer` library.
//!
//! The page itself exists only on wasm. What needs no browser (the address, the settings, the
//! texts) is compiled and tested natively as well.

#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(
        dead_code,
        unused_imports,
        reason = "the page that uses it is built for wasm"
    )
)]

mod format;
mod i18n;
mod rich;
mod route;
mod settings;

#[cfg(target_arch = "wasm32")]
mod actions;
#[cfg(target_arch = "wasm32")]
mod app;
#[cfg(target_arch = "wasm32")]
mod components;
#[cfg(target_arch = "wasm32")]
mod crash;
#[cfg(target_arch = "wasm32")]
mod lifecycle;
#[cfg(target_arch = "wasm32")]
mod log;
#[cfg(target_arch = "wasm32")]
mod model;
#[cfg(target_arch = "wasm32")]
mod page;
#[cfg(target_arch = "wasm32")]
mod state;

#[cfg(target_arch = "wasm32")]
fn main() {
    crash::install();
    log::install();
    app::run();
}

/// Compiles, so that the workspace's checks cover this package, and does nothing.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
