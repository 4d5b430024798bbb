//! What of a changed [`Config`] a running node takes up, and what only the next one.

use super::Config;

/// Settings that a running node takes up.
const LIVE: [&str; 9] = [
    "external-address",
    "bootstrap",
    "web",
    "max-memory",
    "turn-allocations-per-peer",
    "turn-allocations-per-address",
    "turn-mbit",
    "turn-mbit-per-allocation",
    "turn-allow-private",
];

/// Names of the settings in which two configurations differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// A running node takes them up.
    pub(crate) live: Vec<&'static str>,
    /// They take effect at the next start.
    pub(crate) at_start: Vec<&'static str>,
}

impl Config {
    /// What `other` changes.
    pub(crate) fn changes(&self, other: &Self) -> Changes {
        let mut changes = Changes::default();
        if self.data_dir != other.data_dir {
            changes.at_start.push("data-dir");
        }
        for ((name, before), (_, after)) in self.entries().into_iter().zip(other.entries()) {
            if before == after {
                continue;
            }
            if LIVE.contains(&name) {
                changes.live.push(name);
            } else {
                changes.at_start.push(name);
            }
        }
        changes
    }

    /// This one, with what a running node takes up of `other`.
    pub(crate) fn with_live(&self, other: &Self) -> Self {
        let mut config = self.clone();
        config
            .external_addresses
            .clone_from(&other.external_addresses);
        config.bootstrap.clone_from(&other.bootstrap);
        config.web.clone_from(&other.web);
        config.max_memory = other.max_memory;
        config.places.clone_from(&other.places);
        let (turn, new) = (&mut config.turn, &other.turn);
        turn.allocations_per_peer = new.allocations_per_peer;
        turn.allocations_per_address = new.allocations_per_address;
        turn.mbit = new.mbit;
        turn.mbit_per_allocation = new.mbit_per_allocation;
        turn.allow_private = new.allow_private;
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listen, Settings};

    fn config(text: &str) -> Config {
        let settings: Settings = toml::from_str(text).unwrap();
        Config::new("data".into(), settings)
    }

    #[test]
    fn nothing_changes_nothing() {
        assert_eq!(config("").changes(&config("")), Changes::default());
    }

    #[test]
    fn what_changes_is_named_by_when_it_takes_effect() {
        let new = config(
            "tcp = 'off'\nmax-memory = 64\nturn-mbit = 1\nbootstrap = ['/ip4/1.2.3.4/tcp/1']",
        );
        let changes = config("").changes(&new);
        assert_eq!(changes.live, ["turn-mbit", "bootstrap", "max-memory"]);
        assert_eq!(changes.at_start, ["tcp"]);
    }

    #[test]
    fn what_is_called_live_is_all_that_a_running_node_takes_up() {
        let old = config("");
        let new = config(
            "tcp = 'off'\nmax-memory = 64\nexternal-address = ['/ip4/1.2.3.4/tcp/1']
            bootstrap = ['/ip4/1.2.3.4/tcp/1']\nweb = 'off'
            turn-allocations-per-peer = 7\nturn-allocations-per-address = 7\nturn-mbit = 7
            turn-mbit-per-allocation = 7\nturn-allow-private = 'on'",
        );
        let mixed = old.with_live(&new);
        assert_eq!(old.changes(&mixed).live.len(), LIVE.len());
        assert_eq!(old.changes(&mixed).at_start, [""; 0]);
        assert_eq!(mixed.changes(&new).live, [""; 0]);
        assert_eq!(mixed.changes(&new).at_start, ["tcp"]);
        assert_ne!(mixed.tcp, Listen::Off);
    }
}
