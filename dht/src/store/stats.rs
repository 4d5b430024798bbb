//! Counting what a store holds.

use super::{
    Store,
    records::Kind,
    size::{StorePart, StoreStats},
};

impl Store {
    /// How much the store holds now.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            records: self.records.len(),
            record_bytes: self.records.cost(),
            provider_keys: self.providers.key_count(),
            providers: self.providers.len(),
            refused_total: self.refused_records.saturating_add(self.refused_providers),
            parts: [
                StorePart {
                    what: "presences",
                    is_full: self.records.is_full(Kind::Presence),
                    gave_way_total: self.records.gave_way(Kind::Presence),
                },
                StorePart {
                    what: "values",
                    is_full: self.records.is_full(Kind::Value),
                    gave_way_total: self.records.gave_way(Kind::Value),
                },
                StorePart {
                    what: "providers",
                    is_full: self.providers.is_full(),
                    gave_way_total: self.providers.gave_way_total(),
                },
            ],
        }
    }
}
