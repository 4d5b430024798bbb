//! A room: what is said in it, and the line to say something.

use std::{collections::VecDeque, sync::Arc};

use leptos::prelude::*;

use super::{
    composer::Composer,
    icons::{Drawn, Icon},
    message_text::MessageText,
    talk_log::{Avatar, DayLine, MessageHead, TalkLog, TimeBeside, UnreadLine},
};
use crate::{
    actions, format,
    model::{App, MessageItem, NoteItem, NoteKind, RoomModel, TalkItem},
};

/// The conversation of a room.
#[component]
pub(crate) fn RoomView(room: RoomModel) -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let topic = room.topic.clone();
    let name = topic.to_string();
    let members = room.members.clone();
    let talk = room.talk.clone();
    let empty = room.talk.clone();
    let newest = {
        let talk = room.talk.clone();
        Memo::new(move |_| talk.with(|talk| talk.back().map(|item| (item.key(), is_own(item)))))
    };
    let first_unread = room.unread.first.clone();
    let unreached = {
        let room = room.clone();
        Memo::new(move |_| !room.members.with(Vec::is_empty) && !room.reaches_anybody())
    };
    let send = {
        let room = room.clone();
        Callback::new(move |message| actions::say(app, &room, message))
    };
    let leave = {
        let room = room.clone();
        move |_| actions::leave(app, &room)
    };
    let share = move |_| actions::share(app, &topic);
    view! {
        <section class="room" aria-labelledby="room-heading">
            <div class="talk-head">
                <div class="talk-title">
                    <h2 id="room-heading">
                        <bdi>{name.clone()}</bdi>
                    </h2>
                    <p class="hint">{move || (text.others_here)(members.with(Vec::len))}</p>
                </div>
                <button type="button" class="button" on:click=share>
                    <Drawn icon=Icon::Link />
                    <span class="button-text">{text.share}</span>
                </button>
                <button type="button" class="button" data-testid="leave" on:click=leave>
                    <Drawn icon=Icon::Leave />
                    <span class="button-text">{text.leave}</span>
                </button>
            </div>
            <TalkLog label=(text.room_log)(&name) newest=newest unread=room.unread.clone()>
                <Show when=move || empty.with(VecDeque::is_empty)>
                    <div class="empty">
                        <p>{text.room_empty}</p>
                        <p class="hint">{text.room_empty_help}</p>
                    </div>
                </Show>
                <ol>
                    <For each=move || talk.get() key=TalkItem::key let:item>
                        {match item {
                            TalkItem::Message(message) => {
                                view! { <Message message=message first=first_unread.clone() /> }
                                    .into_any()
                            }
                            TalkItem::Note(note) => view! { <Note note=note /> }.into_any(),
                        }}
                    </For>
                </ol>
            </TalkLog>
            <p class="hint" role="status">
                {move || unreached.get().then_some(text.room_unreached)}
            </p>
            <Composer
                label=(text.room_input)(&name)
                draft=room.draft.clone()
                refusal=room.refusal.clone()
                send=send
                input_testid="room-input"
                button_testid="room-send"
            />
        </section>
    }
}

fn is_own(item: &TalkItem) -> bool {
    matches!(item, TalkItem::Message(message) if message.own)
}

#[component]
fn Message(message: Arc<MessageItem>, first: ArcRwSignal<Option<u64>>) -> impl IntoView {
    let text = App::of_page().text;
    let MessageItem {
        key,
        from,
        name,
        text: said,
        own,
        heard,
        stamp,
        ..
    } = message.as_ref().clone();
    let stranger = name.is_none();
    let name = name.map(|name| name.to_string());
    view! {
        <li
            class="message"
            data-testid="room-message"
            data-from=from.to_string()
            data-own=own.to_string()
            data-continued=stamp.continued.to_string()
        >
            <DayLine day=stamp.day />
            <UnreadLine key=key first=first />
            <div class="message-side">
                <Avatar peer=from name=name.clone().unwrap_or_default() />
                {stamp.continued.then(|| view! { <TimeBeside time=stamp.time /> })}
            </div>
            <div class="message-body">
                <MessageHead name=name peer=from own=own stranger=stranger time=stamp.time />
                <MessageText text=said />
                {(!heard)
                    .then(|| {
                        view! {
                            <p class="unheard" data-testid="unheard">
                                {text.heard_by_nobody}
                            </p>
                        }
                    })}
            </div>
        </li>
    }
}

#[component]
fn Note(note: NoteItem) -> impl IntoView {
    let text = App::of_page().text;
    let NoteItem { kind, who, .. } = note;
    let line = move || {
        who.with(|(names, more)| {
            // One name's direction must not turn the others around (Unicode FSI … PDI).
            let names: Vec<_> = names
                .iter()
                .map(|(peer, name)| format!("\u{2068}{name}\u{2069} {}", format::short_id(peer)))
                .collect();
            match kind {
                NoteKind::Here => (text.here)(&names, *more),
                NoteKind::Left => (text.left)(&names, *more),
                NoteKind::Gone => (text.gone)(&names, *more),
            }
        })
    };
    view! { <li class="note">{line}</li> }
}
