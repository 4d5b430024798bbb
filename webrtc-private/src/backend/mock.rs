//! A WebRTC implementation in memory, for tests: connections of one [`World`] find each other by what
//! their descriptions say, and do what the test wants of the network in between.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::future::{BoxFuture, ready};

pub(crate) use self::channel::MockChannel;
use super::{
    Backend, BackendError, CloseReason, Event, IceServer, PeerConnection, SdpKind, SelectedPair,
};
use crate::config::Reachable;

mod channel;

/// What the network in between does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// There is a pair that works as soon as both know a candidate of the other.
    #[default]
    Open,
    /// The same, by a TURN server.
    Turn,
    /// There is none, which both find out.
    Shut,
    /// There is none, and nobody ever finds out.
    Silent,
}

/// Everything there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    network: Network,
    /// Whether an own offer has to be set as it was made.
    forbids_munging: bool,
    /// Candidates that each connection has.
    candidates: usize,
    connections: Vec<ConnectionState>,
    channels: Vec<ChannelState>,
}

#[derive(Debug, Default)]
struct ConnectionState {
    /// Our own description, once it is set.
    local: Option<String>,
    /// The other side's.
    described: Option<String>,
    remote: Option<usize>,
    candidates: usize,
    connected: bool,
    events: VecDeque<Event<MockChannel>>,
    closed: Option<CloseReason>,
    waker: Option<Waker>,
}

/// One end of a channel.
#[derive(Debug, Default)]
struct ChannelState {
    connection: usize,
    /// The other end.
    other: Option<usize>,
    /// Both sides open it by themselves under this number.
    negotiated: Option<u16>,
    label: String,
    open: bool,
    closed: bool,
    inbox: VecDeque<Bytes>,
    /// Messages that have not gone out, for tests of back-pressure.
    stuck: bool,
    wakers: Vec<Waker>,
}

impl ChannelState {
    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}

impl World {
    pub(crate) fn new(network: Network, candidates: usize) -> Self {
        let state = State {
            network,
            candidates,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    /// Connections that are not closed.
    pub(crate) fn open_connections(&self) -> usize {
        let state = self.lock();
        let open = state.connections.iter().filter(|one| one.closed.is_none());
        open.count()
    }

    /// Ends of channels that are not closed, on connections that are not either.
    pub(crate) fn open_channels(&self) -> usize {
        let state = self.lock();
        let alive = |channel: &&ChannelState| {
            !channel.closed
                && state
                    .connections
                    .get(channel.connection)
                    .is_some_and(|connection| connection.closed.is_none())
        };
        state.channels.iter().filter(alive).count()
    }

    /// From now on an own offer can only be set as it was made.
    pub(crate) fn forbid_munging(&self) {
        self.lock().forbids_munging = true;
    }

    /// Every connection that is there selects this pair.
    pub(crate) fn select_pair(&self, pair: SelectedPair) {
        let mut state = self.lock();
        for id in 0..state.connections.len() {
            state.emit(id, Event::SelectedPair(pair));
        }
    }

    /// A connection that is open, and to which the other side was described with these words.
    pub(crate) fn described_with(&self, words: &str) -> Option<usize> {
        self.lock().connections.iter().position(|one| {
            let described = one.described.as_ref();
            one.closed.is_none() && described.is_some_and(|sdp| sdp.contains(words))
        })
    }

    /// Connections that were ever made.
    pub(crate) fn connections_made(&self) -> usize {
        self.lock().connections.len()
    }

    /// From now on nothing that is sent goes out, or everything does again.
    pub(crate) fn set_stuck(&self, stuck: bool) {
        for channel in &mut self.lock().channels {
            channel.stuck = stuck;
            channel.wake();
        }
    }
}

impl Backend for World {
    type Connection = MockConnection;

    fn connection(&self, _: &[IceServer], _: &Reachable) -> Result<MockConnection, BackendError> {
        let mut state = self.lock();
        let id = state.connections.len();
        state.connections.push(ConnectionState::default());
        Ok(MockConnection {
            world: self.clone(),
            id,
        })
    }
}

impl State {
    fn emit(&mut self, id: usize, event: Event<MockChannel>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.events.push_back(event);
        if let Some(waker) = connection.waker.take() {
            waker.wake();
        }
    }

    fn close(&mut self, id: usize, reason: CloseReason) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.closed.is_some() {
            return;
        }
        connection.closed = Some(reason);
        if let Some(waker) = connection.waker.take() {
            waker.wake();
        }
        for channel in &mut self.channels {
            if channel.connection == id {
                channel.closed = true;
                channel.wake();
            }
        }
    }

    /// Connects a pair that knows enough of each other.
    fn check_candidates(&mut self, world: &World, id: usize) {
        let Some(other) = self.connections.get(id).and_then(|one| one.remote) else {
            return;
        };
        let ready = |id: usize, other: usize| {
            self.connections.get(id).is_some_and(|one| {
                one.local.is_some()
                    && one.remote == Some(other)
                    && one.candidates > 0
                    && !one.connected
            })
        };
        if !ready(id, other) || !ready(other, id) {
            return;
        }
        for id in [id, other] {
            match self.network {
                Network::Open | Network::Turn => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.connected = true;
                    }
                    self.emit(id, Event::Connected);
                    let is_open = self.network == Network::Open;
                    let pair = if is_open {
                        SelectedPair::Direct
                    } else {
                        SelectedPair::Turn
                    };
                    self.emit(id, Event::SelectedPair(pair));
                    for number in 0..self.channels.len() {
                        self.open_channel(world, number);
                    }
                }
                Network::Shut => self.close(id, CloseReason::IceFailed),
                Network::Silent => {}
            }
        }
        self.open_negotiated(id);
    }

    /// Opens what both sides of a connection have by the same number.
    fn open_negotiated(&mut self, id: usize) {
        let Some(remote) = self.connections.get(id).and_then(|one| {
            (one.connected && one.closed.is_none())
                .then_some(one.remote)
                .flatten()
        }) else {
            return;
        };
        for number in 0..self.channels.len() {
            let ours = &self.channels[number];
            if ours.connection != id || ours.negotiated.is_none() || ours.open {
                continue;
            }
            let other = self.channels.iter().position(|one| {
                one.connection == remote && one.negotiated == ours.negotiated && !one.open
            });
            let Some(other) = other else {
                continue;
            };
            for (number, other) in [(number, other), (other, number)] {
                let channel = &mut self.channels[number];
                channel.open = true;
                channel.other = Some(other);
                channel.wake();
            }
        }
    }

    /// Opens a channel of which only our end exists so far, if its connection is there.
    fn open_channel(&mut self, world: &World, number: usize) {
        let Some(channel) = self.channels.get(number) else {
            return;
        };
        let remote = self.connections.get(channel.connection).and_then(|one| {
            (one.connected && one.closed.is_none())
                .then_some(one.remote)
                .flatten()
        });
        let Some(remote) = remote.filter(|_| !channel.open && !channel.closed) else {
            return;
        };
        let Some(other) = channel.other else {
            return;
        };
        let label = channel.label.clone();
        for (number, connection) in [(number, None), (other, Some(remote))] {
            if let Some(channel) = self.channels.get_mut(number) {
                channel.open = true;
                channel.label.clone_from(&label);
                channel.connection = connection.unwrap_or(channel.connection);
                channel.wake();
            }
        }
        self.emit(
            remote,
            Event::Channel(MockChannel {
                world: world.clone(),
                number: other,
            }),
        );
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct MockConnection {
    world: World,
    id: usize,
}

/// The description of a connection, with its number at the end of its fingerprint.
pub(crate) fn sdp(id: usize) -> String {
    let [high, low] = u16::try_from(id)
        .expect("no test makes so many")
        .to_be_bytes();
    let zeros = "00:".repeat(30);
    format!(
        "v=0\r\nm=application 9 DTLS\r\na=ice-ufrag:name{id}\r\na=ice-pwd:{id:024}\r\n\
         a=fingerprint:sha-256 {zeros}{high:02X}:{low:02X}\r\n"
    )
}

/// The number of the connection that a description is of.
fn number(sdp: &str) -> Option<usize> {
    let fingerprint = sdp
        .lines()
        .find_map(|line| line.strip_prefix("a=fingerprint:sha-256 "))?;
    let mut bytes = fingerprint
        .rsplit(':')
        .map(|byte| usize::from_str_radix(byte, 16).ok());
    let low = bytes.next()??;
    let high = bytes.next().unwrap_or(Some(0))?;
    Some(high * 256 + low)
}

impl Drop for MockConnection {
    fn drop(&mut self) {
        self.close();
    }
}

impl PeerConnection for MockConnection {
    type Channel = MockChannel;

    fn open_channel(&mut self, label: &str) -> Result<MockChannel, BackendError> {
        let mut state = self.world.lock();
        if state.connections[self.id].closed.is_some() {
            return Err(BackendError("closed".to_owned()));
        }
        let number = state.channels.len();
        for other in [number + 1, number] {
            state.channels.push(ChannelState {
                connection: self.id,
                other: Some(other),
                label: label.to_owned(),
                ..ChannelState::default()
            });
        }
        state.open_channel(&self.world, number);
        Ok(MockChannel {
            world: self.world.clone(),
            number,
        })
    }

    fn open_negotiated(&mut self, id: u16) -> Result<MockChannel, BackendError> {
        let mut state = self.world.lock();
        let number = state.channels.len();
        state.channels.push(ChannelState {
            connection: self.id,
            negotiated: Some(id),
            ..ChannelState::default()
        });
        state.open_negotiated(self.id);
        Ok(MockChannel {
            world: self.world.clone(),
            number,
        })
    }

    fn create_offer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        Box::pin(ready(Ok(sdp(self.id))))
    }

    fn create_answer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        Box::pin(ready(Ok(sdp(self.id))))
    }

    fn set_local(
        &mut self,
        _: SdpKind,
        ours: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let mut state = self.world.lock();
        if state.forbids_munging && ours != sdp(self.id) {
            return Box::pin(ready(Err(BackendError("munged".to_owned()))));
        }
        state.connections[self.id].local = Some(ours);
        for number in 0..state.candidates {
            let json = format!(
                r#"{{"candidate":"candidate:{number} 1 udp 1 192.0.2.{number} 4000 typ host"}}"#
            );
            state.emit(self.id, Event::Candidate(json));
        }
        state.check_candidates(&self.world, self.id);
        Box::pin(ready(Ok(())))
    }

    fn local_description(&self) -> Option<String> {
        self.world.lock().connections[self.id].local.clone()
    }

    fn set_remote(
        &mut self,
        _: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let Some(id) = number(&sdp) else {
            return Box::pin(ready(Err(BackendError("not of this world".to_owned()))));
        };
        let mut state = self.world.lock();
        let connection = &mut state.connections[self.id];
        connection.remote = Some(id);
        connection.candidates += sdp.matches("a=candidate:").count();
        connection.described = Some(sdp);
        state.check_candidates(&self.world, self.id);
        Box::pin(ready(Ok(())))
    }

    fn add_candidate(&mut self, json: String) -> BoxFuture<'static, Result<(), BackendError>> {
        if !json.contains("candidate:") {
            return Box::pin(ready(Err(BackendError("not a candidate".to_owned()))));
        }
        let mut state = self.world.lock();
        state.connections[self.id].candidates += 1;
        state.check_candidates(&self.world, self.id);
        Box::pin(ready(Ok(())))
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<MockChannel>> {
        let mut state = self.world.lock();
        let connection = &mut state.connections[self.id];
        if let Some(event) = connection.events.pop_front() {
            return Poll::Ready(event);
        }
        if let Some(reason) = connection.closed {
            return Poll::Ready(Event::Closed(reason));
        }
        connection.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn trust(&mut self) {
        // It keeps everything for everybody.
    }

    fn close(&mut self) {
        let mut state = self.world.lock();
        state.close(self.id, CloseReason::Closed);
        if let Some(other) = state.connections[self.id].remote {
            let both = state.connections.get(other).and_then(|one| one.remote) == Some(self.id);
            if both {
                state.close(other, CloseReason::Closed);
            }
        }
    }
}
