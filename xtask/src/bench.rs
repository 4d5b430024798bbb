//! `cargo xtask bench`: measures Moim's transports in pages, beside js-libp2p and the browser's own, or
//! the bootstrap node ([`node`]), or the DHT ([`dht`]). It is no test and no part of CI: what comes out depends on the machine
//! and on what else it does.

pub(crate) mod dht;
pub(crate) mod node;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{
    args::BenchOptions,
    build, process,
    project::Project,
    rustc,
    setup::{
        self, Needs, Tooling, step,
        wasm::{self, Toolchain},
    },
    size, ui,
};

const BUILD_LIMIT: Duration = Duration::from_secs(3600);
const BINDGEN_LIMIT: Duration = Duration::from_secs(300);
/// Two hundred direct connections of each take a quarter of an hour.
const RUN_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// The program that is measured: the server, and compiled for wasm the peer in the page.
const PROGRAM: &str = "moim-bench";
/// The profile of the published page.
const PAGE_PROFILE: &str = "web-release";

/// Builds what is measured, and measures it.
pub(crate) fn bench(project: &Project, options: &BenchOptions) -> Result<()> {
    let needs = Needs {
        page: true,
        wasm_lints: true,
        browser: true,
        node: true,
        ..Needs::default()
    };
    let tooling = setup::setup(project, needs)?;
    ui::headline("Build");
    build_server(project)?;
    build_page(project, &tooling)?;
    build::build_page(project, tooling.wasm)?;
    ui::headline("Measure");
    println!("{}", size::table(project)?);
    measure(project, options, &tooling)
}

/// Where the table goes.
fn table(project: &Project) -> PathBuf {
    project.target.join("bench.md")
}

fn page(project: &Project) -> PathBuf {
    project.work().join("bench/page")
}

/// As `cargo xtask run` builds a bootstrap node. With `--release` it would take ten minutes more, and
/// the figures would be the same: what takes the time is in the page.
fn build_server(project: &Project) -> Result<()> {
    let mut command = project.cargo();
    command.args(["build", "--locked", "--bin", PROGRAM]);
    step(
        project,
        "server",
        "bench-server",
        command,
        BUILD_LIMIT,
        "built",
    )
}

fn build_page(project: &Project, tooling: &Tooling) -> Result<()> {
    let mut command = project.cargo();
    tooling.wasm.apply(&mut command);
    rustc::publish(project, &mut command)?;
    command
        .args(["build", "--locked", "--package", PROGRAM])
        .args(["--profile", PAGE_PROFILE, "--target", wasm::TARGET]);
    step(project, "page", "bench-page", command, BUILD_LIMIT, "built")?;
    let file = format!("{}/{PAGE_PROFILE}/{PROGRAM}.wasm", wasm::TARGET);
    let mut command = project.machine.command("wasm-bindgen");
    command
        .args(["--target", "web", "--no-typescript", "--out-name", "ours"])
        .arg("--out-dir")
        .arg(page(project))
        .arg(project.target.join(file));
    step(
        project,
        "page's JavaScript",
        "bench-bindgen",
        command,
        BINDGEN_LIMIT,
        "made",
    )
}

fn measure(project: &Project, options: &BenchOptions, tooling: &Tooling) -> Result<()> {
    let browser = tooling
        .browser
        .as_ref()
        .context("set-up found no browser")?;
    let packages = setup::node::folder(project).join("node_modules");
    let mut command = project.machine.command("node");
    command
        .current_dir(project.root.join("bench/browser"))
        .arg(packages.join("@playwright/test/cli.js"))
        .arg("test")
        .env("MOIM_CHROMIUM", &browser.program)
        .env("MOIM_BENCH_SERVER", project.binary(PROGRAM))
        .env("MOIM_BENCH_PAGE", page(project))
        .env("MOIM_BENCH_WORK", project.work().join("bench/work"))
        .env("MOIM_BENCH_OUTPUT", table(project))
        .env("MOIM_BENCH_BUILD", describe(tooling.wasm))
        .env("MOIM_BENCH_ROUNDS", options.rounds.to_string())
        .env("MOIM_BENCH_UPGRADES", options.upgrades.to_string());
    process::run_shown(command, &project.log("bench"), RUN_LIMIT)?;
    ui::note(&format!("also in {}", table(project).display()));
    Ok(())
}

/// How the page is optimised, which decides what its own part takes.
fn describe(toolchain: Toolchain) -> &'static str {
    match toolchain {
        Toolchain::Default => "as published, with link-time optimisation",
        Toolchain::Linked => "as published, but without link-time optimisation (Debian's compiler)",
    }
}
