//! The channels of a connection.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use rtc::data_channel::{
    RTCDataChannel, RTCDataChannelId, RTCDataChannelInit, RTCDataChannelState, StreamId,
};

use super::{
    super::{
        super::{
            BackendError, ChannelClosed, CloseReason, EVENTS_MAX, HIGH_WATER, LOW_WATER,
            UNREAD_MAX, UNREAD_TOTAL_MAX, weight,
        },
        channel::ChannelState,
        error,
    },
    Agent, Noted,
};

/// How long a channel of ours is kept for the other side's last messages after it was closed. Browsers, and
/// js-libp2p in them, close theirs as soon as a stream is over.
const CLOSES_OWN: Duration = Duration::from_secs(1);

/// The same for one that the other side has opened: it closes it first.
const CLOSES_OTHERS: Duration = Duration::from_secs(5);

/// How long the other side may go on sending on a channel that was closed.
const CLOSES_AT_LAST: Duration = Duration::from_secs(60);

/// A server leaves it to its clients altogether, which close each channel when both sides are done with it:
/// also a reset that is late can cross with what a client says just then.
const CLOSES_SERVED: Duration = Duration::from_secs(24 * 60 * 60);

/// Channels that a client may have left to close.
const LEFT_MAX: usize = 1024;

/// How a channel is made that both sides make by themselves.
fn negotiated(stream: StreamId) -> RTCDataChannelInit {
    RTCDataChannelInit {
        negotiated: Some(stream),
        ..RTCDataChannelInit::default()
    }
}

/// Whether there is a stream for what is sent. The number of a channel that both sides make by themselves
/// is known before there is.
fn has_stream(channel: &RTCDataChannel<'_>) -> bool {
    match channel.ready_state() {
        RTCDataChannelState::Connecting => !channel.negotiated() && channel.stream_id().is_some(),
        _ => true,
    }
}

/// When a channel that is closed for us will be for the other side too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    due: Instant,
    patience: Duration,
    since: Instant,
}

impl Agent {
    /// A channel's state. One that is not known is new and of the other side.
    pub(super) fn channel(&mut self, id: RTCDataChannelId) -> Option<&mut ChannelState> {
        if self.occupied.contains(&id) || self.closing.contains_key(&id) {
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
            self.channels.insert(id, ChannelState::new(false));
        }
        self.channels.get_mut(&id)
    }

    pub(super) fn on_message(&mut self, id: RTCDataChannelId, is_text: bool, data: Bytes) {
        let total = self.unread;
        self.postpone_closing(id);
        let Some(channel) = self.channel(id) else {
            return;
        };
        if channel.forgotten || channel.closed {
            return;
        }
        let size = weight(data.len());
        let fits = channel.unread_bytes.saturating_add(size) <= UNREAD_MAX
            && total.saturating_add(size) <= UNREAD_TOTAL_MAX;
        if is_text || !fits {
            // Text is not of this protocol.
            tracing::debug!(is_text, "giving a stream up");
            self.close_channel(id);
            return;
        }
        channel.unread_bytes = channel.unread_bytes.saturating_add(size);
        channel.unread.push_back(data);
        // Whoever has just read may begin to wait only when it is polled again, whatever for. See the
        // browser's channel.
        let is_awaited = channel.reader.is_some();
        channel.wake();
        self.unread = total.saturating_add(size);
        if !is_awaited {
            self.wake_task();
        }
    }

    pub(in crate::backend::native) fn open_channel(
        &mut self,
        label: &str,
    ) -> Result<RTCDataChannelId, BackendError> {
        // Where it fails for want of a number, rtc keeps a channel without one.
        let max = self.rtc.sctp().and_then(|sctp| sctp.max_channels());
        let ours = self.channels.values().filter(|channel| channel.is_ours);
        let held = ours.count() + self.closing.len() + self.occupied.len();
        if max.is_some_and(|max| held >= usize::from(max / 2)) {
            return Err(BackendError("all numbers of channels are taken".to_owned()));
        }
        self.open(label, None)
    }

    pub(in crate::backend::native) fn open_negotiated(
        &mut self,
        stream: StreamId,
    ) -> Result<RTCDataChannelId, BackendError> {
        self.open("", Some(negotiated(stream)))
    }

    fn open(
        &mut self,
        label: &str,
        options: Option<RTCDataChannelInit>,
    ) -> Result<RTCDataChannelId, BackendError> {
        if self.closed.is_some() {
            return Err(BackendError("the connection is closed".to_owned()));
        }
        let channel = self
            .rtc
            .create_data_channel(label, options)
            .map_err(error)?;
        let id = channel.id();
        self.channels.insert(id, ChannelState::new(true));
        self.done();
        Ok(id)
    }

    pub(in crate::backend::native) fn try_receive(
        &mut self,
        id: RTCDataChannelId,
    ) -> Option<Bytes> {
        let channel = self.channels.get_mut(&id)?;
        let message = channel.unread.pop_front()?;
        channel.unread_bytes = channel.unread_bytes.saturating_sub(weight(message.len()));
        self.unread = self.unread.saturating_sub(weight(message.len()));
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
            RTCDataChannelState::Connecting if !has_stream(&channel) => Ok(None),
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

    pub(in crate::backend::native) fn poll_flushed(
        &mut self,
        id: RTCDataChannelId,
        cx: &Context<'_>,
    ) -> Poll<()> {
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
                has_stream(&channel) && channel.outstanding_bytes() <= *below
            });
            if is_ready {
                channel.wake_writer();
            }
        }
    }

    pub(in crate::backend::native) fn send(
        &mut self,
        id: RTCDataChannelId,
        data: &[u8],
    ) -> Result<(), ChannelClosed> {
        self.outstanding(id)?;
        let mut channel = self.rtc.data_channel(id).ok_or(ChannelClosed)?;
        channel
            .send(Instant::now(), BytesMut::from(data))
            .map_err(|_| ChannelClosed)?;
        self.done();
        Ok(())
    }

    /// Closes a channel, for whoever has its handle at once. The stream is reset (RFC 8831, section 6.7) when
    /// the other side resets its own, or some time after its last message: rtc 0.21 takes nothing of a
    /// stream that it has reset, and as long as something is left to be taken, it does not let the other
    /// side reset that stream, nor any other after it.
    pub(in crate::backend::native) fn close_channel(&mut self, id: RTCDataChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut channel.closed, true) && self.closing.contains_key(&id) {
            return;
        }
        let patience = if self.serves {
            CLOSES_SERVED
        } else if channel.is_ours {
            CLOSES_OWN
        } else {
            CLOSES_OTHERS
        };
        channel.wake();
        if self.rtc.data_channel(id).is_some() {
            let since = Instant::now();
            let closing = Closing {
                due: since + patience,
                patience,
                since,
            };
            self.closing.insert(id, closing);
            if self.serves && self.closing.len() > LEFT_MAX {
                tracing::debug!("the other side does not close channels");
                self.end(CloseReason::Closed);
            }
            self.done();
        }
        self.remove_done(id);
    }

    /// Something came on a channel that is being closed.
    fn postpone_closing(&mut self, id: RTCDataChannelId) {
        let Some(closing) = self.closing.get_mut(&id) else {
            return;
        };
        let now = Instant::now();
        closing.due = now + closing.patience;
        if now > closing.since + CLOSES_AT_LAST {
            tracing::debug!("the other side does not stop to send on a stream that is over");
            self.close();
        }
    }

    pub(super) fn next_closing(&self) -> Option<Instant> {
        self.closing.values().map(|closing| closing.due).min()
    }

    /// Resets the streams whose time has come.
    pub(super) fn reset_due(&mut self, now: Instant) {
        let due = self
            .closing
            .iter()
            .filter(|(_, closing)| closing.due <= now);
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.closing.remove(&id);
            self.reset(id);
        }
    }

    fn reset(&mut self, id: RTCDataChannelId) {
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
    }

    /// Keeps the number of a stream from being used again before the other side has reset its direction
    /// too. rtc 0.21 frees the number as soon as our side is closed, and what is sent on a new channel of
    /// the same number is lost; so a channel that needs no opening holds it. It goes away with the stream.
    fn occupy(&mut self, stream: StreamId) {
        let options = Some(negotiated(stream));
        match self.rtc.create_data_channel("", options) {
            Ok(channel) => {
                let id = channel.id();
                self.occupied.insert(id);
            }
            Err(error) => {
                tracing::debug!(%error, stream, "the number of a stream is free too early")
            }
        }
    }

    #[cfg(test)]
    pub(in crate::backend::native) fn channel_count(&self) -> usize {
        self.channels.len() + self.closing.len() + self.occupied.len()
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
