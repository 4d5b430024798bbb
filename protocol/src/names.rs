//! The names under which peers find each other's protocols.
//!
//! All of them carry their own version, so that a later version can live beside this one.

/// The Kademlia protocol of Moim's own network (libp2p `kad-dht` framing, not the public IPFS DHT).
pub const KAD_PROTOCOL: &str = "/moim/kad/1.0.0";

/// Direct messages: one request, one answer, see [`message`](crate::message).
pub const MESSAGE_PROTOCOL: &str = "/moim/message/1.0.0";

/// Exchange of presence between members, see [`presence_wire`](crate::presence_wire).
pub const PRESENCE_PROTOCOL: &str = "/moim/presence/1.0.0";

/// STUN and TURN servers from a bootstrap node, see [`ice_wire`](crate::ice_wire).
pub const ICE_SERVERS_PROTOCOL: &str = "/moim/ice-servers/1.0.0";

/// A bootstrap node says why it lets a peer not in, see [`refusal_wire`](crate::refusal_wire).
pub const REFUSAL_PROTOCOL: &str = "/moim/refusal/1.0.0";

/// Streams of programs' own, see [`stream_wire`](crate::stream_wire).
pub const STREAM_PROTOCOL: &str = "/moim/stream/1.0.0";

/// A bootstrap node says what time it is, see [`time_wire`](crate::time_wire).
pub const TIME_PROTOCOL: &str = "/moim/time/1.0.0";

/// What identify (`/ipfs/id/1.0.0`) reports as `protocolVersion`.
pub const IDENTIFY_PROTOCOL: &str = "/moim/1.0.0";

/// What identify reports as `agentVersion`: for people and logs, nothing depends on it.
pub const AGENT: &str = concat!("moim/", env!("CARGO_PKG_VERSION"));

/// Prefix of the text that is hashed into a [`TopicHash`](crate::topic::TopicHash).
pub const TOPIC_PREFIX: &str = "/moim/topic/1/";

/// Prefix of the gossipsub topic of a room; the topic hash in hex follows.
pub const ROOM_PREFIX: &str = "/moim/room/1/";

/// Prefix of the DHT key of a presence record; 32 hash bytes and the peer id's bytes follow.
pub const PRESENCE_KEY_PREFIX: &[u8] = b"/moim/presence/1/";

/// Prefix of what is hashed into a [`ProviderKey`](crate::provider_key::ProviderKey).
pub const PROVIDER_KEY_PREFIX: &[u8] = b"/moim/provider/1/";

/// Prefix of the DHT key of a value; the 32 bytes of the sha2-256 of its name follow.
pub const RECORD_KEY_PREFIX: &[u8] = b"/moim/record/1/";

/// Prefix of what two members of a large room hash to see whether they are
/// [`neighbours`](crate::neighbours).
pub const NEIGHBOURS_PREFIX: &str = "/moim/neighbours/1/";

/// Prefix of what is hashed for each peer that is [`known`](crate::known) to who asks for a list.
pub const KNOWN_PREFIX: &str = "/moim/known/1/";

/// Domain separation string of the envelope around a presence (RFC 0002).
pub const PRESENCE_DOMAIN: &str = "moim-presence";

/// Payload type of the envelope around a presence (RFC 0002).
pub const PRESENCE_PAYLOAD_TYPE: &[u8] = b"/moim/presence/1";

/// Domain separation string of the envelope around a value (RFC 0002).
pub const RECORD_DOMAIN: &str = "moim-record";

/// Payload type of the envelope around a value (RFC 0002).
pub const RECORD_PAYLOAD_TYPE: &[u8] = b"/moim/record/1";
