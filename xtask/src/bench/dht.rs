//! `cargo xtask bench dht`: measures the DHT beside others, all as processes.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{PROGRAM, node::bundle};
use crate::{
    args::BenchDhtOptions,
    process,
    project::Project,
    setup::{self, Needs, step},
    ui,
};

const BUILD_LIMIT: Duration = Duration::from_secs(3600);
const PYTHON_LIMIT: Duration = Duration::from_secs(300);
/// A round takes a minute, most of it js-libp2p's.
const RUN_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Builds what is measured, and measures it.
pub(crate) fn bench(project: &Project, options: &BenchDhtOptions) -> Result<()> {
    let needs = Needs {
        node: true,
        ..Needs::default()
    };
    setup::setup(project, needs)?;
    let python = set_up_python(project)?;
    ui::headline("Build");
    let mut command = project.cargo();
    command.args(["build", "--locked", "--release", "--bin", PROGRAM]);
    step(
        project,
        "nodes",
        "bench-dht-build",
        command,
        BUILD_LIMIT,
        "built",
    )?;
    let script = project.work().join("bench/js-dht.mjs");
    bundle(project, "js-dht.ts", &script)?;
    ui::headline("Measure");
    let table = project.target.join("bench-dht.md");
    let mut command = Command::new(project.target.join("release").join(PROGRAM));
    command
        .current_dir(&project.root)
        .args(["dht", "--rounds", &options.rounds.to_string()])
        .args(["--operations", &options.operations.to_string()])
        .arg("--output")
        .arg(&table)
        .env("MOIM_BENCH_JS", script)
        .env("MOIM_BENCH_PYTHON", python);
    process::run_shown(command, &project.log("bench-dht"), RUN_LIMIT)?;
    ui::note(&format!("also in {}", table.display()));
    Ok(())
}

/// A virtual environment with `kademlia`; its Python.
fn set_up_python(project: &Project) -> Result<PathBuf> {
    let machine = &project.machine;
    if machine.find("python3").is_none() {
        bail!("the DHT is measured beside Python's kademlia: install Python 3 with venv");
    }
    let folder = project.work().join("bench/python");
    let python = folder.join("bin/python");
    if !python.exists() {
        let mut command = machine.command("python3");
        command.args(["-m", "venv"]).arg(&folder);
        step(
            project,
            "Python",
            "bench-venv",
            command,
            PYTHON_LIMIT,
            "set up",
        )
        .context("Python's venv is needed (Debian: python3-venv)")?;
    }
    let mut command = Command::new(&python);
    command
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(project.root.join("bench/python/requirements.txt"));
    step(
        project,
        "kademlia",
        "bench-pip",
        command,
        PYTHON_LIMIT,
        "as pinned",
    )?;
    Ok(python)
}
