//! Where the programs under test are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The bootstrap node's program.
///
/// # Panics
/// If it is neither named by `MOIM_BOOTSTRAP_BIN` nor there nor can be built.
pub fn bootstrap_binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| locate("MOIM_BOOTSTRAP_BIN", "moim-bootstrap", "moim-bootstrap"))
}

/// The terminal peer's program.
///
/// # Panics
/// If it is neither named by `MOIM_BIN` nor there nor can be built.
pub fn moim_binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| locate("MOIM_BIN", "moim-cli", "moim"))
}

/// An example program of the library.
///
/// # Panics
/// If it is neither there nor can be built.
pub fn example_binary(name: &str) -> PathBuf {
    let path = profile_dir()
        .join("examples")
        .join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if !path.is_file() {
        build(&["--package", "moim-peer", "--examples"]);
    }
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

fn locate(variable: &str, package: &str, binary: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "{variable} names {}, which is not a file",
            path.display()
        );
        return path;
    }
    let file = format!("{binary}{}", env::consts::EXE_SUFFIX);
    let path = profile_dir().join(file);
    if !path.is_file() {
        build(&["--package", package]);
    }
    assert!(
        path.is_file(),
        "{} is missing: build it with `cargo build -p {package}`, or set {variable}",
        path.display()
    );
    path
}

/// `target/debug`: test executables are in `deps` in it.
fn profile_dir() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    let mut dir = test.parent().expect("a program is in a folder");
    if dir.ends_with("deps") {
        dir = dir.parent().expect("deps is in the profile's folder");
    }
    dir.to_owned()
}

/// Several test processes may come here at once: cargo's own lock puts them in a row.
fn build(what: &[&str]) {
    let mut command = Command::new(env!("CARGO"));
    command
        .arg("build")
        .args(what)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // Where this test was built, not where the environment says by now.
    if let Some(target) = profile_dir().parent() {
        command.env("CARGO_TARGET_DIR", target);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
    assert!(
        status.success(),
        "`cargo build {}` failed: {status}",
        what.join(" ")
    );
}
