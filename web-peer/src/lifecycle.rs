//! What happens to the page from outside: its address changes, it is looked at again. That it is closed or brought back,
//! and what becomes of the network, is the peer's business.

use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::{Event, KeyboardEvent};

use crate::{
    actions,
    model::{App, Pane},
    page,
};

/// Listens from now on, for as long as the page lives: no handle is kept, none is ever removed.
pub(crate) fn follow(app: App) {
    on("hashchange", move |_| actions::follow_address(app));
    // Bubbles up from the document.
    on("visibilitychange", move |_| {
        if page::visible() {
            app.mark_seen();
        }
    });
    on("keydown", move |event| {
        let escape = event
            .dyn_ref::<KeyboardEvent>()
            .is_some_and(|event| event.key() == "Escape");
        if escape && page::drawer() && app.pane.get_untracked() == Pane::Side {
            actions::close_side(app);
        }
    });

    Effect::new(move |_| {
        // Whatever comes to the front counts as read.
        app.view.track();
        app.side.track();
        app.pane.track();
        app.mark_seen();
    });
    Effect::new(move |_| {
        let rooms: usize = app
            .rooms
            .with(|rooms| rooms.iter().map(|room| room.unread.count.get()).sum());
        let directs: usize = app
            .directs
            .with(|directs| directs.iter().map(|direct| direct.unread.count.get()).sum());
        let unread = rooms + directs;
        let place = app.view.with(|view| match view {
            crate::model::View::Join => "Moim · 모임".to_owned(),
            crate::model::View::Room(topic) => format!("{topic} · Moim"),
        });
        page::set_title(&if unread > 0 {
            format!("({unread}) {place}")
        } else {
            place
        });
    });
}

fn on(event: &str, handler: impl Fn(Event) + 'static) {
    let _ = window_event_listener_untyped(event, handler);
}
