//! What only programs ask of the driver: streams of their own, and the DHT as such.

use std::time::Duration;

use libp2p::PeerId;
use moim_protocol::{provider_key::ProviderKey, record::RecordKey};

use super::Reply;
use crate::{
    error::{GetError, LookupError, OpenError, ProvideError, PutError},
    snapshot::{Stored, Value},
    streams::Raw,
};

#[derive(Debug)]
pub(crate) enum ForPrograms {
    Get {
        key: RecordKey,
        reply: Reply<Result<Option<Value>, GetError>>,
    },
    /// A stream to a peer, on the best connection.
    Open {
        to: PeerId,
        reply: Reply<Result<Raw, OpenError>>,
    },
    /// Answered when the servers are told first.
    Provide {
        key: ProviderKey,
        reply: Reply<Result<(), ProvideError>>,
    },
    Providers {
        key: ProviderKey,
        reply: Reply<Result<Vec<PeerId>, LookupError>>,
    },
    StopProviding {
        key: ProviderKey,
    },
    Put {
        key: RecordKey,
        value: serde_json::Value,
        lifetime: Duration,
        reply: Reply<Result<Stored, PutError>>,
    },
}
