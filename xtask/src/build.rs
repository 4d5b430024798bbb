//! `cargo xtask build`: the programs as they are handed out, the bootstrap node with the page in it.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{
    args::BuildOptions,
    project::Project,
    run::trunk,
    setup::{
        self, Needs,
        apt::{self, Rights},
        step, tools,
        wasm::Toolchain,
    },
    ui,
};

/// Tells the bootstrap node's build script where the page lies.
const PAGE_VARIABLE: &str = "MOIM_PAGE";
/// Of Debian's package dpkg-dev.
const SHLIBDEPS: &str = "dpkg-shlibdeps";
const LIMIT: Duration = Duration::from_secs(3600);

/// Sets up, builds, and says what came of it.
pub(crate) fn build(project: &Project, options: &BuildOptions) -> Result<()> {
    let needs = Needs {
        page: true,
        ..Needs::default()
    };
    let tooling = setup::setup(project, needs)?;
    if options.deb {
        tools::ensure(project, &tools::cargo_deb())?;
        ensure_dpkg_dev(project)?;
    }
    ui::headline("Build");
    build_page(project, tooling.wasm)?;
    let mut command = project.cargo();
    // Both programs, as in `run`, so that neither is compiled with crates of its own.
    command.args(["build", "--locked", "--release", "--bin", "moim"]);
    with_page(project, &mut command);
    let name = "bootstrap node with the page, and terminal peer";
    step(project, name, "build-programs", command, LIMIT, "built")?;

    if options.deb {
        let package = package(project);
        step(
            project,
            "Debian package",
            "build-deb",
            package,
            LIMIT,
            "built",
        )?;
    }

    let folder = project.target.join("release");
    ui::headline("Done");
    for program in ["moim-bootstrap", "moim"] {
        let path = folder.join(program);
        println!("  {} ({})", path.display(), megabytes(&path)?);
    }
    if options.deb {
        println!("  {}", project.target.join("debian").display());
    }
    println!(
        "\nmoim-bootstrap needs no other file: copy it to where it is to run, start it, and open\n\
         http://localhost:8470 there."
    );
    Ok(())
}

/// Installs what tells cargo-deb which packages the program needs: without it there would be a package
/// that needs none.
fn ensure_dpkg_dev(project: &Project) -> Result<()> {
    let machine = &project.machine;
    if machine.find(SHLIBDEPS).is_some() {
        return Ok(());
    }
    apt::install(
        project,
        &["dpkg-dev"],
        "for the Debian package",
        Rights::of(machine),
    )
}

/// Packs the programs that are there, see `package.metadata.deb` in `bootstrap/Cargo.toml`.
fn package(project: &Project) -> Command {
    let mut command = project.cargo();
    command.args(["deb", "--locked", "--no-build", "-p", "moim-bootstrap"]);
    command
}

/// Builds the page as it is published, and shows that.
pub(crate) fn build_page(project: &Project, toolchain: Toolchain) -> Result<()> {
    let command = page(project, toolchain)?;
    step(project, "page", "build-page", command, LIMIT, "built")
}

/// Builds the page as it is published, not in `dist`, which a running `trunk serve` may be writing to.
pub(crate) fn page(project: &Project, toolchain: Toolchain) -> Result<Command> {
    let mut command = project.machine.command("trunk");
    trunk::prepare(project, &mut command, toolchain, true)?;
    command
        .args(["build", "--offline", "--dist"])
        .arg(project.page());
    Ok(command)
}

/// Adds the bootstrap node, with the page in it, to a `cargo build`.
pub(crate) fn with_page(project: &Project, command: &mut Command) {
    command
        .args(["--bin", "moim-bootstrap"])
        .args(["--features", "moim-bootstrap/page"])
        .env(PAGE_VARIABLE, project.page());
}

fn megabytes(path: &Path) -> Result<String> {
    let bytes = fs::metadata(path)
        .with_context(|| format!("looking at {}", path.display()))?
        .len();
    Ok(format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10))
}
