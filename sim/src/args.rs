//! The command line.

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Result, bail};
use lexopt::{
    Arg::{Long, Short},
    Parser, ValueExt as _,
};

use crate::{
    mixed::Trouble,
    scenario::{SCENARIOS, Scenario},
};

/// What `cargo xtask sim --help` says.
pub const HELP: &str = "\
cargo xtask sim OPTIONS

  --runs N           run small rooms with the seeds from 0 up to N, and check what must hold (1000)
  --from N           begin with this seed
  --seed N           run this seed alone
  --scenario NAME    what goes wrong in it: breaks, churn, half-leaves, partition, no-servers,
                     liars, storm; by default the seed decides. Or a large room, see --list
  --list             name the large rooms
  --write-docs       run all large rooms and the DHT, and write the tables and plots of docs/scale.md
  --check N          run N real peers and a bootstrap node on one schedule, and compare";

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Command {
    /// Say what can be done.
    Help,
    /// Run small rooms with these seeds, the last not included.
    Runs(u64, u64),
    /// Run one small room.
    One(u64, Trouble),
    /// Run one large room.
    Large(u64, &'static Scenario),
    /// Name the large rooms.
    List,
    /// Write docs/scale.md.
    WriteDocs,
    /// Compare what real processes did, which is in this file, with the simulation of the same.
    Compare(PathBuf),
}

/// Parses the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item: Into<OsString>>) -> Result<Command> {
    let mut parser = Parser::from_args(arguments);
    let (mut runs, mut from, mut seed, mut scenario) = (1_000, 0, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("list") => return Ok(Command::List),
            // `cargo xtask sim --check N` has run the processes.
            Long("compare") => return Ok(Command::Compare(parser.value()?.into())),
            Long("write-docs") => return Ok(Command::WriteDocs),
            Long("runs") => runs = parser.value()?.parse()?,
            Long("from") => from = parser.value()?.parse()?,
            Long("seed") => seed = Some(parser.value()?.parse()?),
            Long("scenario") => scenario = Some(parser.value()?.string()?),
            other => bail!(other.unexpected()),
        }
    }
    let Some(name) = scenario else {
        return Ok(match seed {
            Some(seed) => Command::One(seed, Trouble::of_seed(seed)),
            None => Command::Runs(from, from.saturating_add(runs)),
        });
    };
    let seed = seed.unwrap_or_default();
    if let Some(trouble) = Trouble::named(&name) {
        return Ok(Command::One(seed, trouble));
    }
    if let Some(scenario) = Scenario::named(&name) {
        return Ok(Command::Large(seed, scenario));
    }
    let small = Trouble::ALL.iter().map(|(name, _)| *name);
    let names: Vec<&str> = small.chain(SCENARIOS.iter().map(|it| it.name)).collect();
    bail!(
        "there is no scenario {name:?}; there are: {}",
        names.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_what_is_to_be_done() {
        let table: &[(&[&str], Command)] = &[
            (&[], Command::Runs(0, 1_000)),
            (&["--runs", "10", "--from", "5"], Command::Runs(5, 15)),
            (&["--seed", "8"], Command::One(8, Trouble::Churn)),
            (
                &["--seed", "8", "--scenario", "storm"],
                Command::One(8, Trouble::Storm),
            ),
            (&["--help"], Command::Help),
        ];
        for (arguments, wanted) in table {
            let command = parse(*arguments).unwrap();
            assert_eq!(format!("{command:?}"), format!("{wanted:?}"));
        }
        for arguments in [
            &["--scenario", "rain"][..],
            &["--runs", "many"],
            &["--fast"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
