//! The browser's `WebSocket` as a stream of bytes.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use futures_timer::Delay;
use gloo_events::EventListener;
use js_sys::{ArrayBuffer, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use crate::{Error, inbox::Inbox};

/// Bytes on their way out before writing has to wait: two seconds on a line of a megabit per second,
/// behind which a small message would have to wait too.
pub const OUTGOING_MAX: usize = 256 * 1024;

/// Unread bytes beyond which a connection is closed, once its other end is known.
pub const UNREAD_MAX: usize = 16 * 1024 * 1024;

/// The same until the other end is known. The messages of a Noise handshake take less than a KiB.
pub const UNKNOWN_UNREAD_MAX: usize = 64 * 1024;

/// How often a writer that waits looks whether there is room again. Browsers take it for at least
/// four milliseconds, and for a second in a hidden page.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The only status code that a page may close with, by the standard.
const NORMAL_CLOSURE: u16 = 1000;

/// A socket that is being opened.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Dial {
    url: String,
    connection: Option<Connection>,
}

impl Dial {
    pub(crate) const fn new(url: String) -> Self {
        Self {
            url,
            connection: None,
        }
    }
}

impl Future for Dial {
    type Output = Result<Connection, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => match WebSocket::new(&self.url) {
                Ok(socket) => Connection::new(socket),
                Err(reason) => {
                    return Poll::Ready(Err(Error::Refused {
                        url: std::mem::take(&mut self.url),
                        reason: text(&reason),
                    }));
                }
            },
        };
        match connection.0.socket.ready_state() {
            WebSocket::OPEN => Poll::Ready(Ok(connection)),
            WebSocket::CONNECTING => {
                connection.0.state.borrow_mut().writer = Some(cx.waker().clone());
                self.connection = Some(connection);
                Poll::Pending
            }
            _ => Poll::Ready(Err(Error::Failed {
                url: std::mem::take(&mut self.url),
            })),
        }
    }
}

/// What a thrown value says.
fn text(thrown: &JsValue) -> String {
    thrown.dyn_ref::<js_sys::Error>().map_or_else(
        || format!("{thrown:?}"),
        |error| String::from(error.message()),
    )
}

/// An open socket. Dropped, it closes.
pub struct Connection(SendWrapper<Inner>);

struct Inner {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    /// Runs while a writer waits for room.
    look_again: Option<Delay>,
    /// What the browser calls. Detached when this is dropped.
    _listeners: [EventListener; 3],
}

#[derive(Debug)]
struct State {
    inbox: Inbox,
    end: Option<End>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides closed it in order.
    Closed,
    /// It broke; with the status code of the browser.
    Broken(u16),
    /// More than [`UNREAD_MAX`], or [`UNKNOWN_UNREAD_MAX`], was not read.
    Overrun,
    /// Text instead of bytes came.
    Text,
}

impl State {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }

    /// The first end counts: what follows is its consequence.
    fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.wake();
    }
}

impl Connection {
    /// Takes a socket over, in the same turn of the event loop in which it was made.
    fn new(socket: WebSocket) -> Self {
        socket.set_binary_type(BinaryType::Arraybuffer);
        let state = Rc::new(RefCell::new(State {
            inbox: Inbox::new(UNKNOWN_UNREAD_MAX),
            end: None,
            reader: None,
            writer: None,
        }));
        let on_open = {
            let state = Rc::clone(&state);
            move |_: &web_sys::Event| state.borrow_mut().wake()
        };
        let on_message = {
            let state = Rc::clone(&state);
            let socket = socket.clone();
            move |event: &web_sys::Event| {
                let mut state = state.borrow_mut();
                if state.end.is_some() {
                    return;
                }
                let end = match receive(&mut state.inbox, event) {
                    // A writer that waits may have room again.
                    Ok(()) => return state.wake(),
                    Err(end) => end,
                };
                state.end(end);
                // Fails only for codes and reasons that are not allowed.
                let _ = socket.close_with_code(NORMAL_CLOSURE);
            }
        };
        let on_close = {
            let state = Rc::clone(&state);
            move |event: &web_sys::Event| {
                let end = match event.dyn_ref::<CloseEvent>() {
                    Some(event) if event.was_clean() => End::Closed,
                    Some(event) => End::Broken(event.code()),
                    None => End::Closed,
                };
                state.borrow_mut().end(end);
            }
        };
        // An `error` says nothing, and `close` follows.
        let listeners = [
            EventListener::new(&socket, "open", on_open),
            EventListener::new(&socket, "message", on_message),
            EventListener::new(&socket, "close", on_close),
        ];
        Self(SendWrapper::new(Inner {
            socket,
            state,
            look_again: None,
            _listeners: listeners,
        }))
    }

    /// By which whoever authenticates the other end says that it is known.
    #[must_use]
    pub fn unknown(&self) -> Unknown {
        Unknown(SendWrapper::new(Rc::clone(&self.0.state)))
    }
}

/// Tells a connection that its other end is known.
#[derive(Debug)]
pub struct Unknown(SendWrapper<Rc<RefCell<State>>>);

impl Unknown {
    /// From now on [`UNREAD_MAX`] bytes may be unread.
    pub fn is_known(self) {
        self.0.borrow_mut().inbox.set_bytes_max(UNREAD_MAX);
    }
}

/// Takes what a `message` event brings.
fn receive(inbox: &mut Inbox, event: &web_sys::Event) -> Result<(), End> {
    let Some(event) = event.dyn_ref::<MessageEvent>() else {
        return Ok(());
    };
    let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() else {
        return Err(End::Text);
    };
    let array = Uint8Array::new(&buffer);
    // Before it is copied.
    if !usize::try_from(array.length()).is_ok_and(|bytes| inbox.takes(bytes)) {
        return Err(End::Overrun);
    }
    inbox
        .push(Bytes::from(array.to_vec()))
        .map_err(|_| End::Overrun)
}

impl Inner {
    fn is_open(&self) -> bool {
        self.state.borrow().end.is_none() && self.socket.ready_state() == WebSocket::OPEN
    }

    /// Ready with the bytes that may go out now.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if !self.is_open() {
                self.look_again = None;
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let outgoing = usize::try_from(self.socket.buffered_amount()).unwrap_or(usize::MAX);
            let room = OUTGOING_MAX.saturating_sub(outgoing);
            if room > 0 {
                self.look_again = None;
                return Poll::Ready(Ok(room));
            }
            self.state.borrow_mut().writer = Some(cx.waker().clone());
            let delay = self
                .look_again
                .get_or_insert_with(|| Delay::new(LOOK_AGAIN));
            if delay.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            self.look_again = None;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Does nothing to a socket that is closed.
        let _ = self.socket.close_with_code(NORMAL_CLOSURE);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("url", &self.0.socket.url())
            .field("state", &self.0.socket.ready_state())
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Connection {
    /// What came before the end is read first. Then a connection that both sides closed has ended;
    /// of one that broke, came with text or was not read in time, an error says so.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.state.borrow_mut();
        let count = state.inbox.read(target);
        if count > 0 || target.is_empty() {
            return Poll::Ready(Ok(count));
        }
        let Some(end) = state.end else {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(match end {
            End::Closed => Ok(0),
            End::Broken(code) => Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                format!("the connection broke (WebSocket status {code})"),
            )),
            End::Overrun => Err(io::Error::other("more came than was read")),
            End::Text => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "text came instead of bytes",
            )),
        })
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        source: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = futures::ready!(self.0.poll_room(cx))?;
        let message = source.get(..room).unwrap_or(source);
        Poll::Ready(match self.0.socket.send_with_u8_array(message) {
            Ok(()) => Ok(message.len()),
            Err(reason) => Err(io::Error::new(io::ErrorKind::BrokenPipe, text(&reason))),
        })
    }

    /// The browser sends what it has without being asked.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(if self.0.is_open() {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        })
    }

    /// Done when both sides have closed. What was written before still goes out.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.socket.ready_state() == WebSocket::CLOSED {
            return Poll::Ready(Ok(()));
        }
        // Does nothing to a socket that is closing.
        let _ = self.0.socket.close_with_code(NORMAL_CLOSURE);
        self.0.state.borrow_mut().writer = Some(cx.waker().clone());
        Poll::Pending
    }
}
