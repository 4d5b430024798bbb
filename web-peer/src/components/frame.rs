//! What surrounds the columns: head line, state of the network, tabs, notices.

use leptos::prelude::*;
use moim_peer::{NotInDht, Refusal};

use super::{
    announced::Announced,
    icons::{Drawn, Icon},
};
use crate::{
    actions,
    i18n::{clock, not_in_dht, refusal},
    model::{App, Pane, Phase, Side},
    page, state,
};

/// Why something is wrong.
#[derive(Clone, PartialEq)]
enum Why {
    /// The page is not in the network.
    NotIn(NotInDht),
    /// A bootstrap node does not let this page in.
    TurnedAway(Refusal),
}

/// What the state line says: the word for `data-state`, and why if something is wrong.
fn status(app: App) -> Memo<(&'static str, Option<Why>)> {
    Memo::new(move |_| match app.phase.get() {
        Phase::Starting => ("connecting", None),
        Phase::Running => app.snapshot.with(|snapshot| match snapshot {
            Some(snapshot) => {
                let turned_away = snapshot.refusal().map(Why::TurnedAway);
                let reason = || snapshot.status.why().cloned().map(Why::NotIn);
                (snapshot.status.word(), turned_away.or_else(reason))
            }
            None => ("connecting", None),
        }),
        Phase::IdentityBroken | Phase::NotStarted | Phase::Stopped => ("failed", None),
    })
}

/// The page's name and the state of the network.
#[component]
pub(crate) fn Header() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let status = status(app);
    let word = move || status.with(|(word, _)| *word);
    let shown = move || match word() {
        "connected" => text.connected,
        "offline" => text.offline,
        "reconnecting" => text.reconnecting,
        "failed" => text.failed,
        _ => text.connecting,
    };
    let icon = Signal::derive(move || match word() {
        "connected" => Icon::Check,
        "offline" => Icon::Away,
        "failed" => Icon::Cross,
        _ => Icon::Wait,
    });
    view! {
        <header class="header">
            <a
                class="skip"
                href="#talk"
                on:click=|event| {
                    // The fragment belongs to the topic.
                    event.prevent_default();
                    page::focus_soon("#talk");
                }
            >
                {text.skip_to_talk}
            </a>
            <h1 class="brand">
                <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
                    <circle cx="16" cy="9" r="4.5" />
                    <circle cx="8" cy="22" r="4.5" />
                    <circle cx="24" cy="22" r="4.5" />
                </svg>
                "Moim "
                <span class="brand-korean" lang="ko">"모임"</span>
            </h1>
            <p class="status" role="status" data-testid="status" data-state=word>
                <Drawn icon=icon />
                <span class="unseen">{text.status} ": "</span>
                {shown}
            </p>
            <button
                type="button"
                class="button quiet open-side"
                id="status-button"
                aria-label=text.open_connection
                title=text.open_connection
                on:click=move |_| actions::show_connection(app)
            >
                <Drawn icon=Icon::Network />
            </button>
        </header>
    }
}

/// What is wrong, why, and what can be done about it; nothing while all is well.
#[component]
pub(crate) fn Banner() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let status = status(app);
    let retry = move || {
        view! {
            <button type="button" class="button" on:click=move |_| actions::try_again(app)>
                {text.try_again}
            </button>
        }
        .into_any()
    };
    let reload = move || {
        view! {
            <button type="button" class="button" on:click=|_| page::reload()>
                {text.reload}
            </button>
        }
        .into_any()
    };
    let problem = move || {
        let (help, reason, button) = match (app.phase.get(), status.get()) {
            (Phase::IdentityBroken, _) => {
                let button = view! {
                    <button type="button" class="button" on:click=move |_| state::start_anew(app)>
                        {text.start_anew}
                    </button>
                };
                (text.identity_broken.to_owned(), None, button.into_any())
            }
            (Phase::NotStarted, _) => (text.not_started.to_owned(), None, reload()),
            (Phase::Stopped, _) => (text.stopped.to_owned(), None, reload()),
            _ if app
                .sources
                .with(|checked| checked.sources.is_empty() && !checked.refused.is_empty()) =>
            {
                (text.sources_unusable.to_owned(), None, ().into_any())
            }
            (_, ("offline", _)) => (text.offline_help.to_owned(), None, retry()),
            (_, (_, why @ Some(Why::TurnedAway(_)))) => {
                (text.turned_away_help.to_owned(), why, retry())
            }
            (_, ("reconnecting", reason)) => (text.reconnecting_help.to_owned(), reason, retry()),
            (_, ("failed", reason)) => (text.failed_help.to_owned(), reason, retry()),
            _ => return None,
        };
        let reason = reason.map(|reason| {
            let reason = match reason {
                Why::NotIn(why) => not_in_dht(text, &why),
                Why::TurnedAway(why) => refusal(text, why).to_owned(),
            };
            view! {
                <span class="reason">
                    {text.reason} " " <bdi>{reason}</bdi>
                </span>
            }
        });
        Some(view! {
            <div class="banner" data-state=status.with(|(word, _)| *word)>
                <p>{help} " " {reason}</p>
                {button}
            </div>
        })
    };
    let off = Memo::new(move |_| {
        app.snapshot
            .with(|snapshot| snapshot.as_ref().and_then(|snapshot| snapshot.clock))
    });
    let wrong_clock = move || {
        off.get().map(|off| {
            view! {
                <div class="banner" data-testid="clock">
                    <p>{clock(text, off)}</p>
                </div>
            }
        })
    };
    let notices = move || {
        app.notices
            .get()
            .into_iter()
            .map(|notice| {
                let dismissed = notice.clone();
                let dismiss = move |_| {
                    app.notices
                        .update(|notices| notices.retain(|notice| *notice != dismissed));
                };
                view! {
                    <div class="banner">
                        <p>{notice}</p>
                        <button
                            type="button"
                            class="button quiet"
                            aria-label=text.dismiss
                            title=text.dismiss
                            on:click=dismiss
                        >
                            <Drawn icon=Icon::Close />
                        </button>
                    </div>
                }
            })
            .collect_view()
    };
    view! {
        <section class="banners" aria-label=text.status aria-live="polite">
            {problem}
            {wrong_clock}
            {notices}
        </section>
    }
}

/// The columns' names where only one of them fits.
#[component]
pub(crate) fn Tabs() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let here = move |wanted: Pane, direct: bool| {
        let pane = app.pane.get();
        let is_direct = matches!(app.side.get(), Side::Direct(_));
        pane == wanted && (wanted != Pane::Side || is_direct == direct)
    };
    let current = move |pane, direct| move || here(pane, direct).then_some("page");
    let unread_directs = move || {
        app.directs.with(|directs| {
            directs
                .iter()
                .map(|direct| direct.unread.count.get())
                .sum::<usize>()
        })
    };
    let unread_rooms = move || {
        app.rooms.with(|rooms| {
            rooms
                .iter()
                .map(|room| room.unread.count.get())
                .sum::<usize>()
        })
    };
    let open_direct = move |_| {
        let shown = match app.side.get_untracked() {
            Side::Direct(peer) => Some(peer),
            Side::Connection => app
                .directs
                .with_untracked(|directs| directs.first().map(|direct| direct.peer)),
        };
        if let Some(peer) = shown {
            actions::open_direct(app, peer);
        }
    };
    view! {
        <nav class="tabs" aria-label=text.views>
            <button
                type="button"
                aria-current=current(Pane::People, false)
                on:click=move |_| app.pane.set(Pane::People)
            >
                <Drawn icon=Icon::People />
                {text.view_people}
            </button>
            <button
                type="button"
                aria-current=current(Pane::Talk, false)
                on:click=move |_| app.pane.set(Pane::Talk)
            >
                <Drawn icon=Icon::Room />
                {text.view_room}
                <Unread count=Signal::derive(unread_rooms) />
            </button>
            <Show when=move || app.directs.with(|directs| !directs.is_empty())>
                <button type="button" aria-current=current(Pane::Side, true) on:click=open_direct>
                    <Drawn icon=Icon::Chat />
                    {text.view_direct}
                    <Unread count=Signal::derive(unread_directs) />
                </button>
            </Show>
            <button
                type="button"
                aria-current=current(Pane::Side, false)
                on:click=move |_| {
                    app.side.set(Side::Connection);
                    app.pane.set(Pane::Side);
                }
            >
                <Drawn icon=Icon::Network />
                {text.view_connection}
            </button>
        </nav>
    }
}

/// How many messages were not seen yet; nothing for none.
#[component]
pub(crate) fn Unread(#[prop(into)] count: Signal<usize>) -> impl IntoView {
    let text = App::of_page().text;
    move || {
        let count = count.get();
        (count > 0).then(|| {
            view! {
                <span class="unread">
                    <span aria-hidden="true">{count}</span>
                    <span class="unseen">{(text.unread)(count)}</span>
                </span>
            }
        })
    }
}

/// A short confirmation.
#[component]
pub(crate) fn Toast() -> impl IntoView {
    let app = App::of_page();
    view! {
        <div
            class="toast"
            role="status"
            data-shown=move || app.toast.with(|(_, said)| said.is_some()).to_string()
        >
            <Announced words=Signal::derive(move || app.toast.get().1) />
        </div>
    }
}
