//! Where peers are, how long something takes from one to another, and who can connect to whom.
//!
//! - **Latency.** A peer is a point on a square, and has an access line. Something takes both lines and the distance one
//!   way. Such a plane with a height for each host is what Dabek et al. (Vivaldi, SIGCOMM 2004,
//!   doi:10.1145/1015467.1015471) found to fit the King measurements between DNS servers (Gummadi et al., IMW 2002).
//!   The square's side is chosen so that the median round trip is some 150 ms, as in that data set.
//! - **Loss.** A lost packet is sent again by the transport, which costs a retransmission time-out.
//! - **NAT.** Whoever is behind one cannot be dialled. Two such peers meet through a relay, and 70 % of such pairs then
//!   connect directly: what Trautwein et al. measured of DCUtR in 85,000 networks (2025, arXiv:2510.27500).

use std::time::Duration;

use crate::{
    draw::Draw,
    time::{millis, seconds},
};

/// The square's side, one way.
const SIDE: Duration = millis(110);

/// The least that an access line takes.
const ACCESS_LEAST: Duration = millis(4);

/// What it takes besides, on average.
const ACCESS_MORE: Duration = millis(5);

/// What a peer can send in a second: a usual line's upstream, 10 Mbit/s.
const UPSTREAM: f64 = 1_250_000.0;

/// The least that a retransmission takes (RFC 9002 and Linux's TCP).
const RETRANSMISSION_LEAST: Duration = millis(200);

/// Whether others can dial a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// They can.
    None,
    /// They cannot, but it can connect directly to most.
    Cone,
    /// They cannot, and nobody else behind a NAT can connect to it directly.
    Symmetric,
}

/// Where a peer is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    x: f64,
    y: f64,
    access: Duration,
    /// Whether others can dial it.
    pub nat: Nat,
}

/// What a network is like.
#[derive(Clone, Copy, Debug)]
pub struct Terrain {
    /// Whether it is one machine: nothing takes time, nothing is lost, nobody is behind a NAT.
    pub is_loopback: bool,
    /// The share of packets that is lost.
    pub loss: f64,
    /// The share of peers that others can dial.
    pub public: f64,
    /// The share of peers behind a symmetric NAT.
    pub symmetric: f64,
}

impl Terrain {
    /// The internet.
    pub const INTERNET: Self = Self {
        is_loopback: false,
        loss: 0.005,
        public: 0.3,
        symmetric: 0.15,
    };

    /// One machine.
    pub const LOOPBACK: Self = Self {
        is_loopback: true,
        loss: 0.0,
        public: 1.0,
        symmetric: 0.0,
    };

    /// Somewhere in it.
    pub fn place(&self, draw: &mut Draw) -> Place {
        let class = draw.unit();
        let nat = if class < self.public {
            Nat::None
        } else if class < self.public + self.symmetric {
            Nat::Symmetric
        } else {
            Nat::Cone
        };
        Place {
            nat,
            ..self.server(draw)
        }
    }

    /// Somewhere in it, where others can dial.
    pub fn server(&self, draw: &mut Draw) -> Place {
        Place {
            x: draw.unit(),
            y: draw.unit(),
            access: ACCESS_LEAST + draw.exponential(ACCESS_MORE),
            nat: Nat::None,
        }
    }

    /// How long something takes from one to the other, if nothing of it is lost.
    #[must_use]
    pub fn way(&self, from: Place, to: Place) -> Duration {
        if self.is_loopback {
            return Duration::from_micros(100);
        }
        let distance = (from.x - to.x).hypot(from.y - to.y);
        from.access + to.access + SIDE.mul_f64(distance)
    }

    /// How long it takes this time.
    pub fn latency(&self, from: Place, to: Place, draw: &mut Draw) -> Duration {
        let way = self.way(from, to);
        if draw.chance(self.loss) {
            way + RETRANSMISSION_LEAST.max(2 * way)
        } else {
            way
        }
    }

    /// How long a peer is busy sending so many bytes.
    #[must_use]
    pub fn sending(&self, bytes: usize) -> Duration {
        if self.is_loopback {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(bytes as f64 / UPSTREAM)
        }
    }

    /// Whether these two come to a direct connection when they try.
    pub fn is_direct(&self, one: Place, other: Place, draw: &mut Draw) -> bool {
        match (one.nat, other.nat) {
            // Whoever can be dialled is, or dials back.
            (Nat::None, _) | (_, Nat::None) => true,
            (Nat::Symmetric, _) | (_, Nat::Symmetric) => false,
            (Nat::Cone, Nat::Cone) => draw.chance(0.7),
        }
    }

    /// How long a dial takes that nobody answers.
    pub fn unanswered(&self, draw: &mut Draw) -> Duration {
        if self.is_loopback {
            millis(5)
        } else {
            draw.between(millis(200), seconds(10))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_as_measured() {
        let (terrain, mut draw) = (Terrain::INTERNET, Draw::new(1));
        let mut trips: Vec<Duration> = (0..20_000)
            .map(|_| {
                let (one, other) = (terrain.place(&mut draw), terrain.place(&mut draw));
                2 * terrain.way(one, other)
            })
            .collect();
        trips.sort_unstable();
        let median = trips[trips.len() / 2];
        assert!((millis(135)..millis(170)).contains(&median), "{median:?}");
    }

    #[test]
    fn who_is_behind_a_nat_is_in_its_share() {
        let (terrain, mut draw) = (Terrain::INTERNET, Draw::new(2));
        let places: Vec<Place> = (0..10_000).map(|_| terrain.place(&mut draw)).collect();
        for (nat, share) in [(Nat::None, 0.3), (Nat::Symmetric, 0.15), (Nat::Cone, 0.55)] {
            let count = places.iter().filter(|place| place.nat == nat).count();
            assert!((count as f64 / 10_000.0 - share).abs() < 0.02, "{nat:?}");
        }
    }
}
