//! `cargo xtask`: set-up, run, test and the checks of this workspace, with nothing to install
//! first.
//!
//! This crate uses no other crate of the workspace: it runs their programs. `cargo xtask help`
//! lists the commands.
//!
//! **Invariant:** whatever is started here runs in a process group of its own and is stopped with
//! it, also when this program is interrupted.

// A program whose output is its purpose.
#![allow(clippy::print_stderr, clippy::print_stdout)]

mod args;
mod bench;
mod build;
mod checks;
mod fuzz;
mod http;
mod machine;
mod process;
mod project;
mod run;
mod rustc;
mod setup;
mod sim;
mod size;
#[cfg(test)]
mod stand_in;
mod test;
mod ui;
mod wasm;

use std::process::ExitCode;

use anyhow::Result;

use crate::{args::Invocation, project::Project};

fn main() -> ExitCode {
    if let Err(error) = rustc::instead() {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let invocation = match args::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => invocation,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match process::watch_signals().and_then(|()| dispatch(&invocation)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Somebody who pressed Ctrl-C knows why it ended.
            if let Some(signal) = process::interrupted() {
                return ExitCode::from(128_u8.saturating_add(signal));
            }
            ui::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(invocation: &Invocation) -> Result<()> {
    match invocation {
        Invocation::Bench(options) => bench::bench(&Project::find()?, options),
        Invocation::Build(options) => build::build(&Project::find()?, options),
        Invocation::BenchDht(options) => bench::dht::bench(&Project::find()?, options),
        Invocation::BenchNode(options) => bench::node::bench(&Project::find()?, options),
        Invocation::Help => {
            println!("{}", args::HELP);
            Ok(())
        }
        Invocation::Fuzz(options) => fuzz::fuzz(&Project::find()?, options),
        Invocation::Fmt => test::format(&Project::find()?),
        Invocation::Run(options) => run::run(&Project::find()?, options),
        Invocation::Setup(options) => {
            let needs = setup::Needs::for_setup(options);
            setup::setup_by(&Project::find()?, needs, options.route)?;
            println!("\nEverything is there. Next: `cargo xtask run`, or `cargo xtask test`.");
            Ok(())
        }
        Invocation::Sim(arguments) => sim::sim(&Project::find()?, arguments),
        Invocation::Size { record } => size::size(&Project::find()?, *record),
        Invocation::Test(options) => test::test(&Project::find()?, options),
    }
}
