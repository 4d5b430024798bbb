//! A Moim peer as a library: one source for native programs and for browser pages.
//!
//! [`Peer::builder`] starts a peer and returns a cheap [`Peer`] handle together with the
//! [`EventStream`] of everything that happens. Behind the handle one task, the *driver*, owns the
//! libp2p `Swarm`; nobody else touches it. State is read from `watch` channels
//! ([`Peer::snapshot`], [`Room::members`]) and never by asking the driver.
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use moim_peer::{BootstrapSource, Keypair, Peer, Profile};
//!
//! let (peer, mut events) = Peer::builder()
//!     .identity(Keypair::generate_ed25519())
//!     .bootstrap([BootstrapSource::Url("http://127.0.0.1:8470/bootstrap.json".into())])
//!     .start()
//!     .await?;
//! let room = peer.join("global-chat", Profile::named("Ada")?).await?;
//! room.say("hello").await?;
//! while let Some(event) = events.next().await {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```

mod behaviour;
mod bootstrap;
mod builder;
mod command;
mod driver;
mod duplicates;
mod error;
mod event;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handle;
mod history;
pub mod identity;
mod place;
mod platform;
mod probe;
mod reason;
mod scoring;
mod snapshot;
mod sources;
mod streams;
mod swarm;
mod waiting;

pub use connection_guard::quiet_caught_panics;
pub use libp2p::{
    Multiaddr, PeerId,
    identity::{Keypair, PublicKey},
};
pub use moim_protocol::{
    limits,
    message::MessageId,
    record::{KeyError, RecordKey, TypedError, from_json, from_typed},
    refusal_wire::Refusal,
    stream_wire::{ProtocolName, ProtocolNameError},
    text::{LineError, Name, NameError, Text, TextError},
    topic::{Topic, TopicError},
    wire::ErrorCode,
};
pub use webrtc_private::{CandidateKinds, Failure, Report, Role, Step};

pub use self::{
    bootstrap::{BootstrapSource, BootstrapSourceError},
    builder::{DhtMode, PeerBuilder},
    error::{
        AcceptError, GetError, JoinError, LookupError, OpenError, PutError, SayError, SendError,
        StartError,
    },
    event::{EventStream, LeaveReason, PeerEvent},
    handle::{Peer, Room},
    history::{DirectMessage, RoomMessage},
    place::Place,
    reason::{DocumentFault, InvalidValue, NoDirectWay, NodeFault, NotInDht, Setback, Unreached},
    snapshot::{
        BootstrapNode, BootstrapState, ClockOff, Connection, DhtState, DirectTransport, Member,
        NotDirect, Path, Profile, Reach, Receipt, Snapshot, Status, Stored, Value,
    },
    streams::{Duplex, Incoming},
};
