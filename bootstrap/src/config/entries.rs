//! A [`Config`] as keys and values of a settings file.

use std::path::PathBuf;

use clap::ValueEnum;
use libp2p::Multiaddr;
use toml::Value;

use super::{Config, Switch, TurnConfig, Web};

/// A key, and its value if it has one.
type Entry = (&'static str, Option<Value>);

impl Config {
    /// All settings but the data directory as keys and values of the settings file; those that are
    /// not set have no value.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let web = match &self.web {
            Web::Folder(path) => text(&path.display()),
            Web::Off => text(&"off"),
            Web::Own => None,
        };
        let domain = self.tls.domain.as_ref();
        let acme = &self.tls.acme;
        let listen = [
            ("tcp", text(&self.tcp)),
            ("quic", text(&self.quic)),
            ("ws", text(&self.ws)),
            ("webrtc-direct", text(&self.webrtc_direct)),
            ("stun", text(&self.stun)),
        ];
        let rest = [
            ("http", text(&self.http)),
            ("tls", text(&self.tls.listen)),
            ("tls-cert", path(self.tls.certificate.as_ref())),
            ("tls-key", path(self.tls.key.as_ref())),
            ("domain", domain.and_then(|name| text(name))),
            ("acme", text(&acme.ca)),
            ("acme-accept-terms", Some(acme.accept_terms.into())),
            (
                "acme-contact",
                acme.contact.as_ref().and_then(|mail| text(mail)),
            ),
            ("acme-root", path(acme.root.as_ref())),
            ("web", web),
            ("admin", choice(&self.admin)),
            ("external-address", list(&self.external_addresses)),
            ("bootstrap", list(&self.bootstrap)),
            ("store-memory", number(self.store_memory.get().into())),
            ("max-connections", number(self.max_connections.get().into())),
            ("max-memory", self.max_memory.and_then(number)),
            ("limit-loopback", Some(self.limit_loopback.into())),
            ("log-format", choice(&self.log_format)),
        ];
        listen
            .into_iter()
            .chain(self.turn.entries())
            .chain(rest)
            .collect()
    }
}

impl TurnConfig {
    fn entries(&self) -> [Entry; 9] {
        let switch = |is_on: bool| choice(&if is_on { Switch::On } else { Switch::Off });
        let count = |count: std::num::NonZeroU32| number(count.get().into());
        [
            ("turn", switch(self.is_on)),
            ("turn-ports", text(&self.ports)),
            ("turn-allocations", count(self.allocations)),
            (
                "turn-allocations-per-peer",
                count(self.allocations_per_peer),
            ),
            (
                "turn-allocations-per-address",
                count(self.allocations_per_address),
            ),
            ("turn-mbit", count(self.mbit)),
            ("turn-mbit-per-allocation", count(self.mbit_per_allocation)),
            ("turn-ttl", count(self.ttl_seconds)),
            ("turn-allow-private", switch(self.allow_private)),
        ]
    }
}

fn text(value: &dyn ToString) -> Option<Value> {
    Some(Value::String(value.to_string()))
}

fn path(path: Option<&PathBuf>) -> Option<Value> {
    text(&path?.display())
}

fn list(values: &[Multiaddr]) -> Option<Value> {
    let values = values.iter().map(|a| Value::String(a.to_string()));
    Some(Value::Array(values.collect()))
}

/// Numbers as large as TOML has them; nobody has as much memory.
fn number(value: u64) -> Option<Value> {
    i64::try_from(value).ok().map(Value::Integer)
}

/// What a choice is called.
fn choice(value: &impl ValueEnum) -> Option<Value> {
    text(&value.to_possible_value()?.get_name())
}
