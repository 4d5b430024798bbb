//! Checks of the source that no compiler makes. Each is a pure function from what was read to the
//! list of violations; the wrappers here read it and turn violations into one error.

pub(crate) mod cycles;
pub(crate) mod edges;
pub(crate) mod manifests;
pub(crate) mod metadata;
pub(crate) mod platform;
pub(crate) mod wasm_imports;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Turns violations into an error that lists them all, with what to do.
pub(crate) fn report(violations: &[String], advice: &str) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\n{advice}",
        violations
            .iter()
            .map(|v| format!("  - {v}"))
            .collect::<Vec<_>>()
            .join("\n")
    )
}

/// All Rust files below a folder, sorted, build output left out.
pub(crate) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name();
            if entry.file_type()?.is_dir() {
                if name != "target" && name != "node_modules" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
