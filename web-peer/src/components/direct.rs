//! A direct conversation in the right column.

use std::collections::VecDeque;

use leptos::prelude::*;
use moim_peer::{Path, PeerId};

use super::{
    composer::Composer,
    icons::{Drawn, Icon},
    message_text::MessageText,
    people::ReachLine,
    talk_log::{Avatar, DayLine, MessageHead, TalkLog, TimeBeside, UnreadLine},
};
use crate::{
    actions,
    model::{App, Delivery, DirectItem, DirectModel},
};

/// The conversation with one peer.
#[component]
pub(crate) fn DirectView(direct: DirectModel) -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let peer = direct.peer;
    let talk = direct.talk.clone();
    let empty = direct.talk.clone();
    let newest = {
        let talk = direct.talk.clone();
        Memo::new(move |_| talk.with(|talk| talk.back().map(|item| (item.key, item.own))))
    };
    let first_unread = direct.unread.first.clone();
    let name = direct.name.clone();
    let name = Signal::derive(move || name.get());
    let heading = move || (text.direct_heading)(&isolated(&name.get()));
    let input_label = Signal::derive(move || (text.direct_input)(&isolated(&name.get())));
    let send = {
        let direct = direct.clone();
        Callback::new(move |message: String| actions::send(app, &direct, message))
    };
    view! {
        <div class="direct">
            <div class="talk-head">
                <Avatar peer=peer name=name />
                <div class="talk-title">
                    <h2 id="side-heading" tabindex="-1" aria-label=heading>
                        <bdi>{name}</bdi>
                    </h2>
                    <ReachLine peer=peer reach=Signal::derive(move || app.reach_of(peer)) />
                </div>
                <button
                    type="button"
                    class="button quiet"
                    aria-label=text.close
                    title=text.close
                    on:click=move |_| actions::close_side(app)
                >
                    <Drawn icon=Icon::Close />
                </button>
            </div>
            <TalkLog label=Signal::derive(heading) newest=newest unread=direct.unread.clone()>
                <Show when=move || empty.with(VecDeque::is_empty)>
                    <div class="empty">
                        <p class="hint">{text.direct_empty}</p>
                    </div>
                </Show>
                <ol>
                    <For each=move || talk.get() key=|item| item.key let:item>
                        <Message item=item peer=peer name=name first=first_unread.clone() />
                    </For>
                </ol>
            </TalkLog>
            <Composer
                label=input_label
                draft=direct.draft
                refusal=direct.refusal
                send=send
                input_testid="direct-input"
                button_testid="direct-send"
            />
        </div>
    }
}

/// A name that cannot turn the text around it (Unicode FSI … PDI).
fn isolated(name: &str) -> String {
    format!("\u{2068}{name}\u{2069}")
}

#[component]
fn Message(
    item: DirectItem,
    peer: PeerId,
    name: Signal<String>,
    first: ArcRwSignal<Option<u64>>,
) -> impl IntoView {
    let delivery = item.delivery.clone();
    let state = delivery.clone();
    let again = item.clone();
    let DirectItem {
        key,
        from,
        own,
        text: said,
        stamp,
        ..
    } = item;
    let author = (!own).then(|| name.get_untracked());
    view! {
        <li
            class="message"
            data-testid="direct-message"
            data-from=from.to_string()
            data-state=move || state.with(Delivery::word)
            data-own=own.to_string()
            data-continued=stamp.continued.to_string()
        >
            <DayLine day=stamp.day />
            <UnreadLine key=key first=first />
            <div class="message-body">
                <MessageHead name=author peer=from own=own time=stamp.time />
                <MessageText text=said.to_string() />
                {stamp.continued.then(|| view! { <TimeBeside time=stamp.time /> })}
                {own.then(|| view! { <DeliveryLine delivery=delivery again=again peer=peer /> })}
            </div>
        </li>
    }
}

/// How far an own message came, and the way to try again.
#[component]
fn DeliveryLine(delivery: ArcRwSignal<Delivery>, again: DirectItem, peer: PeerId) -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let word = delivery.clone();
    let line = move || match delivery.get() {
        Delivery::Sending => view! {
            <p>
                <Drawn icon=Icon::Wait />
                {text.sending}
            </p>
        }
        .into_any(),
        Delivery::Delivered(path) => {
            let word = match path {
                Some(Path::Direct(_)) => text.delivered_direct,
                Some(Path::Turn) => text.delivered_turn,
                Some(Path::Relayed { .. }) => text.delivered_relayed,
                None => text.delivered,
            };
            view! {
                <p>
                    <Drawn icon=Icon::Check />
                    {word}
                </p>
            }
            .into_any()
        }
        Delivery::Failed(reason) => {
            let again = again.clone();
            view! {
                <p>
                    <Drawn icon=Icon::Cross />
                    <span>{text.not_delivered} ". " {reason}</span>
                </p>
                <button
                    type="button"
                    class="button small"
                    on:click=move |_| actions::send_again(app, peer, again.clone())
                >
                    {text.send_again}
                </button>
            }
            .into_any()
        }
    };
    view! {
        <div class="delivery" data-state=move || word.with(Delivery::word)>
            {line}
        </div>
    }
}
