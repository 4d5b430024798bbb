//! Bodies of `/moim/refusal/1.0.0`: a bootstrap node tells a peer why it is not let in, before it closes
//! the connection.
//!
//! The node asks and the peer answers, one JSON body each way on a stream of its own: the end of the
//! exchange tells the node that its reason has arrived. A peer that does not know the protocol sees its
//! connection closed, and nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    json,
    limits::BODY_BYTES_MAX,
    wire::{BodyError, WireError},
};

/// Why a node takes no connection of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// `address_full`: the node has as many connections from the peer's network as it takes from one.
    AddressFull,
    /// `blocked`: the operator does not let this peer or its network in.
    Blocked,
    /// `full`: the node has as many connections as it can.
    Full,
    /// `identity_in_use`: there are as many connections of this identity as a peer may have. One program
    /// does not make so many.
    IdentityInUse,
    /// Any code that this version does not know.
    Other,
}

impl Refusal {
    const NAMED: [Self; 4] = [
        Self::AddressFull,
        Self::Blocked,
        Self::Full,
        Self::IdentityInUse,
    ];

    /// The code as it stands in a body.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressFull => "address_full",
            Self::Blocked => "blocked",
            Self::Full => "full",
            Self::IdentityInUse => "identity_in_use",
            Self::Other => "other",
        }
    }

    fn from_text(text: &str) -> Self {
        Self::NAMED
            .into_iter()
            .find(|refusal| refusal.as_str() == text)
            .unwrap_or(Self::Other)
    }
}

/// What happened and what to do, for people.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressFull => {
                "the node takes no more connections from this network; try another node, or try again \
                 later"
            }
            Self::Blocked => {
                "the node does not let this peer in; ask its operator, or use another node"
            }
            Self::Full => "the node is full; try another node, or try again later",
            Self::IdentityInUse => {
                "another program uses this identity, and the node takes no more of its connections; \
                 close it, or use another identity"
            }
            Self::Other => "the node does not let this peer in; this version does not know the reason that it gave",
        })
    }
}

/// What the node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The connection is about to be closed.
    Refused(Refusal),
}

/// What the peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// It has heard.
    Accepted,
}

#[derive(Serialize)]
struct RefusedOut {
    code: &'static str,
}

#[derive(Deserialize)]
struct RefusedIn {
    code: String,
}

#[derive(Serialize)]
struct Empty {}

impl Request {
    /// The body to be sent.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let Self::Refused(refusal) = self;
        let code = refusal.as_str();
        json::encode("refused", RefusedOut { code })
    }

    /// Reads and checks a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "refused" => {
                let RefusedIn { code } = json::fields(bytes)?;
                Ok(Self::Refused(Refusal::from_text(&code)))
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

impl Response {
    /// The body to be sent.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let Self::Accepted = self;
        json::encode("accepted", Empty {})
    }

    /// Reads and checks a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "accepted" => Ok(Self::Accepted),
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

#[cfg(test)]
mod tests;
