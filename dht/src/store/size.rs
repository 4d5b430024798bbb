//! How much a store may hold, and holds.

/// How much a [`Store`](super::Store) may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes of all records, with their keys and the cost of keeping them: a quarter for presences, and
    /// the rest for values.
    pub bytes_max: usize,
}

impl Default for StoreLimits {
    /// 64 MiB: a small machine can spare it, and a quarter of it takes the presences of 4,000 peers in five
    /// rooms each.
    fn default() -> Self {
        Self {
            bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// How much a [`Store`](super::Store) holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Records held.
    pub records: usize,
    /// Bytes of the records held, and of what is remembered of those that were, with their keys and the cost
    /// of keeping them.
    pub record_bytes: usize,
    /// Keys with providers, without those of the local peer.
    pub provider_keys: usize,
    /// Providers of all keys, without the local peer.
    pub providers: usize,
    /// Records and providers refused since the start.
    pub refused_total: u64,
    /// What is bounded apart.
    pub parts: [StorePart; 3],
}

/// One of the parts of a [`Store`](super::Store) that are bounded apart, so that none can crowd another out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorePart {
    /// Its name: `presences`, `values` or `providers`.
    pub what: &'static str,
    /// Whether the next entry takes the place of another, or is refused.
    pub is_full: bool,
    /// Entries that gave way to others since the start.
    pub gave_way_total: u64,
}
