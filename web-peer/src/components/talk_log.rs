//! The scrolling part of a conversation: stays at the newest message unless the reader went up.

use leptos::{ev, html, prelude::*};
use moim_peer::PeerId;

use super::icons::{Drawn, Icon};
use crate::{format, model::App, page};

/// Pixels from the end within which the reader counts as being at the end.
const END_PIXELS: i32 = 48;

/// A conversation's scrolling frame. `newest` is the last line's key and whether the user wrote it.
#[component]
pub(crate) fn TalkLog(
    #[prop(into)] label: Signal<String>,
    #[prop(into)] newest: Signal<Option<(u64, bool)>>,
    children: Children,
) -> impl IntoView {
    let text = App::of_page().text;
    let log = NodeRef::<html::Div>::new();
    let at_end = StoredValue::new(true);
    let behind = RwSignal::new(false);

    let go_to_end = move || {
        if let Some(log) = log.get_untracked() {
            log.set_scroll_top(log.scroll_height());
        }
        at_end.set_value(true);
        behind.set(false);
    };
    Effect::new(move |_| {
        let Some((_, own)) = newest.get() else { return };
        if own || at_end.get_value() {
            // The new line is in the page only after this effect.
            request_animation_frame(move || {
                // The conversation may have been closed meanwhile.
                if !log.is_disposed() {
                    go_to_end();
                }
            });
        } else {
            behind.set(true);
        }
    });
    let on_scroll = move |_| {
        if let Some(log) = log.get_untracked() {
            let end = log.scroll_height() - log.client_height() - log.scroll_top() <= END_PIXELS;
            at_end.set_value(end);
            if end {
                behind.set(false);
            }
        }
    };
    // A phone's keyboard takes half of the page.
    let resized = window_event_listener(ev::resize, move |_| {
        if at_end.get_value() {
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
                on:scroll=on_scroll
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
