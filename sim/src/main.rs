//! `cargo xtask sim`.

// A program whose output is its purpose.
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::{path::Path, process::ExitCode, time::Instant};

use moim_sim::{
    args::{self, Command},
    mixed, reality, report, runs,
    scenario::SCENARIOS,
};

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    let has_passed = match command {
        Command::Help => {
            println!("{}", args::HELP);
            true
        }
        Command::List => {
            for scenario in SCENARIOS {
                println!("{:<16} {}", scenario.name, scenario.about);
            }
            true
        }
        Command::Compare(file) => match reality::compare(&file) {
            Ok(figures) => {
                print!("{}", reality::table(&figures));
                figures.iter().all(reality::Figure::agrees)
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                false
            }
        },
        Command::WriteDocs => match report::write(Path::new("docs")) {
            Ok(faults) => {
                faults.iter().for_each(|fault| println!("{fault}"));
                faults.is_empty()
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                false
            }
        },
        Command::Large(seed, scenario) => {
            let outcome = scenario.run(seed);
            print!("{}", outcome.text());
            println!(
                "  {} events in {:.1} s",
                outcome.events,
                outcome.took.as_secs_f64()
            );
            outcome.faults.is_empty()
        }
        Command::Runs(first, last) => all(first, last),
        Command::One(seed, trouble) => {
            let (faults, _) = mixed::run(seed, trouble);
            faults.iter().for_each(|fault| println!("{fault}"));
            println!(
                "{} with seed {seed}: {} faults",
                trouble.name(),
                faults.len()
            );
            faults.is_empty()
        }
    };
    if has_passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn all(first: u64, last: u64) -> bool {
    let started = Instant::now();
    let failed = runs::run(first, last);
    for run in &failed {
        let seed = run.seed;
        let name = mixed::Trouble::of_seed(seed).name();
        eprintln!("failed; to repeat it: cargo xtask sim --seed {seed} --scenario {name}");
        run.faults.iter().for_each(|fault| eprintln!("  {fault}"));
    }
    let runs = last.saturating_sub(first);
    let took = started.elapsed().as_secs_f64();
    println!("{runs} runs in {took:.1} s, {} failed", failed.len());
    failed.is_empty()
}
