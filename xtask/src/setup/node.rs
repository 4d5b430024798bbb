//! The npm packages of the tests in the browser.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    machine::Machine,
    process,
    project::Project,
    setup::{
        apt::{self, Rights},
        step,
        versions::Version,
    },
    ui::Progress,
};

const INSTALL_LIMIT: Duration = Duration::from_secs(900);
const SHORT: Duration = Duration::from_secs(30);
/// The oldest Node that the tests' packages take.
const NODE_MAJOR_MIN: u64 = 18;
/// A copy of the lock file that the installed packages were made from.
const STAMP: &str = "node_modules/.moim-package-lock.json";

/// The folder of the tests in the browser.
pub(crate) fn folder(project: &Project) -> PathBuf {
    project.root.join("e2e/browser")
}

/// Installs exactly what package-lock.json says, unless that was done already.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    let folder = folder(project);
    let lock = folder.join("package-lock.json");
    if !lock.exists() {
        return Ok(());
    }
    ensure_node(project)?;
    if up_to_date(&folder) {
        Progress::start("npm packages").done("as locked");
        return Ok(());
    }
    let mut command = npm(&project.machine, &folder);
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    drop(Progress::begin(
        "npm packages",
        "for the browser tests, as package-lock.json says",
    ));
    step(
        project,
        "npm packages",
        "npm",
        command,
        INSTALL_LIMIT,
        "installed",
    )?;
    fs::copy(&lock, folder.join(STAMP)).context("noting which npm packages were installed")?;
    Ok(())
}

/// npm in a folder. Playwright does not download its own browsers: Debian's is used.
pub(crate) fn npm(machine: &Machine, folder: &Path) -> Command {
    let mut command = machine.command("npm");
    command
        .current_dir(folder)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    command
}

fn up_to_date(folder: &Path) -> bool {
    let stamp = fs::read(folder.join(STAMP));
    stamp.is_ok_and(|stamp| {
        fs::read(folder.join("package-lock.json")).is_ok_and(|lock| lock == stamp)
    })
}

fn ensure_node(project: &Project) -> Result<()> {
    let machine = &project.machine;
    if machine.find("node").is_none() || machine.find("npm").is_none() {
        if !apt::is_there(machine) {
            bail!("the browser tests need Node.js {NODE_MAJOR_MIN} or newer with npm: install it");
        }
        apt::install(
            project,
            &["nodejs", "npm"],
            "for the browser tests",
            Rights::of(machine),
        )?;
    }
    let mut command = machine.command("node");
    command.arg("--version");
    let text = process::output(command, SHORT)?;
    match Version::find(&text) {
        Some(version) if version.major >= NODE_MAJOR_MIN => Ok(()),
        _ => bail!("the browser tests need Node.js {NODE_MAJOR_MIN} or newer, this is {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_up_to_date_while_the_lock_file_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(!up_to_date(folder));
        fs::create_dir(folder.join("node_modules")).unwrap();
        fs::write(folder.join("package-lock.json"), "{}").unwrap();
        assert!(!up_to_date(folder));
        fs::copy(folder.join("package-lock.json"), folder.join(STAMP)).unwrap();
        assert!(up_to_date(folder));
        fs::write(folder.join("package-lock.json"), "{\"a\":1}").unwrap();
        assert!(!up_to_date(folder));
    }
}
