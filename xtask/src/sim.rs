//! `cargo xtask sim`: rooms and the DHT in simulated time.

use std::{ffi::OsString, process::Command, time::Duration};

use anyhow::Result;

use crate::{process, project::Project, setup::step};

/// The crate, and the program.
const PACKAGE: &str = "moim-sim";

/// It has little to compile.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// The largest rooms take minutes each.
const RUN_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Builds the simulator with optimisation, and runs it with these arguments.
pub(crate) fn sim(project: &Project, arguments: &[OsString]) -> Result<()> {
    let mut command = project.cargo();
    command.args(["build", "--locked", "--release", "--package", PACKAGE]);
    step(
        project,
        "simulator",
        "sim-build",
        command,
        BUILD_LIMIT,
        "built",
    )?;
    let mut command = Command::new(project.target.join("release").join(PACKAGE));
    command.current_dir(&project.root).args(arguments);
    process::run_shown(command, &project.log("sim"), RUN_LIMIT)
}
