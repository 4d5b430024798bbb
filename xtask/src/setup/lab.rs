//! What builds the networks of the NAT tests out of network namespaces. They are Linux's and need
//! root: elsewhere those tests are left out, which the test report says.

use anyhow::Result;

use crate::{
    project::Project,
    setup::apt::{self, Rights},
    ui::Progress,
};

/// Programs, and the Debian packages that they come in.
const TOOLS: [(&str, &str); 4] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];

/// Finds or installs them. Returns whether the tests can run.
pub(crate) fn ensure(project: &Project) -> Result<bool> {
    let progress = Progress::start("network namespaces");
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        progress.done("not here: the tests with NATs need root on Linux");
        return Ok(false);
    }
    let missing = || {
        TOOLS
            .iter()
            .filter(|(program, _)| project.machine.find(program).is_none())
    };
    if missing().next().is_some() && apt::is_there(&project.machine) {
        let packages: Vec<&str> = missing().map(|(_, package)| *package).collect();
        apt::install(project, &packages, "for the tests with NATs", Rights::Root)?;
    }
    let missing: Vec<&str> = missing().map(|(program, _)| *program).collect();
    if missing.is_empty() {
        progress.done("can be made");
    } else {
        progress.done(&format!("not here: {} missing", missing.join(", ")));
    }
    Ok(missing.is_empty())
}
