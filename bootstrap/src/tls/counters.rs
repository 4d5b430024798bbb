//! What is counted of certificates.

use std::time::SystemTime;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Who brings the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The node gets it from a CA.
    Acme,
    /// Somebody puts it into files.
    Files,
}

impl Source {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Files => "files",
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, PartialEq, Eq, Hash)]
struct SourceLabels {
    source: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, PartialEq, Eq, Hash)]
struct ResultLabels {
    result: &'static str,
}

/// The numbers. Those of what is off are not shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    end: Family<SourceLabels, Gauge>,
    attempts: Family<ResultLabels, Counter>,
}

impl Counters {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "tls_certificate_end",
            "When the certificate of the TLS port ends, since 1970; 0 while there is none",
            Unit::Seconds,
            self.end.clone(),
        );
        registry.register(
            "acme_attempts",
            "Attempts to get a certificate so far, by what came of them",
            self.attempts.clone(),
        );
    }

    /// `None` if there is no certificate.
    pub(super) fn tell_end(&self, source: Source, end: Option<SystemTime>) {
        let source = source.name();
        let end = end.map_or(0, seconds);
        let gauge = self.end.get_or_create(&SourceLabels { source });
        gauge.set(i64::try_from(end).unwrap_or(i64::MAX));
    }

    /// Shows the attempts, before there is any.
    pub(super) fn show_attempts(&self) {
        for is_success in [true, false] {
            drop(self.attempts.get_or_create(&labels(is_success)));
        }
    }

    pub(super) fn count_attempt(&self, is_success: bool) {
        self.attempts.get_or_create(&labels(is_success)).inc();
    }
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn labels(is_success: bool) -> ResultLabels {
    let result = if is_success { "obtained" } else { "failed" };
    ResultLabels { result }
}
