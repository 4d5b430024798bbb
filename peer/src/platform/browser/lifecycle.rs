//! What a browser tells a page about itself: that it is closed, put away or there again, and that the device has lost or
//! regained its network.

use std::{fmt, future};

use gloo_events::EventListener;
use tokio::sync::mpsc;
use wasm_bindgen::JsCast as _;
use web_sys::{Event, EventTarget, PageTransitionEvent, VisibilityState, Window};

use crate::platform::Change;

/// Changes that wait for the driver, which looks at them at once.
const WAITING_MAX: usize = 16;

/// Listens for as long as it lives. A worker is told nothing.
pub(crate) struct Surroundings {
    changes: mpsc::Receiver<Change>,
    _listeners: Vec<EventListener>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

impl Surroundings {
    pub(crate) fn new() -> Self {
        let (sender, changes) = mpsc::channel(WAITING_MAX);
        let listeners = web_sys::window().map(|window| listeners(&window, &sender));
        Self {
            changes,
            _listeners: listeners.unwrap_or_default(),
        }
    }

    /// Resolves with the next change. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> Change {
        match self.changes.recv().await {
            Some(change) => change,
            None => future::pending().await,
        }
    }
}

fn listeners(window: &Window, sender: &mpsc::Sender<Change>) -> Vec<EventListener> {
    let listen = |target: &EventTarget, event: &'static str, read: fn(&Event) -> Option<Change>| {
        let sender = sender.clone();
        EventListener::new(target, event, move |event| {
            if let Some(change) = read(event) {
                // The driver has as much to look at anyway.
                let _ = sender.try_send(change);
            }
        })
    };
    let mut listeners = vec![
        // Also comes where `beforeunload` does not, and nothing can cancel it any more.
        listen(window, "pagehide", |_| Some(Change::PutAway)),
        listen(window, "pageshow", |event| {
            // From the back/forward cache. At the first one nothing was put away.
            let event = event.dyn_ref::<PageTransitionEvent>()?;
            event.persisted().then_some(Change::Back)
        }),
        listen(window, "online", |_| Some(Change::Network(true))),
        listen(window, "offline", |_| Some(Change::Network(false))),
    ];
    if let Some(document) = window.document() {
        // A hidden page's timers are slowed down, and a device that was asleep finds its connections gone. That a device
        // says it is offline without having lost anything is no news: a bootstrap node on the same machine is reached all
        // the same.
        listeners.push(listen(&document, "visibilitychange", |_| {
            let window = web_sys::window()?;
            let is_visible = window.document()?.visibility_state() == VisibilityState::Visible;
            (is_visible && window.navigator().on_line()).then_some(Change::Network(true))
        }));
        // Page Lifecycle: a frozen page runs nothing, and whoever asks it waits in vain.
        listeners.push(listen(&document, "freeze", |_| Some(Change::PutAway)));
        listeners.push(listen(&document, "resume", |_| Some(Change::Back)));
    }
    listeners
}
