//! A WebRTC implementation in memory, for tests: connections of one [`World`] find each other by what
//! their descriptions say, and do what the test wants of the network in between.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::future::{BoxFuture, ready};

use super::{
    Backend, BackendError, ChannelClosed, CloseReason, DataChannel, Event, IceServer,
    PeerConnection, SdpKind,
};

/// What the network in between does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// There is a way as soon as both know a candidate of the other.
    #[default]
    Open,
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
    /// Candidates that each connection has.
    candidates: usize,
    connections: Vec<ConnectionState>,
    channels: Vec<ChannelState>,
}

#[derive(Debug, Default)]
struct ConnectionState {
    local: bool,
    remote: Option<usize>,
    candidates: usize,
    connected: bool,
    events: VecDeque<Event<MockChannel>>,
    closed: Option<CloseReason>,
    waker: Option<Waker>,
}

/// One end of a channel; the other is its number with the last bit flipped.
#[derive(Debug, Default)]
struct ChannelState {
    connection: usize,
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

    fn connection(&self, _: &[IceServer]) -> Result<MockConnection, BackendError> {
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
    fn look_for_a_way(&mut self, world: &World, id: usize) {
        let Some(other) = self.connections.get(id).and_then(|one| one.remote) else {
            return;
        };
        let ready = |id: usize, other: usize| {
            self.connections.get(id).is_some_and(|one| {
                one.local && one.remote == Some(other) && one.candidates > 0 && !one.connected
            })
        };
        if !ready(id, other) || !ready(other, id) {
            return;
        }
        for id in [id, other] {
            match self.network {
                Network::Open => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.connected = true;
                    }
                    self.emit(id, Event::Connected);
                    for number in 0..self.channels.len() {
                        self.open_channel(world, number);
                    }
                }
                Network::Shut => self.close(id, CloseReason::NoWay),
                Network::Silent => {}
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
        let label = channel.label.clone();
        for (number, connection) in [(number, None), (number ^ 1, Some(remote))] {
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
                number: number ^ 1,
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

impl MockConnection {
    fn sdp(&self) -> String {
        let id = self.id;
        format!("v=0\r\nm=application 9 DTLS\r\na=fingerprint:sha-256 {id}\r\n")
    }
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
        for _ in 0..2 {
            state.channels.push(ChannelState {
                connection: self.id,
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

    fn create_offer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        Box::pin(ready(Ok(self.sdp())))
    }

    fn create_answer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        Box::pin(ready(Ok(self.sdp())))
    }

    fn set_local(&mut self, _: SdpKind, _: String) -> BoxFuture<'static, Result<(), BackendError>> {
        let mut state = self.world.lock();
        state.connections[self.id].local = true;
        for number in 0..state.candidates {
            let json = format!(r#"{{"candidate":"candidate:{number} typ host"}}"#);
            state.emit(self.id, Event::Candidate(json));
        }
        state.look_for_a_way(&self.world, self.id);
        Box::pin(ready(Ok(())))
    }

    fn set_remote(
        &mut self,
        _: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let id = sdp
            .lines()
            .find_map(|line| line.strip_prefix("a=fingerprint:sha-256 "))
            .and_then(|id| id.parse().ok());
        let Some(id) = id else {
            return Box::pin(ready(Err(BackendError("not of this world".to_owned()))));
        };
        let mut state = self.world.lock();
        state.connections[self.id].remote = Some(id);
        state.look_for_a_way(&self.world, self.id);
        Box::pin(ready(Ok(())))
    }

    fn add_candidate(&mut self, json: String) -> BoxFuture<'static, Result<(), BackendError>> {
        if !json.contains("candidate:") {
            return Box::pin(ready(Err(BackendError("not a candidate".to_owned()))));
        }
        let mut state = self.world.lock();
        state.connections[self.id].candidates += 1;
        state.look_for_a_way(&self.world, self.id);
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

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct MockChannel {
    world: World,
    number: usize,
}

impl MockChannel {
    fn with<T>(&self, of: usize, act: impl FnOnce(&mut ChannelState) -> T) -> T {
        act(&mut self.world.lock().channels[of])
    }
}

impl DataChannel for MockChannel {
    fn label(&self) -> String {
        self.with(self.number, |channel| channel.label.clone())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.with(self.number, |channel| {
            if let Some(message) = channel.inbox.pop_front() {
                return Poll::Ready(Some(message));
            }
            if channel.closed {
                return Poll::Ready(None);
            }
            channel.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        self.with(self.number, |channel| channel.inbox.pop_front())
    }

    fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelClosed>> {
        self.with(self.number, |channel| {
            if channel.closed {
                return Poll::Ready(Err(ChannelClosed));
            }
            if channel.open && !channel.stuck {
                return Poll::Ready(Ok(()));
            }
            channel.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn send(&mut self, message: &[u8]) -> Result<(), ChannelClosed> {
        let sendable = self.with(self.number, |channel| channel.open && !channel.closed);
        if !sendable {
            return Err(ChannelClosed);
        }
        self.with(self.number ^ 1, |channel| {
            channel.inbox.push_back(Bytes::copy_from_slice(message));
            channel.wake();
        });
        Ok(())
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(self.number, |channel| {
            if channel.closed || !channel.stuck {
                return Poll::Ready(());
            }
            channel.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn close(&mut self) {
        for number in [self.number, self.number ^ 1] {
            self.with(number, |channel| {
                channel.closed = true;
                channel.wake();
            });
        }
    }
}
