//! Installing Debian packages and writing into system folders, with the rights that takes.

use std::{
    io::IsTerminal,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    machine::Machine,
    process,
    project::Project,
    setup::versions::{self, Version},
    ui::{self, Progress},
};

/// Chromium and its libraries are some 300 MB.
const INSTALL_LIMIT: Duration = Duration::from_secs(1800);

/// How we may write into system folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// We are root.
    Root,
    /// sudo is there.
    Sudo,
    /// Neither: we can only say what to run.
    None,
}

impl Rights {
    /// Ours, on this machine.
    pub(crate) fn of(machine: &Machine) -> Self {
        Self::decide(
            rustix::process::geteuid().is_root(),
            machine.find("sudo").is_some(),
        )
    }

    fn decide(root: bool, sudo: bool) -> Self {
        match (root, sudo) {
            (true, _) => Self::Root,
            (false, true) => Self::Sudo,
            (false, false) => Self::None,
        }
    }
}

/// Whether this system has Debian's package manager.
pub(crate) fn is_there(machine: &Machine) -> bool {
    machine.find("apt-get").is_some() && machine.find("apt-cache").is_some()
}

/// Whether a package is installed.
pub(crate) fn has(machine: &Machine, package: &str) -> bool {
    let mut command = machine.command("dpkg-query");
    command.args(["-W", "-f", "${db:Status-Status}", package]);
    process::output(command, Duration::from_secs(30)).is_ok_and(|status| status == "installed")
}

/// The version of a package that would be installed.
pub(crate) fn candidate(machine: &Machine, package: &str) -> Option<Version> {
    let mut command = machine.command("apt-cache");
    command.args(["policy", package]).env("LC_ALL", "C");
    process::output(command, Duration::from_secs(60))
        .ok()
        .and_then(|policy| versions::candidate(&policy))
}

/// Installs packages. Never removes one: where that would be needed, it is an error that says so.
pub(crate) fn install(
    project: &Project,
    packages: &[&str],
    why: &str,
    rights: Rights,
) -> Result<()> {
    let machine = &project.machine;
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !has(machine, package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let name = format!("Debian packages {}", missing.join(" "));
    let arguments = install_arguments(&missing);
    if rights == Rights::None {
        bail!(
            "{name} are missing ({why}), and neither root's rights nor sudo are there.\nAsk an \
             administrator to run:\n  apt-get {}",
            arguments.join(" ")
        );
    }
    let mut progress = Progress::begin(&name, why);
    let log = project.log("apt");
    let result = run(machine, &arguments, rights, &log, &mut progress);
    if result.is_err() && process::interrupted().is_none() {
        // The usual reason: lists that were never fetched or name versions that are gone.
        run(
            machine,
            &["update"],
            rights,
            &project.log("apt-update"),
            &mut progress,
        )?;
        run(machine, &arguments, rights, &log, &mut progress)?;
    }
    progress.done("installed");
    Ok(())
}

/// Fetches the lists of packages when `package` is in none of them.
pub(crate) fn update_if_unknown(project: &Project, package: &str, rights: Rights) -> Result<()> {
    if candidate(&project.machine, package).is_some() || rights == Rights::None {
        return Ok(());
    }
    let mut progress = Progress::begin("package lists", "Debian's packages are not known yet");
    run(
        &project.machine,
        &["update"],
        rights,
        &project.log("apt-update"),
        &mut progress,
    )?;
    progress.done("fetched");
    Ok(())
}

fn install_arguments<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends", "--no-remove"];
    arguments.extend(packages);
    arguments
}

fn run(
    machine: &Machine,
    arguments: &[&str],
    rights: Rights,
    log: &std::path::Path,
    progress: &mut Progress,
) -> Result<()> {
    let mut command = privileged(machine, rights, "apt-get")?;
    // Another apt may be at work (unattended upgrades): wait for it instead of failing.
    command
        .args(["-o", "DPkg::Lock::Timeout=300", "-q"])
        .args(arguments);
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    process::run_logged(command, log, INSTALL_LIMIT, progress)
}

/// A command with the rights to write into system folders.
pub(crate) fn privileged(machine: &Machine, rights: Rights, program: &str) -> Result<Command> {
    match rights {
        Rights::Root => Ok(machine.command(program)),
        Rights::Sudo => {
            ask_for_password(machine)?;
            let mut command = machine.command("sudo");
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", program]);
            Ok(command)
        }
        Rights::None => bail!("{program} needs root's rights, and sudo is not there"),
    }
}

/// Lets sudo ask for the password where somebody can type it. It must read the terminal, so it is
/// no process group of its own; the commands that follow find the password remembered.
fn ask_for_password(machine: &Machine) -> Result<()> {
    let mut quiet = machine.command("sudo");
    quiet
        .args(["-n", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if quiet.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("sudo wants a password and there is no terminal to ask for it");
    }
    ui::note("system packages are installed with sudo, which asks for your password");
    let mut asking = machine.command("sudo");
    let status = asking
        .arg("-v")
        .stdin(Stdio::inherit())
        .status()
        .context("running sudo")?;
    if !status.success() {
        bail!("sudo did not let us");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_taken_in_the_order_root_sudo_none() {
        assert_eq!(Rights::decide(true, true), Rights::Root);
        assert_eq!(Rights::decide(true, false), Rights::Root);
        assert_eq!(Rights::decide(false, true), Rights::Sudo);
        assert_eq!(Rights::decide(false, false), Rights::None);
    }

    #[test]
    fn nothing_is_ever_removed() {
        let arguments = install_arguments(&["lld-22"]);
        assert!(arguments.contains(&"--no-remove") && arguments.ends_with(&["lld-22"]));
    }
}
