use std::time::Duration;

use rtc_crypto::default_provider;

use super::{
    super::{records::Records, server::Certificate},
    *,
};

struct Side {
    dtls: Dtls,
    records: Records,
    is_connected: bool,
}

impl Side {
    fn new(is_client: bool) -> Self {
        let certificate = Certificate::generate().expect("randomness");
        let crypto = default_provider().expect("one");
        let dtls = Dtls::new(is_client, certificate.dtls(), None, &crypto);
        Self {
            dtls: dtls.expect("is made"),
            records: Records::default(),
            is_connected: false,
        }
    }

    fn receive(&mut self, datagram: BytesMut, now: Instant) {
        if let Some(records) = self.records.take(datagram, self.is_connected) {
            let events = self.dtls.receive(records, now).unwrap_or_default();
            self.is_connected |= events.contains(&Event::Connected);
        }
    }
}

/// How long a handshake takes, if it comes to an end; `is_lost`: which datagrams do not arrive.
fn shake(is_lost: impl Fn(usize) -> bool) -> Option<Duration> {
    let start = Instant::now();
    let mut now = start;
    let mut sides = [Side::new(true), Side::new(false)];
    sides[0].dtls.begin(now).expect("begins");
    let mut sent = 0;
    while now < start + Duration::from_secs(60) {
        let mut is_quiet = true;
        for from in [0, 1] {
            while let Some(datagram) = sides[from].dtls.poll_transmit() {
                is_quiet = false;
                if !is_lost(sent) {
                    sides[1 - from].receive(datagram, now);
                }
                sent += 1;
            }
        }
        if sides.iter().all(|side| side.is_connected) {
            return Some(now - start);
        }
        if is_quiet {
            let deadlines = sides.iter().filter_map(|side| side.dtls.poll_timeout());
            now = deadlines.min()?.max(now);
            for side in &mut sides {
                side.dtls.handle_timeout(now).ok()?;
            }
        }
    }
    None
}

#[test]
fn a_handshake_survives_the_loss_of_any_of_its_datagrams() {
    assert_eq!(shake(|_| false), Some(Duration::ZERO));
    for first in 0..8 {
        for second in first..8 {
            let took = shake(|number| number == first || number == second);
            let took = took.unwrap_or_else(|| panic!("{first} and {second} are missed for ever"));
            assert!(
                took <= Duration::from_secs(4),
                "{first}, {second}: {took:?}"
            );
        }
    }
}
