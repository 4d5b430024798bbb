//! The browser's `RTCDataChannel`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use gloo_events::EventListener;
use js_sys::{ArrayBuffer, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use crate::{
    backend::{
        ChannelClosed, DataChannel, HIGH_WATER, LOW_WATER, UNKNOWN_UNREAD_MAX, UNREAD_MAX,
        UNREAD_TOTAL_MAX, weight,
    },
    stream::frame::FRAME_BYTES_MAX,
};

/// Bytes of a message that waits for others to go out with. A larger one gains nothing by it.
const SMALL_MAX: usize = 1024;

/// What the channels of one connection have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Bytes that wait to be read.
    unread: Cell<usize>,
    /// Whether it is known who is at the other end.
    trusted: Cell<bool>,
    /// The connection's task.
    task: RefCell<Option<Waker>>,
}

impl Common {
    /// It is known who is at the other end.
    pub(super) fn trust(&self) {
        self.trusted.set(true);
    }

    fn unread_max(&self) -> usize {
        match self.trusted.get() {
            true => UNREAD_TOTAL_MAX,
            false => UNKNOWN_UNREAD_MAX,
        }
    }

    /// This task is to be woken when a message comes that nobody waits for.
    pub(super) fn set_task(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        match task.as_mut() {
            Some(task) => task.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

/// An `RTCDataChannel`.
pub struct Channel(SendWrapper<Inner>);

struct Inner {
    channel: RtcDataChannel,
    state: Rc<RefCell<State>>,
    outbox: Rc<RefCell<Outbox>>,
    /// What the browser calls. Detached when this is dropped.
    _listeners: Vec<EventListener>,
}

struct State {
    unread: VecDeque<Bytes>,
    unread_bytes: usize,
    common: Rc<Common>,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    /// Whether a message of so many bytes may wait too.
    fn takes(&self, bytes: usize) -> bool {
        let bytes = weight(bytes);
        self.unread_bytes.saturating_add(bytes) <= UNREAD_MAX
            && self.common.unread.get().saturating_add(bytes) <= self.common.unread_max()
    }

    fn push(&mut self, message: Bytes) {
        let weight = weight(message.len());
        self.unread_bytes = self.unread_bytes.saturating_add(weight);
        self.common
            .unread
            .set(self.common.unread.get().saturating_add(weight));
        self.unread.push_back(message);
        // Whoever has just read may begin to wait only when it is polled again, whatever for: a
        // multiplexer that reads the network itself is polled for every message. libp2p's ping relies
        // on that.
        if self.reader.is_none()
            && let Some(task) = self.common.task.borrow().as_ref()
        {
            task.wake_by_ref();
        }
        self.wake();
    }

    fn pop(&mut self) -> Option<Bytes> {
        let message = self.unread.pop_front()?;
        let weight = weight(message.len());
        self.unread_bytes = self.unread_bytes.saturating_sub(weight);
        self.common
            .unread
            .set(self.common.unread.get().saturating_sub(weight));
        Some(message)
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// What is sent goes out at the end of the turn: a protocol's name, a request and the end of a stream
/// are written one after the other, and as a message each they would take longer than all of them in one.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// Whether something sees to it that it goes out.
    is_due: bool,
}

impl Outbox {
    /// Puts a message in, or sends it.
    fn put(&mut self, channel: &RtcDataChannel, message: &[u8]) -> Result<(), ChannelClosed> {
        if message.len() > SMALL_MAX {
            self.send(channel)?;
            return send(channel, message);
        }
        // Others take the largest frame in one message.
        if self.bytes.len().saturating_add(message.len()) > FRAME_BYTES_MAX {
            self.send(channel)?;
        }
        self.bytes.extend_from_slice(message);
        Ok(())
    }

    /// Sends what is in it.
    fn send(&mut self, channel: &RtcDataChannel) -> Result<(), ChannelClosed> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let sent = send(channel, &self.bytes);
        self.bytes.clear();
        sent
    }
}

fn send(channel: &RtcDataChannel, message: &[u8]) -> Result<(), ChannelClosed> {
    channel
        .send_with_u8_array(message)
        .map_err(|_| ChannelClosed)
}

impl Drop for State {
    fn drop(&mut self) {
        self.common
            .unread
            .set(self.common.unread.get().saturating_sub(self.unread_bytes));
    }
}

impl Channel {
    /// Takes a channel over, in the same turn of the event loop in which it came to be. `common`
    /// is its connection's.
    pub(super) fn new(channel: RtcDataChannel, common: Rc<Common>) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(LOW_WATER as u32);
        let state = Rc::new(RefCell::new(State {
            unread: VecDeque::new(),
            unread_bytes: 0,
            common,
            closed: false,
            reader: None,
            writer: None,
        }));
        let on_message = {
            let state = Rc::clone(&state);
            let channel = channel.clone();
            move |event: &web_sys::Event| {
                let Some(event) = event.dyn_ref::<MessageEvent>() else {
                    return;
                };
                let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() else {
                    // Text: not of this protocol.
                    channel.close();
                    return;
                };
                let message = Bytes::from(Uint8Array::new(&buffer).to_vec());
                let mut state = state.borrow_mut();
                if !state.takes(message.len()) {
                    tracing::debug!("a stream is not read; giving it up");
                    state.closed = true;
                    channel.close();
                    state.wake();
                    return;
                }
                state.push(message);
            }
        };
        let wake = |closes: bool| {
            let state = Rc::clone(&state);
            move |_: &web_sys::Event| {
                let mut state = state.borrow_mut();
                state.closed |= closes;
                state.wake();
            }
        };
        let listeners = vec![
            EventListener::new(&channel, "message", on_message),
            EventListener::new(&channel, "open", wake(false)),
            EventListener::new(&channel, "bufferedamountlow", wake(false)),
            // An error is always followed by `close`, and messages may come before it.
            EventListener::new(&channel, "close", wake(true)),
        ];
        Self(SendWrapper::new(Inner {
            channel,
            state,
            outbox: Rc::default(),
            _listeners: listeners,
        }))
    }

    fn is_open(&self) -> bool {
        !self.0.state.borrow().closed
            && matches!(
                self.0.channel.ready_state(),
                RtcDataChannelState::Open | RtcDataChannelState::Connecting
            )
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("id", &self.0.channel.id())
            .field("state", &self.0.channel.ready_state())
            .finish_non_exhaustive()
    }
}

impl DataChannel for Channel {
    fn label(&self) -> String {
        self.0.channel.label()
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.0.state.borrow_mut();
        if let Some(message) = state.pop() {
            return Poll::Ready(Some(message));
        }
        if state.closed || self.0.channel.ready_state() == RtcDataChannelState::Closed {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        self.0.state.borrow_mut().pop()
    }

    fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelClosed>> {
        if !self.is_open() {
            return Poll::Ready(Err(ChannelClosed));
        }
        let open = self.0.channel.ready_state() == RtcDataChannelState::Open;
        if open && (self.0.channel.buffered_amount() as usize) < HIGH_WATER {
            return Poll::Ready(Ok(()));
        }
        self.0.state.borrow_mut().writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn send(&mut self, message: &[u8]) -> Result<(), ChannelClosed> {
        let channel = &self.0.channel;
        if channel.ready_state() != RtcDataChannelState::Open {
            return Err(ChannelClosed);
        }
        let mut outbox = self.0.outbox.borrow_mut();
        outbox.put(channel, message)?;
        if !outbox.is_due && !outbox.bytes.is_empty() {
            outbox.is_due = true;
            let (outbox, channel) = (Rc::clone(&self.0.outbox), channel.clone());
            spawn_local(async move {
                let mut outbox = outbox.borrow_mut();
                outbox.is_due = false;
                // Closed meanwhile, which readers and writers see.
                let _ = outbox.send(&channel);
            });
        }
        Ok(())
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Closed: then there is nothing to wait for.
        let _ = self.0.outbox.borrow_mut().send(&self.0.channel);
        if !self.is_open() || self.0.channel.buffered_amount() == 0 {
            return Poll::Ready(());
        }
        // `bufferedamountlow` comes at the threshold only.
        self.0.channel.set_buffered_amount_low_threshold(0);
        self.0.state.borrow_mut().writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn close(&mut self) {
        // Closed already: then it does not matter.
        let _ = self.0.outbox.borrow_mut().send(&self.0.channel);
        self.0.channel.close();
    }
}
