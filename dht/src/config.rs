//! Settings of kad, each with its reason.

use std::{num::NonZeroUsize, time::Duration};

use libp2p::{StreamProtocol, kad};
use moim_protocol::{limits, names};

/// How long one peer may take to answer one request. Long enough for a server under load on a slow
/// line: with a second, an overloaded node would answer everybody too late and nobody would get in.
/// Queries go on without a server that keeps silent long before ([`Behaviour`](crate::Behaviour)), so that servers
/// that hang do not hold up a put or a get.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole query may take. Dialling peers that are gone is what takes long; what has been
/// reached by then is the result.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests that a query has under way at one time, as long as it comes closer. Two servers have to agree on a value
/// for a get to be answered, so two are asked; each further request takes another server's time, and on a machine that
/// has them all their user's. One that hangs has its place taken by the next one soon ([`Behaviour`](crate::Behaviour)).
const PARALLELISM: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// How often the routing table is looked after. Rooms live for minutes, so a node that joined has
/// to be known within one; the lookup is cheap.
const BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(60);

/// Largest kad message, in bytes: libp2p's default, hence what every implementation accepts.
const PACKET_BYTES_MAX: usize = 16 * 1024;

/// Settings for every peer of Moim's DHT, servers and clients.
///
/// Neither records nor provider entries are published or replicated by kad itself: who published
/// something does it again in time (presence every 45 s), and a server that pushed on what it holds
/// would keep the vanished alive.
#[must_use]
pub fn config() -> kad::Config {
    let mut config = kad::Config::new(StreamProtocol::new(names::KAD_PROTOCOL));
    config
        // The store validates, see the documentation of this crate.
        .set_record_filtering(kad::StoreInserts::Unfiltered)
        .set_max_packet_size(PACKET_BYTES_MAX)
        .set_substreams_timeout(REQUEST_TIMEOUT)
        .set_query_timeout(QUERY_TIMEOUT)
        .set_parallelism(PARALLELISM)
        // An upper bound; the store lets nothing live longer than it was signed for.
        .set_record_ttl(Some(limits::RECORD_TTL_MAX))
        .set_provider_record_ttl(Some(limits::PROVIDER_TTL))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        // Copies on further peers would outlive a newer version of the record.
        .set_caching(kad::Caching::Disabled)
        .set_kbucket_inserts(kad::BucketInserts::OnConnected)
        .set_periodic_bootstrap_interval(Some(BOOTSTRAP_INTERVAL));
    config
}
