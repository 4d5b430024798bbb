//! From an address to a connection with somebody known at the other end.

use std::{collections::VecDeque, time::Duration};

use futures::future::{self, Either, poll_fn};
use futures_timer::Delay;
use libp2p_core::upgrade::InboundConnectionUpgrade as _;
use libp2p_identity::{Keypair, PeerId};

use super::{
    Error,
    address::Server,
    authenticate::{Encrypted, HANDSHAKE_CHANNEL, poll_connected},
    fingerprint::prologue,
    missing, refused,
    sdp::{self, Credential, Version},
};
use crate::{
    backend::{Backend, PeerConnection as _, SdpKind},
    config::Reachable,
    error::Step,
    muxer::Connection,
};

/// How long version 2 has before version 1 is tried beside it: some round trips over a slow network.
const HEAD_START: Duration = Duration::from_millis(500);

pub(super) async fn dial<B: Backend>(
    backend: B,
    server: Server,
    identity: Keypair,
    timeout: Duration,
) -> Result<(PeerId, Connection<B::Connection>), Error> {
    let deadline = Delay::new(timeout);
    let encrypted = Box::pin(either_version(backend, server));
    let (encrypted, deadline) = match future::select(encrypted, deadline).await {
        Either::Left((encrypted, deadline)) => (encrypted?, deadline),
        Either::Right(_) => return Err(Error::Timeout(Step::Connecting)),
    };
    // The server begins: as the DTLS server it is the first that may send.
    let answer = |noise: libp2p_noise::Config, stream| noise.upgrade_inbound(stream, "/noise");
    let authenticated = Box::pin(encrypted.authenticate(answer, &identity));
    match future::select(authenticated, deadline).await {
        Either::Left((authenticated, _)) => authenticated,
        Either::Right(_) => Err(Error::Timeout(Step::Authenticating)),
    }
}

/// Tries version 2, and version 1 beside it when nothing comes of it. The first that connects counts;
/// the other is dropped and so closed.
async fn either_version<B: Backend>(
    backend: B,
    server: Server,
) -> Result<Encrypted<B::Connection>, Error> {
    let version_2 = Box::pin(encrypt(backend.clone(), server, Version::V2));
    let version_2 = match future::select(version_2, Delay::new(HEAD_START)).await {
        Either::Left((result, _)) => return result,
        Either::Right((_, version_2)) => version_2,
    };
    let version_1 = Box::pin(encrypt(backend, server, Version::V1));
    let (result, other) = match future::select(version_2, version_1).await {
        Either::Left(first) | Either::Right(first) => first,
    };
    match result {
        // The browser may refuse version 1; a server that is not there does not answer to either.
        Err(Error::Backend { .. }) => other.await,
        result => result,
    }
}

/// Connects with the holder of the server's certificate by one version.
async fn encrypt<B: Backend>(
    backend: B,
    server: Server,
    version: Version,
) -> Result<Encrypted<B::Connection>, Error> {
    // The server's address is known, and it sees ours: it takes no third to gather candidates.
    let mut peer = backend
        .connection(&[], &Reachable::default())
        .map_err(refused)?;
    let handshake = peer.open_negotiated(HANDSHAKE_CHANNEL).map_err(refused)?;
    let mut offer = peer.create_offer().await.map_err(refused)?;
    let credential_of = |description: &str| {
        Credential::new(version, description).ok_or_else(|| missing("ICE password"))
    };
    let munged = match version {
        Version::V1 => {
            let credential = credential_of(&offer)?;
            offer = sdp::with_credential(&offer, &credential);
            Some(credential)
        }
        Version::V2 => None,
    };
    let set = peer.set_local(SdpKind::Offer, offer);
    set.await.map_err(refused)?;
    // What counts from now on is what this says.
    let ours = peer.local_description().ok_or_else(|| missing("SDP"))?;
    let fingerprint = sdp::fingerprint(&ours).ok_or_else(|| missing("fingerprint"))?;
    let credential = munged.map_or_else(|| credential_of(&ours), Ok)?;
    let set = peer.set_remote(SdpKind::Answer, sdp::answer(&server, &credential));
    set.await.map_err(refused)?;
    let mut early = VecDeque::new();
    poll_fn(|cx| poll_connected(&mut peer, &mut early, Step::Connecting, cx)).await?;
    Ok(Encrypted {
        peer,
        handshake,
        prologue: prologue(fingerprint, server.fingerprint),
        early,
    })
}
