//! From a signalling stream to a direct connection: one side offers, the other answers, both exchange
//! candidates, and ICE checks the pairs of them.
//!
//! [libp2p/specs, webrtc/webrtc.md](https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md),
//! steps 3 to 8. What the specification leaves open is done as js-libp2p understands it: neither side
//! sends a candidate before its description, nothing but candidates comes after it, and the
//! signalling stream is ended, not reset, when the connection is there.

use std::{
    collections::VecDeque,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite,
    future::{self, poll_fn},
};
use futures_timer::Delay;

use self::candidates::{Candidates, Reachable};
use crate::{
    backend::{BackendError, CloseReason, DataChannel, Event, PeerConnection, SdpKind},
    error::{Error, SignalingError, Step},
    muxer::{Background, Connection},
    report::{Report, Role},
    signaling::{Message, Signaling, unexpected},
};

pub(crate) mod candidates;

/// The channel that the offer is made for. It carries nothing.
pub(crate) const INIT_LABEL: &str = "init";

/// Candidates that are taken from the other side. A machine with many interfaces has a dozen.
const CANDIDATES_MAX: usize = 64;

/// Streams that may be opened before the connection is there for us.
const EARLY_MAX: usize = 32;

/// How long ICE may go on when nothing more comes by signalling: the other side may have given up.
const SILENCE_MAX: Duration = Duration::from_secs(8);

/// How long the first channel may take to close: as long as it is not, its stream id is taken.
const INIT_CLOSE_MAX: Duration = Duration::from_secs(2);

/// How long the implementation may take to say which candidate pair is selected. It does so in some milliseconds, and
/// one that can't say is no reason not to connect.
const SELECTED_PAIR_MAX: Duration = Duration::from_secs(1);

/// How long the other side may take to end the signalling stream.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// Makes a connection by signalling on `stream`. The offerer begins; the answerer waits for it. The
/// report says how far it came.
pub(crate) async fn connect<P, S>(
    peer: P,
    stream: S,
    role: Role,
    timeout: Duration,
    reachable: Reachable,
) -> (Report, Result<Connection<P>, Error>)
where
    P: PeerConnection,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let candidates = Candidates::new(reachable);
    Session::new(peer, stream, role, timeout, candidates)
        .run()
        .await
}

struct Session<P: PeerConnection, S> {
    peer: P,
    signaling: Signaling<S>,
    role: Role,
    report: Report,
    deadline: Delay,
    /// Channels of the other side that came already.
    early: VecDeque<P::Channel>,
    /// Candidates of the other side that came before they could be used.
    waiting: Vec<String>,
    candidates: Candidates,
    candidate_count: usize,
    /// Nothing more comes by signalling.
    silent: bool,
    connected: bool,
}

/// What happens next in a session.
enum Next {
    Message(Message),
    /// The other side has ended the signalling stream, or it broke.
    Silence(SignalingError),
    Connected,
}

impl<P, S> Session<P, S>
where
    P: PeerConnection,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn new(mut peer: P, stream: S, role: Role, timeout: Duration, candidates: Candidates) -> Self {
        // Who it is was proven where the signalling stream comes from, and that has told the certificate.
        peer.trust();
        Self {
            peer,
            signaling: Signaling::new(stream),
            role,
            report: Report::new(role),
            deadline: Delay::new(timeout),
            early: VecDeque::new(),
            waiting: Vec::new(),
            candidates,
            candidate_count: 0,
            silent: false,
            connected: false,
        }
    }

    async fn run(mut self) -> (Report, Result<Connection<P>, Error>) {
        match self.negotiate().await {
            Ok(()) => {
                let Self {
                    peer,
                    signaling,
                    report,
                    early,
                    ..
                } = self;
                let rest = Box::pin(async move {
                    future::select(Box::pin(signaling.finish()), Delay::new(FINISH_MAX)).await;
                    Background::Handshake
                });
                (report, Ok(Connection::new(peer, early, rest)))
            }
            Err(error) => {
                // Dropping the signalling stream resets it, and so tells the other side.
                self.peer.close();
                (self.report, Err(error))
            }
        }
    }

    async fn negotiate(&mut self) -> Result<(), Error> {
        self.report.step = Step::Describing;
        match self.role {
            Role::Offerer => {
                let mut init = self.peer.open_channel(INIT_LABEL).map_err(self.refused())?;
                let sdp = self.peer.create_offer().await.map_err(self.refused())?;
                self.signaling.queue(&Message::Offer(sdp.clone()));
                let set = self.peer.set_local(SdpKind::Offer, sdp);
                set.await.map_err(self.refused())?;
                let answer = self.description(SdpKind::Answer).await?;
                self.set_remote(SdpKind::Answer, answer).await?;
                self.connect().await?;
                self.report.step = Step::Settling;
                self.settle(&mut init).await?;
            }
            Role::Answerer => {
                let offer = self.description(SdpKind::Offer).await?;
                self.set_remote(SdpKind::Offer, offer).await?;
                let sdp = self.peer.create_answer().await.map_err(self.refused())?;
                self.signaling.queue(&Message::Answer(sdp.clone()));
                let set = self.peer.set_local(SdpKind::Answer, sdp);
                set.await.map_err(self.refused())?;
                self.connect().await?;
            }
        }
        self.learn_selected_pair().await
    }

    /// Waits for the other side's description.
    async fn description(&mut self, kind: SdpKind) -> Result<String, Error> {
        loop {
            match (self.next().await?, kind) {
                (Next::Message(Message::Offer(sdp)), SdpKind::Offer)
                | (Next::Message(Message::Answer(sdp)), SdpKind::Answer) => {
                    check_description(&sdp).map_err(self.misbehaved())?;
                    let (sdp, candidates) = self.candidates.take_out(&sdp);
                    self.waiting.extend(candidates);
                    return Ok(sdp);
                }
                (Next::Message(Message::Candidate(json)), SdpKind::Answer) => {
                    self.take_candidate(json)?;
                }
                (Next::Message(message), _) => {
                    return Err(self.misbehaved()(unexpected(self.report.step, &message)));
                }
                (Next::Silence(error), _) => return Err(self.misbehaved()(error)),
                (Next::Connected, _) => {}
            }
        }
    }

    async fn set_remote(&mut self, kind: SdpKind, sdp: String) -> Result<(), Error> {
        let set = self.peer.set_remote(kind, sdp);
        set.await.map_err(self.refused())
    }

    /// Exchanges candidates until there is a connection.
    async fn connect(&mut self) -> Result<(), Error> {
        self.report.step = Step::Connecting;
        loop {
            for json in std::mem::take(&mut self.waiting) {
                // One that is not understood is one candidate less.
                if let Err(error) = self.peer.add_candidate(json).await {
                    tracing::debug!(%error, "candidate not taken");
                }
            }
            if self.connected {
                return Ok(());
            }
            match self.next().await? {
                Next::Message(Message::Candidate(json)) => self.take_candidate(json)?,
                Next::Message(message) => {
                    return Err(self.misbehaved()(unexpected(self.report.step, &message)));
                }
                // All candidates may be here already.
                Next::Silence(error) => {
                    tracing::debug!(%error, "signalling has ended");
                    self.deadline.reset(SILENCE_MAX);
                }
                Next::Connected => {}
            }
        }
    }

    fn take_candidate(&mut self, json: Option<String>) -> Result<(), Error> {
        let Some(json) = json else {
            return Ok(());
        };
        self.candidate_count = self.candidate_count.saturating_add(1);
        if self.candidate_count > CANDIDATES_MAX {
            let error = SignalingError::TooManyCandidates {
                max: CANDIDATES_MAX,
            };
            return Err(self.misbehaved()(error));
        }
        if let Some(json) = self.candidates.take(&json) {
            self.report.remote.note(&json);
            self.waiting.push(json);
        }
        Ok(())
    }

    /// Waits until the first channel is open, and closes it.
    async fn settle(&mut self, init: &mut P::Channel) -> Result<(), Error> {
        poll_fn(|cx| {
            self.poll_session(cx)?;
            match init.poll_send_ready(cx) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) => Poll::Ready(Err(self.ended())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        init.close();
        let closed = poll_fn(|cx| {
            if let Err(error) = self.poll_session(cx) {
                return Poll::Ready(Err(error));
            }
            while let Poll::Ready(message) = init.poll_receive(cx) {
                if message.is_none() {
                    return Poll::Ready(Ok(()));
                }
            }
            Poll::Pending
        });
        match future::select(closed, Delay::new(INIT_CLOSE_MAX)).await {
            future::Either::Left((result, _)) => result,
            future::Either::Right(_) => Ok(()),
        }
    }

    /// Whoever uses the connection is told from the first moment whether it goes by a TURN server.
    async fn learn_selected_pair(&mut self) -> Result<(), Error> {
        let learnt = poll_fn(|cx| {
            if let Err(error) = self.poll_session(cx) {
                return Poll::Ready(Err(error));
            }
            match self.report.selected_pair {
                Some(_) => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        });
        match future::select(learnt, Delay::new(SELECTED_PAIR_MAX)).await {
            future::Either::Left((result, _)) => result,
            future::Either::Right(_) => Ok(()),
        }
    }

    async fn next(&mut self) -> Result<Next, Error> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Error>> {
        let was_connected = self.connected;
        self.poll_session(cx)?;
        if self.connected && !was_connected {
            return Poll::Ready(Ok(Next::Connected));
        }
        if self.silent {
            return Poll::Pending;
        }
        let silence = match self.signaling.poll_message(cx) {
            Poll::Ready(Ok(Some(message))) => return Poll::Ready(Ok(Next::Message(message))),
            Poll::Ready(Ok(None)) => SignalingError::Ended,
            Poll::Ready(Err(error @ SignalingError::Io(_))) => error,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(self.misbehaved()(error))),
            Poll::Pending => return Poll::Pending,
        };
        self.silent = true;
        Poll::Ready(Ok(Next::Silence(silence)))
    }

    /// What goes on at every step: time passes, candidates go out, the connection changes.
    fn poll_session(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if Pin::new(&mut self.deadline).poll(cx).is_ready() {
            return Err(Error::Timeout(self.report.step));
        }
        while let Poll::Ready(event) = self.peer.poll_event(cx) {
            match event {
                Event::Candidate(json) => {
                    self.report.local.note(&json);
                    self.signaling.queue(&Message::Candidate(Some(json)));
                }
                Event::ServerRefused(code) => self.report.refused = Some(code),
                Event::Connected => self.connected = true,
                Event::SelectedPair(pair) => self.report.selected_pair = Some(pair),
                // The deadline will tell.
                Event::Silent => {}
                Event::Channel(mut channel) => {
                    if self.early.len() >= EARLY_MAX {
                        channel.close();
                    } else {
                        self.early.push_back(channel);
                    }
                }
                Event::Closed(reason) => {
                    return Err(Error::Closed {
                        step: self.report.step,
                        reason,
                    });
                }
            }
        }
        // A stream that broke is reported by reading from it.
        let _ = self.signaling.poll_flush(cx);
        Ok(())
    }

    fn refused(&self) -> impl FnOnce(BackendError) -> Error + use<P, S> {
        let step = self.report.step;
        move |source| Error::Backend { step, source }
    }

    fn misbehaved(&self) -> impl FnOnce(SignalingError) -> Error + use<P, S> {
        let step = self.report.step;
        move |source| Error::Signaling { step, source }
    }

    fn ended(&self) -> Error {
        Error::Closed {
            step: self.report.step,
            reason: CloseReason::Closed,
        }
    }
}

/// Refuses descriptions that no peer of this protocol makes. That the other side is who it says is
/// proven by DTLS against the fingerprint in it.
pub(crate) fn check_description(sdp: &str) -> Result<(), SignalingError> {
    let media = sdp.lines().filter(|line| line.starts_with("m=")).count();
    if media != 1 {
        return Err(SignalingError::Description(
            "must have exactly one media line (m=)",
        ));
    }
    if !sdp.lines().any(|line| line.starts_with("m=application ")) {
        return Err(SignalingError::Description(
            "must be for data channels (m=application)",
        ));
    }
    // Both sides name them one by one, and whatever is in here would not be counted.
    let candidates = sdp.lines().filter(|line| line.starts_with("a=candidate"));
    if candidates.count() > CANDIDATES_MAX {
        return Err(SignalingError::Description(
            "has too many candidates (a=candidate)",
        ));
    }
    let fingerprint = |line: &str| {
        line.get(.."a=fingerprint:sha-256".len())
            .is_some_and(|start| start.eq_ignore_ascii_case("a=fingerprint:sha-256"))
    };
    if !sdp.lines().any(fingerprint) {
        return Err(SignalingError::Description(
            "must have a SHA-256 fingerprint (a=fingerprint)",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
