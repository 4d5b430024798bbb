//! `cargo xtask bench node`: measures the bootstrap node as it is handed out, beside others.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::{
    args::BenchNodeOptions,
    process,
    project::Project,
    setup::{self, Needs, step},
    ui,
};

const BUILD_LIMIT: Duration = Duration::from_secs(3600);
const BUNDLE_LIMIT: Duration = Duration::from_secs(60);
/// A full run takes an hour or two.
const RUN_LIMIT: Duration = Duration::from_secs(8 * 3600);

/// The program that measures.
const PROGRAM: &str = "moim-bench";

/// Builds what is measured, and measures it.
pub(crate) fn bench(project: &Project, options: &BenchNodeOptions) -> Result<()> {
    let needs = Needs {
        node: true,
        ..Needs::default()
    };
    setup::setup(project, needs)?;
    ui::headline("Build");
    build(project)?;
    bundle(project, "js-server.ts", &script(project))?;
    ui::headline("Measure");
    measure(project, options)
}

/// The js-libp2p server as one script.
fn script(project: &Project) -> PathBuf {
    project.work().join("bench/js-server.mjs")
}

fn build(project: &Project) -> Result<()> {
    let mut command = project.cargo();
    command.args(["build", "--locked", "--release"]).args([
        "--bin",
        "moim-bootstrap",
        "--bin",
        PROGRAM,
    ]);
    step(
        project,
        "bootstrap node",
        "bench-node-build",
        command,
        BUILD_LIMIT,
        "built",
    )
}

/// Bundles a script for Node, so that it can be run from anywhere.
pub(super) fn bundle(project: &Project, script: &str, to: &Path) -> Result<()> {
    let packages = setup::node::folder(project).join("node_modules");
    let mut command = project.machine.command("node");
    command
        .current_dir(project.root.join("bench/browser"))
        .arg(packages.join("esbuild/bin/esbuild"))
        .args([script, "--bundle", "--platform=node", "--format=esm", "--log-level=warning"])
        // Some of the packages are CommonJS and ask for Node's own modules.
        .arg("--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);")
        .arg(format!("--outfile={}", to.display()));
    step(
        project,
        "js-libp2p",
        "bench-bundle",
        command,
        BUNDLE_LIMIT,
        "bundled",
    )
}

fn measure(project: &Project, options: &BenchNodeOptions) -> Result<()> {
    let table = project.target.join("bench-node.md");
    let program = project.target.join("release").join(PROGRAM);
    let mut command = Command::new(program);
    command
        .current_dir(&project.root)
        .arg("node")
        .arg("--work")
        .arg(project.target.join("bench-node"))
        .arg("--output")
        .arg(&table)
        .args(["--rounds", &options.rounds.to_string()])
        .args(options.quick.then_some("--quick"))
        .args(&options.measures)
        .env("MOIM_BENCH_JS", script(project));
    process::run_shown(command, &project.log("bench-node"), RUN_LIMIT)?;
    ui::note(&format!("also in {}", table.display()));
    Ok(())
}
