//! The wasm target out of Debian's packages, for machines whose rustup cannot download.
//!
//! Debian has a recent compiler (`rustc-web`, kept current for browsers) and its sources, but no
//! standard library for wasm32-unknown-unknown. So it is compiled from those sources once (a
//! minute) and put where that compiler looks; a linker of the same LLVM takes the place of the
//! missing `rust-lld`; and rustup learns the whole as a toolchain named `moim-wasm`, beside its
//! own, which stays the one everything else uses. Compiler, library and sources must be of one
//! version: a nightly or rustup's stable cannot compile these sources.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    machine::Machine,
    process,
    project::Project,
    setup::{
        apt::{self, Rights},
        step,
        versions::{Compiler, Version},
        wasm,
    },
    ui::Progress,
};

/// The compiler, its cargo, its sources and its linter; they only work in the same version, so they
/// are installed together.
const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"];
/// The crate that makes cargo compile the standard library.
const SCRATCH: &str = "moim_wasm_std";
/// Marks a folder of libraries as ours, to be replaced when the compiler is.
const MARK: &str = ".made-by-moim";

const BUILD_LIMIT: Duration = Duration::from_secs(1200);
const SHORT: Duration = Duration::from_secs(60);

/// Whether Debian's clippy is there too.
pub(crate) fn has_lints(machine: &Machine) -> bool {
    machine.prefix.join("bin/clippy-driver").exists()
}

/// Installs and builds what is missing of it.
pub(crate) fn install(project: &Project, rights: Rights, minimum: Version) -> Result<()> {
    let machine = &project.machine;
    apt::update_if_unknown(project, PACKAGES[0], rights)?;
    check_candidate(apt::candidate(machine, PACKAGES[0]), minimum)?;
    apt::install(
        project,
        PACKAGES,
        "Debian's compiler, for the wasm target",
        rights,
    )?;
    let compiler = compiler(project)?;
    ensure!(
        compiler.release >= minimum,
        "Debian's rustc is {}, this workspace needs {minimum}",
        compiler.release
    );
    link_linker(project, &compiler, rights)?;
    if wasm::probe_with(project, rustc(machine)).is_err() {
        let libraries = build_std(project)?;
        place(project, &libraries, rights)?;
        wasm::probe_with(project, rustc(machine)).context("trying Debian's compiler for wasm")?;
    }
    if machine.find("rustup").is_some() {
        let mut link = machine.command("rustup");
        link.args(["toolchain", "link", wasm::LINKED])
            .arg(&machine.prefix);
        process::output(link, SHORT)?;
    }
    Ok(())
}

fn check_candidate(candidate: Option<Version>, minimum: Version) -> Result<()> {
    match candidate {
        None => bail!("this distribution has no package {}", PACKAGES[0]),
        Some(version) if version < minimum => {
            bail!(
                "this distribution's {} is {version}, older than {minimum}",
                PACKAGES[0]
            )
        }
        Some(_) => Ok(()),
    }
}

fn rustc(machine: &Machine) -> Command {
    let program = machine.prefix.join("bin/rustc");
    machine.command(&program.to_string_lossy())
}

fn compiler(project: &Project) -> Result<Compiler> {
    let mut command = rustc(&project.machine);
    command.arg("-vV");
    Compiler::parse(&process::output(command, SHORT)?)
}

/// Debian packages the linker apart, by LLVM version; rustc looks for `rust-lld` beside its
/// libraries.
fn link_linker(project: &Project, compiler: &Compiler, rights: Rights) -> Result<()> {
    let machine = &project.machine;
    let folder = machine
        .prefix
        .join("lib/rustlib")
        .join(&compiler.host)
        .join("bin");
    let link = folder.join("rust-lld");
    let lld = machine
        .prefix
        .join(format!("lib/llvm-{}/bin/lld", compiler.llvm));
    if lld.exists() && fs::read_link(&link).is_ok_and(|target| target == lld) {
        return Ok(());
    }
    let package = format!("lld-{}", compiler.llvm);
    apt::install(project, &[&package], "the linker for wasm", rights)?;
    let make = vec![PathBuf::from("mkdir"), PathBuf::from("-p"), folder];
    let link = vec![PathBuf::from("ln"), PathBuf::from("-sfn"), lld, link];
    system(machine, rights, &[make, link])
}

/// Compiles the standard library with Debian's own cargo and returns its files.
fn build_std(project: &Project) -> Result<Vec<PathBuf>> {
    let machine = &project.machine;
    let scratch = project.work().join("wasm-std");
    fs::create_dir_all(scratch.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"{SCRATCH}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n"
    );
    fs::write(scratch.join("Cargo.toml"), manifest)?;
    fs::write(scratch.join("src/lib.rs"), "")?;
    let target = scratch.join("target");
    let mut command = machine.command(&machine.prefix.join("bin/cargo").to_string_lossy());
    command
        .current_dir(&scratch)
        .args(["build", "--release", "--target", wasm::TARGET])
        .args(["-Z", "build-std=std,panic_abort,test"])
        // Lets a stable compiler take `-Z` and compile the library's unstable features.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", machine.prefix.join("bin/rustc"))
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTUP_TOOLCHAIN");
    let about = "compiling it from Debian's sources (about a minute)";
    drop(Progress::begin("wasm standard library", about));
    step(
        project,
        "wasm standard library",
        "wasm-std",
        command,
        BUILD_LIMIT,
        "compiled",
    )?;
    let folder = target.join(wasm::TARGET).join("release/deps");
    let mut libraries = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".rlib") && !name.starts_with(&format!("lib{SCRATCH}-")) {
            libraries.push(path);
        }
    }
    ensure!(
        !libraries.is_empty(),
        "no libraries in {}",
        folder.display()
    );
    libraries.sort();
    Ok(libraries)
}

/// Puts the libraries where the compiler looks: beside the old ones first, then in one step in
/// their place.
fn place(project: &Project, libraries: &[PathBuf], rights: Rights) -> Result<()> {
    let machine = &project.machine;
    let folder = machine.prefix.join("lib/rustlib").join(wasm::TARGET);
    let old = match (folder.exists(), folder.join(MARK).exists()) {
        (false, _) => Old::Nothing,
        (true, true) => Old::Ours,
        (true, false) => Old::Foreign,
    };
    system(machine, rights, &placing(&folder, libraries, old))?;
    // It can be made again, and it is big.
    fs::remove_dir_all(project.work().join("wasm-std")).context("removing the scratch crate")
}

/// What lies where the libraries go.
#[derive(Clone, Copy, Debug)]
enum Old {
    Nothing,
    Ours,
    /// For another compiler, so no use to this one; but not ours to remove.
    Foreign,
}

/// The commands that put `libraries` into `folder`.
fn placing(folder: &Path, libraries: &[PathBuf], old: Old) -> Vec<Vec<PathBuf>> {
    let staged = folder.with_extension("moim");
    let lib = staged.join("lib");
    let line = |program: &str, arguments: &[&Path]| {
        let arguments = arguments.iter().map(|argument| argument.to_path_buf());
        std::iter::once(PathBuf::from(program))
            .chain(arguments)
            .collect::<Vec<_>>()
    };
    let mut copy = line("cp", &[]);
    copy.extend(libraries.iter().cloned());
    copy.push(lib.clone());
    let mut lines = vec![
        line("rm", &[Path::new("-rf"), &staged]),
        line("mkdir", &[Path::new("-p"), &lib]),
        copy,
        line("touch", &[&staged.join(MARK)]),
    ];
    match old {
        Old::Nothing => {}
        Old::Ours => lines.push(line("rm", &[Path::new("-rf"), folder])),
        Old::Foreign => lines.push(line("mv", &[folder, &folder.with_extension("before-moim")])),
    }
    lines.push(line("mv", &[&staged, folder]));
    lines
}

/// Runs system commands with the rights that takes; without them, says what to run.
fn system(machine: &Machine, rights: Rights, lines: &[Vec<PathBuf>]) -> Result<()> {
    if rights == Rights::None {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| {
                line.iter()
                    .map(|word| word.display().to_string())
                    .collect::<Vec<_>>()
            })
            .map(|words| words.join(" "))
            .collect();
        bail!("ask an administrator to run:\n  {}", lines.join(" &&\n  "));
    }
    for line in lines {
        let Some((program, arguments)) = line.split_first() else {
            continue;
        };
        let mut command = apt::privileged(machine, rights, &program.to_string_lossy())?;
        command.args(arguments);
        process::output(command, SHORT)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_or_absent_package_is_refused_before_anything_is_installed() {
        let version = |minor| Version {
            major: 1,
            minor,
            patch: 0,
        };
        assert!(check_candidate(Some(version(96)), version(95)).is_ok());
        assert!(check_candidate(Some(version(95)), version(95)).is_ok());
        let old = check_candidate(Some(version(85)), version(95))
            .unwrap_err()
            .to_string();
        assert!(old.contains("1.85.0") && old.contains("1.95.0"), "{old}");
        assert!(check_candidate(None, version(95)).is_err());
    }

    #[test]
    fn libraries_that_are_not_ours_are_kept() {
        let folder = Path::new("/usr/lib/rustlib/wasm32-unknown-unknown");
        let text = |old| {
            let lines = placing(folder, &[PathBuf::from("/tmp/libstd-1.rlib")], old);
            let words = |line: &Vec<PathBuf>| {
                line.iter()
                    .map(|word| word.display().to_string())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            lines.iter().map(words).collect::<Vec<_>>()
        };
        assert_eq!(
            text(Old::Foreign)[4],
            "mv /usr/lib/rustlib/wasm32-unknown-unknown \
             /usr/lib/rustlib/wasm32-unknown-unknown.before-moim"
        );
        assert_eq!(
            text(Old::Ours)[4],
            "rm -rf /usr/lib/rustlib/wasm32-unknown-unknown"
        );
        assert_eq!(
            text(Old::Nothing)[4],
            "mv /usr/lib/rustlib/wasm32-unknown-unknown.moim \
             /usr/lib/rustlib/wasm32-unknown-unknown"
        );
    }
}
