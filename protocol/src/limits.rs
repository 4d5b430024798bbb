//! Every bound of the protocol, with its reason.
//!
//! What a remote controls is bounded by one of these before it is kept, queued or answered. The
//! sizes are part of the protocol (`docs/protocol.md`); the capacities are this implementation's.

use std::time::Duration;

// --- Time -------------------------------------------------------------------------------------

/// The longest life of a presence. A peer that vanishes without a word is gone after this.
pub const PRESENCE_TTL: Duration = Duration::from_secs(120);

/// How often a peer says again that it is here: two of them may be lost within
/// [`PRESENCE_TTL`] and the peer is still shown.
pub const PRESENCE_REFRESH: Duration = Duration::from_secs(45);

/// How far two wall clocks may differ. Nothing lives longer or shorter for it (lives are measured
/// on the receiver's own clock); it only bounds how old or how far in the future a signed thing
/// may be dated, and with that how long an old one can be replayed.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10 * 60);

/// Quiet time after a change of addresses before it is announced: addresses come in bursts.
pub const ADDRESS_DEBOUNCE: Duration = Duration::from_millis(200);

/// The longest that a burst of address changes can put off its announcement.
pub const ADDRESS_DEBOUNCE_MAX: Duration = Duration::from_secs(1);

/// First wait before an announcement that did not succeed is tried again; doubles each time.
pub const ANNOUNCE_RETRY_BASE: Duration = Duration::from_secs(1);

/// Longest wait before an announcement that did not succeed is tried again.
pub const ANNOUNCE_RETRY_MAX: Duration = Duration::from_secs(15);

/// Shortest life of a value in the DHT.
pub const RECORD_TTL_MIN: Duration = Duration::from_secs(60);

/// Longest life of a value in the DHT: what libp2p's kad-dht keeps a record for.
pub const RECORD_TTL_MAX: Duration = Duration::from_secs(48 * 60 * 60);

/// Life of a value in the DHT when its publisher names none.
pub const RECORD_TTL_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a provider entry lives on a DHT server: as long as a presence.
pub const PROVIDER_TTL: Duration = PRESENCE_TTL;

/// The longest that a room message waits for an earlier one of the same sender.
pub const ORDER_GAP_MAX: Duration = Duration::from_secs(2);

/// For this long after a sender joined, its first messages may still be under way to members that
/// have just found it.
pub const SESSION_YOUNG: Duration = Duration::from_secs(15);

/// How long a peer keeps its own room messages for members that missed them: as long as somebody who
/// cannot be reached is taken for a member.
pub const SAID_LIFE: Duration = PRESENCE_TTL;

/// How long a question for missed messages may have been under way; see
/// [`Said::missed`](crate::said::Said::missed).
pub const CATCH_UP_SLACK: Duration = Duration::from_secs(10);

/// The longest that a direct message is tried before its sender is told that it failed. Longer than it
/// takes to find out that a connection is dead (an answer is waited for during 8 s, and then one to a
/// ping during 2 s) and to make another, with half a minute to spare for the network itself to come back.
pub const OUTBOX_DEADLINE: Duration = Duration::from_secs(60);

/// First wait before a direct message is tried again; doubles each time.
pub const OUTBOX_RETRY_BASE: Duration = Duration::from_millis(250);

/// Longest wait before a direct message is tried again.
pub const OUTBOX_RETRY_MAX: Duration = Duration::from_secs(8);

/// First wait before a bootstrap node is dialled again.
pub const REDIAL_BASE: Duration = Duration::from_millis(500);

/// Longest wait before a bootstrap node is dialled again: with a dial's own time-out, a node that
/// comes back is found within 15 s.
pub const REDIAL_MAX: Duration = Duration::from_secs(8);

// --- Sizes on the wire ------------------------------------------------------------------------

/// Largest body of a request or an answer. Larger things go by hash.
pub const BODY_BYTES_MAX: usize = 65_536;

/// Largest data of a room message: the longest text with every character escaped, and the rest. It
/// leaves room for gossipsub's frame within the 64 KiB that gossipsub transmits.
pub const ROOM_BYTES_MAX: usize = 49_152;

/// Largest signed presence: a name, eight addresses and the envelope fit with room to spare, and
/// 23 of the largest fit in one body.
pub const ENVELOPE_BYTES_MAX: usize = 2048;

/// Largest signed value: [`RECORD_VALUE_BYTES_MAX`], its escaped key and the envelope. With the
/// closer peers of a kad answer it stays below kad's 16 KiB packet.
pub const RECORD_ENVELOPE_BYTES_MAX: usize = 10_240;

/// Longest topic in bytes of UTF-8 after normalisation.
pub const TOPIC_BYTES_MAX: usize = 128;

/// Longest display name in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 64;

/// Most combining marks on one letter of a name, a topic or the name of a value: as UTS #39, section 5.4 advises. No
/// language needs more, and a tower of them covers the lines above.
pub const MARKS_MAX: usize = 4;

/// How long the words of somebody who is not known as a member wait for its presence: as long as a message for an earlier
/// one.
pub const NEWCOMER_PATIENCE: Duration = ORDER_GAP_MAX;

/// Messages of such that wait in a room: a mebibyte at most, of texts as long as can be.
pub const NEWCOMERS_HELD_MAX: usize = 64;

/// Most addresses in a presence.
pub const ADDRESSES_MAX: usize = 8;

/// Longest address in a presence, as text. The longest in use (WebRTC-direct with certificate hash
/// through a relay) is under 200.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// Longest text of a message in bytes of UTF-8. Escaped for JSON it at most doubles, so that a body
/// always holds it.
pub const TEXT_BYTES_MAX: usize = 16_384;

/// Longest peer id as text that is looked at. Base 58 is decoded in quadratic time; the longest
/// real one has 52 characters (Ed25519).
pub const PEER_TEXT_BYTES_MAX: usize = 128;

/// Longest name of a value in the DHT, in bytes of UTF-8.
pub const RECORD_KEY_BYTES_MAX: usize = 256;

/// Largest value in the DHT, as compact JSON.
pub const RECORD_VALUE_BYTES_MAX: usize = 8_192;

/// Longest reason in an error answer, in bytes of UTF-8.
pub const REASON_BYTES_MAX: usize = 256;

/// Largest integer in any body: 2^53 - 1, the largest that JavaScript holds exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

// --- Capacities of this implementation --------------------------------------------------------

/// Most members a peer keeps of one room.
pub const MEMBERS_MAX: usize = 1024;

/// Most members gone (left or expired) whose sequence number a peer remembers per room.
pub const GONE_MAX: usize = 2 * MEMBERS_MAX;

/// A room with at most so many others is a full mesh: everybody is one hop away and shown as reached.
pub const FULL_MESH_MAX: usize = 24;

/// Neighbours that a peer of a larger room has on average. A random graph of this degree is connected
/// far beyond the largest room (ln 1024 is 7), and gossip's mesh (6 to 12) finds enough in it.
pub const NEIGHBOURS: u64 = 16;

/// At least so many, whatever the hashes say.
pub const NEIGHBOURS_MIN: usize = 3;

/// Most pages a newcomer asks one member for: 23 or more members fit in a page, so this is more
/// than a full room, and an end to pages that never end.
pub const SYNC_PAGES_MAX: usize = 64;

/// Most senders whose room messages are put in order.
pub const ORDER_SENDERS_MAX: usize = MEMBERS_MAX;

/// Most sessions (joins) kept per sender: the current one and what may still arrive of earlier ones.
pub const ORDER_SESSIONS_MAX: usize = 4;

/// Most room messages of one session that wait for an earlier one.
pub const ORDER_HELD_MAX: usize = 64;

/// Most room messages that wait for earlier ones, of all senders together: 16 MiB of text.
pub const ORDER_HELD_TOTAL_MAX: usize = 1024;

/// Most gaps of one session that late messages may still fill.
pub const ORDER_MISSED_MAX: usize = 32;

/// Most of its own room messages that a peer keeps for members that missed them: with the longest
/// texts, 4 MiB a room.
pub const SAID_MAX: usize = 256;

/// Most direct messages that wait for their receipt.
pub const OUTBOX_MAX: usize = 256;

/// Message ids remembered against duplicates, per kind of message.
pub const SEEN_MAX: usize = 8192;

/// Most providers of one key on a DHT server.
pub const PROVIDERS_PER_KEY_MAX: usize = 1024;

/// Most keys that one peer provides on a DHT server.
pub const PROVIDER_KEYS_PER_PEER_MAX: usize = 256;

/// Most provider entries on a DHT server, of all keys together: some 48 MiB at their largest.
pub const PROVIDERS_MAX: usize = 32_768;

/// Longest provider key: the multihash of a 512-bit hash has 66 bytes.
pub const PROVIDER_KEY_BYTES_MAX: usize = 80;

/// Most bytes of addresses kept per provider, in binary form.
pub const PROVIDER_ADDRESS_BYTES_MAX: usize = 1024;

// --- Ways to a direct connection ----------------------------------------------------------------

/// STUN and TURN servers in one answer. A browser asks every one of them for every connection.
pub const ICE_SERVERS_MAX: usize = 8;

/// Those that a peer uses of them.
pub const ICE_SERVERS_USED: usize = 2;

/// URLs of one of them.
pub const ICE_URLS_MAX: usize = 4;

/// Longest URL, user name or credential of one, in bytes: a DNS name has at most 253.
pub const ICE_TEXT_BYTES_MAX: usize = 512;
