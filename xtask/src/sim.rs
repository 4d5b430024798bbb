//! `cargo xtask sim`: rooms and the DHT in simulated time.

use std::{ffi::OsString, fs, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use crate::{process, project::Project, setup::step};

/// The crate, and the program.
const PACKAGE: &str = "moim-sim";

/// What the processes are run with, for the simulator to be compared with.
const SCHEDULE: &str = "moim-schedule";

/// The simulator has little to compile; the programs that it is compared with have all of libp2p.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

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
    command.current_dir(&project.root);
    match arguments {
        [flag, peers] if flag == "--check" => {
            let file = project.work().join("schedule.json");
            fs::write(&file, run_processes(project, peers)?)
                .with_context(|| format!("writing {}", file.display()))?;
            command.arg("--compare").arg(file);
        }
        arguments => {
            command.args(arguments);
        }
    }
    process::run_shown(command, &project.log("sim"), RUN_LIMIT)
}

/// Runs so many real peers on one schedule. Returns what was seen of them.
fn run_processes(project: &Project, peers: &OsString) -> Result<String> {
    let mut command = project.cargo();
    command.args([
        "build",
        "--locked",
        "--bin",
        "moim",
        "--bin",
        "moim-bootstrap",
        "--bin",
        SCHEDULE,
    ]);
    command.args([
        "--package",
        "moim-cli",
        "--package",
        "moim-bootstrap",
        "--package",
        "moim-e2e",
    ]);
    step(
        project,
        "programs",
        "sim-check-build",
        command,
        BUILD_LIMIT,
        "built",
    )?;
    let mut command = Command::new(project.binary(SCHEDULE));
    command
        .current_dir(&project.root)
        .arg("--peers")
        .arg(peers)
        .env("MOIM_BOOTSTRAP_BIN", project.binary("moim-bootstrap"))
        .env("MOIM_BIN", project.binary("moim"));
    process::output(command, RUN_LIMIT)
}
