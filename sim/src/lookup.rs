//! Kademlia's lookups among up to 100,000 DHT servers: a model of its own, without rooms.
//!
//! Each server knows up to twenty others for each length of prefix that they have in common with it, as kad's buckets
//! do. A lookup asks the closest that it knows, three at a time, until the twenty closest have answered. Some servers
//! hang: they are in the tables, take requests, and never answer. Moim's `dht/` has a query go on without a server that
//! keeps silent while others answer; plain kad waits for its time-out. Both are run.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use crate::{
    draw::Draw,
    measure::quantile,
    queue::Queue,
    terrain::{Place, Terrain},
    time::{Time, millis, seconds},
};

/// Servers in a bucket, and servers that a lookup finds.
const K: usize = 20;

/// Servers that are asked at one time (`PARALLELISM` of `moim_dht`).
const PARALLEL: usize = 3;

/// A server has so long to answer.
const TIMEOUT: Duration = seconds(5);

/// How long a server may be silent where others answer, and so many times as long as they take (`PATIENCE` and
/// `TIMES_USUAL` of `dht/src/behaviour/silence.rs`).
const PATIENCE: (Duration, u32) = (millis(350), 3);

/// What became of many lookups in a DHT of one size.
#[derive(Clone, Copy, Debug)]
pub struct Lookups {
    /// How many servers there are.
    pub servers: usize,
    /// Whether lookups go on without servers that are silent.
    pub goes_on: bool,
    /// Steps from the asker to the closest server, on average.
    pub hops: f64,
    /// Servers that were asked, on average.
    pub asked: f64,
    /// Seconds that a lookup took: the median, and 95 % of them at most.
    pub took: (f64, f64),
    /// The share of the twenty closest servers that answer which were found.
    pub found: f64,
}

/// The ids of servers, of which the first 64 bits are enough to tell them apart, in order; who hangs; and where they are.
#[derive(Debug)]
struct Dht {
    ids: Vec<u64>,
    hangs: Vec<bool>,
    places: Vec<Place>,
    /// The tables of those that were asked.
    tables: HashMap<usize, Vec<usize>>,
}

impl Dht {
    fn new(servers: usize, hung: f64, terrain: &Terrain, draw: &mut Draw) -> Self {
        let mut ids: Vec<u64> = (0..servers).map(|_| draw.number()).collect();
        ids.sort_unstable();
        Self {
            hangs: ids.iter().map(|_| draw.chance(hung)).collect(),
            places: ids.iter().map(|_| terrain.server(draw)).collect(),
            ids,
            tables: HashMap::new(),
        }
    }

    /// Those whose ids begin with the first `length` bits of `id`.
    fn with_prefix(&self, id: u64, length: u32) -> std::ops::Range<usize> {
        let mask = u64::MAX.checked_shl(64 - length).unwrap_or(0);
        let mask = if length == 0 { 0 } else { mask };
        let (low, high) = (id & mask, id | !mask);
        let first = self.ids.partition_point(|it| *it < low);
        let last = self.ids.partition_point(|it| *it <= high);
        first..last
    }

    /// Whom a server knows: up to twenty of each bucket, hung ones among them.
    fn table(&mut self, of: usize, draw: &mut Draw) -> &[usize] {
        if !self.tables.contains_key(&of) {
            let id = self.ids[of];
            let mut known = Vec::new();
            for length in 0..64 {
                let bucket = self.with_prefix(id ^ (1 << (63 - length)), length + 1);
                if bucket.len() <= K {
                    known.extend(bucket);
                } else {
                    let mut chosen = BTreeSet::new();
                    while chosen.len() < K {
                        chosen.insert(bucket.start + draw.below(bucket.len()));
                    }
                    known.extend(chosen);
                }
                if self.with_prefix(id, length + 1).len() <= 1 {
                    break;
                }
            }
            self.tables.insert(of, known);
        }
        &self.tables[&of]
    }

    /// The twenty that a server knows closest to a key.
    fn closest_known(&mut self, of: usize, key: u64, draw: &mut Draw) -> Vec<usize> {
        let mut known = self.table(of, draw).to_vec();
        known.push(of);
        known.sort_unstable_by_key(|it| self.ids[*it] ^ key);
        known.truncate(K);
        known
    }
}

/// What a lookup knows of a server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    New,
    Asked(Time),
    /// It is not waited for any more.
    Silent,
    Answered,
}

enum Happens {
    Answers(usize),
    TimesOut(usize),
}

struct Candidate {
    server: usize,
    state: State,
    hops: u32,
}

/// One lookup: how long it took, the steps to the closest, how many were asked, and who was found.
fn look_up(
    dht: &mut Dht,
    from: usize,
    key: u64,
    goes_on: bool,
    terrain: &Terrain,
    draw: &mut Draw,
) -> (Duration, u32, usize, Vec<usize>) {
    let mut known: BTreeMap<u64, Candidate> = BTreeMap::new();
    let learn = |known: &mut BTreeMap<u64, Candidate>, dht: &Dht, server: usize, hops: u32| {
        if server != from {
            let distance = dht.ids[server] ^ key;
            known.entry(distance).or_insert(Candidate {
                server,
                state: State::New,
                hops,
            });
        }
    };
    for server in dht.closest_known(from, key, draw) {
        learn(&mut known, dht, server, 1);
    }
    let (mut queue, mut now, mut asked, mut usual) =
        (Queue::default(), Time::ZERO, 0, Duration::ZERO);
    loop {
        // Of the closest that may answer, those that were not asked are, while there are few under way.
        let waiting = |known: &BTreeMap<u64, Candidate>| {
            known
                .values()
                .filter(|it| matches!(it.state, State::Asked(_)))
                .count()
        };
        while waiting(&known) < PARALLEL {
            let closest = known
                .values_mut()
                .filter(|it| it.state != State::Silent)
                .take(K);
            let Some(next) = closest.into_iter().find(|it| it.state == State::New) else {
                break;
            };
            next.state = State::Asked(now);
            asked += 1;
            let server = next.server;
            let way = terrain.latency(dht.places[from], dht.places[server], draw);
            // The question needs a connection first.
            let connected = now + 2 * way;
            if dht.hangs[server] {
                let is_compared = goes_on && usual > Duration::ZERO;
                let wait = if is_compared {
                    PATIENCE.0.max(PATIENCE.1 * usual)
                } else {
                    TIMEOUT
                };
                queue.plan(connected + wait.min(TIMEOUT), Happens::TimesOut(server));
            } else {
                queue.plan(connected + 2 * way, Happens::Answers(server));
            }
        }
        let Some((at, happens)) = queue.next(Time::NEVER) else {
            break;
        };
        now = at;
        match happens {
            Happens::TimesOut(server) => {
                if let Some(it) = known.get_mut(&(dht.ids[server] ^ key)) {
                    it.state = State::Silent;
                }
            }
            Happens::Answers(server) => {
                let mut hops = 0;
                if let Some(it) = known.get_mut(&(dht.ids[server] ^ key)) {
                    if let State::Asked(since) = it.state {
                        // Half of it was spent on the connection.
                        let took = (now - since) / 2;
                        usual = if usual.is_zero() {
                            took
                        } else {
                            (7 * usual + took) / 8
                        };
                    }
                    it.state = State::Answered;
                    hops = it.hops;
                }
                for other in dht.closest_known(server, key, draw) {
                    learn(&mut known, dht, other, hops + 1);
                }
            }
        }
    }
    let answered = known
        .values()
        .filter(|it| it.state == State::Answered)
        .take(K);
    let found: Vec<usize> = answered.map(|it| it.server).collect();
    let hops = known
        .values()
        .find(|it| it.state == State::Answered)
        .map_or(0, |it| it.hops);
    (now - Time::ZERO, hops, asked, found)
}

/// Looks up so many keys in a DHT of so many servers, of which this share hangs.
#[must_use]
pub fn run(servers: usize, hung: f64, count: usize, goes_on: bool, seed: u64) -> Lookups {
    let (terrain, mut draw) = (Terrain::INTERNET, Draw::new(seed));
    let mut dht = Dht::new(servers, hung, &terrain, &mut draw);
    let (mut times, mut hops, mut asked, mut found) = (Vec::new(), 0.0, 0.0, 0.0);
    for _ in 0..count {
        let (from, key) = (draw.below(servers), draw.number());
        let (took, steps, questions, answered) =
            look_up(&mut dht, from, key, goes_on, &terrain, &mut draw);
        let mut closest: Vec<usize> = (0..servers)
            .filter(|it| !dht.hangs[*it] && *it != from)
            .collect();
        if closest.len() > K {
            closest.select_nth_unstable_by_key(K, |it| dht.ids[*it] ^ key);
            closest.truncate(K);
        }
        let both = closest.iter().filter(|it| answered.contains(it)).count();
        found += both as f64 / closest.len().max(1) as f64 / count as f64;
        hops += f64::from(steps) / count as f64;
        asked += questions as f64 / count as f64;
        times.push(took.as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    Lookups {
        servers,
        goes_on,
        hops,
        asked,
        took: (quantile(&times, 0.5), quantile(&times, 0.95)),
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_are_found_in_few_steps() {
        for (servers, most) in [(10, 1.5), (100, 2.5), (1_000, 3.5)] {
            // Answers name those that hang too, so some of the closest that answer are not named by anybody.
            for (hung, least) in [(0.0, 0.97), (0.2, 0.8)] {
                let lookups = run(servers, hung, 20, true, 1);
                assert!(lookups.found >= least, "{lookups:?}");
                assert!((0.9..most).contains(&lookups.hops), "{lookups:?}");
            }
        }
    }

    #[test]
    fn who_hangs_holds_up_whoever_waits() {
        let [going_on, waiting] = [true, false].map(|it| run(1_000, 0.2, 20, it, 1));
        assert!(going_on.took.0 < waiting.took.0, "{going_on:?} {waiting:?}");
        assert_eq!(
            format!("{waiting:?}"),
            format!("{:?}", run(1_000, 0.2, 20, false, 1))
        );
    }

    #[test]
    fn a_table_has_twenty_of_each_bucket_at_most() {
        let (terrain, mut draw) = (Terrain::LOOPBACK, Draw::new(4));
        let mut dht = Dht::new(1_000, 0.0, &terrain, &mut draw);
        let id = dht.ids[7];
        let known = dht.table(7, &mut draw).to_vec();
        let mut buckets = [0; 64];
        for other in &known {
            buckets[(dht.ids[*other] ^ id).leading_zeros() as usize] += 1;
        }
        assert!(
            !known.contains(&7) && buckets.iter().all(|count| *count <= K),
            "{buckets:?}"
        );
        assert_eq!(buckets[..4], [K; 4]);
    }
}
