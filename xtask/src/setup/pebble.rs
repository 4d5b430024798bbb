//! Pebble, a CA for tests, with the DNS server that comes with it. Where it can't be had, the tests with
//! a real CA are left out; those with a made-up one remain.

use anyhow::Result;

use crate::{
    project::Project,
    setup::apt::{self, Rights},
    ui::Progress,
};

const PROGRAMS: [&str; 2] = ["pebble", "pebble-challtestsrv"];
/// Debian's package with both.
const PACKAGE: &str = "pebble";

/// Finds or installs it. Returns whether the tests can run.
pub(crate) fn ensure(project: &Project) -> Result<bool> {
    let progress = Progress::start("test CA");
    let machine = &project.machine;
    let is_missing = || PROGRAMS.iter().any(|name| machine.find(name).is_none());
    let rights = Rights::of(machine);
    if is_missing() && apt::is_there(machine) && rights != Rights::None {
        apt::update_if_unknown(project, PACKAGE, rights)?;
        if apt::candidate(machine, PACKAGE).is_some() {
            apt::install(project, &[PACKAGE], "for the tests with a CA", rights)?;
        }
    }
    if is_missing() {
        progress.done("not here: the tests with a real CA need Debian's package pebble");
        return Ok(false);
    }
    progress.done("pebble");
    Ok(true)
}
