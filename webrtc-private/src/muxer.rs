//! A peer connection as a libp2p muxer: a data channel per stream.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    StreamExt as _,
    channel::mpsc,
    future::{self, BoxFuture, poll_fn},
    stream::FuturesUnordered,
};
use futures_timer::Delay;
use libp2p_core::{StreamMuxer, muxing::StreamMuxerEvent};
use libp2p_identity::PeerId;
use thiserror::Error;

use crate::{
    backend::{BackendError, CloseReason, DataChannel, Event, PeerConnection, SelectedPair},
    report::Role,
    session::INIT_LABEL,
    stream::{Stream, StreamInner},
};

/// Streams of the other side that wait to be taken. More are refused: their channels are closed.
const INBOUND_MAX: usize = 64;

/// Streams at one time, open and lingering. A browser takes more than 9,000 channels.
const STREAMS_MAX: usize = 1024;

/// How long the other side may take to close the first channel.
const INIT_MAX: Duration = Duration::from_secs(10);

/// A direct connection to another peer.
pub struct Connection<P: PeerConnection> {
    peer: P,
    inbound: VecDeque<P::Channel>,
    drop_sender: mpsc::Sender<StreamInner<P::Channel>>,
    dropped: mpsc::Receiver<StreamInner<P::Channel>>,
    /// Streams that their users are done with, and what is left of the handshake.
    background: FuturesUnordered<BoxFuture<'static, Background>>,
    open: usize,
    /// The other side has opened its first channel, and there is no second first one.
    had_init: bool,
    closed: Option<CloseReason>,
    teller: Option<Teller>,
    waker: Option<Waker>,
}

/// What the behaviour is told of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateChange {
    pub(crate) peer: PeerId,
    /// There is one session with a peer in each role, so that this says which connection it is.
    pub(crate) role: Role,
    pub(crate) change: Change,
}

/// See [`StateChange`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Nothing has come for some seconds.
    Silent,
    /// This candidate pair is selected.
    SelectedPair(SelectedPair),
}

/// Tells the behaviour what becomes of a connection.
#[derive(Debug)]
pub(crate) struct Teller {
    peer: PeerId,
    role: Role,
    sender: mpsc::Sender<StateChange>,
    /// What was not told yet, the newest of each kind.
    selected_pair: Option<SelectedPair>,
    is_silent: bool,
}

impl Teller {
    pub(crate) const fn new(peer: PeerId, role: Role, sender: mpsc::Sender<StateChange>) -> Self {
        Self {
            peer,
            role,
            sender,
            selected_pair: None,
            is_silent: false,
        }
    }

    fn note(&mut self, change: Change) {
        match change {
            Change::Silent => self.is_silent = true,
            Change::SelectedPair(pair) => self.selected_pair = Some(pair),
        }
    }

    fn tell(&mut self, cx: &mut Context<'_>) {
        while self.is_silent || self.selected_pair.is_some() {
            match self.sender.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    let change = match self.selected_pair.take() {
                        Some(pair) => Change::SelectedPair(pair),
                        None => {
                            self.is_silent = false;
                            Change::Silent
                        }
                    };
                    let (peer, role) = (self.peer, self.role);
                    // It was ready.
                    let _ = self.sender.start_send(StateChange { peer, role, change });
                }
                // The behaviour is gone, and with it the swarm, soon; or there is no room, and it wakes us.
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
    }
}

/// What ended in the background.
pub(crate) enum Background {
    Stream,
    Handshake,
}

/// Why a connection, or one stream of it, cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The other side, or the network, has ended the connection.
    #[error("{}", match .0 {
        CloseReason::IceFailed => "the way to the other side was lost",
        CloseReason::Closed => "the other side has ended the connection",
    })]
    Closed(CloseReason),
    /// A stream cannot be opened.
    #[error("cannot open a stream: {0}")]
    Open(#[from] BackendError),
    /// 1,024 streams are open.
    #[error("too many streams are open")]
    TooManyStreams,
}

impl<P: PeerConnection> Connection<P> {
    /// `early` are channels that came during the handshake, `handshake` what is left of it.
    pub(crate) fn new(
        peer: P,
        early: VecDeque<P::Channel>,
        handshake: BoxFuture<'static, Background>,
    ) -> Self {
        // Every stream has a sender of its own, and with it a place.
        let (drop_sender, dropped) = mpsc::channel(0);
        let background = FuturesUnordered::new();
        background.push(handshake);
        let mut connection = Self {
            peer,
            open: 0,
            had_init: false,
            inbound: VecDeque::new(),
            drop_sender,
            dropped,
            background,
            closed: None,
            teller: None,
            waker: None,
        };
        for channel in early {
            connection.on_channel(channel);
        }
        connection
    }

    /// From now on the behaviour hears what becomes of the connection.
    pub(crate) fn tell(mut self, teller: Teller) -> Self {
        self.teller = Some(teller);
        self
    }

    fn note(&mut self, change: Change) {
        if let Some(teller) = &mut self.teller {
            teller.note(change);
        }
    }

    #[cfg(test)]
    pub(crate) fn peer(&self) -> &P {
        &self.peer
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), ConnectionError> {
        while let Poll::Ready(Some(inner)) = self.dropped.poll_next_unpin(cx) {
            self.background.push(Box::pin(async {
                inner.linger().await;
                Background::Stream
            }));
        }
        while let Poll::Ready(Some(ended)) = self.background.poll_next_unpin(cx) {
            if matches!(ended, Background::Stream) {
                self.open = self.open.saturating_sub(1);
            }
        }
        while self.closed.is_none()
            && let Poll::Ready(event) = self.peer.poll_event(cx)
        {
            match event {
                Event::Channel(channel) => self.on_channel(channel),
                Event::Closed(reason) => self.closed = Some(reason),
                Event::Silent => self.note(Change::Silent),
                Event::SelectedPair(pair) => self.note(Change::SelectedPair(pair)),
                // Candidates that are gathered later matter to the other side only while it makes connectivity checks.
                Event::Candidate(_) | Event::Connected | Event::ServerRefused(_) => {}
            }
        }
        if let Some(teller) = &mut self.teller {
            teller.tell(cx);
        }
        match self.closed {
            Some(reason) => Err(ConnectionError::Closed(reason)),
            None => Ok(()),
        }
    }

    fn on_channel(&mut self, mut channel: P::Channel) {
        if channel.label() == INIT_LABEL && !self.had_init {
            self.had_init = true;
            self.background.push(Box::pin(async {
                leave_to_offerer(channel).await;
                Background::Handshake
            }));
            return;
        }
        if channel.label() == INIT_LABEL
            || self.inbound.len() >= INBOUND_MAX
            || self.open >= STREAMS_MAX
        {
            channel.close();
            return;
        }
        self.open = self.open.saturating_add(1);
        self.inbound.push_back(channel);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn stream(&self, channel: P::Channel) -> Stream<P::Channel> {
        Stream::new(channel, self.drop_sender.clone())
    }
}

/// Waits until the other side closes the first channel, which is its to close: js-libp2p waits for it to
/// open, and waits in vain when that and our closing it are over before it looks.
async fn leave_to_offerer<C: DataChannel>(mut channel: C) {
    let closed = poll_fn(|cx| {
        while let Poll::Ready(message) = channel.poll_receive(cx) {
            if message.is_none() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    });
    future::select(closed, Delay::new(INIT_MAX)).await;
    channel.close();
}

impl<P: PeerConnection> Drop for Connection<P> {
    fn drop(&mut self) {
        self.peer.close();
    }
}

impl<P: PeerConnection> fmt::Debug for Connection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("open", &self.open)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl<P: PeerConnection> StreamMuxer for Connection<P> {
    type Substream = Stream<P::Channel>;
    type Error = ConnectionError;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        this.drive(cx)?;
        if let Some(channel) = this.inbound.pop_front() {
            return Poll::Ready(Ok(this.stream(channel)));
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        this.drive(cx)?;
        if this.open >= STREAMS_MAX {
            return Poll::Ready(Err(ConnectionError::TooManyStreams));
        }
        // The specification wants an empty label.
        let channel = this.peer.open_channel("")?;
        this.open = this.open.saturating_add(1);
        Poll::Ready(Ok(this.stream(channel)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().peer.close();
        Poll::Ready(Ok(()))
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        self.get_mut().drive(cx)?;
        Poll::Pending
    }
}
