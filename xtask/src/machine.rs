//! The machine we run on: where programs are, and how they are called.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

/// Where programs are looked for and where a distribution's compiler lives. Tests make their own.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The folders programs are looked for in, first wins.
    pub(crate) path: Vec<PathBuf>,
    /// Where Debian's packages put the compiler: `/usr`.
    pub(crate) prefix: PathBuf,
}

impl Machine {
    /// This machine, with cargo's bin folder first in the path whether or not the user's shell has
    /// it.
    pub(crate) fn this() -> Result<Self> {
        let cargo_home = match env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => home()?.join(".cargo"),
        };
        let mut path = vec![cargo_home.join("bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        Ok(Self {
            path,
            prefix: PathBuf::from("/usr"),
        })
    }

    /// The first program of this name in the path.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        self.path
            .iter()
            .map(|folder| folder.join(program))
            .find(|file| is_executable(file))
    }

    /// A command with our path, without standard input and without what `cargo run` told us about
    /// ourselves: a child cargo that inherits `CARGO` or `CARGO_MANIFEST_DIR` takes the wrong
    /// toolchain or rebuilds for nothing.
    pub(crate) fn command(&self, program: &str) -> Command {
        let file = self.find(program).unwrap_or_else(|| PathBuf::from(program));
        let mut command = Command::new(file);
        command
            .stdin(Stdio::null())
            .env("PATH", self.path_variable());
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_about_ourselves) {
                command.env_remove(name);
            }
        }
        command
    }

    fn path_variable(&self) -> OsString {
        // Folders that came out of a path variable can go back into one.
        env::join_paths(&self.path).unwrap_or_default()
    }
}

/// Whether cargo set this variable for us, the program it runs.
fn is_about_ourselves(variable: &str) -> bool {
    matches!(
        variable,
        "CARGO" | "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE"
    ) || variable.starts_with("CARGO_MANIFEST_")
        || variable.starts_with("CARGO_PKG_")
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The user's home folder.
pub(crate) fn home() -> Result<PathBuf> {
    env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .context("there is no home folder: set HOME")
}

/// Moim's folder in the user's cache: `$XDG_CACHE_HOME/moim` or `~/.cache/moim`.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").map(PathBuf::from) {
        Some(base) if base.is_absolute() => base,
        _ => home()?.join(".cache"),
    };
    Ok(base.join("moim"))
}

/// Whether a continuous-integration service runs us: nobody looks at a desktop or types a password.
pub(crate) fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_says_about_us_is_taken_away() {
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_VERSION"] {
            assert!(is_about_ourselves(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_TERM_COLOR",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(!is_about_ourselves(name), "{name}");
        }
    }

    #[test]
    fn the_first_executable_in_the_path_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tool");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let machine = Machine {
            path: vec![folder.path().to_owned()],
            prefix: folder.path().to_owned(),
        };
        assert_eq!(
            machine.find("tool"),
            None,
            "a file that cannot be executed is not a program"
        );
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        assert_eq!(machine.find("tool"), Some(file));
    }
}
