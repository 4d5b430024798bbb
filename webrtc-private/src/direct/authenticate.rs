//! The end of the handshake: both sides prove who they are.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

use futures::{
    AsyncWriteExt as _, StreamExt as _,
    channel::mpsc,
    future::{self, BoxFuture, Either, poll_fn},
};
use libp2p_identity::{Keypair, PeerId};

use super::Error;
use crate::{
    backend::{DataChannel as _, Event, PeerConnection},
    error::Step,
    muxer::{Background, Connection},
    stream::Stream,
};

/// The channel of the handshake, which both sides open without telling each other.
pub(crate) const HANDSHAKE_CHANNEL: u16 = 0;

/// Streams that the other side may open before the handshake is over.
const EARLY_MAX: usize = 32;

/// A connection to somebody of whom nothing is known but the certificate.
pub(crate) struct Encrypted<P: PeerConnection> {
    pub(crate) peer: P,
    /// The channel of the handshake.
    pub(crate) handshake: P::Channel,
    /// What makes the handshake hold for this connection alone.
    pub(crate) prologue: Vec<u8>,
    /// Channels that the other side has opened already.
    pub(crate) early: VecDeque<P::Channel>,
}

/// One side of the Noise handshake.
pub(crate) type Prove<C> = fn(libp2p_noise::Config, Stream<C>) -> Proof<C>;

type Proof<C> =
    BoxFuture<'static, Result<(PeerId, libp2p_noise::Output<Stream<C>>), libp2p_noise::Error>>;

/// Ready when the connection is there, or over.
pub(crate) fn poll_connected<P: PeerConnection>(
    peer: &mut P,
    early: &mut VecDeque<P::Channel>,
    step: Step,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    loop {
        match ready!(peer.poll_event(cx)) {
            Event::Connected => return Poll::Ready(Ok(())),
            Event::Closed(reason) => return Poll::Ready(Err(Error::Closed { step, reason })),
            Event::Channel(mut channel) => {
                if early.len() >= EARLY_MAX {
                    channel.close();
                } else {
                    early.push_back(channel);
                }
            }
            // The other side learns of our address from what it gets from there.
            Event::Candidate(_)
            | Event::ServerRefused(_)
            | Event::Silent
            | Event::SelectedPair(_) => {}
        }
    }
}

impl<P: PeerConnection> Encrypted<P> {
    /// Proves who we are, and has the other side do the same.
    pub(crate) async fn authenticate(
        self,
        prove: Prove<P::Channel>,
        identity: &Keypair,
    ) -> Result<(PeerId, Connection<P>), Error> {
        let Self {
            mut peer,
            handshake,
            prologue,
            mut early,
        } = self;
        let noise = libp2p_noise::Config::new(identity)
            .map_err(Error::Noise)?
            .with_prologue(prologue);
        let (dropped, mut lingering) = mpsc::channel(0);
        let stream = Stream::new(handshake, dropped);
        let proof = Box::pin(async move {
            let (id, mut stream) = prove(noise, stream).await.map_err(Error::Noise)?;
            // Both know by now. Whether it is closed well does not matter.
            let _ = stream.close().await;
            Ok(id)
        });
        let over = poll_fn(|cx| {
            loop {
                let connected = poll_connected(&mut peer, &mut early, Step::Authenticating, cx);
                if let Err(error) = ready!(connected) {
                    return Poll::Ready(error);
                }
            }
        });
        let id = match future::select(proof, over).await {
            Either::Left((proof, _)) => proof?,
            Either::Right((error, _)) => return Err(error),
        };
        peer.trust();
        let rest = Box::pin(async move {
            if let Some(inner) = lingering.next().await {
                inner.linger().await;
            }
            Background::Handshake
        });
        Ok((id, Connection::new(peer, early, rest)))
    }
}
