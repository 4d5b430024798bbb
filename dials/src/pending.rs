//! How many dials are under way to one host, for strangers' addresses.
//!
//! A stranger may name hundreds of addresses of a third party at once: in an answer of the DHT, by DCUtR. Each dial by
//! QUIC is a datagram of 1,200 bytes, and some more until it is given up.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use moim_protocol::rate::Source;

/// Dials at most that are under way to one IPv4 address, or IPv6 network of 64 bits. Enough for the peers of a household
/// or a class behind one NAT, which come one after the other.
pub(crate) const PENDING_MAX: usize = 16;

/// How many there are, by host. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending(Arc<Mutex<HashMap<Source, usize>>>);

/// One dial that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    pending: Pending,
    host: Source,
}

impl Pending {
    /// One more to this address, if there may be.
    pub(crate) fn begin(&self, ip: IpAddr) -> Option<Permit> {
        let host = Source::from(ip);
        {
            let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = pending.entry(host).or_default();
            if *count >= PENDING_MAX {
                return None;
            }
            *count = count.saturating_add(1);
        }
        Some(Permit {
            pending: self.clone(),
            host,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut pending = self
            .pending
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pending.get_mut(&self.host) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                pending.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_dialled_by_so_many_at_one_time() {
        let pending = Pending::default();
        let ip = |text: &str| text.parse::<IpAddr>().expect("valid");
        let mut permits: Vec<_> = (0..PENDING_MAX)
            .map(|n| pending.begin(ip(&format!("2001:db8::{n}"))).expect("room"))
            .collect();
        assert!(pending.begin(ip("2001:db8::ffff:1")).is_none());
        assert!(pending.begin(ip("2001:db8:0:1::1")).is_some());
        permits.pop();
        assert!(pending.begin(ip("2001:db8::1")).is_some());
        permits.clear();
        assert!(pending.0.lock().expect("not poisoned").is_empty());
    }
}
