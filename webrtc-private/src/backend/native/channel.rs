//! A data channel of a native connection.

use std::{
    collections::VecDeque,
    fmt,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    super::{ChannelClosed, DataChannel},
    Shared,
    agent::Agent,
    sctp::StreamId,
};

/// Which channel of a connection. Stream ids are used again; this is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChannelId(pub(super) u64);

/// How a channel is to be opened.
#[derive(Debug)]
pub(super) enum Wanted {
    /// In band.
    Labelled(String),
    /// By both sides by themselves.
    Negotiated(StreamId),
}

/// A data channel.
pub struct Channel {
    id: ChannelId,
    label: String,
    shared: Shared,
}

/// What the connection keeps of a channel.
#[derive(Debug, Default)]
pub(super) struct ChannelState {
    /// It waits for the association.
    pub(super) wanted: Option<Wanted>,
    /// Once there is one.
    pub(super) stream: Option<StreamId>,
    pub(super) unread: VecDeque<Bytes>,
    pub(super) unread_bytes: usize,
    pub(super) closed: bool,
    /// Its handle is gone: what comes is for nobody.
    pub(super) forgotten: bool,
    pub(super) reader: Option<Waker>,
    /// Somebody waits until no more than so many bytes wait to go out.
    pub(super) writer: Option<(usize, Waker)>,
}

impl ChannelState {
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
        self.wake_writer();
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some((_, waker)) = self.writer.take() {
            waker.wake();
        }
    }
}

impl Channel {
    pub(super) fn new(id: ChannelId, label: String, shared: Shared) -> Self {
        Self { id, label, shared }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("id", &self.id)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.shared.with((), |agent| agent.forget(self.id));
    }
}

impl DataChannel for Channel {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let receive = |agent: &mut Agent| agent.poll_receive(self.id, cx);
        self.shared.with(Poll::Ready(None), receive)
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        self.shared.with(None, |agent| agent.try_receive(self.id))
    }

    fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelClosed>> {
        let ready = |agent: &mut Agent| agent.poll_send_ready(self.id, cx);
        self.shared.with(Poll::Ready(Err(ChannelClosed)), ready)
    }

    fn send(&mut self, message: &[u8]) -> Result<(), ChannelClosed> {
        let send = |agent: &mut Agent| agent.send(self.id, message);
        self.shared.with(Err(ChannelClosed), send)
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let flushed = |agent: &mut Agent| agent.poll_flushed(self.id, cx);
        self.shared.with(Poll::Ready(()), flushed)
    }

    fn close(&mut self) {
        self.shared.with((), |agent| agent.close_channel(self.id));
    }

    fn close_finished(&mut self) {
        let close = |agent: &mut Agent| agent.close_finished_channel(self.id);
        self.shared.with((), close);
    }
}
