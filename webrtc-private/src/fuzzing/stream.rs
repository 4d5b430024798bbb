//! A stream whose other side does as it likes.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::{AsyncRead as _, AsyncWrite as _, FutureExt as _, channel::mpsc};

use crate::{
    backend::{ChannelClosed, DataChannel},
    stream::{
        Stream, StreamInner,
        frame::{self, Decoder, FRAME_BYTES_MAX, Flag},
    },
};

/// A stream, both sides of which are told what to do. It checks that the stream keeps to the protocol and to what
/// `AsyncRead` and `AsyncWrite` promise.
#[derive(Debug)]
pub struct StreamLab {
    stream: Stream<Script>,
    dropped: mpsc::Receiver<StreamInner<Script>>,
    script: Script,
    /// Data of whole frames that was given to the stream and may still be read.
    coming: VecDeque<u8>,
    /// Nothing but whole frames has come, so what is read is known.
    is_known: bool,
    has_ended: bool,
    was_reset: bool,
    written: usize,
}

/// The channel's other end.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<Channel>>);

#[derive(Debug, Default)]
struct Channel {
    inbox: VecDeque<Bytes>,
    sent: Vec<u8>,
    is_stuck: bool,
    is_closed: bool,
}

impl Script {
    fn lock(&self) -> MutexGuard<'_, Channel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DataChannel for Script {
    fn label(&self) -> String {
        String::new()
    }

    fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut channel = self.lock();
        match channel.inbox.pop_front() {
            Some(message) => Poll::Ready(Some(message)),
            None if channel.is_closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        self.lock().inbox.pop_front()
    }

    fn poll_send_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ChannelClosed>> {
        let channel = self.lock();
        match (channel.is_closed, channel.is_stuck) {
            (true, _) => Poll::Ready(Err(ChannelClosed)),
            (false, true) => Poll::Pending,
            (false, false) => Poll::Ready(Ok(())),
        }
    }

    fn send(&mut self, message: &[u8]) -> Result<(), ChannelClosed> {
        let mut channel = self.lock();
        if channel.is_closed {
            return Err(ChannelClosed);
        }
        assert!(message.len() <= FRAME_BYTES_MAX);
        channel.sent.extend(message);
        Ok(())
    }

    fn poll_flushed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn close(&mut self) {
        self.lock().is_closed = true;
    }
}

impl Default for StreamLab {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamLab {
    /// A stream that is open.
    #[must_use]
    pub fn new() -> Self {
        let script = Script::default();
        let (dropping, dropped) = mpsc::channel(1);
        Self {
            stream: Stream::new(script.clone(), dropping),
            dropped,
            script,
            coming: VecDeque::new(),
            is_known: true,
            has_ended: false,
            was_reset: false,
            written: 0,
        }
    }

    /// The other side sends whatever it likes.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.is_known = false;
        self.push(bytes);
    }

    /// The other side sends data.
    pub fn receive_data(&mut self, data: &[u8]) {
        if data.len() <= frame::DATA_BYTES_MAX && !self.has_ended {
            self.coming.extend(data);
            self.push(&frame::encode_data(data));
        }
    }

    /// The other side sends one of the four flags.
    pub fn receive_flag(&mut self, number: u8) {
        let flag = match number % 4 {
            0 => Flag::Fin,
            1 => Flag::StopSending,
            2 => Flag::Reset,
            _ => Flag::FinAck,
        };
        // After these the other side has nothing more to say.
        self.has_ended |= matches!(flag, Flag::Fin | Flag::Reset);
        self.push(&frame::encode_flag(flag));
    }

    fn push(&self, bytes: &[u8]) {
        let mut channel = self.script.lock();
        if !channel.is_closed {
            channel.inbox.push_back(Bytes::copy_from_slice(bytes));
        }
    }

    /// The channel takes no more for now, or takes it again.
    pub fn set_stuck(&self, is_stuck: bool) {
        self.script.lock().is_stuck = is_stuck;
    }

    /// The channel is gone.
    pub fn close_channel(&self) {
        self.script.lock().is_closed = true;
    }

    /// Our side reads.
    pub fn read(&mut self, length: usize) {
        let mut buffer = vec![0; length.max(1)];
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(Ok(count)) => {
                assert!(!self.was_reset || count == 0, "data after a reset");
                if self.is_known {
                    let expected: Vec<u8> =
                        self.coming.drain(..count.min(self.coming.len())).collect();
                    assert_eq!(&buffer[..count], expected);
                }
            }
            Poll::Ready(Err(error)) => {
                self.was_reset |= error.kind() == io::ErrorKind::ConnectionReset;
            }
            Poll::Pending => {}
        }
    }

    /// Our side writes.
    pub fn write(&mut self, data: &[u8]) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(count)) = Pin::new(&mut self.stream).poll_write(&mut cx, data) {
            assert!(count <= data.len() && (count > 0 || data.is_empty()));
            assert!(!self.was_reset, "written after a reset");
            self.written += count;
        }
    }

    /// Our side closes its half.
    pub fn close(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.stream).poll_close(&mut cx);
    }

    /// Our side drops the stream. What it has sent in all must be frames of the protocol: no data after a `FIN`, and
    /// nothing but an acknowledgement after a `RESET`.
    pub fn finish(self) {
        let Self {
            stream,
            mut dropped,
            script,
            written,
            ..
        } = self;
        drop(stream);
        if let Ok(inner) = dropped.try_recv() {
            // Once: whoever waits for the other side waits for time to pass.
            let _ = inner.linger().now_or_never();
        }
        let channel = script.lock();
        let mut decoder = Decoder::default();
        decoder.push(&channel.sent);
        let (mut sent, mut has_finished) = (0, false);
        while let Some(frame) = decoder.next().expect("our own frames are good") {
            assert!(!has_finished || frame.data.is_empty(), "data after FIN");
            sent += frame.data.len();
            has_finished |= frame.flag == Some(Flag::Fin);
        }
        assert_eq!(sent, written);
    }
}
