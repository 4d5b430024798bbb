//! The left column: rooms, the members of the one that is shown, direct conversations.

use leptos::prelude::*;
use moim_peer::{Path, PeerId, Reach};

use super::{
    frame::Unread,
    icons::{Drawn, Icon},
    talk_log::Avatar,
};
use crate::{
    actions, format,
    i18n::Messages,
    model::{App, DirectModel, MemberModel, RoomModel, Side, View},
};

/// Rooms, members, direct conversations.
#[component]
pub(crate) fn People() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let at_join = move || app.view.with(|view| *view == View::Join).then_some("page");
    let shown_room = move || match app.view.get() {
        View::Join => None,
        View::Room(topic) => app.room(&topic),
    };
    view! {
        <section class="rooms" aria-labelledby="rooms-heading">
            <h2 id="rooms-heading">{text.rooms}</h2>
            <ul>
                <For each=move || app.rooms.get() key=|room| room.topic.clone() let:room>
                    <RoomRow room=room />
                </For>
                <li>
                    <button
                        type="button"
                        class="row"
                        aria-current=at_join
                        on:click=move |_| actions::show_join(app)
                    >
                        <Drawn icon=Icon::Plus />
                        <span class="row-name">{text.join_another}</span>
                    </button>
                </li>
            </ul>
        </section>
        <Show when=move || app.directs.with(|directs| !directs.is_empty())>
            <section class="directs" aria-labelledby="directs-heading">
                <h2 id="directs-heading">{text.directs}</h2>
                <ul>
                    <For each=move || app.directs.get() key=|direct| direct.peer let:direct>
                        <DirectRow direct=direct />
                    </For>
                </ul>
            </section>
        </Show>
        {move || shown_room().map(|room| view! { <Members room=room /> })}
    }
}

#[component]
fn RoomRow(room: RoomModel) -> impl IntoView {
    let app = App::of_page();
    let topic = room.topic.clone();
    let name = topic.to_string();
    let current = {
        let topic = topic.clone();
        move || {
            app.view
                .with(|view| matches!(view, View::Room(shown) if *shown == topic))
                .then_some("page")
        }
    };
    let unread = room.unread.count;
    view! {
        <li>
            <button
                type="button"
                class="row"
                aria-current=current
                on:click=move |_| actions::show_room(app, &topic)
            >
                <Drawn icon=Icon::Room />
                <bdi class="row-name">{name}</bdi>
                <Unread count=Signal::derive(move || unread.get()) />
            </button>
        </li>
    }
}

#[component]
fn Members(room: RoomModel) -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let me = app
        .peer
        .with_untracked(|peer| peer.as_ref().map(moim_peer::Peer::id));
    let own_name = room.profile.name().to_string();
    let members = room.members;
    let nobody = members.clone();
    let count = members.clone();
    view! {
        <section class="members" aria-labelledby="members-heading">
            <h2 id="members-heading">
                {text.members} " "
                <span class="count" aria-hidden="true">{move || count.with(Vec::len) + 1}</span>
            </h2>
            <div class="row you">
                {me.map(|me| view! { <Avatar peer=me name=own_name.clone() /> })}
                <span class="row-name">
                    <bdi>{own_name}</bdi>
                    <span class="row-detail">
                        <span class="badge">{text.you}</span>
                        " "
                        <span class="short-id">{me.map(|me| format::short_id(&me))}</span>
                    </span>
                </span>
            </div>
            <ul data-testid="members">
                <For each=move || members.get() key=|member| member.peer let:member>
                    <MemberRow member=member />
                </For>
            </ul>
            <Show when=move || nobody.with(Vec::is_empty)>
                <p class="hint">{text.nobody_yet}</p>
            </Show>
        </section>
    }
}

#[component]
fn MemberRow(member: MemberModel) -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let MemberModel {
        peer,
        name,
        reach,
        looks_like,
    } = member;
    let warning = move || {
        looks_like
            .get()
            .map(|other| match app.name_of_member(other) {
                Some(name) => (text.looks_like)(&format!(
                    "\u{2068}{name}\u{2069} {}",
                    format::short_id(&other)
                )),
                None => text.looks_like_you.to_owned(),
            })
    };
    let unread = move || {
        app.directs.with(|directs| {
            directs
                .iter()
                .find(|direct| direct.peer == peer)
                .map_or(0, |direct| direct.unread.count.get())
        })
    };
    let avatar_name = name.clone();
    let path = reach.clone();
    let current = move || (app.side.get() == Side::Direct(peer)).then_some("true");
    view! {
        <li data-testid="member" data-peer=peer.to_string() data-path=move || path.get().word()>
            <button
                type="button"
                class="row"
                data-testid="direct-open"
                title=peer.to_string()
                aria-current=current
                on:click=move |_| actions::open_direct(app, peer)
            >
                <Avatar peer=peer name=Signal::derive(move || avatar_name.get()) />
                <span class="row-name">
                    <span class="unseen">{text.write_to} " "</span>
                    <bdi>{move || name.get()}</bdi>
                    <ReachLine peer=peer reach=Signal::derive(move || Some(reach.get())) />
                    {move || {
                        warning()
                            .map(|warning| {
                                view! {
                                    <span class="row-detail warning" data-testid="looks-like">
                                        {warning}
                                    </span>
                                }
                            })
                    }}
                </span>
                <Unread count=Signal::derive(unread) />
                <span class="row-action">
                    <Drawn icon=Icon::Chat />
                </span>
            </button>
        </li>
    }
}

#[component]
fn DirectRow(direct: DirectModel) -> impl IntoView {
    let app = App::of_page();
    let DirectModel {
        peer, name, unread, ..
    } = direct;
    let unread = unread.count;
    let avatar_name = name.clone();
    let current = move || (app.side.get() == Side::Direct(peer)).then_some("true");
    view! {
        <li>
            <button
                type="button"
                class="row"
                title=peer.to_string()
                aria-current=current
                on:click=move |_| actions::open_direct(app, peer)
            >
                <Avatar peer=peer name=Signal::derive(move || avatar_name.get()) />
                <span class="row-name">
                    <bdi>{move || name.get()}</bdi>
                    <ReachLine peer=peer reach=Signal::derive(move || app.reach_of(peer)) />
                </span>
                <Unread count=Signal::derive(move || unread.get()) />
            </button>
        </li>
    }
}

/// How a peer is reached, as a sign and a word, and the end of its id to tell namesakes apart.
#[component]
pub(crate) fn ReachLine(peer: PeerId, #[prop(into)] reach: Signal<Option<Reach>>) -> impl IntoView {
    let text = App::of_page().text;
    view! {
        <span
            class="row-detail reach"
            data-path=move || reach.get().map_or("away", |reach| reach.word())
            title=move || reach_help(text, reach.get())
        >
            <Drawn icon=Signal::derive(move || Icon::of_reach(reach.get())) />
            {move || reach_word(text, reach.get())}
            <span class="short-id">{format::short_id(&peer)}</span>
        </span>
    }
}

fn reach_word(text: &Messages, reach: Option<Reach>) -> &'static str {
    match reach {
        Some(Reach::Connected(Path::Direct(_))) => text.reach_direct,
        Some(Reach::Connected(Path::Turn)) => text.reach_turn,
        Some(Reach::Connected(Path::Relayed { .. })) => text.reach_relayed,
        Some(Reach::Connecting) => text.reach_connecting,
        Some(Reach::Unconnected) => text.reach_unconnected,
        None => text.reach_away,
    }
}

fn reach_help(text: &Messages, reach: Option<Reach>) -> &'static str {
    match reach {
        Some(Reach::Connected(Path::Direct(_))) => text.reach_direct_help,
        Some(Reach::Connected(Path::Turn)) => text.reach_turn_help,
        Some(Reach::Connected(Path::Relayed { .. })) => text.reach_relayed_help,
        Some(Reach::Connecting) => text.reach_connecting_help,
        Some(Reach::Unconnected) => text.reach_unconnected_help,
        None => text.reach_away_help,
    }
}
