//! The scrolling part of a conversation: opens where the reader has not been yet, and stays at the newest message unless
//! the reader went up.

use leptos::{ev, html, prelude::*};
use moim_peer::PeerId;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement};

use super::icons::{Drawn, Icon};
use crate::{
    format,
    model::{App, Unread},
    page,
};

/// Pixels from the end within which the reader counts as being at the end.
const END_PIXELS: i32 = 48;

/// Pixels above the first new message that show what it follows.
const CONTEXT_PIXELS: i32 = 32;

/// Where the new messages begin.
const UNREAD_LINE: &str = "[data-testid=unread-line]";

/// A conversation's scrolling frame. `newest` is the last line's key and whether the user wrote it.
#[component]
pub(crate) fn TalkLog(
    #[prop(into)] label: Signal<String>,
    #[prop(into)] newest: Signal<Option<(u64, bool)>>,
    unread: Unread,
    children: Children,
) -> impl IntoView {
    let text = App::of_page().text;
    let log = NodeRef::<html::Div>::new();
    let count = unread.count.clone();
    unread.open();
    let unread = StoredValue::new(unread);
    let behind = RwSignal::new(false);

    let look = move || {
        if let Some(log) = log.get_untracked() {
            let is_end = is_at_end(&log);
            unread.with_value(|unread| unread.read(is_end));
            if is_end {
                behind.set(false);
            }
        }
    };
    let go_to_end = move || {
        if let Some(log) = log.get_untracked() {
            log.set_scroll_top(log.scroll_height());
        }
        unread.with_value(|unread| unread.read(true));
        behind.set(false);
    };
    // To the first new message, which may be the last one, or to the end. Who has gone up stays there.
    let open = move || {
        if !unread.with_value(Unread::at_end) {
            return;
        }
        let waits = unread.with_value(Unread::waits);
        let Some(log) = log.get_untracked().filter(|_| waits) else {
            return go_to_end();
        };
        let Some(place) = place_of_new(&log) else {
            return go_to_end();
        };
        log.set_scroll_top(place - CONTEXT_PIXELS);
        behind.set(true);
        look();
    };
    Effect::new(move |_| {
        let Some((_, own)) = newest.get() else { return };
        if own || unread.with_value(Unread::follows) {
            once_shown(log, go_to_end);
        } else {
            behind.set(true);
        }
    });
    // It comes into sight: now, or with what came while it was out of sight.
    Effect::new(move |before: Option<usize>| {
        let count = count.get();
        if count == 0 && before != Some(0) {
            once_shown(log, open);
        }
        count
    });
    // A phone's keyboard takes half of the page.
    let resized = window_event_listener(ev::resize, move |_| {
        if unread.with_value(Unread::follows) {
            go_to_end();
        }
    });
    on_cleanup(move || resized.remove());

    view! {
        <div class="log-frame">
            <div
                class="log"
                role="log"
                aria-label=label
                tabindex="0"
                node_ref=log
                on:scroll=move |_| look()
            >
                {children()}
            </div>
            <Show when=move || behind.get()>
                <button type="button" class="button to-newest" on:click=move |_| go_to_end()>
                    <Drawn icon=Icon::Down />
                    {text.newest}
                </button>
            </Show>
        </div>
    }
}

/// Does something once what was just changed is in the page, unless the conversation was closed meanwhile.
fn once_shown(log: NodeRef<html::Div>, then: impl FnOnce() + 'static) {
    request_animation_frame(move || {
        if !log.is_disposed() {
            then();
        }
    });
}

/// Pixels from the beginning of a log to the line above the first new message. Both have the frame for their offset parent.
fn place_of_new(log: &HtmlElement) -> Option<i32> {
    let line = log.query_selector(UNREAD_LINE).ok().flatten()?;
    let line: HtmlElement = line.dyn_into().ok()?;
    Some(line.offset_top() - log.offset_top())
}

fn is_at_end(log: &Element) -> bool {
    log.scroll_height() - log.client_height() - log.scroll_top() <= END_PIXELS
}

/// Who said something and when; unseen but still read out where the name stands above already.
///
/// A name is whatever its owner likes, so what the page itself says about an author stands outside of it: the id, that it
/// is this peer's own message, or that the author is not in the room.
#[component]
pub(crate) fn MessageHead(
    /// `None` if there is none that the author has signed, or it is not needed.
    name: Option<String>,
    peer: PeerId,
    own: bool,
    /// The author is not in the room.
    #[prop(optional)]
    stranger: bool,
    time: f64,
) -> impl IntoView {
    let text = App::of_page().text;
    view! {
        <p class="message-head">
            {name.map(|name| view! { <bdi class="message-name">{name}</bdi> })}
            {own.then(|| view! { <span class="badge" data-testid="you">{text.you}</span> })}
            <span class="short-id">{format::short_id(&peer)}</span>
            {stranger
                .then(|| {
                    view! {
                        <span class="badge warning" data-testid="stranger">
                            {text.not_in_room}
                        </span>
                    }
                })}
            <time datetime=page::iso_time(time) title=page::day_and_time(time)>
                {page::time_of_day(time)}
            </time>
        </p>
    }
}

/// When a message was said that stands under the name of the one before it: seen where the pointer is. It is
/// read out with the name.
#[component]
pub(crate) fn TimeBeside(time: f64) -> impl IntoView {
    view! {
        <time class="time-beside" aria-hidden="true" title=page::day_and_time(time)>
            {page::time_of_day(time)}
        </time>
    }
}

/// The line above the first message that nobody had looked at.
#[component]
pub(crate) fn UnreadLine(key: u64, first: ArcRwSignal<Option<u64>>) -> impl IntoView {
    let text = App::of_page().text;
    move || {
        (first.get() == Some(key)).then(|| {
            view! {
                <p class="unread-line" data-testid="unread-line">
                    {text.unread_from_here}
                </p>
            }
        })
    }
}

/// The date above the first message of a day.
#[component]
pub(crate) fn DayLine(day: Option<String>) -> impl IntoView {
    day.map(|day| view! { <p class="day">{day}</p> })
}

/// A circle with a colour and a letter that stand for a peer.
#[component]
pub(crate) fn Avatar(peer: PeerId, #[prop(into)] name: Signal<String>) -> impl IntoView {
    view! {
        <span class="avatar" data-hue=format::hue(&peer).to_string() aria-hidden="true">
            {move || format::initial(&name.get())}
        </span>
    }
}
