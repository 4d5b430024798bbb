//! Whose something is, in a table that strangers fill, and who gives way when it is full.
//!
//! Keys cost nothing, so a share per signer bounds nobody. What costs something is an address to come
//! from, and a connection. So a [`Pool`] counts by where things were put from, in three steps: the
//! *site* (an IPv4 address, or an IPv6 network of 48 bits, as is rented out whole), in it the
//! *network* (of 64 bits, see [`Source`](crate::rate::Source)), in it the peer that was connected. The largest site gives way
//! first; in it the largest network; in that the largest peer; and of what that put, the thing with
//! the longest life left. So whoever floods a table loses his own.
//!
//! What a peer says of itself while it is connected is *held*: it gives way to nothing that is not.
//! How much of a pool may be held is bounded, in all and for a site and a peer, so that connections alone
//! can't fill it either.

pub use self::{
    origin::{Origin, Whence},
    pool::{Full, LOOSE_PART, PEER_PART, Place, Pool, Putter, SITE_PART, filling::Filling},
};

mod origin;
mod pool;
