//! A network that is made here, and its time.

use std::collections::VecDeque;

use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};

use super::*;

/// How long a packet is under way.
const DELAY: Duration = Duration::from_millis(10);

/// Who sends and receives.
pub(super) trait Side {
    fn poll_transmit(&mut self) -> Option<Bytes>;
    fn receive(&mut self, packet: Bytes, now: Instant);
    fn poll_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant);
}

impl Side for Sctp {
    fn poll_transmit(&mut self) -> Option<Bytes> {
        self.poll_transmit()
    }

    fn receive(&mut self, packet: Bytes, now: Instant) {
        self.receive(packet, now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
}

pub(super) struct Network {
    pub(super) now: Instant,
    /// Packets of a thousand that are lost.
    loss: u32,
    pub(super) lost: usize,
    rng: TestRng,
    under_way: [VecDeque<(Instant, Bytes)>; 2],
}

impl Network {
    pub(super) fn new(loss: u32) -> Self {
        Self {
            now: Instant::now(),
            loss,
            lost: 0,
            rng: TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
            under_way: [VecDeque::new(), VecDeque::new()],
        }
    }

    pub(super) fn random(&mut self, bytes: &mut [u8]) {
        self.rng.fill_bytes(bytes);
    }

    /// What is next: packets go out, one comes in, or time passes. Whether anything is to come.
    pub(super) fn step(&mut self, mut sides: [&mut dyn Side; 2]) -> bool {
        for (side, machine) in sides.iter_mut().enumerate() {
            while let Some(packet) = machine.poll_transmit() {
                if self.rng.next_u32() % 1000 < self.loss {
                    self.lost += 1;
                } else {
                    self.under_way[1 - side].push_back((self.now + DELAY, packet));
                }
            }
        }
        let arrivals = self.under_way.iter().filter_map(|packets| packets.front());
        let arrivals = arrivals.map(|(at, _)| *at);
        let timers = sides.iter().filter_map(|machine| machine.poll_timeout());
        let Some(next) = arrivals.chain(timers).min() else {
            return false;
        };
        self.now = self.now.max(next);
        for (machine, packets) in sides.iter_mut().zip(&mut self.under_way) {
            while let Some((_, packet)) = packets.pop_front_if(|(at, _)| *at <= self.now) {
                machine.receive(packet, self.now);
            }
            machine.handle_timeout(self.now);
        }
        true
    }
}
