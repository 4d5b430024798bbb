//! Numbers for `/metrics`: libp2p's own, and the node's.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use libp2p::metrics::Metrics as Libp2pMetrics;
use moim_protocol::rate::Bucket;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{
    connections::{Connection, TRANSPORTS},
    limits,
    rejections::Rejections,
    relay, store, tls, turn,
};

mod process;

/// What is counted. The event loop writes; [`Page`] reads.
pub(crate) struct Metrics {
    /// Counts events of the swarm and its protocols.
    pub(crate) libp2p: Libp2pMetrics,
    pub(crate) node: NodeMetrics,
}

/// The node's own numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeMetrics {
    pub(crate) connections: Family<ConnectionLabels, Gauge>,
    pub(crate) dht_full: Family<WhatLabels, Gauge>,
    pub(crate) dht_gave_way: Family<WhatLabels, Counter>,
    pub(crate) dht_provider_keys: Gauge,
    pub(crate) dht_providers: Gauge,
    pub(crate) dht_record_bytes: Gauge,
    pub(crate) dht_records: Gauge,
    pub(crate) dht_refused: Counter,
    pub(crate) http_requests: Family<HttpLabels, Counter>,
    limit: Family<WhatLabels, Gauge>,
    pub(crate) panics: Counter,
    pub(crate) peers: Gauge,
    pub(crate) rejections: Rejections,
    pub(crate) relay_circuits: Gauge,
    pub(crate) relay_circuits_accepted: Counter,
    pub(crate) relay_circuits_denied: Family<ReasonLabels, Counter>,
    pub(crate) relay_reservations: Gauge,
    pub(crate) relay_reservations_accepted: Counter,
    pub(crate) relay_reservations_denied: Family<ReasonLabels, Counter>,
    pub(crate) restarts: Counter,
    pub(crate) store: store::Counters,
    pub(crate) tls: tls::Counters,
    pub(crate) turn: turn::Counters,
}

/// What kind of connection.
#[derive(Clone, Debug, EncodeLabelSet, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionLabels {
    pub(crate) transport: &'static str,
    pub(crate) direction: &'static str,
}

/// What was asked for, by class, since anybody can ask for anything, and how it was answered.
#[derive(Clone, Debug, EncodeLabelSet, PartialEq, Eq, Hash)]
pub(crate) struct HttpLabels {
    pub(crate) path: &'static str,
    pub(crate) status: u16,
}

/// What is limited, or full.
#[derive(Clone, Debug, EncodeLabelSet, PartialEq, Eq, Hash)]
pub(crate) struct WhatLabels {
    pub(crate) what: &'static str,
}

/// The limit that alerts compare with and that is always the same, by what it limits.
const LIMITS: [(&str, i64); 1] = [("relay-circuits", limits::CIRCUITS_MAX as i64)];

/// Why something was denied.
#[derive(Clone, Debug, EncodeLabelSet, PartialEq, Eq, Hash)]
pub(crate) struct ReasonLabels {
    pub(crate) reason: &'static str,
}

impl NodeMetrics {
    /// All zero, with every label there is: what has not happened yet is seen, too.
    fn new() -> Self {
        let metrics = Self::default();
        for transport in TRANSPORTS {
            for direction in ["inbound", "outbound"] {
                let labels = ConnectionLabels {
                    transport,
                    direction,
                };
                drop(metrics.connections.get_or_create(&labels));
            }
        }
        for (what, limit) in LIMITS {
            let labels = WhatLabels { what };
            metrics.limit.get_or_create(&labels).set(limit);
        }
        for reason in relay::DENIALS {
            let labels = ReasonLabels { reason };
            drop(metrics.relay_circuits_denied.get_or_create(&labels));
            drop(metrics.relay_reservations_denied.get_or_create(&labels));
        }
        metrics
    }

    /// Tells how many connections of others there may be, which depends on the settings and on the
    /// system. Each may hold a relay reservation.
    pub(crate) fn limit_inbound(&self, connections: u32) {
        for what in ["inbound-connections", "relay-reservations"] {
            let limit = self.limit.get_or_create(&WhatLabels { what });
            limit.set(connections.into());
        }
    }

    /// The gauge of all connections like this one.
    pub(crate) fn connections_like(
        &self,
        connection: &Connection,
    ) -> impl Deref<Target = Gauge> + '_ {
        self.connections.get_or_create(&ConnectionLabels {
            transport: connection.transport(),
            direction: connection.direction(),
        })
    }
}

/// The text of `/metrics`. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Page(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    /// As it was written last; none before the first time.
    written: Mutex<(Bucket, Option<Bytes>)>,
}

impl Page {
    fn new(registry: Registry, now: Instant) -> Self {
        let written = Mutex::new((Bucket::new(limits::METRICS_RATE, now), None));
        Self(Arc::new(Inner { registry, written }))
    }

    /// The numbers in OpenMetrics text format 1.0, which Prometheus reads: those of now, or, where it is asked for more
    /// often than [`limits::METRICS_RATE`], those of a moment ago.
    pub(crate) fn render(&self, now: Instant) -> Result<Bytes, fmt::Error> {
        // Whoever panicked did not leave half a text.
        let mut written = self
            .0
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (rate, last) = &mut *written;
        if !rate.take(now)
            && let Some(text) = last
        {
            return Ok(text.clone());
        }
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry)?;
        let text = Bytes::from(text);
        *last = Some(text.clone());
        Ok(text)
    }
}

/// Registers everything that is counted.
pub(crate) fn new(started: Instant) -> (Metrics, Page) {
    let mut registry = Registry::default();
    let libp2p = Libp2pMetrics::new(&mut registry);
    let node = NodeMetrics::new();
    registry.register_collector(Box::new(process::Process::started_now()));
    let moim = registry.sub_registry_with_prefix("moim_bootstrap");

    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    moim.register("build", "The running version", version);
    moim.register_collector(Box::new(Uptime(started)));

    let m = &node;
    moim.register(
        "connections",
        "Connections right now, by what carries them and who dialled",
        m.connections.clone(),
    );
    moim.register("limit", "How many there may be", m.limit.clone());
    moim.register("peers", "Peers connected right now", m.peers.clone());
    moim.register(
        "panics",
        "Connections that were closed because something panicked on them",
        m.panics.clone(),
    );
    moim.register(
        "restarts",
        "Times that the node panicked and was started anew in this process",
        m.restarts.clone(),
    );
    m.rejections.register(moim);
    moim.register(
        "dht_records",
        "Records kept for others",
        m.dht_records.clone(),
    );
    moim.register_with_unit(
        "dht_record",
        "Size of the records kept for others",
        Unit::Bytes,
        m.dht_record_bytes.clone(),
    );
    moim.register(
        "dht_provider_keys",
        "Keys with providers",
        m.dht_provider_keys.clone(),
    );
    moim.register(
        "dht_providers",
        "Providers of all keys",
        m.dht_providers.clone(),
    );
    moim.register(
        "dht_full",
        "Whether a part of the store is full, so that what comes takes the place of others or is refused",
        m.dht_full.clone(),
    );
    moim.register(
        "dht_gave_way",
        "Entries of the store that gave way to others so far",
        m.dht_gave_way.clone(),
    );
    moim.register(
        "dht_refused",
        "Records and providers refused so far",
        m.dht_refused.clone(),
    );
    moim.register(
        "http_requests",
        "HTTP requests so far, by what was asked for and how it was answered",
        m.http_requests.clone(),
    );
    moim.register(
        "relay_reservations",
        "Peers with a relay reservation right now",
        m.relay_reservations.clone(),
    );
    moim.register(
        "relay_reservations_accepted",
        "Relay reservations given so far, renewals included",
        m.relay_reservations_accepted.clone(),
    );
    moim.register(
        "relay_reservations_denied",
        "Relay reservations denied so far, by reason",
        m.relay_reservations_denied.clone(),
    );
    moim.register(
        "relay_circuits",
        "Relayed connections right now",
        m.relay_circuits.clone(),
    );
    moim.register(
        "relay_circuits_accepted",
        "Relayed connections opened so far",
        m.relay_circuits_accepted.clone(),
    );
    moim.register(
        "relay_circuits_denied",
        "Relayed connections denied so far, by reason",
        m.relay_circuits_denied.clone(),
    );
    m.store.register(moim);
    m.tls.register(moim);
    m.turn.register(moim);
    (Metrics { libp2p, node }, Page::new(registry, started))
}

/// Seconds since the start, computed when asked for.
#[derive(Debug)]
struct Uptime(Instant);

impl Collector for Uptime {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let uptime = ConstGauge::new(self.0.elapsed().as_secs_f64());
        let metric = encoder.encode_descriptor(
            "uptime",
            "Time since the node started",
            Some(&Unit::Seconds),
            uptime.metric_type(),
        )?;
        uptime.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_was_counted() {
        let (metrics, page) = new(Instant::now());
        metrics.node.relay_circuits.set(7);
        let reason = "no-reservation";
        let denied = &metrics.node.relay_circuits_denied;
        denied.get_or_create(&ReasonLabels { reason }).inc();
        let now = Instant::now();
        let render = |at| String::from_utf8(page.render(at).unwrap().into()).unwrap();
        let text = render(now);
        assert!(text.contains("moim_bootstrap_relay_circuits 7\n"), "{text}");
        assert!(
            text.contains(
                "moim_bootstrap_relay_circuits_denied_total{reason=\"no-reservation\"} 1\n"
            ),
            "{text}"
        );
        assert!(text.contains("moim_bootstrap_uptime_seconds "), "{text}");
        assert!(text.contains("libp2p_swarm"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn it_is_written_no_more_often_than_that_costs_little() {
        let now = Instant::now();
        let (metrics, page) = new(now);
        let rate = limits::METRICS_RATE;
        let written = |at| {
            metrics.node.relay_circuits.inc();
            page.render(at).unwrap()
        };
        let mut texts: Vec<_> = (0..1_000).map(|_| written(now)).collect();
        texts.dedup();
        assert_eq!(texts.len(), rate.burst as usize);
        let later = now + std::time::Duration::from_secs(1);
        let mut texts: Vec<_> = (0..1_000).map(|_| written(later)).collect();
        texts.dedup();
        assert_eq!(texts.len(), rate.per_second as usize);
    }
}
