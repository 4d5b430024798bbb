//! What the user does, and what becomes of it.

use std::time::Duration;

use leptos::{prelude::*, task::spawn_local};
use moim_peer::{JoinError, MessageId, Peer, PeerId, Profile, SayError, SendError, Text, Topic};

use crate::{
    components::composer::DRAFT_BYTES_MAX,
    i18n::{join_refusal, name_refusal, say_refusal, send_refusal, topic_refusal},
    model::{App, Delivery, DirectItem, DirectModel, Pane, RoomModel, Side, View},
    page, route, state,
};

/// Where the name that was used last is kept.
const NAME_KEY: &str = "name";

/// Where the topic that was joined last is kept.
const TOPIC_KEY: &str = "topic";

/// The topic that the form proposes to somebody who never joined one.
const FIRST_TOPIC: &str = "global-chat";

/// How long a confirmation is shown: long enough to be read, and it says nothing that is not to
/// be seen elsewhere.
const TOAST_TIME: Duration = Duration::from_secs(6);

/// Which field of the join form was refused, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JoinRefusal {
    pub(crate) name: Option<String>,
    pub(crate) topic: Option<String>,
}

/// Fills the join form from the page's address and from last time.
pub(crate) fn prefill(app: App) {
    app.join_name
        .set(page::stored(NAME_KEY).unwrap_or_default());
    let topic = route::topic_in(&page::fragment()).or_else(|| page::stored(TOPIC_KEY));
    app.join_topic
        .set(topic.unwrap_or_else(|| FIRST_TOPIC.to_owned()));
}

/// Joins what the form says.
pub(crate) async fn join(app: App) -> Result<(), JoinRefusal> {
    let mut refusal = JoinRefusal::default();
    let name = app.join_name.get_untracked();
    let profile = match Profile::named(&name) {
        Ok(profile) => Some(profile),
        Err(error) => {
            refusal.name = Some(name_refusal(app.text, error));
            None
        }
    };
    let topic = match Topic::new(&app.join_topic.get_untracked()) {
        Ok(topic) => Some(topic),
        Err(error) => {
            refusal.topic = Some(topic_refusal(app.text, error));
            None
        }
    };
    let (Some(profile), Some(topic)) = (profile, topic) else {
        return Err(refusal);
    };
    if app.room(&topic).is_some() {
        show_room(app, &topic);
        return Ok(());
    }
    let Some(peer) = app.peer.get_untracked() else {
        refusal.topic = Some(app.no_peer().to_owned());
        return Err(refusal);
    };
    match peer.join(topic.clone(), profile.clone()).await {
        Ok(joined) => {
            page::store(NAME_KEY, profile.name().as_str());
            page::store(TOPIC_KEY, topic.as_str());
            let room = RoomModel::new(topic.clone(), profile);
            app.rooms.update(|rooms| rooms.push(room.clone()));
            state::follow_room(app, &room, joined);
            show_room(app, &topic);
            page::focus_input_soon("[data-testid=room-input]", "#talk");
            Ok(())
        }
        Err(error) => {
            refusal.topic = Some(match error {
                JoinError::Stopped => app.no_peer().to_owned(),
                error => join_refusal(app.text, &error),
            });
            Err(refusal)
        }
    }
}

/// Brings a joined room to the front, in the address too.
pub(crate) fn show_room(app: App, topic: &Topic) {
    let view = View::Room(topic.clone());
    if app.view.with_untracked(|current| *current != view) {
        app.view.set(view);
    }
    app.pane.set(Pane::Talk);
    page::go_to_fragment(&route::fragment_for(topic.as_str()));
}

/// Brings the join form to the front.
pub(crate) fn show_join(app: App) {
    app.view.set(View::Join);
    app.pane.set(Pane::Talk);
    page::go_to_fragment(route::NO_TOPIC);
    focus_first_empty(app);
}

/// Moves the keyboard to the first field of the form that nothing stands in, or to the topic.
pub(crate) fn focus_first_empty(app: App) {
    let field = if app.join_name.with_untracked(|name| name.trim().is_empty()) {
        "[data-testid=name-input]"
    } else {
        "[data-testid=topic-input]"
    };
    page::focus_input_soon(field, "#talk");
}

/// Follows the page's address after the user changed it or went back.
pub(crate) fn follow_address(app: App) {
    let topic = route::topic_in(&page::fragment());
    let joined = topic
        .as_deref()
        .and_then(|topic| Topic::new(topic).ok())
        .filter(|topic| app.room(topic).is_some());
    match (joined, topic) {
        (Some(joined), _) => show_room(app, &joined),
        (None, topic) => {
            if let Some(topic) = topic {
                app.join_topic.set(topic);
            }
            if app.view.with_untracked(|view| *view != View::Join) {
                app.view.set(View::Join);
            }
            app.pane.set(Pane::Talk);
        }
    }
}

/// Leaves a room and shows another one, or the form to join it again.
pub(crate) fn leave(app: App, model: &RoomModel) {
    app.rooms
        .update(|rooms| rooms.retain(|room| room.topic != model.topic));
    if let Some(room) = model.room.try_update_value(Option::take).flatten() {
        spawn_local(room.leave());
    }
    let next = app
        .rooms
        .with_untracked(|rooms| rooms.last().map(|room| room.topic.clone()));
    match next {
        Some(topic) => show_room(app, &topic),
        None => {
            app.join_topic.set(model.topic.as_str().to_owned());
            app.view.set(View::Join);
            app.pane.set(Pane::Talk);
            focus_first_empty(app);
        }
    }
}

/// Says something in a room. A refused text comes back to the input.
pub(crate) fn say(app: App, model: &RoomModel, text: String) {
    let model = model.clone();
    model.refusal.set(None);
    spawn_local(async move {
        let said = match model.room.get_value() {
            Some(room) => room.say(text.as_str()).await,
            None => Err(SayError::Stopped),
        };
        match said {
            Ok(message) => {
                let heard = untrack(|| model.reaches_anybody());
                model.push(&message, true, heard);
            }
            Err(error) => {
                let why = match error {
                    // A peer that stops leaves its rooms first. Whoever leaves one does not look at it any more.
                    SayError::Stopped | SayError::Left => app.no_peer().to_owned(),
                    error => say_refusal(app.text, &error),
                };
                refuse(&model.draft, &model.refusal, text, why);
            }
        }
    });
}

/// Puts a text that was not sent back into its input, before what stands there by now, and says why.
fn refuse(
    draft: &ArcRwSignal<String>,
    refusal: &ArcRwSignal<Option<String>>,
    text: String,
    why: String,
) {
    refusal.set(Some(why));
    draft.update(|draft| {
        if draft.is_empty() {
            *draft = text;
        } else if text.len() + draft.len() < DRAFT_BYTES_MAX {
            *draft = format!("{text}\n{draft}");
        }
    });
}

/// Opens the direct conversation with `peer`.
pub(crate) fn open_direct(app: App, peer: PeerId) {
    if app.direct(peer).is_none() {
        app.direct_or_new(peer);
    }
    app.side.set(Side::Direct(peer));
    app.pane.set(Pane::Side);
    page::focus_input_soon("[data-testid=direct-input]", "#side-heading");
}

/// Brings the connection panel to the front.
pub(crate) fn show_connection(app: App) {
    app.side.set(Side::Connection);
    app.pane.set(Pane::Side);
    page::focus_soon("#side-heading");
}

/// Puts the right column away where it covers the conversation; elsewhere it goes back to the
/// connection panel.
pub(crate) fn close_side(app: App) {
    let was = app.side.get_untracked();
    app.pane.set(Pane::Talk);
    app.side.set(Side::Connection);
    match was {
        Side::Direct(_) => page::focus_input_soon(
            "[data-testid=room-input], [data-testid=topic-input]",
            "#talk",
        ),
        Side::Connection => page::focus_soon("#status-button"),
    }
}

/// Sends a direct message. Without a peer to send it, the text comes back to the input.
pub(crate) fn send(app: App, direct: &DirectModel, text: String) {
    let Some(peer) = app.peer.get_untracked() else {
        return refuse(
            &direct.draft,
            &direct.refusal,
            text,
            app.no_peer().to_owned(),
        );
    };
    direct.refusal.set(None);
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "the present is after 1970"
    )]
    let now = page::now() as u64;
    app.direct_or_new(direct.peer);
    // Shown as it is sent. What cannot be sent is refused below, and stands there with the reason.
    let cleaned = Text::new(&text);
    let text = cleaned.as_ref().map_or(text.as_str(), Text::as_str);
    direct.unread.forget();
    let Some(item) = direct.push(
        Peer::new_message_id(),
        peer.id(),
        text,
        now,
        Delivery::Sending,
    ) else {
        return;
    };
    transmit(app, peer, direct.peer, item);
}

/// Tries a failed message once more. It keeps its id, so that the receiver shows it once even if
/// the first attempt reached it.
pub(crate) fn send_again(app: App, to: PeerId, item: DirectItem) {
    let Some(peer) = app.peer.get_untracked() else {
        let why = app.no_peer().to_owned();
        return item.delivery.set(Delivery::Failed(why));
    };
    item.delivery.set(Delivery::Sending);
    transmit(app, peer, to, item);
}

fn transmit(app: App, peer: Peer, to: PeerId, item: DirectItem) {
    spawn_local(async move {
        let id: MessageId = item.id;
        let delivery = match peer.send_with_id(id, to, item.text.as_ref()).await {
            Ok(receipt) => Delivery::Delivered(receipt.path),
            Err(SendError::Stopped) => Delivery::Failed(app.no_peer().to_owned()),
            Err(error) => Delivery::Failed(send_refusal(app.text, &error)),
        };
        item.delivery.set(delivery);
    });
}

/// Puts `text` on the clipboard and says so, or shows it to be copied by hand.
pub(crate) fn copy(app: App, text: String, done: &'static str) {
    spawn_local(async move {
        let message = if page::copy(&text).await {
            done.to_owned()
        } else {
            (app.text.copy_refused)(&text)
        };
        toast(app, message);
    });
}

/// Copies the link that brings others to a topic.
pub(crate) fn share(app: App, topic: &Topic) {
    copy(
        app,
        page::link_to(&route::fragment_for(topic.as_str())),
        app.text.link_copied,
    );
}

/// Shows a confirmation for a while.
pub(crate) fn toast(app: App, message: String) {
    let number = app.toast.with_untracked(|(before, _)| before + 1);
    app.toast.set((number, Some(message)));
    set_timeout(
        move || {
            if app.toast.with_untracked(|(shown, _)| *shown == number) {
                app.toast.set((number, None));
            }
        },
        TOAST_TIME,
    );
}

/// Uses `list` as the bootstrap nodes from now on and reconnects through them; empty is the
/// default.
pub(crate) fn use_sources(app: App, list: &str) {
    if !page::store(state::SOURCES_KEY, list.trim()) {
        app.notice(app.text.not_kept.to_owned());
    }
    toast(app, app.text.sources_saved.to_owned());
    state::restart(app);
}

/// Dials the bootstrap nodes now instead of at the end of a pause.
pub(crate) fn try_again(app: App) {
    if let Some(peer) = app.peer.get_untracked() {
        peer.network_changed(true);
    }
}
