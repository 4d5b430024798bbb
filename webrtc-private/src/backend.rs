//! What is asked of a WebRTC implementation.
//!
//! The protocol of this crate is written against these traits. The browser's `RTCPeerConnection` is one
//! implementation, sans-IO crates make another, for native programs; a scripted one in memory is for tests.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use thiserror::Error;

use crate::config::Reachable;

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(test)]
pub(crate) mod mock;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;

/// Events that wait to be taken. Beyond it channels are closed and candidates left out.
const EVENTS_MAX: usize = 256;

/// Bytes of a channel that may wait to go out before senders have to wait.
const HIGH_WATER: usize = 1024 * 1024;

/// Bytes below which they go on.
const LOW_WATER: usize = 256 * 1024;

/// Bytes of one stream that wait to be read before it is given up: the browser offers no way to slow
/// the other side down, and SCTP none to slow down one stream of many.
const UNREAD_MAX: usize = 16 * 1024 * 1024;

/// The same of all streams of a connection.
const UNREAD_TOTAL_MAX: usize = 64 * 1024 * 1024;

/// The same as long as it is not known who is at the other end: a handshake of Noise, and what somebody says who has
/// done with it before we have, take some KiB.
const UNKNOWN_UNREAD_MAX: usize = 64 * 1024;

/// What a message of so many bytes counts while it waits to be read: also an empty one takes a place.
const fn weight(bytes: usize) -> usize {
    bytes.saturating_add(64)
}

/// The WebRTC implementation refused to do something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BackendError(pub String);

/// A STUN or TURN server by which candidates are gathered (W3C's `RTCIceServer`).
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`…, see RFC 7064 and RFC 7065.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: Option<String>,
    /// For TURN.
    pub credential: Option<String>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// Makes peer connections.
pub trait Backend: Clone + Send + Unpin + 'static {
    /// What it makes.
    type Connection: PeerConnection;

    /// A new connection that has not done anything yet. From now on it takes note of everything that
    /// happens to it: what is reported first would be lost else. Of servers that are named by a name those addresses are
    /// asked that are `reachable`, as far as it is told what names stand for.
    fn connection(
        &self,
        ice_servers: &[IceServer],
        reachable: &Reachable,
    ) -> Result<Self::Connection, BackendError>;
}

/// The candidate pair that ICE has selected (RFC 8445, section 8), as far as it matters to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SelectedPair {
    /// Neither candidate is relayed: datagrams go from one side to the other, through whatever NATs there are.
    Direct,
    /// At least one candidate is relayed (of type `relay`): a TURN server of that side carries everything.
    Turn,
}

/// What happens to a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<C> {
    /// A local candidate, as the JSON of `RTCIceCandidate.toJSON()`.
    Candidate(String),
    /// ICE has selected a candidate pair, and DTLS has proven who is at the other end.
    Connected,
    /// The selected candidate pair; again when it is another one.
    SelectedPair(SelectedPair),
    /// Nothing has come from the other side for some seconds (ICE is `disconnected`). That may pass.
    Silent,
    /// The other side has opened a channel.
    Channel(C),
    /// An ICE server has refused to help, with this error code (RFC 8489, section 14.8). The connection
    /// goes on without.
    ServerRefused(u16),
    /// It is over.
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// ICE has failed (`RTCIceTransportState`): no candidate pair works, or the selected one does no longer.
    IceFailed,
    /// The other side has ended it, or DTLS or SCTP has failed.
    Closed,
}

/// One `RTCPeerConnection`. Dropping it closes it.
pub trait PeerConnection: Send + Unpin + 'static {
    /// A stream's channel.
    type Channel: DataChannel;

    /// Opens a channel with a label, negotiated in band.
    fn open_channel(&mut self, label: &str) -> Result<Self::Channel, BackendError>;

    /// Opens a channel with this stream id and no label, which the other side opens by itself too: nothing
    /// is said about it in band.
    fn open_negotiated(&mut self, id: u16) -> Result<Self::Channel, BackendError>;

    /// The SDP of an offer.
    fn create_offer(&mut self) -> BoxFuture<'static, Result<String, BackendError>>;

    /// The SDP of an answer to the offer that was set.
    fn create_answer(&mut self) -> BoxFuture<'static, Result<String, BackendError>>;

    /// Sets our own description. Candidates come from now on.
    fn set_local(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>>;

    /// The SDP of our own description, once it is set.
    fn local_description(&self) -> Option<String>;

    /// Sets the other side's description.
    fn set_remote(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>>;

    /// Adds a candidate of the other side, as the JSON of `RTCIceCandidate.toJSON()`.
    fn add_candidate(&mut self, json: String) -> BoxFuture<'static, Result<(), BackendError>>;

    /// What happened next.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<Self::Channel>>;

    /// The other side has proven who it is. Before that little is kept and done for it.
    fn trust(&mut self);

    /// Ends it. Everything after this fails.
    fn close(&mut self);
}

/// Which side of an exchange a session description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpKind {
    /// The asking side.
    Offer,
    /// The answering side.
    Answer,
}

/// One `RTCDataChannel`. Dropping it forgets it without closing it.
pub trait DataChannel: Send + Unpin + 'static {
    /// What it was opened with.
    fn label(&self) -> String;

    /// The next message, `None` after the last one. Wakes the task of this call.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;

    /// The next message if there is one already. Wakes nobody.
    fn try_receive(&mut self) -> Option<Bytes>;

    /// Whether messages may be sent: the channel is open and not too much waits to go out. Wakes the
    /// task of this call when that changes, and also when a message comes, which may be about sending.
    fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelClosed>>;

    /// Sends a message, which waits if need be: callers see to it that not too much does. Several may go
    /// out as one: a channel is a stream of bytes to both sides.
    fn send(&mut self, message: &[u8]) -> Result<(), ChannelClosed>;

    /// Whether everything has gone out, or the channel is closed. Wakes like
    /// [`poll_send_ready`](Self::poll_send_ready).
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Closes it after what waits has gone out.
    fn close(&mut self);

    /// The same, where it is known that nothing more comes. Its stream id may be free the sooner for that.
    fn close_finished(&mut self) {
        self.close();
    }
}

/// The channel is closed, or its connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the data channel is closed")]
pub struct ChannelClosed;
