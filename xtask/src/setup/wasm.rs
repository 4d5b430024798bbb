//! A compiler for wasm32-unknown-unknown.
//!
//! On most machines `rustup target add` is all it takes. Where rustup cannot download, Debian's
//! packages give the same thing under another toolchain (`debian.rs`), for those who ask for it.
//! Whether a toolchain works is not believed but tried: a trivial crate is compiled and linked.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    process,
    project::Project,
    setup::{
        ROUTE_VARIABLE, Route,
        apt::{self, Rights},
        debian, rustup, step,
        versions::Version,
    },
    ui::{self, Progress},
};

/// The target of everything that runs in a page.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
/// The name under which rustup knows Debian's compiler.
pub(crate) const LINKED: &str = "moim-wasm";

const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// A library that needs the standard library and the linker.
const PROBE: &str = "#[no_mangle]\npub extern \"C\" fn probe(n: u32) -> usize {\n    \
    format!(\"{n}\").len()\n}\n";

/// The toolchain that compiles for wasm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one that is used anyway.
    #[default]
    Default,
    /// Debian's, linked as [`LINKED`].
    Linked,
}

impl Toolchain {
    /// Makes a cargo, rustc or trunk command use this toolchain.
    pub(crate) fn apply(self, command: &mut Command) {
        if self == Self::Linked {
            command
                .env("RUSTUP_TOOLCHAIN", LINKED)
                // Debian builds the standard library without the bitcode that this needs.
                .env("CARGO_PROFILE_WEB_RELEASE_LTO", "off");
        }
    }
}

/// What is known so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    /// The toolchain in use compiles for wasm.
    default_works: bool,
    /// The linked toolchain does.
    linked_works: bool,
    /// rustup is there.
    rustup: bool,
    /// rustup was tried; with the reason when it failed.
    rustup_tried: Option<String>,
    /// Debian's package manager is there.
    apt: bool,
    /// Debian's packages were tried.
    debian_tried: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Use(Toolchain),
    TryRustup,
    TryDebian,
    GiveUp(String),
}

/// Decides by what is known. rustup comes first: it is one small download and serves the compiler
/// in use.
fn decide(route: Route, facts: &Facts) -> Next {
    // Without rustup there is nothing to link: the compiler in use must be Debian's itself.
    if facts.default_works && (route != Route::Debian || !facts.rustup) {
        return Next::Use(Toolchain::Default);
    }
    if facts.linked_works {
        return Next::Use(Toolchain::Linked);
    }
    if route != Route::Debian && facts.rustup && facts.rustup_tried.is_none() {
        return Next::TryRustup;
    }
    if route != Route::Rustup && facts.apt && !facts.debian_tried {
        return Next::TryDebian;
    }
    Next::GiveUp(explain_dead_end(facts))
}

fn explain_dead_end(facts: &Facts) -> String {
    let rustup = match (&facts.rustup_tried, facts.rustup) {
        (Some(reason), _) => format!("rustup could not add it: {reason}"),
        (None, true) => "rustup was not to be tried".to_owned(),
        (None, false) => "there is no rustup (https://rustup.rs)".to_owned(),
    };
    let debian = match (facts.debian_tried, facts.apt) {
        (true, _) => "Debian's packages were installed and still do not compile for it".to_owned(),
        (false, true) => format!(
            "Debian's packages were not tried: they need root's rights and change files below \
             /usr. `cargo xtask setup --wasm-route auto` takes them, and so does every command \
             with {ROUTE_VARIABLE}=auto"
        ),
        (false, false) => "this is no Debian, whose packages would do too".to_owned(),
    };
    format!(
        "no toolchain compiles for {TARGET}.\n  - {rustup}\n  - {debian}\nWhat to do: run \
         `rustup target add {TARGET}` with a network that reaches rustup's server, or install \
         your distribution's Rust standard library for {TARGET}; then try again."
    )
}

/// Finds or makes a toolchain for wasm.
pub(crate) fn ensure(project: &Project, route: Route) -> Result<Toolchain> {
    let rights = Rights::of(&project.machine);
    ensure_with(project, route, rights)
}

fn ensure_with(project: &Project, route: Route, rights: Rights) -> Result<Toolchain> {
    let progress = Progress::start("wasm target");
    let mut facts = Facts {
        rustup: project.machine.find("rustup").is_some(),
        apt: apt::is_there(&project.machine),
        ..Facts::default()
    };
    loop {
        facts.default_works = probe(project, Toolchain::Default).is_ok();
        facts.linked_works = facts.rustup
            && debian::has_lints(&project.machine)
            && probe(project, Toolchain::Linked).is_ok();
        match decide(route, &facts) {
            Next::Use(toolchain) => {
                progress.done(&describe(project, toolchain));
                return Ok(toolchain);
            }
            Next::TryRustup => {
                facts.rustup_tried =
                    Some(match rustup::add_target(project, "wasm target", TARGET) {
                        Ok(()) => "it says it did, but nothing can be compiled".to_owned(),
                        Err(error) => error.to_string(),
                    });
            }
            Next::TryDebian => {
                if let Some(reason) = &facts.rustup_tried {
                    ui::note(&format!(
                        "rustup cannot ({reason}); taking Debian's packages"
                    ));
                }
                facts.debian_tried = true;
                debian::install(project, rights, minimum(project)?)?;
            }
            Next::GiveUp(reason) => bail!(reason),
        }
        if let Some(signal) = process::interrupted() {
            bail!("stopped by signal {signal}");
        }
    }
}

/// The oldest compiler this workspace builds with.
fn minimum(project: &Project) -> Result<Version> {
    let manifest = fs::read_to_string(project.root.join("Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse().context("reading Cargo.toml")?;
    manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("package")?.get("rust-version")?.as_str())
        .and_then(Version::find)
        .context("Cargo.toml has no workspace.package.rust-version")
}

/// Compiles and links a trivial library.
fn probe(project: &Project, toolchain: Toolchain) -> Result<()> {
    let mut command = project.machine.command("rustc");
    toolchain.apply(&mut command);
    probe_with(project, command)
}

/// The same with a given compiler.
pub(crate) fn probe_with(project: &Project, mut rustc: Command) -> Result<()> {
    let folder = project.work().join("probe");
    fs::create_dir_all(&folder)?;
    let source = folder.join("probe.rs");
    fs::write(&source, PROBE)?;
    rustc
        .current_dir(&folder)
        .args(["--edition", "2021", "--crate-type", "cdylib"]);
    rustc.args(["--target", TARGET, "-o", "probe.wasm", "probe.rs"]);
    process::output(rustc, PROBE_LIMIT)?;
    Ok(())
}

fn describe(project: &Project, toolchain: Toolchain) -> String {
    let mut command = project.machine.command("rustc");
    toolchain.apply(&mut command);
    command.arg("--version");
    let version = process::output(command, PROBE_LIMIT).ok();
    let version = version
        .as_deref()
        .and_then(Version::find)
        .map(|v| v.to_string());
    let version = version.unwrap_or_else(|| "a compiler".to_owned());
    match toolchain {
        Toolchain::Default => format!("rustc {version}"),
        Toolchain::Linked => format!("rustc {version} of Debian, as toolchain {LINKED}"),
    }
}

/// Makes sure the toolchain in use can format and lint. (Debian's brings clippy along.)
pub(crate) fn ensure_lints(project: &Project) -> Result<()> {
    for (subcommand, component) in [("clippy", "clippy"), ("fmt", "rustfmt")] {
        let mut command = project.cargo();
        command.args([subcommand, "--version"]);
        if process::output(command, PROBE_LIMIT).is_ok() {
            continue;
        }
        if project.machine.find("rustup").is_none() {
            bail!("`cargo {subcommand}` is missing: install your distribution's {component}");
        }
        let mut add = project.machine.command("rustup");
        add.current_dir(&project.root)
            .args(["component", "add", component]);
        step(
            project,
            component,
            component,
            add,
            rustup::LIMIT,
            "added by rustup",
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
