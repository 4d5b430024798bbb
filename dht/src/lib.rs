//! The server side of Moim's DHT, the same on a bootstrap node and on a native peer.
//!
//! It is libp2p's kad-dht ([`libp2p::kad`]) with settings of its own ([`config()`]) and a store that
//! keeps nothing it hasn't validated ([`Store`]), put together as [`Behaviour`], and a routing table
//! that others can use ([`table_addresses`], [`trim_addresses`]).
//!
//! ```
//! use libp2p::{PeerId, kad::Mode};
//!
//! // A part of a swarm's behaviour. The seed decides which providers are sampled.
//! let mut kad = moim_dht::Behaviour::new(PeerId::random(), 7);
//! kad.set_mode(Some(Mode::Server));
//! ```
//!
//! # Why the store validates
//!
//! kad can hand records to the application for checking (`StoreInserts::FilterBoth`), but it then
//! acknowledges a PUT before the application has looked at it, so that a refused record counts as
//! stored for whoever put it. With `StoreInserts::Unfiltered` and a store that refuses, kad ends
//! the stream instead, and an acknowledgement means what it says.

#![forbid(unsafe_code)]

pub use crate::{
    addresses::{TABLE_ADDRESSES_BYTES_MAX, first_ip, table_addresses, trim_addresses},
    behaviour::{Behaviour, Handler, ToHandler},
    config::{QUERY_TIMEOUT, REQUEST_TIMEOUT, config},
    introductions::{INTRODUCTIONS_PER_PEER, INTRODUCTIONS_PER_SOURCE, Introductions},
    journal::{Batch, Change, HeldRecord, Journal, Progress, ProviderRow, RecordRow},
    platform::SERVES,
    requests::{REQUESTS_PER_PEER, REQUESTS_PER_SOURCE},
    store::{Store, StoreLimits, StorePart, StoreStats},
};

mod addresses;
mod behaviour;
mod config;
mod introductions;
mod journal;
mod pacing;
mod platform;
mod requests;
mod store;
