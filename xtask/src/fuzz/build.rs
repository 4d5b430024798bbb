//! How the targets are built: like the programs, with everything that can be checked while they run, and counters at
//! every branch and comparison for libFuzzer.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{process, project::Project, setup::step};

/// The profile of Cargo.toml.
const PROFILE: &str = "fuzz";
/// What cargo-fuzz hands to a compiler that has no sanitizers.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// All of libp2p is compiled for it once.
const LIMIT: Duration = Duration::from_secs(3600);

/// Where everything of the fuzzer's lies.
pub(super) fn folder(project: &Project) -> PathBuf {
    project.work().join("fuzz")
}

/// Builds all targets, and returns the folder with their programs.
pub(super) fn build(project: &Project) -> Result<PathBuf> {
    let target = folder(project).join("target");
    let host = host(project)?;
    let mut command = project.cargo();
    command
        .args(["build", "--locked", "--package", "moim-fuzz", "--bins"])
        .args(["--profile", PROFILE])
        // Named, so that build scripts and macros are compiled without the flags.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    step(
        project,
        "fuzz targets",
        "fuzz-build",
        command,
        LIMIT,
        "built",
    )?;
    Ok(target.join(host).join(PROFILE))
}

/// What rustc calls this machine.
fn host(project: &Project) -> Result<String> {
    let mut command = project.machine.command("rustc");
    command.current_dir(&project.root).arg("-vV");
    let text = process::output(command, Duration::from_secs(60))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}
