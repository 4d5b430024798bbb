//! Every bound of the protocol, with its reason.
//!
//! What a remote controls is bounded by one of these before it is kept, queued or answered. The
//! sizes are part of the protocol (`docs/protocol.md`); the capacities are this implementation's.

use std::time::Duration;

use crate::{allowance::Share, rate::Rate};

// --- Time -------------------------------------------------------------------------------------

/// The life of a presence in a small room. A peer that vanishes without a word is gone after this.
pub const PRESENCE_TTL: Duration = Duration::from_secs(120);

/// The longest life of a presence: in a room of 480 others and more. Who vanishes there is gone when others
/// [doubt](crate::room::RoomMessage::Doubt) it; this is for those who have missed that.
pub const PRESENCE_TTL_MAX: Duration = Duration::from_secs(40 * 60);

/// How often a peer of a small room says again that it is here: two of them may be lost within
/// [`PRESENCE_TTL`] and the peer is still shown. In larger rooms it is the same part of the life.
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

/// How long either side of a new stream has for its header.
pub const STREAM_HEADER_TIME: Duration = Duration::from_secs(8);

/// How long a stream that is to be opened waits for a connection to its peer: two attempts to dial it.
pub const STREAM_CONNECT_TIME: Duration = Duration::from_secs(20);

/// First wait before a bootstrap node is dialled again.
pub const REDIAL_BASE: Duration = Duration::from_millis(500);

/// Longest wait before a bootstrap node is dialled again: with a dial's own time-out, a node that
/// comes back is found within 15 s.
pub const REDIAL_MAX: Duration = Duration::from_secs(8);

/// First wait before a bootstrap node is dialled again that has said why it does not let this peer in.
pub const TURNED_AWAY_BASE: Duration = Duration::from_secs(2);

/// Longest wait before that: somebody leaves a full node, or an operator changes his mind.
pub const TURNED_AWAY_MAX: Duration = Duration::from_secs(60);

/// A connection that has lasted so long was a good one: when it is lost, the first wait is short again.
/// One that ends before may be the other side's way to be dialled all the time.
pub const CONNECTION_LASTS: Duration = Duration::from_secs(10);

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

/// Longest name of a protocol that programs speak on streams of their own, in bytes.
pub const PROTOCOL_NAME_BYTES_MAX: usize = 128;

/// Largest header of such a stream: the longest reason with every character escaped, and the rest.
pub const STREAM_HEADER_BYTES_MAX: usize = 2048;

/// Largest integer in any body: 2^53 - 1, the largest that JavaScript holds exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

// --- Rates ------------------------------------------------------------------------------------
//
// Things and bytes, each with what there may be at once and what comes back in a second. People write
// a line in some seconds and paste some dozens; the rates are for programs. A receiver takes twice what
// a sender allows itself, because what was sent evenly may arrive at once.

/// Something to be said or answered, and its bytes.
const fn share(per_second: u32, burst: u32, bytes_per_second: u32, bytes_burst: u32) -> Share {
    Share {
        things: Rate { per_second, burst },
        bytes: Rate {
            per_second: bytes_per_second,
            burst: bytes_burst,
        },
    }
}

/// What a peer says itself in one room: sixteen of the longest texts, or 128 lines, at once. The rest
/// waits here for its turn.
pub const SAY: Share = share(8, 128, 16 << 10, 256 << 10);

/// Messages of one's own that wait for their turn, per room: sixteen seconds of [`SAY`].
pub const SAY_WAITING_MAX: usize = 128;

/// What is heard and passed on of one author in one room: twice [`SAY`]. In a minute, 2.4 MiB.
pub const TALK_PER_AUTHOR: Share = share(16, 256, 32 << 10, 512 << 10);

/// What is heard and passed on in one room of all authors together: eight of them as busy as one may
/// be. The second half is for members that this peer is connected to.
pub const ROOM_TALK: Share = share(128, 2048, 256 << 10, 4 << 20);

/// Presences of one peer in one room. One is said every 45 s in a small room, and some in a row while addresses
/// change.
pub const PRESENCES_PER_PEER: Share = share(1, 32, 4 << 10, 96 << 10);

/// Presences in one room: everybody's in a full room joining within some seconds. In rest none are said in a large
/// room. The second half is for members that this peer is connected to.
pub const ROOM_PRESENCES: Share = share(256, 4096, 512 << 10, 8 << 20);

/// Doubts of one member about others in one room: it has lost all its connections at once.
pub const DOUBTS_PER_AUTHOR: Share = share(1, 64, 512, 32 << 10);

/// Doubts of all members in one room: half of a full room is gone at once.
pub const ROOM_DOUBTS: Share = share(64, 4096, 32 << 10, 2 << 20);

/// What one neighbour is the first to bring of one room's gossip: twice all that is passed on in it. An
/// honest neighbour does not bring more; who does is not listened to for a minute.
pub const GOSSIP_PER_NEIGHBOUR: Share = share(768, 12_288, 1536 << 10, 24 << 20);

/// Direct messages of one peer: [`OUTBOX_MAX`] at once, 64 of the longest.
pub const DIRECT_PER_PEER: Share = share(8, 256, 64 << 10, 1 << 20);

/// Direct messages of all peers: the second half is for members of one's rooms.
pub const DIRECT_ALL: Share = share(64, 2048, 512 << 10, 8 << 20);

/// Answers to one peer of `/moim/presence/1.0.0`: the list of a full room at its largest is 2.9 MiB,
/// and asked for once a minute.
pub const LISTS_PER_PEER: Share = share(16, 512, 64 << 10, 4 << 20);

/// Answers to all: as many as ask, when a full room of 1,024 joins within a minute, ask one of them.
pub const LISTS_ALL: Share = share(256, 8192, 2 << 20, 32 << 20);

/// Answers to one peer that missed something: all that is kept to be given again, and what is added
/// to that.
pub const CATCH_UP_PER_PEER: Share = share(32, 512, 32 << 10, 3 << 20);

/// Answers to all that missed something.
pub const CATCH_UP_ALL: Share = share(256, 4096, 1 << 20, 16 << 20);

/// Messages that an answer to [`CatchUp`](crate::message::Request::CatchUp) should be worth: it is
/// not asked for before the author may say so much, and a whole body.
pub const CATCH_UP_MESSAGES_MIN: u32 = 16;

/// Peers whose shares are remembered, of each kind.
pub const SHARES_MAX: usize = 2 * MEMBERS_MAX;

/// ICE servers are asked for when a connection is made, and every 45 minutes; the time less often.
pub const ASKED_PER_PEER: Rate = Rate {
    per_second: 1,
    burst: 32,
};

// --- Capacities of this implementation --------------------------------------------------------

/// Most members a peer keeps of one room.
pub const MEMBERS_MAX: usize = 1024;

/// Most members of a room that can't be reached and are kept for their return: a room may fall into two parts.
pub const SUSPENDED_MAX: usize = MEMBERS_MAX;

/// Members that a peer knows only from others have so many places in a full room, besides those that the
/// others leave: who comes and goes with many keys takes no more than the other half.
pub const HEARSAY_MIN: usize = MEMBERS_MAX / 2;

/// Most members gone (left or expired) whose sequence number a peer remembers per room: of a full room in which 8 % come
/// and go in a minute, as long as a presence may be shown again.
pub const GONE_MAX: usize = 4 * MEMBERS_MAX;

/// Most members that a peer says it knows when it asks for a list: those of a full room, and as many that are gone.
pub const KNOWN_MAX: usize = 2 * MEMBERS_MAX;

/// Most members of a room that are in doubt at one time.
pub const DOUBTED_MAX: usize = MEMBERS_MAX;

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

/// Messages kept of a conversation, a room's or with one peer.
pub const CONVERSATION_MESSAGES_MAX: usize = 512;

/// Bytes of text kept of a conversation: 64 of the longest messages.
pub const CONVERSATION_BYTES_MAX: usize = 1 << 20;

/// Direct conversations kept.
pub const CONVERSATIONS_MAX: usize = 256;

/// Bytes of text kept of all direct conversations together.
pub const CONVERSATIONS_BYTES_MAX: usize = 16 << 20;

/// Most direct messages that wait for their receipt.
pub const OUTBOX_MAX: usize = 256;

/// Ids of direct messages remembered against duplicates, of one peer: more than it may send within
/// [`OUTBOX_DEADLINE`], after which nobody repeats one.
pub const SEEN_PER_PEER: usize = 1024;

/// The same of all peers: more than all of them may send within that time.
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

/// Keys that a program provides at once; servers keep [`PROVIDER_KEYS_PER_PEER_MAX`] of a peer, its topics among them.
pub const PROVIDED_MAX: usize = 64;

/// Providers of a key that a program is told of. Servers name a sample; nobody calls more.
pub const PROVIDERS_FOUND_MAX: usize = 256;

/// Streams of their own that programs have opened to this peer, of one peer: each may hold a muxer's window of unread
/// bytes, 256 KiB.
pub const STREAMS_PER_PEER: usize = 32;

/// The same of all peers: 64 MiB of unread bytes at most. The second half is for members of one's rooms.
pub const STREAMS_ALL: usize = 256;

/// Streams of one protocol that wait for the program that speaks it.
pub const STREAMS_WAITING_MAX: usize = 16;

/// Streams beyond a bound that are told so at once. Those above are reset without a word.
pub const STREAMS_REFUSED_MAX: usize = 32;

// --- Ways to a direct connection ----------------------------------------------------------------

/// STUN and TURN servers in one answer. A browser asks every one of them for every connection.
pub const ICE_SERVERS_MAX: usize = 8;

/// Those that a peer uses of them.
pub const ICE_SERVERS_USED: usize = 2;

/// URLs of one of them.
pub const ICE_URLS_MAX: usize = 4;

/// Longest URL, user name or credential of one, in bytes: a DNS name has at most 253.
pub const ICE_TEXT_BYTES_MAX: usize = 512;
