//! One connection: the protocols, its sockets, its channels, and time.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    future::Future as _,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures_timer::Delay;
use rtc::{
    data_channel::RTCDataChannelId,
    peer_connection::{
        RTCPeerConnection,
        event::{RTCDataChannelEvent, RTCPeerConnectionEvent},
        message::{RTCMessage, TaggedRTCMessage},
        sdp::RTCSessionDescription,
        state::{RTCIceConnectionState, RTCPeerConnectionState},
        transport::{
            RTCDtlsTransportState, RTCIceCandidate, RTCIceCandidateInit, RTCSctpTransportState,
        },
    },
    sansio::Protocol as _,
};

use self::{channels::Closing, handshake::Handshake};
use super::{
    super::{BackendError, CloseReason, EVENTS_MAX, IceServer},
    channel::ChannelState,
    error,
    gather::{Gatherer, tagged, untagged},
    guard::Guard,
    sockets::{Datagram, Sockets},
};

mod channels;
mod handshake;
mod make;

/// Datagrams that are taken before others of the same task have their turn.
const BURST: usize = 64;

/// The shortest time that is waited for: what is due in the past comes at once, but not again and again.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Our candidates are of the only media section that there is, which is called so in SDP.
const MEDIA_ID: &str = "0";

/// The only component of our streams (RFC 8445, section 4), as in the text of a candidate.
const COMPONENT: &str = "1";

/// How long one datagram may keep the protocols busy. rtc 0.21 counts up to where a FORWARD-TSN says, one by
/// one, which may be two thousand million.
const DATAGRAM_TIME_MAX: Duration = Duration::from_secs(2);

/// How long nothing has to come before the way may be lost, and how long after that it is. Together as long as
/// Chromium takes.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// See [`SILENT_AFTER`].
const LOST_AFTER: Duration = Duration::from_secs(10);

/// How long other ways than the first one that worked may still turn out to be better.
const OTHER_WAYS: Duration = Duration::from_secs(10);

/// What has happened and was not taken yet.
#[derive(Debug)]
pub(super) enum Noted {
    Candidate(String),
    Connected,
    Channel { id: RTCDataChannelId, label: String },
    Closed(CloseReason),
}

/// See the [module](self).
pub(super) struct Agent {
    rtc: RTCPeerConnection,
    /// Whether this is the listening side of `/webrtc-direct`.
    serves: bool,
    ice_servers: Vec<IceServer>,
    sockets: Sockets,
    gatherer: Gatherer,
    channels: HashMap<RTCDataChannelId, ChannelState>,
    /// Channels that are closed for us and not for the other side.
    closing: HashMap<RTCDataChannelId, Closing>,
    /// Channels that only keep the numbers of streams until these are closed.
    occupied: HashSet<RTCDataChannelId>,
    /// Bytes of all channels that wait to be read.
    unread: usize,
    noted: VecDeque<Noted>,
    was_connected: bool,
    /// SCTP was there.
    had_association: bool,
    closed: Option<CloseReason>,
    /// The end has been held back for those who read.
    is_end_held: bool,
    is_broken: bool,
    guard: Guard,
    /// The address that was sent from last.
    used: Option<SocketAddr>,
    /// When the sockets of other ways are closed.
    prunes_at: Option<Instant>,
    handshake: Handshake,
    /// Whoever drives this.
    task: Option<Waker>,
    timer: Delay,
    /// When the timer ends.
    wakes_at: Option<Instant>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("sockets", &self.sockets)
            .field("channels", &self.channels.len())
            .field("connected", &self.was_connected)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// The certificate by which the other side has encrypted the connection, in DER.
    pub(super) fn remote_certificate(&self) -> Option<&[u8]> {
        let certificates = self.rtc.sctp()?.transport().get_remote_certificates();
        certificates.first().map(Vec::as_slice)
    }

    pub(super) fn local_description(&self) -> Option<String> {
        let description = self.rtc.local_description()?;
        Some(description.sdp)
    }

    pub(super) fn create_offer(&mut self) -> Result<String, BackendError> {
        let description = self.rtc.create_offer(None).map_err(error)?;
        Ok(description.sdp)
    }

    pub(super) fn create_answer(&mut self) -> Result<String, BackendError> {
        let description = self.rtc.create_answer(None).map_err(error)?;
        Ok(description.sdp)
    }

    pub(super) fn set_local(
        &mut self,
        description: RTCSessionDescription,
    ) -> Result<(), BackendError> {
        self.rtc
            .set_local_description(Instant::now(), description)
            .map_err(error)?;
        let locals = self.sockets.bind()?;
        self.gatherer.begin(locals, &self.ice_servers);
        // Now: what comes to an address that is not known is lost.
        self.add_own_candidates();
        self.wake_task();
        Ok(())
    }

    pub(super) fn set_remote(
        &mut self,
        description: RTCSessionDescription,
    ) -> Result<(), BackendError> {
        self.rtc
            .set_remote_description(Instant::now(), description)
            .map_err(error)?;
        self.wake_task();
        Ok(())
    }

    pub(super) fn add_candidate(&mut self, json: &str) -> Result<(), BackendError> {
        let candidate: RTCIceCandidateInit = serde_json::from_str(json).map_err(error)?;
        // `candidate:FOUNDATION COMPONENT …` (RFC 8839, section 5.1).
        if candidate.candidate.split_whitespace().nth(1) != Some(COMPONENT) {
            return Err(BackendError(
                "a candidate of a component that there is not".to_owned(),
            ));
        }
        self.rtc.add_remote_candidate(candidate).map_err(error)?;
        self.wake_task();
        Ok(())
    }

    /// What happened next. Everything goes on in here.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Noted> {
        self.task = Some(cx.waker().clone());
        if self.closed.is_none() {
            self.drive(cx);
        }
        if let Some(noted) = self.noted.pop_front() {
            return Poll::Ready(noted);
        }
        match self.closed {
            // Those who read what came with the end have their turn before it is told.
            Some(_) if self.unread > 0 && !std::mem::replace(&mut self.is_end_held, true) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(reason) => Poll::Ready(Noted::Closed(reason)),
            None => Poll::Pending,
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.gatherer.poll_resolved(cx, Instant::now());
        let mut taken = 0;
        while let Poll::Ready(datagram) = self.sockets.poll_receive(cx) {
            self.receive(datagram);
            taken += 1;
            if taken >= BURST {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.on_time();
        self.settle(cx);
        self.wait(cx);
    }

    fn receive(&mut self, datagram: Datagram) {
        let now = Instant::now();
        let Some(datagram) = self.gatherer.receive(datagram, now) else {
            return;
        };
        let Datagram { remote, data, .. } = &datagram;
        if self.closed.is_some() || !self.guard.admits(*remote, data, self.was_connected) {
            return;
        }
        if let Some(datagram) = self.handshake.take(datagram) {
            self.read(datagram, now);
        }
    }

    fn read(&mut self, datagram: Datagram, now: Instant) {
        if let Err(error) = self.rtc.handle_read(tagged(datagram, now)) {
            tracing::debug!(%error, "a datagram is not understood");
        }
        // Before the next one: a message on a channel that was negotiated out of band is lost as long as it is
        // not known that there is an association.
        self.take();
        if now.elapsed() > DATAGRAM_TIME_MAX {
            tracing::debug!("the other side keeps us busy");
            self.end(CloseReason::Closed);
        }
    }

    /// Does what was due.
    fn on_time(&mut self) {
        let now = Instant::now();
        self.begin_handshake(now);
        if self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.gatherer.on_time(now);
            self.reset_due(now);
            self.prune(now);
            if let Err(error) = self.rtc.handle_timeout(now) {
                tracing::debug!(%error, "the connection cannot go on");
                self.end(CloseReason::Closed);
            }
        }
    }

    /// Keeps no ports but that of the way that was found.
    fn prune(&mut self, now: Instant) {
        if self.prunes_at.is_some_and(|at| at <= now) {
            self.prunes_at = None;
            if let Some(used) = self.used {
                self.sockets.keep_only(used);
            }
        }
    }

    /// Takes note of what came of it, and sends what is to go.
    fn settle(&mut self, cx: &mut Context<'_>) {
        self.add_own_candidates();
        self.take();
        if self.was_connected && self.is_over() {
            self.end(CloseReason::Closed);
        }
        if self.sockets.poll_flush(cx).is_ready() {
            self.flush();
        }
        self.wake_writers();
    }

    fn take(&mut self) {
        // Before the events: a channel may have ended after them.
        while let Some(TaggedRTCMessage { message, .. }) = self.rtc.poll_read() {
            if let RTCMessage::DataChannelMessage(id, message) = message {
                self.on_message(id, message.is_string, message.data.freeze());
            }
        }
        self.take_events();
    }

    fn add_own_candidates(&mut self) {
        for candidate in self.gatherer.take() {
            if let Err(error) = self.rtc.add_local_candidate(candidate) {
                tracing::debug!(%error, "a candidate of our own is not taken");
            }
        }
    }

    /// Whether the other side has ended the connection. Nothing else tells, but for the ends of the
    /// channels.
    fn is_over(&mut self) -> bool {
        let Some(sctp) = self.rtc.sctp() else {
            return false;
        };
        let is_closed = match sctp.state() {
            RTCSctpTransportState::Connected => {
                self.had_association = true;
                false
            }
            // It is so at first as well.
            RTCSctpTransportState::Closed => self.had_association,
            _ => false,
        };
        is_closed || sctp.transport().state() == RTCDtlsTransportState::Closed
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let own = [
            self.gatherer.next_deadline(),
            self.next_closing(),
            self.prunes_at,
        ];
        let deadlines = own.into_iter().chain([self.rtc.poll_timeout()]);
        deadlines.flatten().min()
    }

    /// Sees to it that the task is woken when something is due.
    fn wait(&mut self, cx: &mut Context<'_>) {
        if self.closed.is_some() {
            return;
        }
        let next = self.next_deadline();
        if next != self.wakes_at {
            self.wakes_at = next;
            if let Some(next) = next {
                let pause = next.saturating_duration_since(Instant::now());
                self.timer.reset(pause.max(PAUSE_MIN));
            }
        }
        if next.is_some() && Pin::new(&mut self.timer).poll(cx).is_ready() {
            self.wakes_at = None;
            cx.waker().wake_by_ref();
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.rtc.poll_event() {
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: RTCPeerConnectionEvent) {
        match event {
            RTCPeerConnectionEvent::OnIceCandidateEvent(event) => {
                if let Some(json) = candidate_json(&event.candidate) {
                    self.note(Noted::Candidate(json));
                }
            }
            RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(
                RTCIceConnectionState::Connected,
            ) => self.handshake.there_is_a_way(),
            RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => match state {
                RTCPeerConnectionState::Connected if !self.was_connected => {
                    self.was_connected = true;
                    self.prunes_at = Some(Instant::now() + OTHER_WAYS);
                    self.note(Noted::Connected);
                }
                // DTLS that fails is not told, and ends with the time for it.
                RTCPeerConnectionState::Failed => self.end(CloseReason::NoWay),
                RTCPeerConnectionState::Closed => self.end(CloseReason::Closed),
                // `disconnected` may pass.
                _ => {}
            },
            RTCPeerConnectionEvent::OnDataChannel(event) => match event {
                RTCDataChannelEvent::OnOpen(id) => {
                    if let Some(channel) = self.channel(id) {
                        channel.wake();
                    }
                }
                RTCDataChannelEvent::OnClose(id) => {
                    self.occupied.remove(&id);
                    self.closing.remove(&id);
                    if let Some(channel) = self.channels.get_mut(&id) {
                        channel.closed = true;
                        channel.wake();
                        self.remove_done(id);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn note(&mut self, noted: Noted) {
        if self.noted.len() < EVENTS_MAX {
            self.noted.push_back(noted);
        }
    }

    fn wake_task(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Sends what is to go as long as the system has room.
    fn flush(&mut self) {
        while self.sockets.is_idle() {
            let own = self.gatherer.poll_send();
            let Some(datagram) = own.or_else(|| self.rtc.poll_write().map(untagged)) else {
                return;
            };
            self.used = Some(datagram.local);
            self.sockets.send(datagram);
        }
        // There is no room: the task waits for it.
        self.wake_task();
    }

    /// After something was done from outside: sends what came of it, and has the timer looked after.
    fn done(&mut self) {
        self.flush();
        let next = self.next_deadline();
        if next.is_some_and(|next| self.wakes_at.is_none_or(|at| next < at)) {
            self.wake_task();
        }
    }

    /// The connection ends, whoever wants it.
    fn end(&mut self, reason: CloseReason) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason);
        if let Err(error) = self.rtc.close() {
            tracing::debug!(%error, "closing");
        }
        // What is last is what tells the other side.
        self.sockets.forget_unsent();
        self.flush();
        self.end_all();
    }

    pub(super) fn close(&mut self) {
        self.end(CloseReason::Closed);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// A panic has left the protocols in any state: they are not touched again.
    pub(super) fn break_down(&mut self) {
        self.is_broken = true;
        self.closed = Some(CloseReason::Closed);
        self.end_all();
    }

    /// For those who use the connection it is over.
    fn end_all(&mut self) {
        self.sockets.close();
        for channel in self.channels.values_mut() {
            channel.closed = true;
            channel.wake();
        }
        self.wake_task();
    }
}

/// The JSON of `RTCIceCandidate.toJSON()`. Browsers refuse an empty `sdpMid`.
fn candidate_json(candidate: &RTCIceCandidate) -> Option<String> {
    let mut init = candidate.to_json().ok()?;
    init.sdp_mid = Some(MEDIA_ID.to_owned());
    serde_json::to_string(&init).ok()
}
