//! A C++ compiler, for the fuzz targets: libFuzzer is written in it.

use anyhow::{Result, bail};

use crate::{
    project::Project,
    setup::apt::{self, Rights},
    ui::Progress,
};

/// What libFuzzer is compiled with, unless `CXX` names another.
const PROGRAM: &str = "c++";
const PACKAGE: &str = "g++";

/// Finds or installs one.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    let machine = &project.machine;
    if machine.find(PROGRAM).is_none() && std::env::var_os("CXX").is_none() {
        if !apt::is_there(machine) {
            bail!("the fuzz targets need a C++ compiler called {PROGRAM}: install one");
        }
        apt::install(
            project,
            &[PACKAGE],
            "for the fuzz targets",
            Rights::of(machine),
        )?;
    }
    Progress::start("C++ compiler").done("is there");
    Ok(())
}
