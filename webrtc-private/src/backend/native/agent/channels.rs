//! The channels of a connection.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;

use super::{
    super::{
        super::{
            BackendError, ChannelClosed, CloseReason, EVENTS_MAX, HIGH_WATER, LOW_WATER,
            UNKNOWN_UNREAD_MAX, UNREAD_MAX, UNREAD_TOTAL_MAX, weight,
        },
        channel::{ChannelId, ChannelState, Wanted},
        sctp::{self, Sctp, StreamId},
    },
    Agent, Noted,
};

fn all_taken() -> BackendError {
    BackendError("all stream ids are taken".to_owned())
}

impl Agent {
    pub(super) fn take_sctp_events(&mut self, now: Instant) {
        while let Some(event) = self.sctp.as_mut().and_then(|sctp| sctp.poll_event()) {
            match event {
                sctp::Event::Connected => self.open_waiting(|_| true, now),
                sctp::Event::Opened { stream, label } => self.on_opened(stream, label, now),
                sctp::Event::Message { stream, data } => self.on_message(stream, data),
                sctp::Event::ProtocolViolation { stream } => {
                    if let Some(id) = self.streams.get(&stream) {
                        tracing::debug!("giving a stream up");
                        self.close_channel(*id);
                    }
                }
                sctp::Event::Closed { stream } => {
                    if let Some(id) = self.streams.remove(&stream) {
                        self.on_closed(id);
                    }
                }
                sctp::Event::Lost => self.end(CloseReason::Closed),
            }
        }
    }

    /// Opens the channels that have waited for SCTP to begin, which both sides open by themselves.
    pub(super) fn open_negotiated_waiting(&mut self, now: Instant) {
        self.open_waiting(|wanted| matches!(wanted, Wanted::Negotiated(_)), now);
    }

    /// Opens those of the channels that have waited whose time has come.
    fn open_waiting(&mut self, is_due: impl Fn(&Wanted) -> bool, now: Instant) {
        let waiting = self.channels.iter_mut().filter_map(|(id, channel)| {
            let wanted = channel.wanted.take_if(|wanted| is_due(wanted))?;
            Some((*id, wanted))
        });
        for (id, wanted) in waiting.collect::<Vec<_>>() {
            if let Err(error) = self.open_stream(id, wanted, now) {
                tracing::debug!(%error, "a channel is not opened");
                self.on_closed(id);
            }
        }
    }

    fn on_opened(&mut self, stream: StreamId, label: String, now: Instant) {
        if self.noted.len() >= EVENTS_MAX {
            // Nobody takes them.
            if let Some(sctp) = &mut self.sctp {
                sctp.turn_away(stream, now);
            }
            return;
        }
        let id = self.add_channel(ChannelState {
            stream: Some(stream),
            ..ChannelState::default()
        });
        self.streams.insert(stream, id);
        self.noted.push_back(Noted::Channel { id, label });
    }

    fn on_message(&mut self, stream: StreamId, data: Bytes) {
        let Some(id) = self.streams.get(&stream).copied() else {
            return;
        };
        let total = self.unread;
        let total_max = match self.is_trusted {
            true => UNREAD_TOTAL_MAX,
            false => UNKNOWN_UNREAD_MAX,
        };
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.forgotten {
            return;
        }
        let size = weight(data.len());
        let fits = channel.unread_bytes.saturating_add(size) <= UNREAD_MAX
            && total.saturating_add(size) <= total_max;
        if !fits {
            tracing::debug!("giving a stream up that nobody reads");
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

    /// Nothing more comes on a channel, and nothing more goes.
    fn on_closed(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.closed = true;
            // Its stream id is another channel's as soon as the other side likes.
            channel.stream = None;
            channel.wake();
            self.remove_done(id);
        }
    }

    fn add_channel(&mut self, channel: ChannelState) -> ChannelId {
        let id = ChannelId(self.next_channel);
        self.next_channel = self.next_channel.saturating_add(1);
        self.channels.insert(id, channel);
        id
    }

    pub(in crate::backend::native) fn open_channel(
        &mut self,
        label: &str,
    ) -> Result<ChannelId, BackendError> {
        self.open(Wanted::Labelled(label.to_owned()))
    }

    pub(in crate::backend::native) fn open_negotiated(
        &mut self,
        stream: StreamId,
    ) -> Result<ChannelId, BackendError> {
        self.open(Wanted::Negotiated(stream))
    }

    fn open(&mut self, wanted: Wanted) -> Result<ChannelId, BackendError> {
        if self.closed.is_some() {
            return Err(BackendError("the connection is closed".to_owned()));
        }
        let id = self.add_channel(ChannelState::default());
        if self.sctp.as_ref().is_some_and(Sctp::is_connected) {
            let opened = self.open_stream(id, wanted, Instant::now());
            opened.inspect_err(|_| {
                self.channels.remove(&id);
            })?;
            self.done();
        } else if let Some(channel) = self.channels.get_mut(&id) {
            channel.wanted = Some(wanted);
        }
        Ok(id)
    }

    fn open_stream(
        &mut self,
        id: ChannelId,
        wanted: Wanted,
        now: Instant,
    ) -> Result<(), BackendError> {
        let sctp = self.sctp.as_mut().ok_or_else(all_taken)?;
        let stream = match wanted {
            Wanted::Labelled(label) => sctp.open(&label, now),
            Wanted::Negotiated(stream) => sctp.open_negotiated(stream).map(|()| stream),
        };
        let stream = stream.ok_or_else(all_taken)?;
        self.streams.insert(stream, id);
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.stream = Some(stream);
            channel.wake();
        }
        Ok(())
    }

    pub(in crate::backend::native) fn try_receive(&mut self, id: ChannelId) -> Option<Bytes> {
        let channel = self.channels.get_mut(&id)?;
        let message = channel.unread.pop_front()?;
        channel.unread_bytes = channel.unread_bytes.saturating_sub(weight(message.len()));
        self.unread = self.unread.saturating_sub(weight(message.len()));
        Some(message)
    }

    pub(in crate::backend::native) fn poll_receive(
        &mut self,
        id: ChannelId,
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
    fn buffered_amount(&mut self, id: ChannelId) -> Result<Option<usize>, ChannelClosed> {
        let channel = self.channels.get(&id).filter(|channel| !channel.closed);
        let Some(stream) = channel.ok_or(ChannelClosed)?.stream else {
            return Ok(None);
        };
        let sctp = self.sctp.as_mut().ok_or(ChannelClosed)?;
        sctp.buffered_amount(stream)
    }

    pub(in crate::backend::native) fn poll_send_ready(
        &mut self,
        id: ChannelId,
        cx: &Context<'_>,
    ) -> Poll<Result<(), ChannelClosed>> {
        match self.buffered_amount(id)? {
            Some(bytes) if bytes < HIGH_WATER => Poll::Ready(Ok(())),
            _ => {
                self.wait_to_write(id, LOW_WATER, cx);
                Poll::Pending
            }
        }
    }

    pub(in crate::backend::native) fn poll_flushed(
        &mut self,
        id: ChannelId,
        cx: &Context<'_>,
    ) -> Poll<()> {
        match self.buffered_amount(id) {
            Ok(Some(bytes)) if bytes > 0 => {
                self.wait_to_write(id, 0, cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn wait_to_write(&mut self, id: ChannelId, below: usize, cx: &Context<'_>) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.writer = Some((below, cx.waker().clone()));
        }
    }

    /// Wakes those who wait to send and can again.
    pub(super) fn wake_writers(&mut self) {
        let Some(sctp) = &mut self.sctp else {
            return;
        };
        for channel in self.channels.values_mut() {
            let (Some((below, _)), Some(stream)) = (&channel.writer, channel.stream) else {
                continue;
            };
            let is_ready = match sctp.buffered_amount(stream) {
                Ok(Some(bytes)) => bytes <= *below,
                Ok(None) => false,
                Err(ChannelClosed) => true,
            };
            if is_ready {
                channel.wake_writer();
            }
        }
    }

    pub(in crate::backend::native) fn send(
        &mut self,
        id: ChannelId,
        data: &[u8],
    ) -> Result<(), ChannelClosed> {
        let channel = self.channels.get(&id).filter(|channel| !channel.closed);
        let stream = channel.and_then(|channel| channel.stream);
        let (Some(sctp), Some(stream)) = (&mut self.sctp, stream) else {
            return Err(ChannelClosed);
        };
        sctp.send(stream, data, Instant::now())?;
        self.done();
        Ok(())
    }

    /// Closes a channel when what was sent on it has arrived; for whoever has its handle, at once.
    pub(in crate::backend::native) fn close_channel(&mut self, id: ChannelId) {
        self.close_by(id, Sctp::close);
    }

    /// The same where nothing more comes.
    pub(in crate::backend::native) fn close_finished_channel(&mut self, id: ChannelId) {
        self.close_by(id, Sctp::close_finished);
    }

    fn close_by(&mut self, id: ChannelId, close: impl FnOnce(&mut Sctp, StreamId, Instant)) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.wanted = None;
        if let Some(stream) = channel.stream
            && self.streams.remove(&stream).is_some()
            && let Some(sctp) = &mut self.sctp
        {
            close(sctp, stream, Instant::now());
            self.done();
        }
        self.on_closed(id);
    }

    #[cfg(test)]
    pub(in crate::backend::native) const fn unread(&self) -> usize {
        self.unread
    }

    /// Channels that are closed on this side, and still held.
    #[cfg(test)]
    pub(in crate::backend::native) fn closed_count(&self) -> usize {
        let closed = self.channels.values().filter(|channel| channel.closed);
        closed.count()
    }

    #[cfg(test)]
    pub(in crate::backend::native) const fn distrust(&mut self) {
        self.is_trusted = false;
    }

    #[cfg(test)]
    pub(in crate::backend::native) fn channel_count(&self) -> usize {
        self.channels.len() + self.streams.len()
    }

    /// The handle of a channel is gone.
    pub(in crate::backend::native) fn forget(&mut self, id: ChannelId) {
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
    fn remove_done(&mut self, id: ChannelId) {
        let is_done = |channel: &ChannelState| channel.closed && channel.forgotten;
        if self.channels.get(&id).is_some_and(is_done) {
            self.channels.remove(&id);
        }
    }
}
