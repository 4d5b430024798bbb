//! When the program itself breaks: say so, once, outside of what broke.

use std::panic;

use leptos::prelude::window;
use web_sys::{CustomEvent, CustomEventInit};

/// The event that `loading.js` listens for; its detail is the reason.
const CRASHED: &str = "moim-crashed";

/// Shows the page's failure notice when the program panics. The wasm instance is not usable after
/// that, so the notice is part of the static page and shown by its own script.
pub(crate) fn install() {
    panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let init = CustomEventInit::new();
        init.set_detail(&info.to_string().into());
        if let Ok(event) = CustomEvent::new_with_event_init_dict(CRASHED, &init) {
            let _ = window().dispatch_event(&event);
        }
    }));
}
