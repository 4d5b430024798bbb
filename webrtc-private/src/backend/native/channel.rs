//! A data channel of a native connection.

use std::{
    collections::VecDeque,
    fmt,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use rtc::data_channel::RTCDataChannelId;

use super::{
    super::{ChannelClosed, DataChannel},
    Shared,
};

/// A data channel.
pub struct Channel {
    id: RTCDataChannelId,
    label: String,
    shared: Shared,
}

/// What the connection keeps of a channel.
#[derive(Debug, Default)]
pub(super) struct ChannelState {
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
    pub(super) fn new(id: RTCDataChannelId, label: String, shared: Shared) -> Self {
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
        self.shared.lock().forget(self.id);
    }
}

impl DataChannel for Channel {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.shared.lock().poll_receive(self.id, cx)
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        self.shared.lock().try_receive(self.id)
    }

    fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelClosed>> {
        self.shared.lock().poll_send_ready(self.id, cx)
    }

    fn send(&mut self, message: &[u8]) -> Result<(), ChannelClosed> {
        self.shared.lock().send(self.id, message)
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.lock().poll_flushed(self.id, cx)
    }

    fn close(&mut self) {
        self.shared.lock().close_channel(self.id);
    }
}
