//! What some native tests need besides. Where it can't be had, they are left out; where it was found, they
//! are told so, and have to run.

use std::{fs, path::Path};

use anyhow::Result;

use crate::{
    machine::Machine,
    project::Project,
    setup::apt::{self, Rights},
    ui::Progress,
};

struct Extra {
    name: &'static str,
    /// Debian's package that has it.
    package: &'static str,
    /// Of the tests that need it.
    about: &'static str,
    is_there: fn(&Machine) -> bool,
    /// Tells the tests that it is there.
    variable: &'static str,
}

const EXTRAS: [Extra; 2] = [
    // With the DNS server that comes with it. Tests with a made-up CA remain.
    Extra {
        name: "test CA",
        package: "pebble",
        about: "the tests with a CA",
        is_there: |machine| {
            ["pebble", "pebble-challtestsrv"]
                .iter()
                .all(|name| machine.find(name).is_some())
        },
        variable: "MOIM_PEBBLE",
    },
    Extra {
        name: "clock to set",
        package: "faketime",
        about: "the test with a clock that jumps",
        is_there: |_| has_libfaketime(Path::new("/usr/lib")),
        variable: "MOIM_FAKETIME",
    },
];

/// Finds or installs them. Returns the variables of those that are there.
pub(crate) fn ensure(project: &Project) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for extra in &EXTRAS {
        let Extra { package, about, .. } = extra;
        let progress = Progress::start(extra.name);
        let machine = &project.machine;
        let is_there = || (extra.is_there)(machine);
        let rights = Rights::of(machine);
        if !is_there() && apt::is_there(machine) && rights != Rights::None {
            apt::update_if_unknown(project, package, rights)?;
            if apt::candidate(machine, package).is_some() {
                apt::install(project, &[package], &format!("for {about}"), rights)?;
            }
        }
        if is_there() {
            progress.done(package);
            found.push(extra.variable);
        } else {
            progress.done(&format!(
                "not here: Debian's package {package} is for {about}"
            ));
        }
    }
    Ok(found)
}

/// Whether the library lies in the folder of some architecture.
fn has_libfaketime(libraries: &Path) -> bool {
    let folders = fs::read_dir(libraries).into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .any(|path| path.exists())
}
