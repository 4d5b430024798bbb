//! A Moim peer as a library: one source for native programs and for browser pages. A [`Peer`] joins rooms by topic, sees
//! who is there, and talks to all of them or to one. Programs also get streams of their own to any peer, and the DHT.
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use moim_peer::{Peer, PeerEvent, Profile};
//!
//! let bootstrap = "http://127.0.0.1:8470/bootstrap.json".parse()?;
//! let (peer, _) = Peer::builder().bootstrap([bootstrap]).start().await?;
//! let room = peer.join("global-chat".parse()?, Profile::named("Ada")?).await?;
//! let mut events = room.events();
//! room.say("hello").await?;
//! while let Some(event) = events.next().await {
//!     if let PeerEvent::RoomMessage(message) = event {
//!         println!("{}: {}", message.from, message.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | for | there is |
//! |---|---|
//! | starting | [`Peer::builder`]: identity, bootstrap nodes, where to listen |
//! | the peer's state | [`Peer::snapshot`], a `watch` channel with the [`Snapshot`] |
//! | rooms | [`Peer::join`], [`Room::members`], [`Room::say`], [`Room::history`]; [`Peer::lookup`] without joining |
//! | what happens | [`Room::events`], [`Peer::events`]: as many readers as a program wants |
//! | one other peer | [`Peer::send`] with a receipt; [`Peer::open`] and [`Peer::accept`] for streams of bytes |
//! | the DHT | [`Peer::put`], [`Peer::get`]: small JSON values; [`Peer::provide`], [`Peer::providers`]: who has something |
//! | programs in other languages | [`Code`] for errors, [`mod@identity`] for keys that are kept, `json` for rows |
//!
//! # How it works
//!
//! Behind the handle one task, the *driver*, owns the libp2p `Swarm`; nobody else touches it. The handle sends it commands
//! by a bounded queue. State is read from `watch` channels and never by asking the driver. A program that reads slowly
//! holds nobody up: it is told how much it missed.
//!
//! The examples in `examples/` are whole programs: a bot, a counter of members, `who`, and a pipe.
//!
//! # Features
//!
//! - `programs`, on by default: streams of a program's own, and the DHT as such. The page goes without.
//! - `json`: events and answers as JSON, in the shapes of `moim --json`.

mod behaviour;
mod bootstrap;
mod builder;
mod code;
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
#[cfg(feature = "json")]
pub mod json;
mod place;
mod platform;
mod probe;
mod reason;
mod scoring;
mod snapshot;
mod sources;
#[cfg(feature = "programs")]
mod streams;
mod swarm;
mod waiting;

pub use libp2p::{
    Multiaddr, PeerId,
    identity::{Keypair, PublicKey},
};
pub use moim_connection_guard::quiet_caught_panics;
pub use moim_protocol::{
    UnixMillis, limits,
    message::MessageId,
    provider_key::ProviderKey,
    record::{KeyError, RecordKey, TypedError, from_json, from_typed},
    refusal_wire::Refusal,
    stream_wire::{ProtocolName, ProtocolNameError},
    text::{LineError, Name, NameError, Text, TextError},
    topic::{Topic, TopicError},
    wire::ErrorCode,
};
pub use moim_webrtc::{CandidateTypes, Failure, Report, Role, Step};

#[cfg(feature = "programs")]
pub use self::streams::{Duplex, Incoming};
pub use self::{
    bootstrap::{BootstrapSource, BootstrapSourceError},
    builder::{DhtMode, PeerBuilder},
    code::Code,
    error::{
        AcceptError, GetError, JoinError, LookupError, OpenError, ProvideError, PutError, SayError,
        SendError, StartError,
    },
    event::{EventStream, LeaveReason, PeerEvent},
    handle::{Peer, Room},
    history::{Cursor, DirectMessage, RoomMessage},
    place::Place,
    reason::{DocumentFault, InvalidValue, NoDirectWay, NodeFault, NotInDht, Setback, Unreached},
    snapshot::{
        BootstrapNode, BootstrapState, ClockOff, Connection, DhtState, DirectTransport, Member,
        NotDirect, Path, Profile, Reach, Receipt, Snapshot, Status, Stored, Value,
    },
};
