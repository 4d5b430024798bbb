//! What is measured.

use std::{ops::AddAssign, time::Duration};

use crate::{event::Index, node::Node, time::Time};

/// What something is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of the gossip.
    Message,
    /// Gossip's control messages.
    Control,
    /// Moim's own requests and answers.
    Request,
    /// Requests to the DHT, and answers.
    Dht,
}

/// How much.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// Messages.
    pub count: u64,
    /// Their bytes, without those of the transport.
    pub bytes: u64,
}

impl AddAssign<usize> for Amount {
    fn add_assign(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
    }
}

/// What a peer has sent and got, by [`Kind`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// What it has sent.
    pub sent: [Amount; 4],
    /// What it has got.
    pub got: [Amount; 4],
    /// Of the gossip's messages those that it had already.
    pub repeated: Amount,
}

/// What was said.
#[derive(Debug)]
pub struct Said {
    /// Who said it.
    pub author: Index,
    /// When.
    pub at: Time,
    /// Who has heard it, and how long after.
    pub heard: Vec<(Index, Duration)>,
}

/// How somebody who joined came to know the room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Newcomer {
    /// Those who were there when it came, and still are unless it lists them.
    pub wanted: usize,
    /// Those of them that it has listed.
    pub got: usize,
    /// How long it took until it listed 99 % of them.
    pub most: Option<Duration>,
    /// How long until it listed all.
    pub all: Option<Duration>,
}

impl Newcomer {
    fn look(&mut self, after: Duration) {
        if self.most.is_none() && self.got * 100 >= self.wanted * 99 {
            self.most = Some(after);
        }
        if self.all.is_none() && self.got >= self.wanted {
            self.all = Some(after);
        }
    }
}

/// Seconds of members: of each pair of one who looks and one who is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    /// Listed, and present.
    pub listed: f64,
    /// Present, but not listed.
    pub missing: f64,
    /// Listed, but gone.
    pub gone: f64,
    /// Listed, but made up by a liar.
    pub made_up: f64,
}

impl Truth {
    /// The share of these seconds in which the lists were right. What liars have made up does not count.
    #[must_use]
    pub fn share(&self) -> f64 {
        let all = self.listed + self.missing + self.gone;
        if all == 0.0 { 1.0 } else { self.listed / all }
    }
}

/// Who lists whom, and what came of it. See the [module](self).
#[derive(Debug, Default)]
pub struct Ledger {
    /// What lists were worth since the measurement began.
    pub truth: Truth,
    /// What each newcomer came to know, by its index.
    pub newcomers: Vec<(Index, Newcomer)>,
    newcomer_of: Vec<Option<usize>>,
    /// What was said.
    pub said: Vec<Said>,
    present: usize,
    /// How many pairs there are now: right, wrong, made up.
    pairs: [u64; 3],
    counted: Time,
    /// Lists have at most so many.
    capacity: usize,
}

impl Ledger {
    /// Nothing has happened.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// Measures from now on.
    pub fn begin(&mut self, now: Time) {
        self.count(now);
        self.truth = Truth::default();
    }

    /// Counts up to now.
    pub fn count(&mut self, now: Time) {
        let passed = (now - self.counted).as_secs_f64();
        self.counted = now;
        let others = self.present.saturating_sub(1).min(self.capacity);
        let wanted = (self.present * others) as f64;
        let [right, wrong, made_up] = self.pairs.map(|pairs| pairs as f64);
        self.truth.listed += right * passed;
        self.truth.missing += (wanted - right).max(0.0) * passed;
        self.truth.gone += wrong * passed;
        self.truth.made_up += made_up * passed;
    }

    /// Somebody has joined.
    pub fn joined(&mut self, index: Index, now: Time) {
        self.count(now);
        let newcomer = Newcomer {
            wanted: self.present.min(self.capacity),
            ..Newcomer::default()
        };
        self.present += 1;
        self.newcomer_of
            .resize(self.newcomer_of.len().max(index + 1), None);
        self.newcomer_of[index] = Some(self.newcomers.len());
        self.newcomers.push((index, newcomer));
    }

    fn place(who: &Node) -> usize {
        match (who.is_made_up, who.is_present()) {
            (true, _) => 2,
            (false, true) => 0,
            (false, false) => 1,
        }
    }

    /// One lists another from now on, or no longer.
    pub fn lists(&mut self, nodes: &mut [Node], at: Index, who: Index, is_listed: bool, now: Time) {
        let is_news = if is_listed {
            nodes[at].listed.insert(who)
        } else {
            nodes[at].listed.remove(who)
        };
        if !is_news || !nodes[at].is_present() {
            return;
        }
        self.count(now);
        let pairs = &mut self.pairs[Self::place(&nodes[who])];
        *pairs = if is_listed { *pairs + 1 } else { *pairs - 1 };
        let joined = nodes[at].joined;
        if is_listed
            && nodes[who].is_present()
            && nodes[who].joined <= joined
            && let Some(newcomer) = self.newcomer(at)
            && newcomer.all.is_none()
        {
            newcomer.got += 1;
            newcomer.look(now - joined.unwrap_or(now));
        }
    }

    fn newcomer(&mut self, index: Index) -> Option<&mut Newcomer> {
        let place = (*self.newcomer_of.get(index)?)?;
        self.newcomers.get_mut(place).map(|(_, newcomer)| newcomer)
    }

    /// Somebody has left or vanished: it is not `present` from now on.
    pub fn ended(&mut self, nodes: &mut [Node], index: Index, now: Time) {
        self.count(now);
        let listed: Vec<Index> = nodes[index].listed.iter().collect();
        for who in listed {
            self.pairs[Self::place(&nodes[who])] -= 1;
        }
        let joined = nodes[index].joined;
        nodes[index].ended = Some(now);
        self.present -= 1;
        for (at, node) in nodes.iter().enumerate() {
            if at == index || !node.is_present() {
                continue;
            }
            if node.listed.contains(index) {
                self.pairs[0] -= 1;
                self.pairs[1] += 1;
            } else if joined <= node.joined {
                let came = node.joined.unwrap_or(now);
                let has_room = self.present < self.capacity;
                if let Some(newcomer) = self.newcomer(at)
                    && newcomer.all.is_none()
                    && has_room
                {
                    newcomer.wanted = newcomer.wanted.saturating_sub(1);
                    newcomer.look(now - came);
                }
            }
        }
    }

    /// Looks at those who came to an empty room: their lists are whole.
    pub fn look_at_first(&mut self, index: Index) {
        if let Some(newcomer) = self.newcomer(index) {
            newcomer.look(Duration::ZERO);
        }
    }

    /// How many are present.
    #[must_use]
    pub const fn present(&self) -> usize {
        self.present
    }
}

/// The value below which this share of the values is; zero if there are none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    sorted.get(place.min(last)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use web_time::Instant;

    use super::*;
    use crate::{draw::Draw, terrain::Terrain};

    fn nodes(count: usize) -> Vec<Node> {
        let (terrain, mut draw) = (Terrain::LOOPBACK, Draw::new(1));
        let place = terrain.place(&mut draw);
        (0..count)
            .map(|index| Node::new(index, place, 0, Instant::now(), 1))
            .collect()
    }

    fn join(ledger: &mut Ledger, nodes: &mut [Node], index: Index, now: Time) {
        nodes[index].joined = Some(now);
        ledger.joined(index, now);
        ledger.look_at_first(index);
    }

    #[test]
    fn seconds_of_pairs_are_counted() {
        let (mut ledger, mut nodes) = (Ledger::new(1_024), nodes(3));
        nodes[2].is_made_up = true;
        join(&mut ledger, &mut nodes, 0, Time::ZERO);
        join(&mut ledger, &mut nodes, 1, Time::ZERO);
        ledger.lists(&mut nodes, 0, 1, true, Time::at(1));
        ledger.lists(&mut nodes, 1, 0, true, Time::at(2));
        ledger.lists(&mut nodes, 0, 2, true, Time::at(2));
        ledger.ended(&mut nodes, 1, Time::at(10));
        ledger.lists(&mut nodes, 0, 1, false, Time::at(13));
        ledger.count(Time::at(20));
        let Truth {
            listed,
            missing,
            gone,
            made_up,
        } = ledger.truth;
        assert_eq!((listed, missing, gone, made_up), (17.0, 3.0, 3.0, 18.0));
        assert!((ledger.truth.share() - 17.0 / 23.0).abs() < 1e-9);
    }

    #[test]
    fn a_newcomer_s_list_is_whole_when_it_has_all_who_are_still_there() {
        let (mut ledger, mut nodes) = (Ledger::new(1_024), nodes(4));
        for index in 0..4 {
            join(&mut ledger, &mut nodes, index, Time::at(index as u64));
        }
        ledger.lists(&mut nodes, 3, 0, true, Time::at(4));
        ledger.lists(&mut nodes, 3, 1, true, Time::at(5));
        assert_eq!(ledger.newcomers[3].1.all, None);
        ledger.ended(&mut nodes, 2, Time::at(6));
        assert_eq!(ledger.newcomers[3].1.all, Some(Duration::from_secs(3)));
        assert_eq!(ledger.newcomers[0].1.all, Some(Duration::ZERO));
    }

    #[test]
    fn quantiles_are_of_what_is_there() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 1.0), 3.0);
    }
}
