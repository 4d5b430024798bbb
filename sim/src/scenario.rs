//! The rooms of docs/scale.md.

use std::time::{Duration, Instant};

use crate::{
    event::{Deed, Event, Index, Turn},
    outcome::{Outcome, Sample},
    terrain::Terrain,
    time::{Time, seconds},
    world::{Config, World},
};

/// How often lists are compared with who is there, for the plots.
const SAMPLED_EVERY: Duration = seconds(5);

/// Bootstrap nodes of a network, where nothing else is said.
const SERVERS: usize = 3;

/// By how much wall clocks are off at most.
const SKEW: Duration = seconds(60);

/// How long after everybody has joined the room is taken for settled.
const SETTLING: Duration = seconds(20);

/// How long members of a quiet room are there before it is measured: who has just joined says so twice, and again as the
/// room grows.
const QUIET: Duration = seconds(600);

/// How long members come and go before that is measured: longer than a presence lives in a room of 100.
const COMING_AND_GOING: Duration = seconds(520);

/// What happens while it is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plot {
    /// Nothing.
    Still,
    /// Nothing: some newcomers come.
    Quiet,
    /// Members come and go. Sessions last so long on average, and this share of those who go say so.
    Churn(Duration, f64),
    /// So many newcomers come within so long.
    Storm(usize, Duration),
    /// Half of the members go at one moment, this share of them with a word.
    HalfLeaves(f64),
    /// The network falls into two halves for so long.
    Partition(Duration),
    /// All bootstrap nodes are gone for so long.
    NoServers(Duration),
    /// This share of the members lies.
    Liars(f64),
}

/// A room, and what happens in it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// Members at the beginning.
    pub members: usize,
    /// What happens while it is measured.
    pub plot: Plot,
    /// For how long it is measured.
    pub measured: Duration,
    /// Messages that are said in a minute, by all together.
    pub said: f64,
}

const fn minutes(minutes: u64) -> Duration {
    seconds(60 * minutes)
}

/// All of them. A room of 10,000 is not among them: it would take hours, and each member lists 1,024 others at
/// most.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "quiet-10",
        about: "a quiet room of 10",
        members: 10,
        plot: Plot::Quiet,
        measured: minutes(5),
        said: 6.0,
    },
    Scenario {
        name: "quiet-100",
        about: "a quiet room of 100",
        members: 100,
        plot: Plot::Quiet,
        measured: minutes(5),
        said: 6.0,
    },
    Scenario {
        name: "quiet-300",
        about: "a quiet room of 300",
        members: 300,
        plot: Plot::Quiet,
        measured: minutes(5),
        said: 6.0,
    },
    Scenario {
        name: "quiet-1000",
        about: "a quiet room of 1,000",
        members: 1_000,
        plot: Plot::Quiet,
        measured: minutes(5),
        said: 1.0,
    },
    Scenario {
        name: "still-1000",
        about: "1,000 members; nobody comes, goes or says anything",
        members: 1_000,
        plot: Plot::Still,
        measured: minutes(5),
        said: 0.0,
    },
    Scenario {
        name: "churn-100",
        about: "100 members, a tenth comes and goes in a minute, half without a word",
        members: 100,
        plot: Plot::Churn(minutes(10), 0.5),
        measured: minutes(4),
        said: 6.0,
    },
    Scenario {
        name: "churn-mostly-said-100",
        about: "100 members, a tenth comes and goes in a minute, one in ten without a word",
        members: 100,
        plot: Plot::Churn(minutes(10), 0.9),
        measured: minutes(4),
        said: 6.0,
    },
    Scenario {
        name: "churn-said-100",
        about: "100 members, a tenth comes and goes in a minute, all with a word",
        members: 100,
        plot: Plot::Churn(minutes(10), 1.0),
        measured: minutes(4),
        said: 6.0,
    },
    Scenario {
        name: "churn-300",
        about: "300 members, a tenth comes and goes in a minute, half without a word",
        members: 300,
        plot: Plot::Churn(minutes(10), 0.5),
        measured: minutes(2),
        said: 6.0,
    },
    Scenario {
        name: "storm-1000",
        about: "1,000 newcomers in a minute, to a room of 20",
        members: 20,
        plot: Plot::Storm(1_000, minutes(1)),
        measured: seconds(90),
        said: 6.0,
    },
    Scenario {
        name: "half-leaves-100",
        about: "half of 100 members go at one moment, half of these without a word",
        members: 100,
        plot: Plot::HalfLeaves(0.5),
        measured: minutes(4),
        said: 6.0,
    },
    Scenario {
        name: "partition-100",
        about: "100 members, in a network that falls into halves for ten minutes",
        members: 100,
        plot: Plot::Partition(minutes(10)),
        measured: minutes(14),
        said: 6.0,
    },
    Scenario {
        name: "liars-100",
        about: "100 members, of whom 20 lie",
        members: 100,
        plot: Plot::Liars(0.2),
        measured: minutes(3),
        said: 6.0,
    },
    Scenario {
        name: "no-servers-100",
        about: "100 members; all bootstrap nodes are gone for five minutes",
        members: 100,
        plot: Plot::NoServers(minutes(5)),
        measured: minutes(8),
        said: 6.0,
    },
];

impl Scenario {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// How long joining takes: of many no more than 50 in a second.
    fn joining(&self) -> Duration {
        Duration::from_secs_f64((self.members as f64 / 50.0).max(10.0))
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self, seed: u64) -> Outcome {
        let started = Instant::now();
        let mut world = World::new(Config {
            seed,
            terrain: Terrain::INTERNET,
            servers: SERVERS,
            skew: SKEW,
        });
        for _ in 0..self.members {
            let node = world.add();
            if let Plot::Liars(share) = self.plot
                && world.draw().chance(share)
            {
                world.be_liar(node);
            }
            let at = Time::ZERO + world.draw().between(Duration::ZERO, self.joining());
            world.plan(at, Event::Deed(node, Deed::Join));
        }
        world.plan(Time::ZERO, Event::Check);
        let settled = Time::ZERO + self.joining() + SETTLING;
        let begins = match self.plot {
            Plot::Churn(..) => settled + COMING_AND_GOING,
            Plot::Still | Plot::Quiet | Plot::Liars(_) => settled + QUIET,
            _ => settled,
        };
        let ends = begins + self.measured;
        world.plan(begins, Event::Turn(Turn::Measure));
        self.happens(&mut world, settled, begins, ends);
        self.talk(&mut world, begins, ends);
        world.run_until(begins);
        let mut samples = Vec::new();
        while world.time() < ends {
            let (before, time) = (world.ledger.truth, world.time());
            world.run_until(time + SAMPLED_EVERY);
            samples.push(Sample::new(world.time() - begins, before, &world));
        }
        Outcome::new(*self, seed, &world, samples, started.elapsed())
    }

    /// Plans what happens.
    fn happens(&self, world: &mut World, settled: Time, begins: Time, ends: Time) {
        let length = self.measured;
        match self.plot {
            Plot::Still => {}
            Plot::Quiet | Plot::Liars(_) => self.newcomers(world, 10, begins, length),
            Plot::Storm(count, within) => {
                for _ in 0..count {
                    let at = begins + world.draw().between(Duration::ZERO, within);
                    comes(world, at);
                }
            }
            Plot::Churn(mean, said) => {
                for node in 0..self.members {
                    let at = settled + world.draw().rest_of_session(mean);
                    goes(world, node, at, said);
                }
                let pause = mean.div_f64(self.members as f64);
                let mut at = settled + world.draw().exponential(pause);
                while at < ends {
                    let node = comes(world, at);
                    let end = at + world.draw().session(mean);
                    goes(world, node, end, said);
                    at += world.draw().exponential(pause);
                }
            }
            Plot::HalfLeaves(said) => {
                for node in 0..self.members / 2 {
                    goes(world, node, begins + seconds(30), said);
                }
            }
            Plot::Partition(apart) => {
                world.plan(begins + seconds(30), Event::Turn(Turn::Split(Some(50))));
                world.plan(begins + seconds(30) + apart, Event::Turn(Turn::Split(None)));
            }
            Plot::NoServers(gone) => {
                world.plan(begins + seconds(30), Event::Turn(Turn::Servers(false)));
                let back = begins + seconds(30) + gone;
                world.plan(back, Event::Turn(Turn::Servers(true)));
                // Whoever comes meanwhile finds nobody before they are back.
                self.newcomers(world, 5, begins + seconds(60), gone / 2);
                self.newcomers(world, 5, back + seconds(20), seconds(30));
            }
        }
    }

    fn newcomers(&self, world: &mut World, count: u32, from: Time, within: Duration) {
        for number in 0..count {
            comes(world, from + within * number / count / 2);
        }
    }

    fn talk(&self, world: &mut World, begins: Time, ends: Time) {
        if self.said == 0.0 {
            return;
        }
        let pause = Duration::from_secs_f64(60.0 / self.said);
        let mut at = begins + world.draw().exponential(pause);
        // What is said last is to be heard, too.
        while at + seconds(15) < ends {
            let node = world.draw().below(self.members);
            world.plan(at, Event::Deed(node, Deed::Say));
            at += world.draw().exponential(pause);
        }
    }
}

fn comes(world: &mut World, at: Time) -> Index {
    let node = world.add();
    world.plan(at, Event::Deed(node, Deed::Join));
    node
}

fn goes(world: &mut World, node: Index, at: Time, said: f64) {
    let deed = if world.draw().chance(said) {
        Deed::Leave
    } else {
        Deed::Vanish
    };
    world.plan(at, Event::Deed(node, deed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_room_of_ten_is_as_it_should_be() {
        let scenario = Scenario::named("quiet-10").unwrap();
        let outcome = scenario.run(1);
        assert_eq!(outcome.faults, Vec::<String>::new());
        assert!(outcome.truth.share() > 0.99);
        assert_eq!(outcome.heard_by_all(), 1.0);
        assert!(outcome.all.len() == 10 && outcome.all.iter().all(|it| *it < 10.0));
        assert_eq!(outcome.text(), scenario.run(1).text(), "the same again");
    }
}
