//! How much of the processor somebody gets who is not known.
//!
//! What is known to be costly is bounded by what is counted: records, messages, bytes. This is for what was
//! overlooked. It has no clock: whoever works says how long it took, and when.
//!
//! One connection has so much in all ([`UNKNOWN_MAX`]); and all that come from one source, one after the other or at
//! one time, have a quarter of a processor ([`Ledger`]).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For all of a handshake. One with a browser takes some 2 ms in a debug build, and a slow machine may need twenty times as much.
pub(super) const UNKNOWN_MAX: Duration = Duration::from_millis(250);

/// For one datagram of somebody who is known. SCTP looks through all that waits for one that got lost.
pub(super) const DATAGRAM_MAX: Duration = Duration::from_secs(1);

/// For the handshakes of one source after a quiet time: those of a school that comes back at once.
const SOURCE_MAX: Duration = Duration::from_secs(2);

/// By this part of the time that passes a source's account fills up again.
const SOURCE_PART: u32 = 4;

/// Sources whose accounts are kept. Those that are full again are as good as none.
const SOURCES_MAX: usize = 8_192;

/// The IPv6 network that counts as one source: what a home has.
const NETWORK_BITS: u32 = 64;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: Duration,
    is_known: bool,
    account: Option<Account>,
}

impl Budget {
    /// For somebody who comes from where others may come from.
    pub(super) fn of(account: Account) -> Self {
        Self {
            account: Some(account),
            ..Self::default()
        }
    }

    /// The other side has proven who it is.
    pub(super) fn lift(&mut self) {
        tracing::trace!(spent = ?self.spent, "known");
        self.is_known = true;
    }

    /// A datagram, or whatever was due, took so long. Whether there is anything left.
    pub(super) fn spend(&mut self, time: Duration, now: Instant) -> bool {
        if self.is_known {
            return time <= DATAGRAM_MAX;
        }
        self.spent = self.spent.saturating_add(time);
        let account = self.account.as_ref();
        let is_covered = account.is_none_or(|account| account.spend(time, now));
        is_covered && self.spent <= UNKNOWN_MAX
    }
}

/// What all that come from one source may cost together before they are known. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// What each has spent that time has not paid back.
    spent: Arc<Mutex<HashMap<IpAddr, Spent>>>,
    limit_loopback: bool,
}

#[derive(Debug)]
struct Spent {
    time: Duration,
    at: Instant,
}

impl Spent {
    fn pay_back(&mut self, now: Instant) {
        let back = now.saturating_duration_since(self.at) / SOURCE_PART;
        self.time = self.time.saturating_sub(back);
        self.at = self.at.max(now);
    }
}

impl Ledger {
    /// Those who come from this machine itself are many, and have no account, but where `limit_loopback`.
    pub(super) fn new(limit_loopback: bool) -> Self {
        Self {
            spent: Arc::default(),
            limit_loopback,
        }
    }

    /// The account of whoever comes from there, if it has one.
    pub(super) fn account(&self, ip: IpAddr) -> Option<Account> {
        let ip = ip.to_canonical();
        if ip.is_loopback() && !self.limit_loopback {
            return None;
        }
        Some(Account {
            ledger: self.clone(),
            source: source(ip),
        })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.len()
    }
}

/// An IPv4 address, or an IPv6 network.
fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << NETWORK_BITS)).into(),
    }
}

/// What one source may cost.
#[derive(Clone, Debug)]
pub(super) struct Account {
    ledger: Ledger,
    source: IpAddr,
}

impl Account {
    /// Whether there is anything left.
    pub(super) fn is_covered(&self, now: Instant) -> bool {
        self.spend(Duration::ZERO, now)
    }

    fn spend(&self, time: Duration, now: Instant) -> bool {
        // Nothing panics with the lock held, and each entry is right at any time.
        let spent = self.ledger.spent.lock();
        let mut spent = spent.unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= SOURCES_MAX && !spent.contains_key(&self.source) {
            spent.retain(|_, one| {
                one.pay_back(now);
                !one.time.is_zero()
            });
            if spent.len() >= SOURCES_MAX {
                // As with other bounds of sources: rather everybody has a burst once more than newcomers none.
                spent.clear();
            }
        }
        let one = spent.entry(self.source).or_insert(Spent {
            time: Duration::ZERO,
            at: now,
        });
        one.pay_back(now);
        one.time = one.time.saturating_add(time);
        one.time <= SOURCE_MAX
    }
}

/// The time that this thread has had of a processor, where the system says; else the time. Of use is the
/// difference of two.
pub(super) fn processor_time() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    {
        use nix::time::{ClockId, clock_gettime};
        if let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) {
            return Duration::from(time);
        }
    }
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_has_so_much_in_all_and_who_is_known_so_much_at_a_time() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let step = UNKNOWN_MAX / 10;
        let steps = (0..100).take_while(|_| budget.spend(step, now)).count();
        assert_eq!(steps, 10);
        assert!(!budget.spend(Duration::ZERO, now), "it stays spent");
        budget.lift();
        assert!((0..100).all(|_| budget.spend(DATAGRAM_MAX, now)));
        assert!(!budget.spend(DATAGRAM_MAX + step, now));
        assert!(!Budget::default().spend(Duration::MAX, now));
    }

    #[test]
    fn all_of_a_source_have_a_quarter_of_a_processor_and_others_theirs() {
        let (ledger, start) = (Ledger::new(false), Instant::now());
        let account = |ip: &str| ledger.account(ip.parse().unwrap()).unwrap();
        let step = UNKNOWN_MAX / 10;
        // Each is somebody new, who spends less than one may.
        let come = |ip: &str, now| {
            let all = (0..10_000).take_while(|_| Budget::of(account(ip)).spend(step, now));
            step * u32::try_from(all.count()).unwrap()
        };
        assert_eq!(come("192.0.2.1", start), SOURCE_MAX);
        assert!(!account("::ffff:192.0.2.1").is_covered(start));
        assert_eq!(come("192.0.2.2", start), SOURCE_MAX, "another one");
        assert_eq!(come("2001:db8::1", start), SOURCE_MAX);
        assert!(
            !account("2001:db8::ffff:2").is_covered(start),
            "its network"
        );
        assert!(account("2001:db8:0:1::1").is_covered(start));

        // Somebody who goes on for a minute.
        let mut all = Duration::ZERO;
        for second in 1..=60 {
            all += come("192.0.2.1", start + Duration::from_secs(second));
        }
        let most = Duration::from_secs(60) / SOURCE_PART;
        assert!(all <= most && all >= most * 9 / 10, "{all:?}");

        assert!(ledger.account("127.0.0.1".parse().unwrap()).is_none());
        let strict = Ledger::new(true);
        assert!(strict.account("127.0.0.1".parse().unwrap()).is_some());
    }

    #[test]
    fn sources_are_forgotten() {
        let (ledger, start) = (Ledger::new(false), Instant::now());
        for number in 0..20_000 {
            let ip = IpAddr::from(std::net::Ipv4Addr::from_bits(number + 1));
            let now = start + Duration::from_millis(number.into());
            assert!(ledger.account(ip).unwrap().spend(UNKNOWN_MAX, now));
        }
        assert!(ledger.len() <= SOURCES_MAX);
    }

    #[test]
    fn it_is_measured_by_what_was_worked() {
        let before = processor_time();
        let mut sum = 0_u64;
        while processor_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(processor_time() > before);
    }
}
