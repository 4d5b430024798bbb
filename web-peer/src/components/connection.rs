//! The connection panel: who this peer is, how it is in the network, and whom it is connected to.

use leptos::prelude::*;
use moim_peer::{
    BootstrapNode, BootstrapState, Connection, DirectTransport, Failure, NoDirectWay, NotDirect,
    Path, Snapshot,
};

use super::{
    icons::{Drawn, Icon},
    settings_form::SettingsForm,
};
use crate::{
    actions, format,
    i18n::{candidate_types, node_fault, refusal},
    model::{App, IdentityPlace},
};

/// Everything about the page's own peer.
#[component]
pub(crate) fn ConnectionPanel() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let bootstrap = part(app, |snapshot| snapshot.bootstrap.clone());
    let dht = part(app, |snapshot| snapshot.dht);
    let inside = part(app, |snapshot| snapshot.status.word() == "connected");
    let addresses = part(app, |snapshot| {
        snapshot
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    });
    let connections = part(app, |snapshot| snapshot.connections.clone());
    let count = move || connections.with(|list| list.as_ref().map_or(0, Vec::len));
    view! {
        <div class="panel">
            <div class="talk-head">
                <div class="talk-title">
                    <h2 id="side-heading" tabindex="-1">
                        {text.view_connection}
                    </h2>
                </div>
                <button
                    type="button"
                    class="button quiet close-side"
                    aria-label=text.close
                    title=text.close
                    on:click=move |_| actions::close_side(app)
                >
                    <Drawn icon=Icon::Close />
                </button>
            </div>
            <OwnId />
            <section aria-labelledby="bootstrap-heading">
                <h3 id="bootstrap-heading">{text.bootstrap_nodes}</h3>
                {move || {
                    let nodes = bootstrap.get().unwrap_or_default();
                    if nodes.is_empty() {
                        view! { <p class="hint">{text.bootstrap_none}</p> }.into_any()
                    } else {
                        let rows = nodes.into_iter().map(|node| view! { <Bootstrap node=node /> });
                        view! { <ul class="facts">{rows.collect_view()}</ul> }.into_any()
                    }
                }}
            </section>
            <section aria-labelledby="dht-heading">
                <h3 id="dht-heading">{text.dht}</h3>
                <p>
                    {move || match (inside.get(), dht.get()) {
                        (Some(true), Some(dht)) => (text.dht_inside)(dht.servers),
                        _ => text.dht_outside.to_owned(),
                    }}
                </p>
            </section>
            <section aria-labelledby="connections-heading">
                <h3 id="connections-heading">{move || (text.connections)(count())}</h3>
                {move || {
                    let list = connections.get().unwrap_or_default();
                    if list.is_empty() {
                        view! { <p class="hint">{text.no_connections}</p> }.into_any()
                    } else {
                        let rows = list
                            .into_iter()
                            .map(|connection| view! { <ConnectionRow connection=connection /> });
                        view! { <ul class="facts">{rows.collect_view()}</ul> }.into_any()
                    }
                }}
            </section>
            <section aria-labelledby="addresses-heading">
                <h3 id="addresses-heading">{text.addresses}</h3>
                {move || {
                    let list = addresses.get().unwrap_or_default();
                    if list.is_empty() {
                        view! { <p class="hint">{text.no_addresses}</p> }.into_any()
                    } else {
                        let rows = list
                            .into_iter()
                            .map(|address| view! { <li><code>{address}</code></li> });
                        view! {
                            <p class="hint">{text.addresses_help}</p>
                            <ul class="facts">{rows.collect_view()}</ul>
                        }
                        .into_any()
                    }
                }}
            </section>
            <SettingsForm />
        </div>
    }
}

/// A part of the snapshot that is drawn again only when it changes.
fn part<T>(app: App, take: impl Fn(&Snapshot) -> T + Send + Sync + 'static) -> Memo<Option<T>>
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    Memo::new(move |_| app.snapshot.with(|snapshot| snapshot.as_ref().map(&take)))
}

#[component]
fn OwnId() -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let id = Memo::new(move |_| {
        app.peer
            .with(|peer| peer.as_ref().map(|peer| peer.id().to_string()))
    });
    let copy = move |_| {
        if let Some(id) = id.get_untracked() {
            actions::copy(app, id, text.id_copied);
        }
    };
    view! {
        <section aria-labelledby="own-id-heading">
            <h3 id="own-id-heading">{text.own_id}</h3>
            {move || match id.get() {
                Some(id) => view! {
                    <div class="own-id">
                        <code data-testid="peer-id">{id}</code>
                        <button
                            type="button"
                            class="button quiet"
                            aria-label=text.copy_id
                            title=text.copy_id
                            on:click=copy
                        >
                            <Drawn icon=Icon::Copy />
                        </button>
                    </div>
                }
                .into_any(),
                None => view! { <p class="hint">{text.own_id_pending}</p> }.into_any(),
            }}
            <p class="hint">
                {move || match app.identity.get() {
                    IdentityPlace::Browser => text.identity_kept,
                    IdentityPlace::Session => text.identity_session,
                    IdentityPlace::Unknown => "",
                }}
            </p>
        </section>
    }
}

#[component]
fn Bootstrap(node: BootstrapNode) -> impl IntoView {
    let text = App::of_page().text;
    let (state, icon, word, detail) = match node.state {
        BootstrapState::Connected { peer } => (
            "connected",
            Icon::Check,
            text.bootstrap_connected,
            Some(format::short_id(&peer)),
        ),
        BootstrapState::Connecting => ("connecting", Icon::Wait, text.bootstrap_connecting, None),
        BootstrapState::Failed { why } => (
            "failed",
            Icon::Cross,
            text.bootstrap_failed,
            Some(node_fault(text, why)),
        ),
        BootstrapState::TurnedAway { why } => (
            "failed",
            Icon::Cross,
            text.bootstrap_turned_away,
            Some(refusal(text, why).to_owned()),
        ),
    };
    view! {
        <li data-testid="bootstrap-node" data-state=state>
            <code>{node.source}</code>
            <p class="state" data-state=state>
                <Drawn icon=icon />
                {word}
                {detail.map(|detail| view! { <bdi class="reason">{detail}</bdi> })}
            </p>
        </li>
    }
}

#[component]
fn ConnectionRow(connection: Connection) -> impl IntoView {
    let app = App::of_page();
    let text = app.text;
    let Connection {
        peer,
        address,
        path,
        round_trip,
        agent,
        bootstrap_node,
        not_direct,
    } = connection;
    let short = format::short_id(&peer);
    let (icon, way) = match path {
        Path::Direct(transport) => (
            Icon::Direct,
            format!("{}, {}", text.reach_direct, transport_name(transport)),
        ),
        Path::Turn => (Icon::Relayed, text.by_turn.to_owned()),
        Path::Relayed { by } => (Icon::Relayed, (text.relayed_by)(&format::short_id(&by))),
    };
    let title = move || match (app.name_of_member(peer), bootstrap_node) {
        (Some(name), _) => view! { <bdi>{name}</bdi> }.into_any(),
        (None, true) => text.bootstrap_node.into_any(),
        (None, false) => ().into_any(),
    };
    let round_trip = round_trip.map_or_else(|| text.not_measured.to_owned(), format::round_trip);
    view! {
        <li data-testid="connection" data-peer=peer.to_string() data-path=path.word()>
            <p class="fact-title" title=peer.to_string()>
                {title} " " <code>{short}</code>
            </p>
            <dl>
                <dt>{text.path}</dt>
                <dd class="reach" data-path=path.word()>
                    <Drawn icon=icon />
                    {way}
                </dd>
                {not_direct.map(|why| view! { <WhyNotDirect why=why /> })}
                <dt>{text.round_trip}</dt>
                <dd>{round_trip}</dd>
                <dt>{text.program}</dt>
                <dd>
                    <bdi>{agent.unwrap_or_else(|| text.unknown.to_owned())}</bdi>
                </dd>
                <dt>{text.address}</dt>
                <dd>
                    <code>{address.to_string()}</code>
                </dd>
            </dl>
        </li>
    }
}

/// What was tried, what came of it, and what to do about it.
#[component]
fn WhyNotDirect(why: NotDirect) -> impl IntoView {
    let text = App::of_page().text;
    let NotDirect { why, report, retry } = why;
    let advice = match why {
        NoDirectWay::WebRtc(Failure::IceFailed, _) => text.no_way_through,
        _ => "",
    };
    let tried = report.map(|report| {
        let types = |types| candidate_types(text, types);
        (text.candidates)(&types(report.local), &types(report.remote))
    });
    let refused = report.and_then(|report| report.refused);
    let refused = refused.map(text.turn_refused);
    let retry = retry.map(|retry| (text.tried_again)(retry.as_secs()));
    view! {
        <dt>{text.why_not_direct}</dt>
        <dd data-testid="not-direct">
            {(text.not_direct)(why)}
            " "
            {advice}
            " "
            {refused}
            " "
            {tried}
            " "
            {retry}
        </dd>
    }
}

/// Names that are the same in every language.
fn transport_name(transport: DirectTransport) -> &'static str {
    match transport {
        DirectTransport::Quic => "QUIC",
        DirectTransport::Tcp => "TCP",
        DirectTransport::WebRtc => "WebRTC",
        DirectTransport::WebSocket => "WebSocket",
    }
}
