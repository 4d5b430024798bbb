//! The channels of a connection.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit, RTCDataChannelState, StreamId};

use super::{
    super::{
        super::{
            BackendError, ChannelClosed, EVENTS_MAX, HIGH_WATER, LOW_WATER, UNREAD_MAX,
            UNREAD_TOTAL_MAX,
        },
        channel::ChannelState,
        error,
    },
    Agent, Noted,
};

impl Agent {
    /// A channel's state. One that is not known is new and of the other side.
    pub(super) fn channel(&mut self, id: RTCDataChannelId) -> Option<&mut ChannelState> {
        if self.occupied.contains(&id) {
            return None;
        }
        if !self.channels.contains_key(&id) {
            let mut channel = self.rtc.data_channel(id)?;
            // One of ours that is over is not known any more either.
            if channel.ready_state() != RTCDataChannelState::Open {
                return None;
            }
            if self.noted.len() >= EVENTS_MAX {
                // Nobody takes them.
                let _ = channel.close();
                return None;
            }
            let label = channel.label().to_owned();
            self.noted.push_back(Noted::Channel { id, label });
            self.channels.insert(id, ChannelState::default());
        }
        self.channels.get_mut(&id)
    }

    pub(super) fn on_message(&mut self, id: RTCDataChannelId, is_text: bool, data: Bytes) {
        let total = self.unread;
        let Some(channel) = self.channel(id) else {
            return;
        };
        if channel.forgotten || channel.closed {
            return;
        }
        let size = data.len();
        if is_text {
            // Not of this protocol.
            channel.closed = true;
        } else if channel.unread_bytes.saturating_add(size) > UNREAD_MAX
            || total.saturating_add(size) > UNREAD_TOTAL_MAX
        {
            tracing::debug!("a stream is not read; giving it up");
            channel.closed = true;
        } else {
            channel.unread_bytes = channel.unread_bytes.saturating_add(size);
            channel.unread.push_back(data);
            self.unread = total.saturating_add(size);
        }
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        // Whoever has just read may begin to wait only when it is polled again, whatever for. See the
        // browser's channel.
        let is_awaited = channel.reader.is_some();
        let closes = channel.closed;
        channel.wake();
        if closes {
            self.close_channel(id);
        }
        if !is_awaited {
            self.wake_task();
        }
    }

    pub(in crate::backend::native) fn open_channel(&mut self, label: &str) -> Result<RTCDataChannelId, BackendError> {
        if self.closed.is_some() {
            return Err(BackendError("the connection is closed".to_owned()));
        }
        let channel = self.rtc.create_data_channel(label, None).map_err(error)?;
        let id = channel.id();
        self.channels.insert(id, ChannelState::default());
        self.done();
        Ok(id)
    }

    pub(in crate::backend::native) fn try_receive(&mut self, id: RTCDataChannelId) -> Option<Bytes> {
        let channel = self.channels.get_mut(&id)?;
        let message = channel.unread.pop_front()?;
        channel.unread_bytes = channel.unread_bytes.saturating_sub(message.len());
        self.unread = self.unread.saturating_sub(message.len());
        Some(message)
    }

    pub(in crate::backend::native) fn poll_receive(
        &mut self,
        id: RTCDataChannelId,
        cx: &Context<'_>,
    ) -> Poll<Option<Bytes>> {
        if let Some(message) = self.try_receive(id) {
            return Poll::Ready(Some(message));
        }
        match self.channels.get_mut(&id) {
            Some(channel) if !channel.closed => {
                channel.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(None),
        }
    }

    /// Bytes that wait to go out or to be acknowledged; `None` as long as there is no stream for them.
    /// The other side need not have agreed to the channel (RFC 8832, section 6).
    fn outstanding(&mut self, id: RTCDataChannelId) -> Result<Option<usize>, ChannelClosed> {
        if self.channels.get(&id).is_none_or(|channel| channel.closed) {
            return Err(ChannelClosed);
        }
        let channel = self.rtc.data_channel(id).ok_or(ChannelClosed)?;
        match channel.ready_state() {
            RTCDataChannelState::Connecting if channel.stream_id().is_none() => Ok(None),
            RTCDataChannelState::Connecting | RTCDataChannelState::Open => {
                Ok(Some(channel.outstanding_bytes()))
            }
            _ => Err(ChannelClosed),
        }
    }

    pub(in crate::backend::native) fn poll_send_ready(
        &mut self,
        id: RTCDataChannelId,
        cx: &Context<'_>,
    ) -> Poll<Result<(), ChannelClosed>> {
        match self.outstanding(id)? {
            Some(bytes) if bytes < HIGH_WATER => Poll::Ready(Ok(())),
            _ => {
                self.wait_to_write(id, LOW_WATER, cx);
                Poll::Pending
            }
        }
    }

    pub(in crate::backend::native) fn poll_flushed(&mut self, id: RTCDataChannelId, cx: &Context<'_>) -> Poll<()> {
        match self.outstanding(id) {
            Ok(Some(bytes)) if bytes > 0 => {
                self.wait_to_write(id, 0, cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn wait_to_write(&mut self, id: RTCDataChannelId, below: usize, cx: &Context<'_>) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.writer = Some((below, cx.waker().clone()));
        }
    }

    /// Wakes those who wait to send and can again.
    pub(super) fn wake_writers(&mut self) {
        for (id, channel) in &mut self.channels {
            let Some((below, _)) = &channel.writer else {
                continue;
            };
            let is_ready = self.rtc.data_channel(*id).is_none_or(|channel| {
                channel.stream_id().is_some() && channel.outstanding_bytes() <= *below
            });
            if is_ready {
                channel.wake_writer();
            }
        }
    }

    pub(in crate::backend::native) fn send(&mut self, id: RTCDataChannelId, data: &[u8]) -> Result<(), ChannelClosed> {
        self.outstanding(id)?;
        let mut channel = self.rtc.data_channel(id).ok_or(ChannelClosed)?;
        channel
            .send(Instant::now(), BytesMut::from(data))
            .map_err(|_| ChannelClosed)?;
        self.done();
        Ok(())
    }

    /// Closes a channel: the stream is reset, and the other side resets its own (RFC 8831, section 6.7).
    pub(in crate::backend::native) fn close_channel(&mut self, id: RTCDataChannelId) {
        let Some(mut channel) = self.rtc.data_channel(id) else {
            return;
        };
        let stream = channel.stream_id();
        if let Err(error) = channel.close() {
            tracing::debug!(%error, "closing a channel");
        }
        self.flush();
        self.take_events();
        if let Some(stream) = stream
            && self.rtc.data_channel(id).is_none()
        {
            self.occupy(stream);
        }
        self.done();
    }

    /// Keeps the number of a stream from being used again before the other side has reset its direction
    /// too. rtc 0.21 frees the number as soon as our side is closed, and what is sent on a new channel of
    /// the same number is lost; so a channel that needs no opening holds it. It goes away with the stream.
    fn occupy(&mut self, stream: StreamId) {
        let options = RTCDataChannelInit {
            negotiated: Some(stream),
            ..RTCDataChannelInit::default()
        };
        match self.rtc.create_data_channel("", Some(options)) {
            Ok(channel) => {
                let id = channel.id();
                self.occupied.insert(id);
            }
            Err(error) => tracing::debug!(%error, stream, "the number of a stream is free too early"),
        }
    }

    #[cfg(test)]
    pub(in crate::backend::native) fn channel_count(&self) -> usize {
        self.channels.len().saturating_add(self.occupied.len())
    }

    /// The handle of a channel is gone.
    pub(in crate::backend::native) fn forget(&mut self, id: RTCDataChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.forgotten = true;
        channel.reader = None;
        channel.writer = None;
        channel.unread.clear();
        self.unread = self.unread.saturating_sub(channel.unread_bytes);
        channel.unread_bytes = 0;
        self.remove_done(id);
    }

    /// Nothing more is kept of a channel that is closed and that nobody holds.
    pub(super) fn remove_done(&mut self, id: RTCDataChannelId) {
        let is_done = |channel: &ChannelState| channel.closed && channel.forgotten;
        if self.channels.get(&id).is_some_and(is_done) {
            self.channels.remove(&id);
        }
    }
}
