//! WebRTC for native programs, by sans-IO crates: ICE is [`rtc_ice`], DTLS [`rtc_dtls`],
//! SCTP [`sctp_proto`]. It needs a tokio runtime.
//!
//! The protocols are told what arrives and what time it is; this module has the sockets and the clock. Nothing is spawned: whoever polls the connection drives it, which is
//! the task of the swarm that owns it.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::future::{BoxFuture, ready};

use self::{
    agent::{Agent, Noted},
    channel::Channel,
};
use super::{Backend, BackendError, CloseReason, Event, IceServer, PeerConnection, SdpKind};
use crate::config::Reachable;

mod agent;
mod budget;
pub mod channel;
mod description;
mod dtls;
mod gather;
mod guard;
mod place;
mod records;
mod sctp;
pub mod server;
mod sockets;

/// Makes connections that have a UDP socket on each of the machine's addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Backend for Native {
    type Connection = Connection;

    fn connection(
        &self,
        ice_servers: &[IceServer],
        reachable: &Reachable,
    ) -> Result<Connection, BackendError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BackendError("there is no tokio runtime".to_owned()));
        }
        Ok(Connection(Shared::new(Agent::new(ice_servers, reachable)?)))
    }
}

fn error(error: impl fmt::Display) -> BackendError {
    BackendError(error.to_string())
}

/// What a connection and its channels have in common.
#[derive(Clone)]
struct Shared(Arc<Mutex<Agent>>);

impl Shared {
    fn new(agent: Agent) -> Self {
        Self(Arc::new(Mutex::new(agent)))
    }

    /// Never held across anything that waits.
    fn lock(&self) -> MutexGuard<'_, Agent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the agent; `otherwise` where it has broken down. If the crates of the protocols
    /// panic at some bytes of a remote, that must cost no more than the connection to that remote.
    fn with<T>(&self, otherwise: T, act: impl FnOnce(&mut Agent) -> T) -> T {
        let mut agent = self.lock();
        if agent.is_broken() {
            return otherwise;
        }
        let acted = panic::catch_unwind(AssertUnwindSafe(|| act(&mut agent)));
        acted.unwrap_or_else(|_| {
            tracing::error!("the connection has broken down");
            agent.break_down();
            otherwise
        })
    }
}

fn broken<T>() -> Result<T, BackendError> {
    Err(BackendError("the connection has broken down".to_owned()))
}

/// A connection of [`Native`].
pub struct Connection(Shared);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&*self.0.lock()).finish()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.with((), Agent::close);
    }
}

// Everything is done at once, so that no future borrows from a connection.
impl PeerConnection for Connection {
    type Channel = Channel;

    fn open_channel(&mut self, label: &str) -> Result<Channel, BackendError> {
        let id = self.0.with(broken(), |agent| agent.open_channel(label))?;
        Ok(Channel::new(id, label.to_owned(), self.0.clone()))
    }

    fn open_negotiated(&mut self, id: u16) -> Result<Channel, BackendError> {
        let id = self.0.with(broken(), |agent| agent.open_negotiated(id))?;
        Ok(Channel::new(id, String::new(), self.0.clone()))
    }

    fn create_offer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        Box::pin(ready(
            self.0.with(broken(), |agent| Ok(agent.create_offer())),
        ))
    }

    fn create_answer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        Box::pin(ready(self.0.with(broken(), |agent| agent.create_answer())))
    }

    fn set_local(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let set = |agent: &mut Agent| agent.set_local(kind, sdp);
        Box::pin(ready(self.0.with(broken(), set)))
    }

    fn local_description(&self) -> Option<String> {
        self.0.with(None, |agent| agent.local_description())
    }

    fn set_remote(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let set = |agent: &mut Agent| agent.set_remote(kind, &sdp);
        Box::pin(ready(self.0.with(broken(), set)))
    }

    fn add_candidate(&mut self, json: String) -> BoxFuture<'static, Result<(), BackendError>> {
        let add = |agent: &mut Agent| agent.add_candidate(&json);
        Box::pin(ready(self.0.with(broken(), add)))
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<Channel>> {
        let over = Poll::Ready(Noted::Closed(CloseReason::Closed));
        let noted = self.0.with(over, |agent| agent.poll_event(cx));
        noted.map(|noted| match noted {
            Noted::Candidate(json) => Event::Candidate(json),
            Noted::Connected => Event::Connected,
            Noted::Silent => Event::Silent,
            Noted::SelectedPair(pair) => Event::SelectedPair(pair),
            Noted::Channel { id, label } => Event::Channel(Channel::new(id, label, self.0.clone())),
            Noted::Closed(reason) => Event::Closed(reason),
        })
    }

    fn trust(&mut self) {
        self.0.with((), Agent::trust);
    }

    fn close(&mut self) {
        self.0.with((), Agent::close);
    }
}

#[cfg(test)]
mod tests;
