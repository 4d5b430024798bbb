//! What is drawn at random: all of it from one seed.

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng as _},
};
use rand_distr::{Distribution as _, Exp1, Gamma, StandardUniform, Weibull};

/// The shape of the Weibull distribution of sessions. Below 1, so whoever has stayed for long stays on. Measured shapes
/// are 0.34 to 0.59 for BitTorrent and Kad (Stutzbach and Rejaie, IMC 2006, doi:10.1145/1177080.1177105) and about 0.5
/// for KAD (Steiner, En-Najjary and Biersack, IEEE/ACM ToN 17(5), 2009); visits to web pages are Weibull too (Liu, White
/// and Dumais, SIGIR 2010). No measurement of chat rooms was found.
const SESSION_SHAPE: f64 = 0.6;

/// A generator for one simulation.
#[derive(Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// A generator that begins at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Evenly from 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        StandardUniform.sample(&mut self.0)
    }

    /// Whether something happens that does with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Evenly one of `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.number()) * bound as u128;
        (product >> 64) as usize
    }

    /// Evenly between two lengths of time.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.unit())
    }

    /// Exponentially, with this mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let factor: f64 = Exp1.sample(&mut self.0);
        mean.mul_f64(factor)
    }

    /// So many different ones of these, in random order.
    pub fn some_of<T>(&mut self, mut all: Vec<T>, count: usize) -> Vec<T> {
        let count = count.min(all.len());
        for index in 0..count {
            let other = index + self.below(all.len() - index);
            all.swap(index, other);
        }
        all.truncate(count);
        all
    }

    /// A session of somebody who comes, where sessions last `mean` on average.
    pub fn session(&mut self, mean: Duration) -> Duration {
        let scale = mean.as_secs_f64() / factorial(1.0 / SESSION_SHAPE);
        let seconds = Weibull::new(scale, SESSION_SHAPE).map_or(0.0, |it| it.sample(&mut self.0));
        Duration::from_secs_f64(seconds)
    }

    /// What is left of the session of somebody who is there when one looks. Long sessions are met more often: a session
    /// is drawn in proportion to its length, and the look falls anywhere in it.
    pub fn rest_of_session(&mut self, mean: Duration) -> Duration {
        let scale = mean.as_secs_f64() / factorial(1.0 / SESSION_SHAPE);
        let power = Gamma::new(1.0 + 1.0 / SESSION_SHAPE, 1.0);
        let power = power.map_or(0.0, |it| it.sample(&mut self.0));
        let session = scale * power.powf(1.0 / SESSION_SHAPE);
        Duration::from_secs_f64(session * self.unit())
    }
}

/// Γ(1 + x) for 0 ≤ x ≤ 4, by Stirling's series for Γ(x + 9) and the recurrence.
fn factorial(x: f64) -> f64 {
    let far = x + 9.0;
    let stirling =
        (far - 0.5) * far.ln() - far + (2.0 * std::f64::consts::PI).ln() / 2.0 + 1.0 / (12.0 * far)
            - 1.0 / (360.0 * far.powi(3));
    let below: f64 = (1..=8).map(|n| x + f64::from(n)).product();
    stirling.exp() / below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::seconds;

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let mut draw = Draw::new(seed);
            (draw.number(), draw.below(100), draw.session(seconds(60)))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn factorials_between_whole_numbers() {
        for (x, wanted) in [
            (0.0, 1.0),
            (1.0, 1.0),
            (0.5, 0.886_226_925_452_758),
            (3.0, 6.0),
        ] {
            assert!((factorial(x) - wanted).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn sessions_have_their_mean_and_rests_are_longer() {
        let (mut draw, mean) = (Draw::new(1), seconds(600));
        let sessions: f64 = (0..200_000).map(|_| draw.session(mean).as_secs_f64()).sum();
        assert!((sessions / 200_000.0 / 600.0 - 1.0).abs() < 0.03);
        // The mean of what is left is E[L²] / 2 E[L].
        let rests: f64 = (0..200_000)
            .map(|_| draw.rest_of_session(mean).as_secs_f64())
            .sum();
        let one = factorial(1.0 / SESSION_SHAPE);
        let wanted = 600.0 * factorial(2.0 / SESSION_SHAPE) / (2.0 * one * one);
        assert!((rests / 200_000.0 / wanted - 1.0).abs() < 0.03);
    }

    #[test]
    fn some_are_different_ones() {
        let mut draw = Draw::new(3);
        let mut some = draw.some_of((0..50).collect(), 20);
        some.sort_unstable();
        some.dedup();
        assert_eq!(some.len(), 20);
        assert_eq!(draw.some_of(vec![1], 3), [1]);
    }
}
