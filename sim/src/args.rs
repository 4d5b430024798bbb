//! The command line.

use std::ffi::OsString;

use anyhow::{Result, bail};
use lexopt::{
    Arg::{Long, Short},
    Parser, ValueExt as _,
};

use crate::mixed::Trouble;

/// What `cargo xtask sim --help` says.
pub const HELP: &str = "\
cargo xtask sim OPTIONS

  --runs N           run small rooms with the seeds from 0 up to N, and check what must hold (1000)
  --from N           begin with this seed
  --seed N           run this seed alone
  --scenario NAME    what goes wrong in it: breaks, churn, half-leaves, partition, no-servers,
                     liars, storm; by default the seed decides";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say what can be done.
    Help,
    /// Run small rooms with these seeds, the last not included.
    Runs(u64, u64),
    /// Run one small room.
    One(u64, Trouble),
}

/// Parses the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item: Into<OsString>>) -> Result<Command> {
    let mut parser = Parser::from_args(arguments);
    let (mut runs, mut from, mut seed, mut scenario) = (1_000, 0, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
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
    let Some(trouble) = Trouble::named(&name) else {
        let names: Vec<&str> = Trouble::ALL.iter().map(|(name, _)| *name).collect();
        bail!(
            "there is no scenario {name:?}; there are: {}",
            names.join(", ")
        );
    };
    Ok(Command::One(seed.unwrap_or_default(), trouble))
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
            assert_eq!(parse(*arguments).unwrap(), *wanted, "{arguments:?}");
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
