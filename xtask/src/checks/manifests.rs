//! Every member takes the workspace's lints and keeps its versions in the workspace's table.

use anyhow::{Context, Result};
use toml::{Table, Value};

/// The crates that others build on, in an order in which they can be published: each after those that it uses.
pub(crate) const LIBRARIES: &[&str] = &[
    "moim-protocol",
    "moim-room",
    "moim-dht",
    "moim-dials",
    "moim-rpc",
    "moim-connection-guard",
    "moim-tcp-reuse",
    "moim-webrtc",
    "moim-websocket",
    "moim-peer",
];

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
    let field = |key: &str| manifest.get("package").and_then(|package| package.get(key));
    for key in ["edition", "license", "rust-version", "version"] {
        if !is_inherited(field(key)) {
            found.push(format!("{member}: `{key}.workspace = true` is missing"));
        }
    }
    if LIBRARIES.contains(&member) {
        if field("publish").and_then(Value::as_bool) != Some(true) {
            found.push(format!("{member}: `publish = true` is missing"));
        }
        for key in [
            "categories",
            "description",
            "documentation",
            "keywords",
            "readme",
        ] {
            if field(key).is_none() {
                found.push(format!("{member}: `{key}` is missing"));
            }
        }
    } else if !is_inherited(field("publish")) {
        found.push(format!("{member}: `publish.workspace = true` is missing"));
    }
    Ok(found)
}

fn is_inherited(value: Option<&Value>) -> bool {
    let inherited = value.and_then(|value| value.get("workspace"));
    inherited.and_then(Value::as_bool) == Some(true)
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

    #[test]
    fn a_library_says_what_a_registry_shows() {
        let found = violations("moim-peer", GOOD).unwrap();
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found[0].contains("`publish = true`"), "{found:?}");
    }
}
