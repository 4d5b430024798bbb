//! The browser's WebRTC, by web-sys. Only on a page's main thread: workers have none.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::future::{BoxFuture, LocalBoxFuture};
use futures_timer::Delay;
use gloo_events::EventListener;
use js_sys::{Array, Reflect};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    EventTarget, RtcConfiguration, RtcDataChannelEvent, RtcDataChannelInit, RtcIceCandidate,
    RtcIceCandidateInit, RtcIceConnectionState, RtcIceServer, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
};

use self::channel::{Channel, Common};
use super::{
    Backend, BackendError, CloseReason, EVENTS_MAX, Event, IceServer, PeerConnection, SdpKind,
    SelectedPair,
};
use crate::config::Reachable;

pub mod channel;
mod selected_pair;

/// When the selected pair is looked at once more: what comes from a TURN server of the other side may be here before
/// its relayed candidate is, and counts as peer-reflexive until then.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Makes connections with the browser's `RTCPeerConnection`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Browser;

impl Backend for Browser {
    type Connection = Connection;

    /// Pages are not told what names stand for.
    fn connection(
        &self,
        ice_servers: &[IceServer],
        _: &Reachable,
    ) -> Result<Connection, BackendError> {
        Connection::new(ice_servers)
    }
}

/// An `RTCPeerConnection`.
pub struct Connection(SendWrapper<Inner>);

struct Inner {
    connection: RtcPeerConnection,
    events: Rc<RefCell<Events>>,
    common: Rc<Common>,
    /// What the browser calls. Detached before they are dropped.
    listeners: Vec<EventListener>,
    /// Whether the transports below the channels are watched, which are there only later.
    watches_transport: bool,
    watch: Watch,
    closed: bool,
}

/// Finds out which candidate pair is selected.
#[derive(Default)]
struct Watch {
    /// It is there, or another pair is selected: time to look.
    due: Rc<Cell<bool>>,
    looking: Option<LocalBoxFuture<'static, Option<SelectedPair>>>,
    again: Option<Delay>,
    told: Option<SelectedPair>,
}

impl Watch {
    fn poll(&mut self, connection: &RtcPeerConnection, cx: &mut Context<'_>) -> Poll<SelectedPair> {
        if let Some(again) = &mut self.again
            && Pin::new(again).poll(cx).is_ready()
        {
            self.again = None;
            self.due.set(true);
        }
        loop {
            if self.looking.is_none() {
                if !self.due.replace(false) {
                    return Poll::Pending;
                }
                self.looking = Some(Box::pin(selected_pair::of(connection.clone())));
                if self.told.is_none() {
                    self.again = Some(Delay::new(LOOK_AGAIN));
                }
            }
            let Some(Poll::Ready(found)) = self.looking.as_mut().map(|look| look.as_mut().poll(cx))
            else {
                return Poll::Pending;
            };
            self.looking = None;
            if let Some(pair) = found
                && self.told.replace(pair) != Some(pair)
            {
                return Poll::Ready(pair);
            }
        }
    }
}

/// What has happened and was not taken yet.
#[derive(Default)]
struct Events {
    queue: VecDeque<Event<Channel>>,
    closed: Option<CloseReason>,
    waker: Option<Waker>,
}

impl Events {
    fn push(&mut self, event: Event<Channel>) {
        if self.queue.len() < EVENTS_MAX {
            self.queue.push_back(event);
        }
        self.wake();
    }

    fn close(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(reason);
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

pub(super) fn error(value: &JsValue) -> BackendError {
    let text = value
        .dyn_ref::<js_sys::Error>()
        .map(|error| String::from(error.message()))
        .or_else(|| {
            // A DOMException is not always an `Error` to wasm-bindgen.
            let message = Reflect::get(value, &"message".into()).ok()?;
            message.as_string()
        });
    BackendError(text.unwrap_or_else(|| format!("{value:?}")))
}

fn configuration(ice_servers: &[IceServer]) -> RtcConfiguration {
    let servers = Array::new();
    for server in ice_servers {
        let entry = RtcIceServer::new();
        let urls: Array = server.urls.iter().map(JsValue::from).collect();
        entry.set_urls(&urls);
        if let Some(username) = &server.username {
            entry.set_username(username);
        }
        if let Some(credential) = &server.credential {
            entry.set_credential(credential);
        }
        servers.push(&entry);
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&servers);
    configuration
}

impl Connection {
    fn new(ice_servers: &[IceServer]) -> Result<Self, BackendError> {
        let connection = RtcPeerConnection::new_with_configuration(&configuration(ice_servers))
            .map_err(|value| error(&value))?;
        let events = Rc::new(RefCell::new(Events::default()));
        let watch = Watch::default();
        let common = Rc::new(Common::default());
        let listeners = vec![
            EventListener::new(&connection, "icecandidate", {
                let events = Rc::clone(&events);
                move |event| {
                    let Some(candidate) = event
                        .dyn_ref::<RtcPeerConnectionIceEvent>()
                        .and_then(|event| event.candidate())
                    else {
                        return;
                    };
                    if let Some(json) = candidate_json(&candidate) {
                        events.borrow_mut().push(Event::Candidate(json));
                    }
                }
            }),
            EventListener::new(&connection, "icecandidateerror", {
                let events = Rc::clone(&events);
                move |event| {
                    // web-sys has no type for it. Codes beyond those of STUN are of the browser, e.g. for
                    // a server that does not answer.
                    let code = Reflect::get(event, &"errorCode".into()).ok();
                    if let Some(code) = code.and_then(|code| code.as_f64())
                        && (300.0..700.0).contains(&code)
                    {
                        events.borrow_mut().push(Event::ServerRefused(code as u16));
                    }
                }
            }),
            EventListener::new(&connection, "connectionstatechange", {
                let events = Rc::clone(&events);
                let connection = connection.clone();
                let look = Rc::clone(&watch.due);
                move |_| match connection.connection_state() {
                    RtcPeerConnectionState::Connected => {
                        look.set(true);
                        events.borrow_mut().push(Event::Connected);
                    }
                    RtcPeerConnectionState::Failed => {
                        // Either ICE has failed, or DTLS on the pair that ICE has selected.
                        let reason = match connection.ice_connection_state() {
                            RtcIceConnectionState::Connected | RtcIceConnectionState::Completed => {
                                CloseReason::Closed
                            }
                            _ => CloseReason::IceFailed,
                        };
                        events.borrow_mut().close(reason);
                    }
                    RtcPeerConnectionState::Closed => {
                        events.borrow_mut().close(CloseReason::Closed);
                    }
                    RtcPeerConnectionState::Disconnected => {
                        events.borrow_mut().push(Event::Silent);
                    }
                    _ => {}
                }
            }),
            EventListener::new(&connection, "datachannel", {
                let events = Rc::clone(&events);
                let common = Rc::clone(&common);
                move |event| {
                    if let Some(event) = event.dyn_ref::<RtcDataChannelEvent>() {
                        // Its own callbacks have to be there before this one returns: messages that
                        // come earlier would be lost.
                        let channel = Channel::new(event.channel(), Rc::clone(&common));
                        events.borrow_mut().push(Event::Channel(channel));
                    }
                }
            }),
        ];
        Ok(Self(SendWrapper::new(Inner {
            connection,
            events,
            common,
            listeners,
            watches_transport: false,
            watch,
            closed: false,
        })))
    }
}

/// The JSON of `toJSON()`; `None` for the last candidate, which has no text.
fn candidate_json(candidate: &RtcIceCandidate) -> Option<String> {
    if candidate.candidate().is_empty() {
        return None;
    }
    js_sys::JSON::stringify(&candidate.to_json())
        .ok()
        .map(String::from)
}

impl Inner {
    /// The transport below tells within milliseconds that the other side is gone; the state of the
    /// connection takes 6 to 16 s. web-sys has no types for it.
    fn watch_transport(&mut self) {
        if self.watches_transport {
            return;
        }
        let get = |object: &JsValue, name: &str| {
            Reflect::get(object, &name.into())
                .ok()
                .filter(|value| value.is_object())
        };
        let Some(sctp) = get(&self.connection, "sctp") else {
            return;
        };
        self.watches_transport = true;
        let dtls = get(&sctp, "transport");
        if let Some(ice) = dtls.as_ref().and_then(|dtls| get(dtls, "iceTransport"))
            && let Ok(target) = ice.dyn_into::<EventTarget>()
        {
            let (events, look) = (Rc::clone(&self.events), Rc::clone(&self.watch.due));
            self.listeners.push(EventListener::new(
                &target,
                "selectedcandidatepairchange",
                move |_| {
                    look.set(true);
                    events.borrow_mut().wake();
                },
            ));
        }
        for transport in std::iter::once(sctp).chain(dtls) {
            let Ok(target) = transport.clone().dyn_into::<EventTarget>() else {
                continue;
            };
            let events = Rc::clone(&self.events);
            self.listeners
                .push(EventListener::new(&target, "statechange", move |_| {
                    let state = Reflect::get(&transport, &"state".into()).ok();
                    let state = state.and_then(|state| state.as_string());
                    if matches!(state.as_deref(), Some("closed" | "failed")) {
                        events.borrow_mut().close(CloseReason::Closed);
                    }
                }));
        }
    }

    /// Opening a channel on a connection that is closed throws.
    fn check_open(&self) -> Result<(), BackendError> {
        if self.closed || self.connection.connection_state() == RtcPeerConnectionState::Closed {
            return Err(BackendError("the connection is closed".to_owned()));
        }
        Ok(())
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.listeners.clear();
            self.connection.close();
            self.events.borrow_mut().close(CloseReason::Closed);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("state", &self.0.connection.connection_state())
            .finish_non_exhaustive()
    }
}

/// What a promise gives, as a future that may be sent in name.
fn awaited<T: 'static>(
    promise: js_sys::Promise,
    then: impl FnOnce(JsValue) -> Result<T, BackendError> + 'static,
) -> BoxFuture<'static, Result<T, BackendError>> {
    Box::pin(SendWrapper::new(async move {
        match JsFuture::from(promise).await {
            Ok(value) => then(value),
            Err(value) => Err(error(&value)),
        }
    }))
}

fn sdp_of(value: &JsValue) -> Result<String, BackendError> {
    Reflect::get(value, &"sdp".into())
        .ok()
        .and_then(|sdp| sdp.as_string())
        .ok_or_else(|| {
            BackendError("the browser made a session description without SDP".to_owned())
        })
}

fn description(kind: SdpKind, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(match kind {
        SdpKind::Offer => RtcSdpType::Offer,
        SdpKind::Answer => RtcSdpType::Answer,
    });
    description.set_sdp(sdp);
    description
}

impl PeerConnection for Connection {
    type Channel = Channel;

    fn open_channel(&mut self, label: &str) -> Result<Channel, BackendError> {
        self.0.check_open()?;
        let channel = self.0.connection.create_data_channel(label);
        Ok(Channel::new(channel, Rc::clone(&self.0.common)))
    }

    fn open_negotiated(&mut self, id: u16) -> Result<Channel, BackendError> {
        self.0.check_open()?;
        let how = RtcDataChannelInit::new();
        how.set_negotiated(true);
        how.set_id(id);
        let connection = &self.0.connection;
        let channel = connection.create_data_channel_with_data_channel_dict("", &how);
        Ok(Channel::new(channel, Rc::clone(&self.0.common)))
    }

    fn create_offer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        awaited(self.0.connection.create_offer(), |value| sdp_of(&value))
    }

    fn create_answer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        awaited(self.0.connection.create_answer(), |value| sdp_of(&value))
    }

    fn set_local(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let description = description(kind, &sdp);
        awaited(
            self.0.connection.set_local_description(&description),
            |_| Ok(()),
        )
    }

    fn local_description(&self) -> Option<String> {
        let description = self.0.connection.local_description()?;
        Some(description.sdp())
    }

    fn set_remote(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let description = description(kind, &sdp);
        awaited(
            self.0.connection.set_remote_description(&description),
            |_| Ok(()),
        )
    }

    fn add_candidate(&mut self, json: String) -> BoxFuture<'static, Result<(), BackendError>> {
        let init = match js_sys::JSON::parse(&json) {
            Ok(value) if value.is_object() => value.unchecked_into::<RtcIceCandidateInit>(),
            _ => {
                let error = BackendError("a candidate that is not JSON".to_owned());
                return Box::pin(futures::future::ready(Err(error)));
            }
        };
        let promise = self
            .0
            .connection
            .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
        awaited(promise, |_| Ok(()))
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<Channel>> {
        let inner = &mut *self.0;
        inner.watch_transport();
        if !inner.closed
            && let Poll::Ready(pair) = inner.watch.poll(&inner.connection, cx)
        {
            return Poll::Ready(Event::SelectedPair(pair));
        }
        let mut events = inner.events.borrow_mut();
        if let Some(event) = events.queue.pop_front() {
            return Poll::Ready(event);
        }
        if let Some(reason) = events.closed {
            return Poll::Ready(Event::Closed(reason));
        }
        events.waker = Some(cx.waker().clone());
        inner.common.set_task(cx.waker());
        Poll::Pending
    }

    fn trust(&mut self) {
        self.0.common.trust();
    }

    fn close(&mut self) {
        self.0.close();
    }
}
