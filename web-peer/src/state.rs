//! From the peer to the page: the only place that reads the peer's streams and turns them into
//! signals. Each stream has one task, which ends with its peer.

use std::collections::HashMap;

use leptos::{prelude::*, task::spawn_local};
use moim_peer::{
    BootstrapSource, DirectMessage, EventStream, Keypair, LeaveReason, Member, Name, Peer,
    PeerEvent, PeerId, RoomMessage, Topic,
    identity::{self, IdentityError},
};

use crate::{
    format,
    i18n::source_problem,
    model::{App, Delivery, IdentityPlace, MemberModel, NoteKind, Phase, RoomModel},
    page, route,
    settings::{self, Checked},
};

/// The IndexedDB database with this browser's identities.
const IDENTITY_LOCATION: &str = "moim";

/// Where the user's own list of bootstrap nodes is kept.
pub(crate) const SOURCES_KEY: &str = "bootstrap";

/// The parameter of the page's address that names bootstrap nodes.
const SOURCES_PARAMETER: &str = "bootstrap";

/// The page's program as others see it.
const AGENT: &str = concat!("moim-web/", env!("CARGO_PKG_VERSION"));

/// Loads the identity and starts the peer. The page shows how it goes.
pub(crate) fn start(app: App) {
    app.sources.set(sources(app));
    spawn_local(
        async move { start_with(app, identity::load_or_create(IDENTITY_LOCATION).await).await },
    );
}

/// Starts the peer as somebody new, in place of an identity that is damaged.
pub(crate) fn start_anew(app: App) {
    app.phase.set(Phase::Starting);
    spawn_local(
        async move { start_with(app, identity::start_anew(IDENTITY_LOCATION).await).await },
    );
}

async fn start_with(app: App, loaded: Result<Keypair, IdentityError>) {
    match loaded {
        Ok(keypair) => start_as(app, keypair, IdentityPlace::Browser).await,
        Err(IdentityError::Broken { .. }) => app.phase.set(Phase::IdentityBroken),
        Err(IdentityError::Storage { source, .. }) => {
            let why = (app.text.storage)(&source);
            app.notice((app.text.identity_unavailable)(why));
            start_as(app, Keypair::generate_ed25519(), IdentityPlace::Session).await;
        }
        Err(error) => {
            tracing::error!(%error, "no identity");
            app.phase.set(Phase::NotStarted);
        }
    }
}

/// Stops the peer and starts it again with the bootstrap nodes that are set now, in the same rooms
/// and as the same peer.
pub(crate) fn restart(app: App) {
    app.sources.set(sources(app));
    if app.phase.get_untracked() == Phase::Starting {
        // It is under way already, and looks at the end whether these are the ones that it began with.
        return;
    }
    let Some(keypair) = app.keypair.get_value() else {
        return;
    };
    app.phase.set(Phase::Starting);
    app.snapshot.set(None);
    spawn_local(async move {
        for room in app.rooms.get_untracked() {
            room.room.set_value(None);
        }
        if let Some(peer) = app.peer.try_update(Option::take).flatten() {
            peer.stop().await;
        }
        start_as(app, keypair, app.identity.get_untracked()).await;
    });
}

/// Whether the page's address names the bootstrap nodes.
pub(crate) fn sources_overridden() -> bool {
    !route::query_values(&page::query(), SOURCES_PARAMETER).is_empty()
}

/// The page's address first, then the user's own list, then the node that the page came from.
fn sources(app: App) -> Checked {
    let named = route::query_values(&page::query(), SOURCES_PARAMETER).join("\n");
    let list = if named.trim().is_empty() {
        page::stored(SOURCES_KEY).unwrap_or_default()
    } else {
        named
    };
    if list.trim().is_empty() {
        let own = BootstrapSource::Url(page::own_bootstrap_document());
        return Checked {
            sources: vec![own],
            refused: Vec::new(),
        };
    }
    let checked = settings::check_list(&list, page::context());
    if !checked.refused.is_empty() {
        let problems: Vec<_> = checked
            .refused
            .iter()
            .map(|refused| source_problem(app.text, refused))
            .collect();
        app.notice(format!(
            "{} {}",
            app.text.sources_ignored,
            problems.join(" ")
        ));
    }
    checked
}

async fn start_as(app: App, keypair: Keypair, place: IdentityPlace) {
    app.identity.set(place);
    app.keypair.set_value(Some(keypair.clone()));
    let sources = app
        .sources
        .with_untracked(|checked| checked.sources.clone());
    let (peer, events) = match Peer::builder()
        .identity(keypair)
        .bootstrap(sources.clone())
        .agent(AGENT)
        .start()
        .await
    {
        Ok(started) => started,
        Err(error) => {
            tracing::error!(%error, "the peer does not start");
            return app.phase.set(Phase::NotStarted);
        }
    };
    app.peer.set(Some(peer.clone()));
    app.phase.set(Phase::Running);
    let start = app.starts.try_update_value(|starts| {
        *starts += 1;
        *starts
    });
    spawn_local(follow_snapshot(app, start, peer.clone()));
    spawn_local(follow_events(app, start, peer.id(), events));
    for room in app.rooms.get_untracked() {
        let profile = room.profile.clone();
        if let Ok(joined) = peer.join(room.topic.clone(), profile).await
            // The user may have left it meanwhile: dropped, it is left again.
            && app.room(&room.topic).is_some()
        {
            follow_room(app, &room, joined);
        }
    }
    if app
        .sources
        .with_untracked(|checked| checked.sources != sources)
    {
        restart(app);
    }
}

async fn follow_snapshot(app: App, start: Option<u32>, peer: Peer) {
    let mut snapshots = peer.snapshot();
    // The task must not keep the peer alive: it ends when the page lets go of it.
    drop(peer);
    while Some(app.starts.get_value()) == start {
        let snapshot = snapshots.borrow_and_update().clone();
        app.snapshot.set(Some(snapshot));
        if snapshots.changed().await.is_err() {
            break;
        }
    }
}

/// Shows `room` and everything that comes from it from now on.
pub(crate) fn follow_room(app: App, model: &RoomModel, room: moim_peer::Room) {
    let mut members = room.members();
    model.room.set_value(Some(room));
    let model = model.clone();
    spawn_local(async move {
        // What came between the join and now is in the history only.
        catch_up(app, &model).await;
        loop {
            let list = members.borrow_and_update().clone();
            show_members(app, &model, &list);
            if members.changed().await.is_err() {
                break;
            }
        }
    });
}

async fn follow_events(app: App, start: Option<u32>, me: PeerId, mut events: EventStream) {
    while let Some(event) = events.next().await {
        handle(app, me, event).await;
    }
    // A peer that the page stopped itself is no longer the page's peer.
    let ours = Some(app.starts.get_value()) == start && app.peer.with_untracked(Option::is_some);
    if ours && app.phase.get_untracked() == Phase::Running {
        app.phase.set(Phase::Stopped);
    }
}

async fn handle(app: App, me: PeerId, event: PeerEvent) {
    match event {
        PeerEvent::DirectMessage(message) => show_direct(app, me, &message),
        PeerEvent::Lagged(_) => {
            for room in app.rooms.get_untracked() {
                catch_up(app, &room).await;
            }
            catch_up_directs(app, me).await;
        }
        PeerEvent::MemberJoined { topic, member } => {
            note(app, &topic, NoteKind::Here, member.peer, &member.name)
        }
        PeerEvent::MemberLeft {
            topic,
            peer,
            name,
            reason,
        } => {
            let kind = match reason {
                LeaveReason::Expired | LeaveReason::Lost => NoteKind::Gone,
                LeaveReason::Left => NoteKind::Left,
            };
            note(app, &topic, kind, peer, &name);
        }
        PeerEvent::RoomMessage(message) => show_message(app, me, &message),
        // Members and state come by their own streams; later kinds of events are for later pages.
        _ => {}
    }
}

fn note(app: App, topic: &Topic, kind: NoteKind, peer: PeerId, name: &Name) {
    if let Some(room) = app.room(topic) {
        room.note(kind, peer, name);
    }
}

fn show_message(app: App, me: PeerId, message: &RoomMessage) {
    let Some(room) = app.room(&message.topic) else {
        return;
    };
    let Some(key) = room.push(message, message.from == me, true) else {
        return;
    };
    if message.from == me {
        return;
    }
    if app.sees_room(&room.topic) {
        room.unread.came(key);
    } else {
        room.unread.add(key);
        let author = match &message.name {
            Some(name) => name.to_string(),
            None => format::short_id(&message.from),
        };
        app.announce((app.text.message_from)(&author));
    }
}

fn show_direct(app: App, me: PeerId, message: &DirectMessage) {
    let own = message.from == me;
    let other = if own { message.to } else { message.from };
    let direct = app.direct_or_new(other);
    let delivery = Delivery::Delivered(message.path);
    let item = direct.push(
        message.id,
        message.from,
        message.text.as_str(),
        message.sent.0,
        delivery,
    );
    let Some(item) = item.filter(|_| !own) else {
        return;
    };
    if app.sees_direct(other) {
        direct.unread.came(item.key);
    } else {
        direct.unread.add(item.key);
        app.announce((app.text.direct_from)(&direct.name.get_untracked()));
    }
}

async fn catch_up(app: App, model: &RoomModel) {
    let Some(room) = model.room.get_value() else {
        return;
    };
    let Some(me) = app.peer.with_untracked(|peer| peer.as_ref().map(Peer::id)) else {
        return;
    };
    for message in room.history().await {
        show_message(app, me, &message);
    }
}

async fn catch_up_directs(app: App, me: PeerId) {
    let Some(peer) = app.peer.get_untracked() else {
        return;
    };
    let mut others: Vec<PeerId> = app
        .directs
        .with_untracked(|directs| directs.iter().map(|direct| direct.peer).collect());
    for room in app.rooms.get_untracked() {
        room.members
            .with_untracked(|members| others.extend(members.iter().map(|member| member.peer)));
    }
    others.sort_unstable();
    others.dedup();
    for other in others {
        for message in peer.conversation(other).await {
            show_direct(app, me, &message);
        }
    }
}

/// Keeps the signals of members who stay, so that only what changed is drawn again.
fn show_members(app: App, model: &RoomModel, list: &[Member]) {
    let before: HashMap<PeerId, MemberModel> = model.members.with_untracked(|members| {
        members
            .iter()
            .map(|member| (member.peer, member.clone()))
            .collect()
    });
    let order_before: Vec<PeerId> = model
        .members
        .with_untracked(|members| members.iter().map(|member| member.peer).collect());
    let after: Vec<MemberModel> = list
        .iter()
        .map(|member| match before.get(&member.peer) {
            Some(known) => {
                set_if_other(&known.name, member.name.to_string());
                set_if_other(&known.reach, member.reach);
                set_if_other(&known.looks_like, member.looks_like);
                known.clone()
            }
            None => MemberModel {
                peer: member.peer,
                name: ArcRwSignal::new(member.name.to_string()),
                reach: ArcRwSignal::new(member.reach),
                looks_like: ArcRwSignal::new(member.looks_like),
            },
        })
        .collect();
    if !after.iter().map(|member| member.peer).eq(order_before) {
        model.members.set(after);
    }
    app.directs.with_untracked(|directs| {
        for direct in directs {
            if let Some(member) = list.iter().find(|member| member.peer == direct.peer) {
                set_if_other(&direct.name, member.name.to_string());
            }
        }
    });
}

fn set_if_other<T: PartialEq + Send + Sync + 'static>(signal: &ArcRwSignal<T>, value: T) {
    if signal.with_untracked(|current| *current != value) {
        signal.set(value);
    }
}
