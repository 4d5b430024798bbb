//! A libp2p stream over a data channel.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use futures::{
    AsyncRead, AsyncWrite,
    channel::mpsc,
    future::{self, Either},
};
use futures_timer::Delay;

use self::{
    frame::{DATA_BYTES_MAX, Decoder, Flag},
    state::{State, Writable},
};
use crate::backend::{ChannelClosed, DataChannel};

pub(crate) mod frame;
mod state;

/// How long the other side may take to acknowledge that it has everything, and to close its own
/// direction. js-libp2p gives as long.
const LINGER_MAX: Duration = Duration::from_secs(10);

/// A stream. Dropping it without closing it resets it.
#[derive(Debug)]
pub struct Stream<C: DataChannel> {
    inner: Option<StreamInner<C>>,
    dropped: mpsc::Sender<StreamInner<C>>,
}

/// A channel with the state of the stream on it, which outlives the [`Stream`] until both sides are
/// done with it.
#[derive(Debug)]
pub(crate) struct StreamInner<C> {
    channel: C,
    decoder: Decoder,
    state: State,
    /// Data of frames that have been taken apart, not read yet.
    unread: Bytes,
    /// Flags that could not be sent yet, because the channel is not open.
    unsent: Vec<Flag>,
    /// Nothing comes any more.
    ended: bool,
}

impl<C: DataChannel> Stream<C> {
    pub(crate) fn new(channel: C, dropped: mpsc::Sender<StreamInner<C>>) -> Self {
        Self {
            inner: Some(StreamInner {
                channel,
                decoder: Decoder::default(),
                state: State::new(),
                unread: Bytes::new(),
                unsent: Vec::new(),
                ended: false,
            }),
            dropped,
        }
    }

    fn inner(&mut self) -> io::Result<&mut StreamInner<C>> {
        // Only `drop` takes it.
        self.inner
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<C: DataChannel> Drop for Stream<C> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            // Without its connection it has nobody left to talk to.
            let _ = self.dropped.try_send(inner);
        }
    }
}

impl<C: DataChannel> AsyncRead for Stream<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().inner()?.poll_read(cx, buffer)
    }
}

impl<C: DataChannel> AsyncWrite for Stream<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().inner()?.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is the channel's already, and goes out as fast as it can.
        self.get_mut().inner()?.poll_control(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().inner()?.poll_close(cx)
    }
}

impl<C: DataChannel> StreamInner<C> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if !self.unread.is_empty() && !self.state.is_reset() {
                let count = self.unread.len().min(buffer.len());
                let (head, _) = buffer.split_at_mut(count);
                self.unread.copy_to_slice(head);
                return Poll::Ready(Ok(count));
            }
            if self.state.is_reset() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if self.state.is_read_ended() {
                return Poll::Ready(Ok(0));
            }
            if self.ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if self.take_frame()? {
                continue;
            }
            match ready!(self.channel.poll_receive(cx)) {
                Some(message) => self.decoder.push(&message),
                None => self.ended = true,
            }
        }
    }

    /// Takes one frame apart, if a whole one is there. Its data is to be read before the next.
    fn take_frame(&mut self) -> io::Result<bool> {
        let frame = match self.decoder.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.reset();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        };
        if self.state.takes_data() {
            self.unread = frame.data;
        }
        if let Some(flag) = frame.flag
            && let Some(answer) = self.state.receive(flag)
        {
            self.say(answer);
        }
        Ok(true)
    }

    /// Looks for flags that concern what we send, as far as that is possible without reading data.
    fn look_for_flags(&mut self) -> io::Result<()> {
        while self.unread.is_empty() {
            if self.take_frame()? {
                continue;
            }
            match self.channel.try_receive() {
                Some(message) => self.decoder.push(&message),
                None => break,
            }
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(cx))?;
        let (data, _) = data.split_at(data.len().min(DATA_BYTES_MAX));
        self.channel
            .send(&frame::encode_data(data))
            .map_err(closed)?;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look_for_flags()?;
        match self.state.writable() {
            Writable::Yes => {}
            Writable::Closed | Writable::Refused => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            Writable::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
        ready!(self.channel.poll_send_ready(cx)).map_err(closed)?;
        self.send_unsent();
        Poll::Ready(Ok(()))
    }

    /// Sends the flags that wait for the channel to open.
    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent.is_empty() || self.state.is_reset() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.channel.poll_send_ready(cx)).map_err(closed)?;
        self.send_unsent();
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look_for_flags()?;
        if let Some(flag) = self.state.finish() {
            self.unsent.push(flag);
        }
        // Not that the other side has it: whoever waits for that waits for its answer.
        self.poll_control(cx)
    }

    /// Sends a flag now, or as soon as the channel is open.
    fn say(&mut self, flag: Flag) {
        if self.unsent.is_empty() && self.channel.send(&frame::encode_flag(flag)).is_ok() {
            return;
        }
        self.unsent.push(flag);
    }

    fn send_unsent(&mut self) {
        for flag in self.unsent.drain(..) {
            // Closed meanwhile: then there is nobody left to tell.
            let _ = self.channel.send(&frame::encode_flag(flag));
        }
    }

    fn reset(&mut self) {
        if let Some(flag) = self.state.reset() {
            self.unsent.clear();
            self.say(flag);
        }
    }

    /// Sees a stream that its user has dropped to its end: both sides have said all and know it.
    pub(crate) async fn linger(mut self) {
        match self.state.writable() {
            // It was not closed: half of what was meant may be missing.
            Writable::Yes => self.reset(),
            Writable::Refused => {
                if let Some(flag) = self.state.finish() {
                    self.say(flag);
                }
            }
            Writable::Closed | Writable::Reset => {}
        }
        if let Some(flag) = self.state.stop_reading() {
            self.say(flag);
        }
        let over = future::poll_fn(|cx| self.poll_over(cx));
        if let Either::Right(_) = future::select(over, Delay::new(LINGER_MAX)).await {
            tracing::trace!("the other side does not close its stream");
        }
        if self.state.is_finished() {
            self.channel.close_finished();
        } else {
            self.channel.close();
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.unread = Bytes::new();
            if !self.unsent.is_empty() {
                match self.channel.poll_send_ready(cx) {
                    Poll::Ready(Ok(())) => self.send_unsent(),
                    Poll::Ready(Err(ChannelClosed)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if self.ended {
                return Poll::Ready(());
            }
            if self.state.is_over() && self.unsent.is_empty() {
                return self.channel.poll_flushed(cx);
            }
            match self.take_frame() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(_) => return Poll::Ready(()),
            }
            match ready!(self.channel.poll_receive(cx)) {
                Some(message) => self.decoder.push(&message),
                None => self.ended = true,
            }
        }
    }
}

fn closed(_: ChannelClosed) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
