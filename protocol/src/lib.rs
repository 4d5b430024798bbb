//! What Moim peers say to each other, and when: names, limits, validation, and the decisions as
//! pure state machines. `docs/protocol.md` says the same for those who write a peer in another
//! language; a test of this crate holds the two together.
//!
//! **Invariant:** nothing here does IO, reads a clock, draws at random, waits, or knows a Swarm.
//! Time comes in as an argument: [`Instant`](web_time::Instant) for how long, [`UnixMillis`] for
//! what is written on the wire. Seeds for jitter and samples come in too. So everything can be
//! tested by table and property, and compiles for the browser as it is.
//!
//! **Invariant:** no byte that a remote sends can panic this crate, make it grow beyond what
//! [`limits`] says, or be kept without having been checked.
//!
//! # What is where
//!
//! What is said:
//!
//! - [`names`] and [`limits`]: protocol ids, prefixes, and every bound with its reason;
//! - [`topic`]: topics, and the keys that are derived from them;
//! - [`presence`], [`record`]: signed statements that others pass on or keep, in the [`envelope`]
//!   of libp2p's RFC 0002;
//! - [`presence_wire`], [`message`]: requests and answers of Moim's two request protocols;
//! - [`room`]: what is said in a room by gossip;
//! - [`wire`], [`text`]: error codes, and what people write;
//! - [`address`], [`targets`]: the addresses that are dialled, and which hosts an IP address may mean;
//! - [`random`]: the generator for jitter and samples, with a seed from outside.
//!
//! What is decided, each a machine that is fed with inputs and `now`:
//!
//! | | decides | is fed by |
//! |---|---|---|
//! | [`roster::Roster`] | who is in a room, and what is passed on to newcomers | a member |
//! | [`neighbours`] | whom of a large room to connect to | a member |
//! | [`announcer::Announcer`] | when a peer says that it is here | a member |
//! | [`alike::Alike`] | whose names look alike | a member |
//! | [`newcomers::Newcomers`] | whether words are shown as a member's | a member |
//! | [`ordering::Ordering`] | when a room message is delivered | a member |
//! | [`said::Said`] | what a member is given that missed it | a member |
//! | [`outbox::Outbox`] | when a direct message is sent, tried again, has failed | a sender |
//! | [`seen::SeenByPeer`] | what has been there before | a receiver |
//! | [`backoff::Backoff`] | how long to wait before another try | whoever dials |
//! | [`dials::Rules`] | which addresses are dialled | whoever dials |
//! | [`admission`] | what a DHT server keeps, and what takes its place | a DHT server |
//! | [`rate::Buckets`] | how much one source may ask for | whoever serves |
//! | [`allowance::Shares`] | how much one peer may say, and all together | a receiver |
//! | [`providers::ProviderTable`] | whom a DHT server names as a way into a topic | a DHT server |
//! | [`shares::Pool`] | whose things give way when a table of strangers' things is full | a DHT server |
//! | [`changes::Changes`] | what of a table has to be written down | a DHT server |
//!
//! The machines are used alike: after each input, ask for what is to be done (`tick`, `poll`,
//! `next`), and wake up again at `poll_timeout`, if there is one. A `poll_timeout` in the past
//! means now. Calling too early or too often does no harm.
//!
//! # A presence from end to end
//!
//! ```
//! use std::time::Duration;
//!
//! use libp2p_identity::Keypair;
//! use moim_protocol::{
//!     UnixMillis,
//!     limits::PRESENCE_TTL,
//!     presence::{Presence, SignedPresence, State, next_sequence},
//!     roster::{Roster, Verdict},
//!     text::Name,
//!     topic::Topic,
//! };
//! use web_time::Instant;
//!
//! let (ada, grace) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
//! let topic = Topic::new("global-chat")?.hash();
//! let wall = UnixMillis(1_800_000_000_000);
//!
//! // Ada says that she is here.
//! let presence = Presence {
//!     peer: ada.public().to_peer_id(),
//!     topic,
//!     name: Name::new("Ada")?,
//!     addresses: vec!["/ip4/192.0.2.7/tcp/8468".parse()?],
//!     sequence: next_sequence(0, wall),
//!     issued: wall,
//!     expires: wall.saturating_add(PRESENCE_TTL),
//!     state: State::Here,
//! };
//! let bytes = presence.sign(&ada)?.into_bytes();
//!
//! // Grace hears it from Mary, who has known it for twenty seconds.
//! let mary = Keypair::generate_ed25519().public().to_peer_id();
//! let mut roster = Roster::new(topic, grace.public().to_peer_id());
//! let heard = SignedPresence::decode(&bytes)?;
//! let (age, now) = (Duration::from_secs(20), Instant::now());
//! assert_eq!(roster.handle_presence(heard, mary, age, now, wall)?, Verdict::Joined);
//!
//! // A hundred seconds later Ada is gone, unless she has said it again.
//! assert_eq!(roster.poll_timeout(), Some(now + Duration::from_secs(100)));
//! assert_eq!(roster.tick(now + Duration::from_secs(100)), [ada.public().to_peer_id()]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
// Remotes choose the numbers and lengths that arrive here.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
    )
)]

pub mod address;
pub mod admission;
pub mod alike;
pub mod allowance;
pub mod announcer;
pub mod backoff;
pub mod changes;
pub mod dials;
pub mod envelope;
pub mod ice_wire;
mod json;
pub mod known;
pub mod limits;
pub mod message;
pub mod names;
pub mod neighbours;
pub mod newcomers;
mod normal;
pub mod ordering;
pub mod outbox;
pub mod presence;
pub mod presence_wire;
pub mod provider_key;
pub mod providers;
pub mod random;
pub mod rate;
pub mod record;
pub mod refusal_wire;
pub mod room;
pub mod roster;
pub mod said;
pub mod seen;
pub mod shares;
pub mod stream_wire;
pub mod targets;
pub mod text;
mod time;
pub mod time_wire;
pub mod topic;
pub mod wire;

pub use self::time::{UnixMillis, after};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
