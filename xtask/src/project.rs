//! Where things are in this workspace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{checks::metadata::Metadata, machine::Machine, process};

/// The workspace on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// The machine it is built on.
    pub(crate) machine: Machine,
}

impl Project {
    /// The workspace this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::var("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&here)
            .parent()
            .context("xtask lies in no workspace")?
            .to_owned();
        let machine = Machine::this()?;
        let mut project = Self {
            target: root.join("target"),
            root,
            machine,
        };
        project.target = project.metadata()?.target_directory.into();
        fs::create_dir_all(project.work())
            .with_context(|| format!("creating {}", project.work().display()))?;
        Ok(project)
    }

    /// What cargo knows of the members, without their dependencies: fast, and needs no network.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let mut command = self.cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        Metadata::parse(&process::output(command, Duration::from_secs(60))?)
    }

    /// Our own folder: logs, scratch crates, the page that is tested.
    pub(crate) fn work(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// Where the page that is tested and put into programs lies.
    pub(crate) fn page(&self) -> PathBuf {
        self.work().join("dist")
    }

    /// The file a step's output goes to.
    pub(crate) fn log(&self, step: &str) -> PathBuf {
        self.work().join("logs").join(format!("{step}.log"))
    }

    /// `cargo` in the workspace's folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.machine.command("cargo");
        command.current_dir(&self.root);
        command
    }

    /// A program that `cargo build` (profile dev) made.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }
}
