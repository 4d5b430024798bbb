//! Standard libraries for other platforms, from rustup.

use std::{fs, time::Duration};

use anyhow::{Result, bail, ensure};

use crate::{process, project::Project, ui::Progress};

/// A standard library is some 20 MB. Where a firewall swallows packets, we do not wait for ever.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);
/// Characters of rustup's reason that are shown.
const REASON_MAX: usize = 160;

/// Has rustup add the standard library of a target; `name` is what it is called here. An error is rustup's reason.
pub(crate) fn add_target(project: &Project, name: &str, target: &str) -> Result<()> {
    ensure!(project.machine.find("rustup").is_some(), "it is not here");
    let mut command = project.machine.command("rustup");
    command
        .current_dir(&project.root)
        .args(["target", "add", target]);
    let mut progress = Progress::begin(name, "rustup downloads the standard library");
    let log = project.log(&format!("rustup-{target}"));
    if process::run_logged(command, &log, LIMIT, &mut progress).is_ok() {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    bail!(reason(&said));
}

/// The line in which rustup says why, out of all that it says.
fn reason(said: &str) -> String {
    let error = said.lines().find_map(|line| line.strip_prefix("error: "));
    let line = error.unwrap_or("it did not finish in time").trim();
    line.chars().take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_line_that_says_so() {
        let said = "info: downloading component rust-std\nerror: could not download file\n\n\
            Caused by:\n    0: error sending request\n";
        assert_eq!(reason(said), "could not download file");
        assert_eq!(reason("info: downloading"), "it did not finish in time");
    }
}
