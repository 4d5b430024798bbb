//! Presence: a peer's signed word that it is here, or that it has left.
//!
//! A [`SignedPresence`] that exists has been checked: signature, signer, bounds. Whether it is of
//! *now* is asked separately ([`SignedPresence::check_time`]), because only the receiver knows.

use std::{fmt, sync::Arc, time::Duration};

use libp2p_identity::{Keypair, PeerId, SigningError};
use multiaddr::{Multiaddr, Protocol};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    address::{self, AddressError},
    envelope::{self, EnvelopeError, Purpose},
    json,
    limits::{
        ADDRESS_BYTES_MAX, ADDRESSES_MAX, CLOCK_SKEW_MAX, ENVELOPE_BYTES_MAX, INTEGER_MAX,
        PRESENCE_TTL,
    },
    names::{PRESENCE_DOMAIN, PRESENCE_KEY_PREFIX, PRESENCE_PAYLOAD_TYPE},
    text::{Name, NameError},
    time::{UnixMillis, Validity},
    topic::TopicHash,
    wire::body::{self, BodyError, ErrorCode},
};

pub(crate) const PURPOSE: Purpose = Purpose {
    domain: PRESENCE_DOMAIN,
    payload_type: PRESENCE_PAYLOAD_TYPE,
    bytes_max: ENVELOPE_BYTES_MAX,
};

/// The `type` of the payload.
const KIND: &str = "presence";

/// Why a presence cannot be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// An address that is none of [those dialled](crate::address).
    #[error("one of its addresses has none of the allowed forms: {0}")]
    Address(#[source] AddressError),
    /// An address that is too long.
    #[error("an address has {0} bytes, at most {ADDRESS_BYTES_MAX} are allowed")]
    AddressTooLong(usize),
    /// The payload is not a presence.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The envelope around it.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Past its end by more than clocks may differ.
    #[error("expired, by more than clocks may differ ({} s)", CLOCK_SKEW_MAX.as_secs())]
    Expired,
    /// An address that ends in another peer's id.
    #[error("one of its addresses names another peer")]
    ForeignAddress,
    /// Dated further in the future than clocks may differ.
    #[error("dated in the future, by more than clocks may differ ({} s)", CLOCK_SKEW_MAX.as_secs())]
    Future,
    /// It expires before it is issued, at the same time, or more than [`PRESENCE_TTL`] later.
    #[error("a life of {0:?} is not allowed; it must be from 1 ms to {PRESENCE_TTL:?}")]
    Lifetime(Duration),
    /// The display name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The sequence number is zero.
    #[error("sequence numbers start at 1")]
    Sequence,
    /// Signed by another peer (this one) than it speaks of.
    #[error("signed by {0}, which is not the peer it speaks of")]
    Signer(Box<PeerId>),
    /// A `state` that this version does not know.
    #[error("unknown state {0:?}")]
    UnknownState(String),
    /// More than [`ADDRESSES_MAX`] addresses.
    #[error("{0} addresses are more than the {ADDRESSES_MAX} allowed")]
    TooManyAddresses(usize),
}

impl PresenceError {
    /// The code that an answer to such a presence carries.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Expired | Self::Future => ErrorCode::Expired,
            Self::Envelope(EnvelopeError::TooLarge { .. }) => ErrorCode::TooLarge,
            Self::Body(error) => error.code(),
            Self::UnknownState(_) => ErrorCode::UnknownType,
            Self::Address(_)
            | Self::AddressTooLong(_)
            | Self::Envelope(_)
            | Self::ForeignAddress
            | Self::Lifetime(_)
            | Self::Name(_)
            | Self::Sequence
            | Self::Signer(_)
            | Self::TooManyAddresses(_) => ErrorCode::Invalid,
        }
    }
}

/// Why a presence could not be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// Others would not take it, for this reason.
    #[error(transparent)]
    Invalid(#[from] PresenceError),
    /// The key would not sign.
    #[error("the key cannot sign")]
    Signing(#[from] SigningError),
}

/// Whether a peer is here or has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// `here`: in the room until the presence expires.
    Here,
    /// `left`: gone, at once.
    Left,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Left => "left",
        }
    }

    /// Later versions may know others, which are told apart from what no version says.
    fn from_text(text: &str) -> Result<Self, PresenceError> {
        [Self::Here, Self::Left]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| PresenceError::UnknownState(body::cut(text, 64).to_owned()))
    }
}

/// What a peer says about itself in one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Who speaks.
    pub peer: PeerId,
    /// Of which topic.
    pub topic: TopicHash,
    /// Display name.
    pub name: Name,
    /// Where the peer can be dialled, best first: at most [`ADDRESSES_MAX`], of [those
    /// dialled](crate::address). An address may end in `/p2p/` and this peer's id. What a received
    /// presence names besides is not here, only in its envelope.
    pub addresses: Vec<Multiaddr>,
    /// Greater in every later presence of this peer and topic, see
    /// [`next_sequence`]. At least 1.
    pub sequence: u64,
    /// When it was signed, by the peer's own clock.
    pub issued: UnixMillis,
    /// Until when it holds: 1 ms to [`PRESENCE_TTL`] after `issued`.
    pub expires: UnixMillis,
    /// Here, or gone.
    pub state: State,
}

#[derive(Serialize, Deserialize)]
struct Payload<A> {
    #[serde(with = "json::peer")]
    peer: PeerId,
    topic: TopicHash,
    name: String,
    addresses: A,
    #[serde(deserialize_with = "json::integer::deserialize")]
    sequence: u64,
    issued: UnixMillis,
    expires: UnixMillis,
    state: String,
}

impl Presence {
    /// Signs it with the peer's own key.
    ///
    /// What this returns, every other peer takes: it has passed the same checks.
    pub fn sign(&self, keypair: &Keypair) -> Result<SignedPresence, SignError> {
        self.check()?;
        let addresses = self.addresses.iter().map(ToString::to_string);
        let payload = Payload {
            peer: self.peer,
            topic: self.topic,
            name: self.name.as_str().to_owned(),
            addresses: addresses.collect::<Vec<_>>(),
            sequence: self.sequence,
            issued: self.issued,
            expires: self.expires,
            state: self.state.as_str().to_owned(),
        };
        let bytes = envelope::seal(keypair, PURPOSE, json::encode(KIND, payload))?;
        Ok(SignedPresence::decode(&bytes)?)
    }

    /// Signs it with as many of its addresses, from the first on, as fit.
    ///
    /// Addresses that nobody could take (too long, another peer's, or of no kind that is dialled) are left
    /// out.
    pub fn sign_fitting(mut self, keypair: &Keypair) -> Result<SignedPresence, SignError> {
        let peer = self.peer;
        self.addresses
            .retain(|address| check_address(address, &peer).is_ok());
        self.addresses.truncate(ADDRESSES_MAX);
        loop {
            match self.sign(keypair) {
                Err(SignError::Invalid(PresenceError::Envelope(EnvelopeError::TooLarge {
                    ..
                }))) if self.addresses.pop().is_some() => {}
                result => return result,
            }
        }
    }

    fn check(&self) -> Result<(), PresenceError> {
        if self.addresses.len() > ADDRESSES_MAX {
            return Err(PresenceError::TooManyAddresses(self.addresses.len()));
        }
        for address in &self.addresses {
            check_address(address, &self.peer)?;
        }
        if self.sequence == 0 {
            return Err(PresenceError::Sequence);
        }
        let ttl = self.validity().ttl();
        if ttl.is_zero() || ttl > PRESENCE_TTL {
            return Err(PresenceError::Lifetime(ttl));
        }
        Ok(())
    }

    pub(crate) const fn validity(&self) -> Validity {
        Validity {
            issued: self.issued,
            expires: self.expires,
        }
    }
}

fn check_address(address: &Multiaddr, peer: &PeerId) -> Result<(), PresenceError> {
    // The binary form is never longer than the text, and costs nothing to measure.
    let bytes = address.to_string().len();
    if bytes > ADDRESS_BYTES_MAX {
        return Err(PresenceError::AddressTooLong(bytes));
    }
    match address.iter().last() {
        Some(Protocol::P2p(last)) if last != *peer => Err(PresenceError::ForeignAddress),
        _ => address::parse(address)
            .map(|_| ())
            .map_err(PresenceError::Address),
    }
}

/// Of the addresses that a peer names of itself those that can be dialled. Later versions may name
/// others beside them, so each stands for itself.
fn known(addresses: json::List<'_>, peer: &PeerId) -> Result<Vec<Multiaddr>, PresenceError> {
    if addresses.len() > ADDRESSES_MAX {
        return Err(PresenceError::TooManyAddresses(addresses.len()));
    }
    let known = addresses
        .values::<String>()
        // Peer ids in it are decoded in quadratic time.
        .filter(|text| text.len() <= ADDRESS_BYTES_MAX)
        .filter_map(|text| text.parse().ok())
        .filter(|address| check_address(address, peer).is_ok());
    Ok(known.collect())
}

/// A presence with the envelope that proves it. It has passed every check but
/// [`check_time`](Self::check_time). A clone shares both with the original.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedPresence(Arc<Checked>);

#[derive(PartialEq, Eq)]
struct Checked {
    presence: Presence,
    bytes: Vec<u8>,
}

impl SignedPresence {
    /// Reads and checks an envelope: its size, form and signature, that the signer is the peer it
    /// speaks of, and every bound of [`Presence`]. Addresses that nobody dials are skipped.
    pub fn decode(bytes: &[u8]) -> Result<Self, PresenceError> {
        #[cfg(feature = "memo")]
        return MEMO.with_borrow_mut(|memo| memo.decoded(bytes, Self::check));
        #[cfg(not(feature = "memo"))]
        Self::check(bytes)
    }

    fn check(bytes: &[u8]) -> Result<Self, PresenceError> {
        let opened = envelope::open(bytes, PURPOSE)?;
        let kind = json::head(&opened.payload, ENVELOPE_BYTES_MAX)?;
        if kind != KIND {
            return Err(BodyError::unknown_type(&kind).into());
        }
        let payload: Payload<json::List<'_>> = json::fields(&opened.payload)?;
        let presence = Presence {
            peer: payload.peer,
            topic: payload.topic,
            name: Name::received(&payload.name)?,
            addresses: known(payload.addresses, &payload.peer)?,
            sequence: payload.sequence,
            issued: payload.issued,
            expires: payload.expires,
            state: State::from_text(&payload.state)?,
        };
        if opened.signer != presence.peer {
            return Err(PresenceError::Signer(Box::new(opened.signer)));
        }
        presence.check()?;
        let bytes = bytes.to_vec();
        Ok(Self(Arc::new(Checked { presence, bytes })))
    }

    /// What the peer says.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// The envelope, as it was received.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The envelope, as it was received.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match Arc::try_unwrap(self.0) {
            Ok(checked) => checked.bytes,
            Err(shared) => shared.bytes.clone(),
        }
    }

    /// Refuses what is dated further from the receiver's clock than clocks may differ
    /// ([`CLOCK_SKEW_MAX`]).
    pub fn check_time(&self, wall: UnixMillis) -> Result<(), PresenceError> {
        let validity = self.0.presence.validity();
        if validity.is_future(wall) {
            return Err(PresenceError::Future);
        }
        if validity.is_expired(wall) {
            return Err(PresenceError::Expired);
        }
        Ok(())
    }

    /// What is left of its life, on the receiver's clock, when it has already lived for `age`:
    /// `(expires - issued) - age`, and never more than until [`check_time`](Self::check_time)
    /// would refuse it. Zero when nothing is left.
    #[must_use]
    pub fn life(&self, age: Duration, wall: UnixMillis) -> Duration {
        self.0.presence.validity().life(age, wall)
    }

    /// How long from `wall` on somebody could still show it as new: until
    /// [`check_time`](Self::check_time) refuses it. So long its sequence number has to be
    /// remembered.
    #[must_use]
    pub fn replayable(&self, wall: UnixMillis) -> Duration {
        self.0.presence.validity().replayable(wall)
    }
}

impl fmt::Debug for SignedPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedPresence")
            .field(&self.0.presence)
            .finish()
    }
}

/// The DHT key of a peer's presence record in a topic: `/moim/presence/1/`, the 32 bytes of the
/// topic hash, the bytes of the peer id.
#[must_use]
pub fn presence_record_key(topic: TopicHash, peer: &PeerId) -> Vec<u8> {
    let peer = peer.to_bytes();
    [PRESENCE_KEY_PREFIX, topic.as_bytes(), &peer].concat()
}

/// The sequence number after `previous`: the wall clock in milliseconds, but always greater than
/// the last one, so that a clock set back does not silence a peer.
///
/// At most [`INTEGER_MAX`], from which on there is no greater one.
#[must_use]
pub fn next_sequence(previous: u64, wall: UnixMillis) -> u64 {
    wall.0.max(previous.saturating_add(1)).clamp(1, INTEGER_MAX)
}

#[cfg(feature = "memo")]
mod memo;

#[cfg(feature = "memo")]
thread_local! {
    static MEMO: std::cell::RefCell<memo::Memo<SignedPresence>> =
        std::cell::RefCell::new(memo::Memo::new(0));
}

/// From now on, remembers the last `max` to `2 * max` presences that were decoded in this thread; none for 0, as at
/// first. For simulations, which decode each many times.
#[cfg(feature = "memo")]
pub fn remember(max: usize) {
    MEMO.set(memo::Memo::new(max));
}

#[cfg(test)]
mod tests;
