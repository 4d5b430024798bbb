//! Programs of crates.io, each in exactly the version that fits.
//!
//! Where cargo-binstall is installed, it fetches them as their makers built them; otherwise `cargo install` compiles them.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use crate::{
    process,
    project::Project,
    setup::versions::{self, Version},
    ui::{self, Progress},
};

/// On two slow cores trunk takes five minutes.
const INSTALL_LIMIT: Duration = Duration::from_secs(3600);
/// These programs are some 20 MB each.
const FETCH_LIMIT: Duration = Duration::from_secs(180);
const SHORT: Duration = Duration::from_secs(30);

/// A program from crates.io.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// The name of its crate.
    pub(crate) package: &'static str,
    /// How it is called to say its version.
    pub(crate) probe: &'static [&'static str],
    pub(crate) version: String,
    pub(crate) about: &'static str,
    /// How much the compiler optimises it. We wait for the compiler far longer than for these
    /// programs.
    pub(crate) opt_level: &'static str,
}

/// Bundles the page. 0.22 wants a newer compiler than the one this workspace is built with.
pub(crate) fn trunk() -> Tool {
    Tool {
        package: "trunk",
        probe: &["trunk", "--version"],
        version: "0.21.14".to_owned(),
        about: "builds and serves the page",
        opt_level: "0",
    }
}

/// Makes the JavaScript around the wasm; must be of the version in Cargo.lock, to the digit.
pub(crate) fn wasm_bindgen(project: &Project) -> Result<Tool> {
    let lock = fs::read_to_string(project.root.join("Cargo.lock")).context("reading Cargo.lock")?;
    Ok(Tool {
        package: "wasm-bindgen-cli",
        probe: &["wasm-bindgen", "--version"],
        version: versions::locked(&lock, "wasm-bindgen")?,
        about: "connects the page's wasm with JavaScript",
        // It rewrites megabytes of wasm at every build of the page: without optimisation that takes
        // many seconds.
        opt_level: "1",
    })
}

/// Checks licences, sources, bans and advisories by deny.toml.
pub(crate) fn cargo_deny() -> Tool {
    Tool {
        package: "cargo-deny",
        probe: &["cargo-deny", "--version"],
        version: "0.20.2".to_owned(),
        about: "checks licences, sources and advisories",
        opt_level: "0",
    }
}

/// Makes the Debian package.
pub(crate) fn cargo_deb() -> Tool {
    Tool {
        package: "cargo-deb",
        probe: &["cargo-deb", "deb", "--version"],
        version: "3.4.1".to_owned(),
        about: "makes the Debian package",
        // Most of its time it compresses.
        opt_level: "2",
    }
}

/// Runs tests side by side, each in its own process.
fn nextest() -> Tool {
    Tool {
        package: "cargo-nextest",
        probe: &["cargo-nextest", "nextest", "--version"],
        version: "0.9.143".to_owned(),
        about: "runs the tests",
        opt_level: "1",
    }
}

/// Installs the tool unless it is there in this version.
pub(crate) fn ensure(project: &Project, tool: &Tool) -> Result<()> {
    let progress = Progress::start(tool.package);
    let found = installed(project, tool);
    if found.is_some() && found == Version::find(&tool.version) {
        progress.done(&tool.version);
        return Ok(());
    }
    install(project, tool)
}

/// Installs the test runner unless it is there; of this one, any version will do.
pub(crate) fn ensure_nextest(project: &Project) -> Result<()> {
    let tool = nextest();
    let progress = Progress::start(tool.package);
    match installed(project, &tool) {
        Some(version) => {
            progress.done(&version.to_string());
            Ok(())
        }
        None => install(project, &tool),
    }
}

fn installed(project: &Project, tool: &Tool) -> Option<Version> {
    let (program, arguments) = tool.probe.split_first()?;
    let mut command = project.machine.command(program);
    command.args(arguments);
    process::output(command, SHORT)
        .ok()
        .as_deref()
        .and_then(Version::find)
}

fn install(project: &Project, tool: &Tool) -> Result<()> {
    if fetch(project, tool) {
        return Ok(());
    }
    compile(project, tool)
}

/// Has cargo-binstall bring the tool as its makers built it. Whether it did; if not, it can still be compiled.
fn fetch(project: &Project, tool: &Tool) -> bool {
    if project.machine.find("cargo-binstall").is_none() {
        return false;
    }
    let Tool {
        package,
        version,
        about,
        ..
    } = tool;
    let mut command = project.machine.command("cargo");
    command
        .current_dir(&project.root)
        .args(["binstall", package, "--version", &format!("={version}")])
        // Not what others built of it; and we compile it faster than cargo-binstall would.
        .args(["--strategies", "crate-meta-data"])
        .args(["--no-confirm", "--force"]);
    let about = format!("{about}; cargo-binstall fetches version {version}");
    let mut progress = Progress::begin(package, &about);
    let log = project.log(&format!("{package}-fetch"));
    let fetched = process::run_logged(command, &log, FETCH_LIMIT, &mut progress);
    if fetched.is_ok() && installed(project, tool) == Version::find(version) {
        progress.done(&format!("{version} installed"));
        return true;
    }
    ui::note(&format!(
        "cargo-binstall has no {package} {version} ({} says why)",
        log.display()
    ));
    false
}

fn compile(project: &Project, tool: &Tool) -> Result<()> {
    let Tool {
        package,
        version,
        about,
        opt_level,
        ..
    } = tool;
    // Shared, so that crates both tools use are compiled once; kept until the install went well, so
    // that one that was interrupted goes on where it stopped.
    let scratch = project.work().join("tools");
    let mut command = project.machine.command("cargo");
    command
        .current_dir(&project.root)
        .args([
            "install",
            package,
            "--version",
            version,
            "--locked",
            "--force",
            "--target-dir",
        ])
        .arg(&scratch)
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level)
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTFLAGS");
    let about = format!("{about}; compiling version {version}, which takes some minutes");
    let mut progress = Progress::begin(package, &about);
    process::run_logged(command, &project.log(package), INSTALL_LIMIT, &mut progress)
        .with_context(|| format!("set-up, installing {package} {version}"))?;
    progress.done(&format!("{version} installed"));
    Ok(())
}

/// Removes what compiling the tools left behind.
pub(crate) fn clean_up(project: &Project) {
    // It is only disk space; the next set-up may succeed in it.
    let _absent = fs::remove_dir_all(project.work().join("tools"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_in::StandIn;

    /// `cargo install` installs what it is asked for, `cargo binstall` what is in the file `offered`.
    fn machine() -> StandIn {
        let machine = StandIn::new();
        machine.script(
            "bin/cargo",
            "case $1 in\n\
             install) version=$4;;\n\
             binstall) [ -e $ROOT/offered ] || exit 1; version=$(cat $ROOT/offered);;\n\
             esac\n\
             printf \"#!/bin/sh\\necho trunk $version\\n\" > $ROOT/bin/trunk; chmod +x $ROOT/bin/trunk",
        );
        machine
    }

    fn calls(machine: &StandIn) -> Vec<String> {
        let calls = machine.calls(&[]).into_iter();
        calls
            .map(|call| call.split(" --").next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn a_tool_is_compiled_once() {
        let machine = machine();
        ensure(&machine.project, &trunk()).unwrap();
        assert_eq!(calls(&machine), ["cargo install trunk"]);
        ensure(&machine.project, &trunk()).unwrap();
        assert!(calls(&machine).is_empty());
    }

    #[test]
    fn where_cargo_binstall_has_the_tool_nothing_is_compiled() {
        let machine = machine();
        machine.script("bin/cargo-binstall", "");
        fs::write(machine.path("offered"), trunk().version).unwrap();
        ensure(&machine.project, &trunk()).unwrap();
        assert_eq!(calls(&machine), ["cargo binstall trunk"]);
    }

    #[test]
    fn what_cargo_binstall_lacks_or_has_in_another_version_is_compiled() {
        let machine = machine();
        machine.script("bin/cargo-binstall", "");
        for offered in [None, Some("0.1.0")] {
            if let Some(version) = offered {
                fs::write(machine.path("offered"), version).unwrap();
            }
            let _absent = fs::remove_file(machine.path("bin/trunk"));
            ensure(&machine.project, &trunk()).unwrap();
            let expected = ["cargo binstall trunk", "cargo install trunk"];
            assert_eq!(calls(&machine), expected);
            let found = installed(&machine.project, &trunk());
            assert_eq!(found, Version::find(&trunk().version));
        }
    }
}
