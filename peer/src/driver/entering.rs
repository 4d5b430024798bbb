//! How this peer gets into the network: bootstrap nodes are fetched and dialled.

use web_time::Instant;

use super::{
    entry::Action,
    state::{Driver, Fetched},
};
use crate::{
    bootstrap::{Target, is_local},
    platform,
};

impl Driver {
    pub(super) fn advance_entry(&mut self, now: Instant) {
        let connections = &self.connections;
        let actions = self.entry.poll(self.pace.head_start(), now, |peer| {
            connections.is_connected(peer)
        });
        for action in actions {
            match action {
                Action::Dial(dial) => self.dial_bootstrap(dial, now),
                Action::Fetch { source, url } => {
                    let fetched = self.fetched_sender.clone();
                    platform::spawn(async move {
                        let result = platform::fetch(url.clone()).await.and_then(|found| {
                            let target = Target::from_document(&found.body, &url)?;
                            Ok((target, found.date))
                        });
                        // The driver is gone if nobody takes it.
                        let is_local = is_local(&url);
                        let fetched_now = Fetched {
                            source,
                            is_local,
                            result,
                        };
                        let _ = fetched.send(fetched_now).await;
                    });
                }
            }
        }
    }

    pub(super) fn on_fetched(&mut self, fetched: Fetched, now: Instant) {
        // Whoever names the node has it say where it is, and what time it is.
        if let Ok((target, date)) = &fetched.result {
            self.dials
                .document(fetched.source, fetched.is_local, &target.addresses);
            if let (Some(node), Some(date)) = (target.peer, date) {
                self.clock.told(node, *date, now);
            }
        }
        let result = fetched.result.map(|(target, _)| target);
        let connections = &self.connections;
        self.entry.fetched(fetched.source, result, now, |peer| {
            connections.is_connected(peer)
        });
    }
}
