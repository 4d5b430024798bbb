//! The standard library of macOS: enough to check our code for it from another system.

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::{process, project::Project, setup::rustup, ui::Progress};

/// The Macs of today.
pub(crate) const TARGET: &str = "aarch64-apple-darwin";

const SHORT: Duration = Duration::from_secs(60);

/// Finds it or has rustup add it. Returns whether the check can run.
pub(crate) fn ensure(project: &Project) -> Result<bool> {
    let name = "macOS target";
    let progress = Progress::start(name);
    let added = if is_there(project) {
        Ok(())
    } else {
        rustup::add_target(project, name, TARGET)
    };
    match added {
        Ok(()) => {
            progress.done(TARGET);
            Ok(true)
        }
        Err(error) if process::interrupted().is_some() => Err(error),
        Err(reason) => {
            progress.done(&format!("not here: rustup could not add it: {reason}"));
            Ok(false)
        }
    }
}

fn is_there(project: &Project) -> bool {
    let mut command = project.machine.command("rustc");
    command
        .current_dir(&project.root)
        .args(["--print", "target-libdir", "--target", TARGET]);
    process::output(command, SHORT).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_in::StandIn;

    #[test]
    fn rustup_adds_it_once_and_where_it_cannot_the_check_is_left_out() {
        let machine = StandIn::new();
        machine.script("bin/rustc", "echo $ROOT/darwin");
        machine.script(
            "bin/rustup",
            "[ -e $ROOT/online ] || exit 1; mkdir $ROOT/darwin",
        );
        let calls = || machine.calls(&["rustc "]);
        assert!(!ensure(&machine.project).unwrap());
        machine.touch("online");
        assert!(ensure(&machine.project).unwrap());
        let add = "rustup target add aarch64-apple-darwin";
        assert_eq!(calls(), [add, add]);
        assert!(ensure(&machine.project).unwrap());
        assert!(calls().is_empty());
    }
}
