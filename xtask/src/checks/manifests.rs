//! Every member takes the workspace's lints and keeps its versions in the workspace's table.

use anyhow::{Context, Result};
use toml::{Table, Value};

/// What is wrong with one member's Cargo.toml.
pub(crate) fn violations(member: &str, manifest: &str) -> Result<Vec<String>> {
    let manifest: Table = manifest
        .parse()
        .with_context(|| format!("{member}/Cargo.toml"))?;
    let mut found = Vec::new();
    let lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if lints.and_then(Value::as_bool) != Some(true) {
        found.push(format!("{member}: `[lints] workspace = true` is missing"));
    }
    for key in ["edition", "license", "publish", "rust-version", "version"] {
        let inherited = manifest
            .get("package")
            .and_then(|package| package.get(key))
            .and_then(|value| value.get("workspace"));
        if inherited.and_then(Value::as_bool) != Some(true) {
            found.push(format!("{member}: `{key}.workspace = true` is missing"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
        [lints]\nworkspace = true\n";

    #[test]
    fn a_member_that_inherits_everything_is_fine() {
        assert!(violations("x", GOOD).unwrap().is_empty());
    }

    #[test]
    fn what_is_missing_is_named() {
        let without_lints = GOOD.replace("[lints]\nworkspace = true\n", "");
        assert_eq!(
            violations("x", &without_lints).unwrap(),
            ["x: `[lints] workspace = true` is missing"]
        );
        let own_edition = GOOD.replace("edition.workspace = true", "edition = \"2021\"");
        assert_eq!(
            violations("x", &own_edition).unwrap(),
            ["x: `edition.workspace = true` is missing"]
        );
        assert!(violations("x", "not toml").is_err());
    }
}
