//! One connection: the protocols, its sockets, its channels, and time.
//!
//! ICE selects a candidate pair, DTLS encrypts what goes over it, SCTP carries the channels in that. None of them knows
//! of the others, of sockets or of a clock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures_timer::Delay;
use rtc_crypto::RTCCryptoProvider;
use rtc_ice::{Agent as Ice, Event as IceEvent, candidate::Candidate, state::ConnectionState};
use sansio::Protocol as _;

use super::{
    super::{BackendError, CloseReason, EVENTS_MAX, IceServer, SdpKind, SelectedPair},
    budget::{Budget, processor_time},
    channel::{ChannelId, ChannelState},
    description::Description,
    dtls::{self, Dtls, fingerprint_of},
    gather::{Gatherer, tagged, untagged},
    guard::{Guard, is_dtls, is_forged},
    records::Records,
    sctp::{Sctp, StreamId},
    server::Certificate,
    sockets::{Datagram, Sockets},
};
use crate::direct::fingerprint::Fingerprint;

mod channels;
mod describe;
mod make;
mod selected_pair;
mod strangers;

/// Datagrams that are taken before others of the same task have their turn.
const BURST: usize = 64;

/// The shortest time that is waited for: what is due in the past comes at once, but not again and again.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// How long nothing has to come until the selected pair is in doubt, and how long after that until ICE has failed.
/// Together as long as Chromium takes.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// See [`SILENT_AFTER`].
const LOST_AFTER: Duration = Duration::from_secs(10);

/// How long the sockets of other candidates than the selected one are kept.
const UNSELECTED_KEPT: Duration = Duration::from_secs(10);

/// What has happened and was not taken yet.
#[derive(Debug)]
pub(super) enum Noted {
    Candidate(String),
    Connected,
    Silent,
    SelectedPair(SelectedPair),
    Channel { id: ChannelId, label: String },
    Closed(CloseReason),
}

/// See the [module](self).
pub(super) struct Agent {
    crypto: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
    /// Whether this is the listening side of `/webrtc-direct`.
    serves: bool,
    ice_servers: Vec<IceServer>,
    sockets: Sockets,
    gatherer: Gatherer,
    ice: Ice,
    /// Our own description, once it is set.
    local: Option<(SdpKind, String)>,
    remote: Option<Description>,
    /// Once both descriptions are set.
    dtls: Option<Dtls>,
    /// Whether ICE has selected a pair.
    has_selected_pair: bool,
    /// The selected pair, as it was told.
    told: Option<SelectedPair>,
    /// Datagrams of DTLS that came before.
    early: Vec<Datagram>,
    /// Once the handshake of DTLS is over.
    sctp: Option<Sctp>,
    channels: BTreeMap<ChannelId, ChannelState>,
    streams: HashMap<StreamId, ChannelId>,
    next_channel: u64,
    /// Bytes of all channels that wait to be read.
    unread: usize,
    noted: VecDeque<Noted>,
    closed: Option<CloseReason>,
    /// The end has been held back for those who read.
    is_end_held: bool,
    is_broken: bool,
    guard: Guard,
    records: Records,
    budget: Budget,
    /// It is known who is at the other end.
    is_trusted: bool,
    /// When the sockets of other candidates are closed.
    prunes_at: Option<Instant>,
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
            .field("connected", &self.sctp.is_some())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// The fingerprint of the certificate by which the other side has encrypted the connection.
    pub(super) fn remote_fingerprint(&self) -> Result<Fingerprint, BackendError> {
        let certificate = self.dtls.as_ref().and_then(Dtls::remote_certificate);
        let certificate = certificate
            .ok_or_else(|| BackendError("the other side has no certificate".to_owned()))?;
        fingerprint_of(certificate, &*self.crypto)
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
        let mut began = processor_time();
        self.gatherer.poll_resolved(cx, Instant::now());
        let mut taken = 0;
        while let Poll::Ready(datagram) = self.sockets.poll_receive(cx) {
            self.receive(datagram);
            began = self.spend_since(began);
            taken += 1;
            if taken >= BURST {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.handle_timeout();
        self.add_local_candidates();
        if self.sockets.poll_flush(cx).is_ready() {
            self.flush();
        }
        self.wake_writers();
        self.wait(cx);
        self.spend_since(began);
    }

    fn receive(&mut self, datagram: Datagram) {
        let now = Instant::now();
        let Some(datagram) = self.gatherer.receive(datagram, now) else {
            return;
        };
        let Datagram { remote, data, .. } = &datagram;
        if self.closed.is_some() || !self.guard.admits(*remote, data) {
            return;
        }
        if !is_dtls(data) {
            // rtc 0.21 changes its role in ICE before it looks who has asked it to.
            let credentials = self.ice.get_local_credentials();
            if is_forged(data, &credentials.pwd, &*self.crypto) {
                return;
            }
            if let Err(error) = self.ice.handle_read(tagged(datagram, now)) {
                tracing::debug!(%error, "a check is not understood");
            }
            self.take_ice_events(now);
        } else if self.has_selected_pair {
            self.receive_encrypted(datagram, now);
        } else {
            self.keep_early(datagram);
        }
    }

    fn receive_encrypted(&mut self, datagram: Datagram, now: Instant) {
        let Some(dtls) = &mut self.dtls else {
            return;
        };
        // Others than those who have shown ICE that they know our password have nothing to say.
        let remotes = self.ice.get_remote_candidates();
        if !remotes.iter().any(|one| one.addr() == datagram.remote) {
            return;
        }
        let Some(records) = self.records.take(datagram.data, self.sctp.is_some()) else {
            return;
        };
        let events = match dtls.receive(records, now) {
            Ok(events) => events,
            Err(dtls::Failure::FingerprintMismatch) => {
                tracing::debug!("the certificate is another one than was told");
                self.end(CloseReason::Closed);
                return;
            }
            Err(dtls::Failure::Datagram(error)) => {
                tracing::debug!(%error, "a datagram is not understood");
                return;
            }
        };
        for event in events {
            match event {
                dtls::Event::Connected => self.begin_sctp(now),
                dtls::Event::Data(packet) => {
                    if let Some(sctp) = &mut self.sctp {
                        sctp.receive(packet, now);
                        self.take_sctp_events(now);
                    }
                }
                dtls::Event::Closed => self.end(CloseReason::Closed),
            }
        }
    }

    /// DTLS has proven who is at the other end.
    fn begin_sctp(&mut self, now: Instant) {
        let Some(remote) = &self.remote else {
            return;
        };
        match Sctp::new(self.is_client(), remote.sctp_port, now) {
            Ok(mut sctp) => {
                if self.is_trusted {
                    sctp.trust();
                }
                self.sctp = Some(sctp);
                self.open_negotiated_waiting(now);
                self.prunes_at = Some(now + UNSELECTED_KEPT);
                self.note(Noted::Connected);
                self.tell_selected_pair();
            }
            Err(error) => {
                tracing::debug!(%error, "there is no association");
                self.end(CloseReason::Closed);
            }
        }
    }

    fn take_ice_events(&mut self, now: Instant) {
        while let Some(event) = self.ice.poll_event() {
            match event.event {
                IceEvent::SelectedCandidatePairChange(..) => self.on_selected_pair(now),
                IceEvent::ConnectionStateChange(ConnectionState::Failed) => {
                    self.end(CloseReason::IceFailed);
                }
                IceEvent::ConnectionStateChange(ConnectionState::Disconnected) => {
                    self.note(Noted::Silent);
                }
                _ => {}
            }
        }
    }

    /// ICE has selected a pair, the first or another.
    fn on_selected_pair(&mut self, now: Instant) {
        if std::mem::replace(&mut self.has_selected_pair, true) {
            return;
        }
        if let Some(dtls) = &mut self.dtls
            && let Err(error) = dtls.begin(now)
        {
            tracing::debug!(%error, "there is no handshake");
            self.end(CloseReason::Closed);
        }
        for datagram in std::mem::take(&mut self.early) {
            self.receive_encrypted(datagram, now);
        }
    }

    /// Does what was due.
    fn handle_timeout(&mut self) {
        let now = Instant::now();
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return;
        }
        self.gatherer.handle_timeout(now);
        self.prune(now);
        if let Err(error) = self.ice.handle_timeout(now) {
            tracing::debug!(%error, "checking candidate pairs");
        }
        self.take_ice_events(now);
        if let Some(dtls) = &mut self.dtls
            && let Err(error) = dtls.handle_timeout(now)
        {
            tracing::debug!(%error, "the handshake has failed");
            self.end(CloseReason::Closed);
        }
        if let Some(sctp) = &mut self.sctp {
            sctp.handle_timeout(now);
            self.take_sctp_events(now);
        }
    }

    /// Keeps no ports but that of the selected pair.
    fn prune(&mut self, now: Instant) {
        if self.prunes_at.is_some_and(|at| at <= now) {
            self.prunes_at = None;
            if let Some((local, _)) = self.ice.get_selected_candidate_pair() {
                self.sockets.keep_only(local.base_addr());
            }
        }
    }

    fn add_local_candidates(&mut self) {
        for candidate in self.gatherer.take() {
            let json = self.candidate_json(&candidate);
            match self.ice.add_local_candidate(candidate) {
                Ok(_) => self.note(Noted::Candidate(json)),
                Err(error) => tracing::debug!(%error, "a local candidate is not taken"),
            }
        }
    }

    /// The JSON of `RTCIceCandidate.toJSON()`.
    fn candidate_json(&self, candidate: &Candidate) -> String {
        let remote = self.remote.as_ref();
        let mid = remote.map_or("0", |remote| &remote.mid);
        let text = format!("candidate:{}", candidate.marshal());
        serde_json::json!({ "candidate": text, "sdpMid": mid, "sdpMLineIndex": 0 }).to_string()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let dtls = self.dtls.as_ref().and_then(Dtls::poll_timeout);
        let sctp = self.sctp.as_ref().and_then(Sctp::poll_timeout);
        let deadlines = [
            self.gatherer.poll_timeout(),
            self.prunes_at,
            self.ice.poll_timeout(),
            dtls,
            sctp,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Sees to it that the task is woken when something is due.
    fn wait(&mut self, cx: &mut Context<'_>) {
        if self.closed.is_some() {
            return;
        }
        let next = self.poll_timeout();
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

    /// The next datagram to send.
    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        let own = self.gatherer.poll_transmit();
        let own = own.or_else(|| self.ice.poll_write().map(untagged));
        if own.is_some() {
            return own;
        }
        let (local, remote) = self.ice.get_selected_candidate_pair()?;
        // Of a reflexive candidate, its base: the address of the socket behind the NAT.
        let (local, remote) = (local.base_addr(), remote.addr());
        let dtls = self.dtls.as_mut()?;
        loop {
            if let Some(data) = dtls.poll_transmit() {
                return Some(Datagram {
                    local,
                    remote,
                    data,
                });
            }
            let packet = self.sctp.as_mut()?.poll_transmit()?;
            if let Err(error) = dtls.send(&packet, now) {
                tracing::debug!(%error, "a packet is not sent");
            }
        }
    }

    /// Sends what is to go as long as the system has room.
    fn flush(&mut self) {
        let now = Instant::now();
        while self.sockets.is_idle() {
            let Some(datagram) = self.poll_transmit(now) else {
                return;
            };
            self.sockets.send(datagram);
        }
        // There is no room: the task waits for it.
        self.wake_task();
    }

    /// After something was done from outside: sends what came of it, and has the timer looked after.
    fn done(&mut self) {
        self.take_sctp_events(Instant::now());
        self.flush();
        let next = self.poll_timeout();
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
        // What is last is what tells the other side.
        self.sockets.forget_unsent();
        self.sctp = None;
        if let Some(dtls) = &mut self.dtls {
            dtls.close(Instant::now());
        }
        self.flush();
        if let Err(error) = self.ice.close() {
            tracing::debug!(%error, "closing");
        }
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
