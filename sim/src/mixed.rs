//! Small rooms in which something goes wrong, from seeds: what must hold is checked in each.

use std::time::Duration;

use crate::{
    event::{Deed, Event, Index, Turn},
    terrain::Terrain,
    time::{Time, seconds},
    world::{Config, World},
};

/// Everybody who is there at the beginning joins within this.
const JOINING: Duration = seconds(10);

/// From then on the room is whole.
const WHOLE: Time = Time::at(30);

/// What goes wrong in a small room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Connections break while everybody talks.
    Breaks,
    /// Members come and go, with a word and without.
    Churn,
    /// Half of the members leave at one moment, or vanish.
    HalfLeaves,
    /// The network falls apart for a while.
    Partition,
    /// All bootstrap nodes are gone for a while.
    NoServers,
    /// Some lie.
    Liars,
    /// Many join at once.
    Storm,
}

impl Trouble {
    /// All of them, with their names.
    pub const ALL: [(&str, Self); 7] = [
        ("breaks", Self::Breaks),
        ("churn", Self::Churn),
        ("half-leaves", Self::HalfLeaves),
        ("partition", Self::Partition),
        ("no-servers", Self::NoServers),
        ("liars", Self::Liars),
        ("storm", Self::Storm),
    ];

    /// Which one a seed is for, unless another is asked for.
    #[must_use]
    pub const fn of_seed(seed: u64) -> Self {
        Self::ALL[(seed % 7) as usize].1
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(it, _)| *it == name).map(|(_, trouble)| *trouble)
    }
}

/// Runs one small room. Returns what was wrong, and a number that another run of the same seed has too.
#[must_use]
pub fn run(seed: u64, trouble: Trouble) -> (Vec<String>, u64) {
    let mut world = World::new(Config {
        seed,
        terrain: Terrain::INTERNET,
        servers: 1 + (seed / 7 % 3) as usize,
        skew: seconds(240),
    });
    let members = 3 + world.draw().below(8);
    for _ in 0..members {
        let node = world.add();
        if trouble == Trouble::Liars && node > 0 && node.is_multiple_of(4) {
            world.be_liar(node);
        }
        let at = Time::ZERO + world.draw().between(Duration::ZERO, JOINING);
        world.plan(at, Event::Deed(node, Deed::Join));
    }
    world.plan(Time::ZERO, Event::Check);
    world.run_until(WHOLE);
    if trouble != Trouble::Liars {
        world.check_whole();
    }
    let (calm, since) = make(&mut world, trouble, members);
    world.run_until(calm);
    world.check_whole();
    talk(&mut world, calm, 10);
    world.run_until(calm + seconds(25));
    world.check_heard(since.min(calm));
    let digest = world.events() ^ world.draw().number();
    (std::mem::take(&mut world.faults), digest)
}

/// Everybody who is there says something in the next so many seconds.
fn talk(world: &mut World, from: Time, length: u64) {
    for node in 0..world.nodes().len() {
        if world.nodes()[node].is_present() {
            for _ in 0..2 {
                let at = from + world.draw().between(Duration::ZERO, seconds(length));
                world.plan(at, Event::Deed(node, Deed::Say));
            }
        }
    }
}

/// Plans the trouble. Returns when the room is calm again, and since when everything that is said is to be heard.
fn make(world: &mut World, trouble: Trouble, members: usize) -> (Time, Time) {
    let moment =
        |world: &mut World, from: u64, to: u64| world.draw().between(seconds(from), seconds(to));
    match trouble {
        Trouble::Breaks => {
            talk(world, WHOLE, 1);
            for _ in 0..12 {
                let (at, node) = (moment(world, 32, 60), world.draw().below(members));
                world.plan(Time::ZERO + at, Event::Deed(node, Deed::BreakConnection));
            }
            for _ in 0..3 {
                talk(world, WHOLE + seconds(2), 28);
            }
            (Time::at(75), WHOLE)
        }
        Trouble::Churn => {
            for node in 1..members {
                let (at, deed) = (moment(world, 30, 120), goes(world));
                world.plan(Time::ZERO + at, Event::Deed(node, deed));
                let (at, newcomer) = (moment(world, 30, 120), world.add());
                world.plan(Time::ZERO + at, Event::Deed(newcomer, Deed::Join));
            }
            (Time::at(255), Time::NEVER)
        }
        Trouble::HalfLeaves => {
            for node in 0..members / 2 {
                let deed = goes(world);
                world.plan(WHOLE + seconds(1), Event::Deed(node, deed));
            }
            (Time::at(160), Time::NEVER)
        }
        Trouble::Partition => {
            let length = moment(world, 3, 300);
            world.plan(
                WHOLE,
                Event::Turn(Turn::Split(Some(1 + (members / 2) as u8))),
            );
            world.plan(WHOLE + length, Event::Turn(Turn::Split(None)));
            (WHOLE + length + seconds(90), Time::NEVER)
        }
        Trouble::NoServers => {
            let length = moment(world, 5, 200);
            world.plan(WHOLE, Event::Turn(Turn::Servers(false)));
            let newcomer = world.add();
            let at = Time::ZERO + moment(world, 31, 60);
            world.plan(at, Event::Deed(newcomer, Deed::Join));
            let leaver: Index = members - 1;
            let deed = goes(world);
            world.plan(at, Event::Deed(leaver, deed));
            world.plan(WHOLE + length, Event::Turn(Turn::Servers(true)));
            (WHOLE + length.max(seconds(60)) + seconds(130), Time::NEVER)
        }
        Trouble::Liars => {
            let newcomer = world.add();
            world.plan(Time::at(60), Event::Deed(newcomer, Deed::Join));
            let deed = goes(world);
            world.plan(Time::at(50), Event::Deed(0, deed));
            (Time::at(190), Time::NEVER)
        }
        Trouble::Storm => {
            for _ in 0..12 {
                let (at, newcomer) = (moment(world, 31, 33), world.add());
                world.plan(Time::ZERO + at, Event::Deed(newcomer, Deed::Join));
            }
            (Time::at(60), Time::NEVER)
        }
    }
}

/// With a word, or without.
fn goes(world: &mut World) -> Deed {
    if world.draw().chance(0.5) {
        Deed::Leave
    } else {
        Deed::Vanish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_hold_holds_in_some_rooms_of_each_kind() {
        for (name, trouble) in Trouble::ALL {
            for seed in 0..3 {
                let (faults, _) = run(seed, trouble);
                assert_eq!(faults, Vec::<String>::new(), "{name} {seed}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        for seed in 0..7 {
            let trouble = Trouble::of_seed(seed);
            assert_eq!(run(seed, trouble), run(seed, trouble), "{seed}");
        }
    }
}
