//! What `cargo metadata` prints, as far as the checks need it.
//!
//! Read by hand: deriving it would double the time this crate takes to compile.

use anyhow::{Context, Result};
use serde_json::Value;

/// The whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: String,
}

/// A package: a member of the workspace or something it depends on.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: String,
    pub(crate) is_member: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line in a `[dependencies]` table.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Only for tests, benches and examples.
    pub(crate) only_tests: bool,
    /// It lies in a folder of this workspace.
    pub(crate) is_folder: bool,
}

impl Metadata {
    /// Reads the output of `cargo metadata --format-version 1`.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let all: Value = serde_json::from_str(json).context("reading cargo's metadata")?;
        let members = list(&all, "workspace_members")?;
        let packages = list(&all, "packages")?
            .iter()
            .map(|package| Package::parse(package, members))
            .collect::<Result<_>>()?;
        Ok(Self {
            packages,
            target_directory: text(&all, "target_directory")?,
        })
    }

    /// The members of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_member)
    }
}

impl Package {
    fn parse(package: &Value, members: &[Value]) -> Result<Self> {
        Ok(Self {
            name: text(package, "name")?,
            manifest_path: text(package, "manifest_path")?,
            is_member: package.get("id").is_some_and(|id| members.contains(id)),
            dependencies: list(package, "dependencies")?
                .iter()
                .map(Dependency::parse)
                .collect::<Result<_>>()?,
        })
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> Result<Self> {
        Ok(Self {
            name: text(dependency, "name")?,
            only_tests: text(dependency, "kind").is_ok_and(|kind| kind == "dev"),
            is_folder: text(dependency, "path").is_ok(),
        })
    }
}

fn text(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("cargo's metadata has no {key:?}"))?
        .to_owned())
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    let list = value.get(key).and_then(Value::as_array);
    Ok(list
        .with_context(|| format!("cargo's metadata has no {key:?}"))?
        .as_slice())
}
