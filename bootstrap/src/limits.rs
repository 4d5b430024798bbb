//! Every number that bounds what the node does for others, with its reason.
//!
//! Many peers share one address: a school behind one NAT, all tabs of one browser. What is counted per
//! source (an IPv4 address, or an IPv6 network of 64 bits) carries several hundred of them, and yet no
//! source can take the whole node. Nothing per peer is so tight that an honest peer of a lively room
//! meets it.

use std::{num::NonZeroU32, time::Duration};

use moim_protocol::rate::Rate;

/// Connections being set up by others at one time, by each of TCP, WebSocket, QUIC and WebRTC. Each costs a socket and a
/// few KiB for at most [`HANDSHAKE_TIMEOUT`]. A tight limit would let a handful of silent sockets shut everybody out, and
/// one for all transports would let whoever makes addresses up by QUIC do so.
pub(crate) const PENDING_INBOUND_MAX: u32 = 500;
/// Connections being set up by us at one time, to peers that others have named: DHT upkeep and AutoNAT
/// dial-backs, nothing urgent. Other bootstrap nodes of the settings are dialled whatever else goes on.
pub(crate) const PENDING_OUTBOUND_MAX: u32 = 64;
/// Dial-backs of AutoNAT under way at one time, a quarter of [`PENDING_OUTBOUND_MAX`], so that the DHT
/// has the rest. A slow one takes [`HANDSHAKE_TIMEOUT`].
pub(crate) const DIAL_BACKS_MAX: usize = PENDING_OUTBOUND_MAX as usize / 4;
/// Those for one source.
pub(crate) const DIAL_BACKS_PER_SOURCE_MAX: usize = DIAL_BACKS_MAX / SOURCE_PART as usize;
/// Dial-backs that one source may ask for: a program has some ten addresses to test when it starts, and
/// several may start behind one NAT.
pub(crate) const SOURCE_DIAL_BACK_RATE: Rate = Rate {
    per_second: 1,
    burst: 64,
};
/// Connections from others, unless the settings say otherwise. At 52 KiB each (measured for idle
/// WebSocket clients) this is 200 MiB. There may be as many relay reservations: one for each peer that
/// can't be dialled, i.e. nearly every page.
pub(crate) const INBOUND_MAX: NonZeroU32 = NonZeroU32::new(4_000).unwrap();
/// Connections to others, for which a crowd of others leaves room, so that it can't cut the node off
/// from the rest of the DHT.
pub(crate) const OUTBOUND_MAX: u32 = 200;
/// Connections of one peer: each transport once, twice over while a broken one hasn't timed out.
pub(crate) const CONNECTIONS_PER_PEER_MAX: u32 = 8;
/// The part of the node's connections, set up and being set up, that one source may have: a quarter,
/// 1,000 of them, and 125 by each transport, which a handshake of 100 ms leaves again: enough for a school whose pages all
/// come back at once after a power cut.
pub(crate) const SOURCE_PART: u32 = 4;
/// New connections of one source by one transport. A page dials by two transports at once, so a class of 300 comes
/// as a burst of 600; after that the handshakes of one source, by all transports together, take a quarter of a core
/// (docs/security.md has what each takes).
pub(crate) const SOURCE_CONNECTION_RATE: Rate = Rate {
    per_second: 25,
    burst: 600,
};
/// Sources that are remembered, at some 100 bytes each. More than [`INBOUND_MAX`], so that only those
/// are forgotten that have no connections.
pub(crate) const SOURCES_MAX: usize = 16_384;
/// Files that are left for everything but connections: listeners, the log, the store, the resolver.
pub(crate) const OPEN_FILES_RESERVED: u64 = 64;
/// How old the last look at the process' memory may be. It takes some 20 µs.
pub(crate) const MEMORY_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The part of the machine's memory (or of what its container may use) at which no more connections
/// are taken: what is there already, and the system's own caches, need the rest.
pub(crate) const MEMORY_PART: u64 = 2;
/// The least for which a node is of use: it starts with 15 MiB, and its store may hold 64 MiB.
pub(crate) const MEMORY_MIN_BYTES: u64 = 128 * 1024 * 1024;
/// How often what was refused is summed up in the log.
pub(crate) const REJECTIONS_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Connections at one time that are made only to say why they are closed. Each costs a handshake, and a
/// socket of [`OPEN_FILES_RESERVED`], for some round trips.
pub(crate) const REFUSALS_TOLD_MAX: usize = 16;
/// Such connections of all who knock. One core spends a hundredth of its time on the handshakes; who
/// comes beyond that is turned away before one.
pub(crate) const REFUSALS_TOLD_RATE: Rate = Rate {
    per_second: 8,
    burst: 32,
};
/// Such connections of one source: a household whose pages all come back at once hears what is the
/// matter, and nobody uses up what there is for all.
pub(crate) const SOURCE_REFUSALS_TOLD_RATE: Rate = Rate {
    per_second: 1,
    burst: 8,
};
/// Sources that are remembered for that, at some 100 bytes each.
pub(crate) const REFUSAL_SOURCES_MAX: usize = 1_024;

/// Time from a socket to an authenticated, multiplexed connection: six round trips for a browser's
/// WebRTC set-up, of which even a slow mobile link's take less than 1.5 s each.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that nobody uses is closed after this. Peers that want to stay hold a relay
/// reservation, which keeps theirs open.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Streams on one connection (TCP, WebSocket, QUIC): [`CIRCUITS_PER_PEER_MAX`] and as many again
/// for DHT requests. With yamux' 256 KiB receive window a peer could make us buffer 128 MiB, but only
/// for protocols that leave data unread, and none here does.
pub(crate) const STREAMS_PER_CONNECTION_MAX: usize = 512;
/// [`STREAMS_PER_CONNECTION_MAX`] as QUIC wants it.
pub(crate) const QUIC_STREAMS_MAX: u32 = STREAMS_PER_CONNECTION_MAX as u32;
/// Streams that are still agreeing on a protocol. Default 128; a page that joins opens some dozen.
pub(crate) const NEGOTIATING_STREAMS_MAX: usize = 128;
/// Largest WebSocket message, which is kept before it is known who sends it. Peers send what their Noise has ready, 128 KiB
/// and one message of 64 KiB at most; the transport's own limit is 256 MiB.
pub(crate) const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Bytes in flight to us on one QUIC stream, and on one QUIC connection. Relayed content at
/// 100 ms round trip still runs at 20 MB/s.
pub(crate) const QUIC_STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// See [`QUIC_STREAM_WINDOW_BYTES`].
pub(crate) const QUIC_CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Relay reservations of one peer: one per connection.
pub(crate) const RESERVATIONS_PER_PEER_MAX: usize = CONNECTIONS_PER_PEER_MAX as usize;
/// A reservation has to be renewed within this time. libp2p's default; a vanished peer's ends with
/// its connection.
pub(crate) const RESERVATION_DURATION: Duration = Duration::from_secs(60 * 60);
/// Relayed connections in all. Each costs some 20 KiB of buffers.
pub(crate) const CIRCUITS_MAX: usize = 8_192;
/// Relayed connections from and to one peer: a page in a room of 200 talks directly to those of its
/// gossip mesh (at most 12) and synchronises with a few dozen more.
pub(crate) const CIRCUITS_PER_PEER_MAX: usize = 256;
/// Relayed connections that all peers behind one address opened: a quarter of all, and still 300 peers
/// that open 6 each, or 80 that open all that a room of theirs takes.
pub(crate) const CIRCUITS_PER_SOURCE_MAX: u32 = CIRCUITS_MAX as u32 / SOURCE_PART;
/// Relayed connections that one peer opens. A page that joins asks some dozens of members; most of these
/// connections become direct and end.
pub(crate) const PEER_CIRCUIT_RATE: Rate = Rate {
    per_second: 5,
    burst: 512,
};
/// The same of all peers behind one address.
pub(crate) const SOURCE_CIRCUIT_RATE: Rate = Rate {
    per_second: 100,
    burst: 4_096,
};
/// Reservations that one peer asks for: one per connection and hour is honest. The answer is signed,
/// which takes more than to ask.
pub(crate) const PEER_RESERVATION_RATE: Rate = Rate {
    per_second: 1,
    burst: 64,
};
/// A relayed connection ends after this time. Tabs talk over such connections as long as they are
/// open, and cutting one costs messages under way, so this is a working day with room to spare;
/// [`CIRCUIT_BYTES_MAX`] is what bounds the node's expense.
pub(crate) const CIRCUIT_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
/// A relayed connection ends after this many bytes, both directions together: days of talk, but no
/// film.
pub(crate) const CIRCUIT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often a connection is pinged, and how long the answer may take. Two failures in a row end
/// the connection: a peer whose machine went to sleep is gone for others after about a minute.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(15);
/// See [`PING_INTERVAL`].
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the other end of a connection is waited for, if it says nothing, if it takes nothing, and if
/// it is to be told goodbye. The second keeps every answer far from the end of a reservation.
pub(crate) const CONNECTION: moim_connection_guard::Limits = moim_connection_guard::Limits {
    silence: Duration::from_secs(60),
    stall: Duration::from_secs(30),
    close: Duration::from_secs(5),
};

/// Addresses announced to peers (identify, relay reservations). Those messages are limited to 4 KiB
/// and libp2p remembers 20; a machine with a dozen container networks has many more.
pub(crate) const ANNOUNCED_ADDRESSES_MAX: usize = 16;

/// How often another bootstrap node that isn't connected is dialled: after a restart the DHT is
/// whole again within this time.
pub(crate) const JOIN_INTERVAL: Duration = Duration::from_secs(30);
/// How often what has expired is removed from the store. Expired entries are never handed out;
/// this only frees their memory.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// How often the peers of the routing table are written down, to come back by after a restart.
pub(crate) const REMEMBER_INTERVAL: Duration = Duration::from_secs(60);
/// Peers that are written down: more than enough to find the others by, at some 200 bytes each.
pub(crate) const REMEMBERED_PEERS_MAX: usize = 128;
/// How long the thread that writes the store waits for records before it writes the peers alone.
pub(crate) const STORE_IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// Pause between attempts to write the store.
pub(crate) const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time to write what is not on the disk yet before the process ends.
pub(crate) const STORE_SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// As much of a peer's own description (identify's agent version) as is kept and shown.
pub(crate) const AGENT_CHARS_MAX: usize = 64;
/// How often numbers for HTTP are renewed.
pub(crate) const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// The event loop gives a sign of life with each of these numbers. One that gave none for this long serves
/// nobody: its longest turn, putting a block list in force over a full store, takes less than a second.
pub(crate) const HEARTBEAT_MAX: Duration = Duration::from_secs(10);
/// Addresses of one listener arrive one by one. The node calls itself ready when each listener has
/// one and no new one came for this long ...
pub(crate) const READY_SETTLE: Duration = Duration::from_millis(50);
/// ... or after this long at the latest, e.g. on a machine whose network isn't up yet.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for connections to close before the process ends. The whole stop takes at most 5 s.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// How long sockets and files of a node that panicked may take to be free again: QUIC says goodbye for up to
/// three round trips.
pub(crate) const RESTART_PATIENCE: Duration = Duration::from_secs(10);
/// How often they are looked at.
pub(crate) const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// STUN and TURN questions answered in all; an answer is 32 to some 100 bytes, so at most 10 Mbit/s
/// with the headers.
pub(crate) const STUN_RATE: Rate = Rate {
    per_second: 8_000,
    burst: 8_000,
};
/// The same of one source, behind which may be a whole school: a page asks once for each connection
/// that it makes and then every 10 s as long as that is open, so this is for some 1,000 connections.
pub(crate) const STUN_SOURCE_RATE: Rate = Rate {
    per_second: 100,
    burst: 500,
};
/// Sources that are remembered, at 64 bytes each.
pub(crate) const STUN_SOURCES_MAX: usize = 16_384;

/// Longest message or datagram that the TURN server carries. WebRTC sends no more than 1,200 bytes
/// at a time, and more than 1,500 would be cut up on the way.
pub(crate) const TURN_MESSAGE_BYTES_MAX: usize = 2_048;
/// Longest name of a user: those that we give out have 63 bytes.
pub(crate) const TURN_USERNAME_BYTES_MAX: usize = 128;
/// Time of an allocation that asks for none, and the least (RFC 8656, section 3.2).
pub(crate) const TURN_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Most time until an allocation has to be prolonged (RFC 8656, section 7.2). Whoever is gone without
/// a word keeps a port this long, if he asked for it.
pub(crate) const TURN_LIFETIME_MAX: Duration = Duration::from_secs(60 * 60);
/// An allocation is not prolonged beyond this. Like [`CIRCUIT_DURATION`].
pub(crate) const TURN_ALLOCATION_LIFE_MAX: Duration = CIRCUIT_DURATION;
/// An allocation ends after this many bytes, both directions together. More than a circuit, because
/// what goes this way is what would have gone directly, content with it.
pub(crate) const TURN_ALLOCATION_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Addresses that one allocation may hear: a connection tries some dozen of its other end.
pub(crate) const TURN_PERMISSIONS_MAX: usize = 64;
/// Channels of one allocation. A connection settles on one pair of addresses.
pub(crate) const TURN_CHANNELS_MAX: usize = 64;
/// RFC 8656, section 9.
pub(crate) const TURN_PERMISSION_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// RFC 8656, section 12.
pub(crate) const TURN_CHANNEL_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Ports tried for an allocation: with half of the range in use, all of them are taken once in 10¹⁹.
pub(crate) const TURN_PORT_TRIES: usize = 64;
/// TCP connections to the TURN server at one time, at two sockets' worth of buffers and 20 KiB each.
pub(crate) const TURN_CONNECTIONS_MAX: usize = 2_048;
/// The same of one source: as many allocations as it may have by default, and some that are not yet.
pub(crate) const TURN_CONNECTIONS_PER_SOURCE_MAX: usize = 320;
/// Time for a TCP connection without an allocation: three round trips to get one, and a retry.
pub(crate) const TURN_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// What waits to be sent on a TCP connection. More than that is lost, as on any full line; a client
/// that has taken nothing for [`TURN_IDLE_TIMEOUT`] loses its connection.
pub(crate) const TURN_QUEUE_BYTES_MAX: usize = 16 * 1024;
/// Datagrams read from one socket before others have their turn.
pub(crate) const TURN_READS_PER_TURN: usize = 32;
/// How often what has expired is looked for.
pub(crate) const TURN_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after an error of a socket.
pub(crate) const TURN_ERROR_PAUSE: Duration = Duration::from_millis(10);

/// HTTP connections at one time. A browser opens six to load the page, for some seconds.
pub(crate) const HTTP_CONNECTIONS_MAX: usize = 512;
/// HTTP connections and requests of one source. The page is some dozen files, so a class of 300 that opens
/// it at once needs some 4,000; an answer takes some 50 µs, so one source has a hundredth of a core.
pub(crate) const HTTP_SOURCE_RATE: Rate = Rate {
    per_second: 200,
    burst: 4_000,
};
/// The same of this machine's own addresses, where a reverse proxy's come from, and so everybody's: some ten
/// times as many.
pub(crate) const HTTP_LOOPBACK_RATE: Rate = Rate {
    per_second: 2_000,
    burst: 8_000,
};
/// Sources that are remembered, at some 100 bytes each.
pub(crate) const HTTP_SOURCES_MAX: usize = 16_384;
/// How often `/metrics` is written, which takes some milliseconds. Who asks more often gets what was written last; some
/// Prometheus servers and a dashboard ask once in 5 s each.
pub(crate) const METRICS_RATE: Rate = Rate {
    per_second: 5,
    burst: 50,
};
/// Time for an HTTP request's head to arrive.
pub(crate) const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of an HTTP connection, however busy; clients open a new one. The page's program has
/// 0.8 MB, which takes this long at 55 kbit/s.
pub(crate) const HTTP_CONNECTION_LIFETIME_MAX: Duration = Duration::from_secs(120);
/// Longest head of an HTTP request, with room for a browser's cookies of other local programs.
pub(crate) const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;
/// Time for a TLS handshake and the head of the first request, two round trips and what the browser
/// has to say.
pub(crate) const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections on their way from the TLS port to libp2p, which takes them at once unless it has too
/// much to do.
pub(crate) const TLS_HANDED_OVER_MAX: usize = 32;
/// How often the files of the certificate are looked at. They are read when they have changed and
/// then stayed the same for this long.
pub(crate) const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(2);
/// The last part of a certificate's life, in which it is renewed: of 90 days the last 30, as CAs advise.
pub(crate) const ACME_RENEWAL_PART: u32 = 3;
/// Attempts to get a certificate in any hour, whatever becomes of them and over restarts: Let's Encrypt
/// refuses more than five that fail.
pub(crate) const ACME_ATTEMPTS_PER_HOUR: usize = 5;
/// Pause after the first attempt that failed; it doubles with each one after that, so that an hour has
/// [`ACME_ATTEMPTS_PER_HOUR`].
pub(crate) const ACME_PAUSE: Duration = Duration::from_secs(2 * 60);
/// It doubles up to this. A third of a certificate's life has many such pauses, and who mends what was
/// wrong may start the node again.
pub(crate) const ACME_PAUSE_MAX: Duration = Duration::from_secs(4 * 60 * 60);
/// Pause after an attempt that succeeded, or half of the certificate's life: whatever clock or CA say,
/// names get few certificates a week (five alike from Let's Encrypt).
pub(crate) const ACME_SUCCESS_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// By this part of it at most a pause is longer by chance, so that not everybody comes back to a CA
/// that was down at the same moment.
pub(crate) const ACME_JITTER: f64 = 0.25;
/// A CA that asks for a longer pause is asked again after this nevertheless. Let's Encrypt's longest
/// bound counts by the week, and an answer that is wrong must not cost the certificate.
pub(crate) const ACME_ASKED_PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the clock is looked at, in case somebody sets it.
pub(crate) const ACME_LOOK_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often the CA is asked when to renew, which RFC 9773 (section 4.3.2) wants twice a day or more often.
pub(crate) const ACME_ADVICE_INTERVAL: Duration = Duration::from_secs(6 * 60 * 60);
/// Time for the CA to answer one question.
pub(crate) const ACME_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for the CA to see the proof, and to make the certificate.
pub(crate) const ACME_POLL_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for everything from the first question to the certificate.
pub(crate) const ACME_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Longest answer of the CA: chains have a few KiB.
pub(crate) const ACME_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Pause when no HTTP connection can be accepted.
pub(crate) const HTTP_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Files and folders in the folder of `--web`. A page has some dozen.
pub(crate) const WEB_FILES_MAX: usize = 1_000;
/// Bytes of the folder of `--web` that are compressed, at 30 MB a second; a reload waits for it. Further files are sent as
/// they are.
pub(crate) const WEB_COMPRESSED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of all files in the folder of `--web`, which are kept in memory. The page has 3 MB.
pub(crate) const WEB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Questions of dashboards that wait for the event loop; more are told to come again.
pub(crate) const ADMIN_QUESTIONS_MAX: usize = 8;
/// How long a dashboard waits for the event loop's answer.
pub(crate) const ADMIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that the dashboard lists, the newest first; more would be no overview, and it asks
/// every other second.
pub(crate) const ADMIN_CONNECTIONS_MAX: usize = 200;
/// Topics that the dashboard lists, the largest first.
pub(crate) const ADMIN_TOPICS_MAX: usize = 50;
/// Entries of the block list that the dashboard lists; `moim-bootstrap block list` has them all.
pub(crate) const ADMIN_BLOCKED_MAX: usize = 50;
/// As much of a provider key as is shown: a topic's key has 34 bytes.
pub(crate) const ADMIN_KEY_BYTES_MAX: usize = 64;
/// How often the counters are looked at for the dashboard's rates.
pub(crate) const ADMIN_SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// How many of these looks are remembered: ten minutes of them. Each has some 20 numbers.
pub(crate) const ADMIN_SAMPLES_MAX: usize = 121;
