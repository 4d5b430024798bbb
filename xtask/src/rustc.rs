//! How rustc is called for the published page.
//!
//! A crate's default features cannot be switched off by whoever gets it through another crate. Those of three crates
//! weigh a twentieth of the page, so this program stands between cargo and rustc (`RUSTC_WRAPPER`) and leaves them out there. It adds
//! what makes another smaller. What is built without it works as well, and is larger.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{self, Command},
};

use anyhow::{Context, Result};

use crate::{project::Project, setup::wasm::TARGET};

/// Tells this program that it is called in the place of rustc.
const CALLED: &str = "MOIM_INSTEAD_OF_RUSTC";
/// What stood in rustc's place before.
const NEXT: &str = "MOIM_RUSTC_WRAPPER";
const WRAPPER: &str = "RUSTC_WRAPPER";

/// Crates, and features of theirs that the page goes without.
const LEFT_OUT: &[(&str, &[&str])] = &[
    // Multiples of the base point: 41 kB of random bytes, which no compression makes smaller. ed25519-dalek and x25519-dalek
    // ask for them, because signing is faster with them; a page signs a few times a minute.
    ("curve25519_dalek", &["precomputed-tables"]),
    // Counters for Prometheus, which a page never registers. libp2p's `metrics` is for the bootstrap node.
    ("libp2p_gossipsub", &["metrics"]),
    // libp2p speaks Noise_XX_25519_ChaChaPoly_SHA256 and no other suite, but the suite is chosen at run time.
    ("snow", &["use-aes-gcm", "use-blake2"]),
];

/// Crates, and what they are told besides.
const ADDED: &[(&str, &[&str])] = &[
    // Loops in the place of unrolled rounds, which no compression makes smaller. Of two versions one has a feature for it, the
    // other a flag. A page hashes some kilobytes a second at most.
    (
        "sha2",
        &[
            "feature=\"force-soft-compact\"",
            "sha2_backend_soft=\"compact\"",
        ],
    ),
];

/// Makes a cargo or trunk command build the page as it is published.
pub(crate) fn publish(project: &Project, command: &mut Command) -> Result<()> {
    let program = kept(project)?;
    if let Some(next) = env::var_os(WRAPPER).filter(|next| !next.is_empty()) {
        command.env(NEXT, next);
    }
    command.env(WRAPPER, program).env(CALLED, "1");
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", TARGET.replace('-', "_"));
    command.env(variable.to_uppercase(), flags(project)?);
    Ok(())
}

/// A copy of this program that stays where it is. Cargo replaces the program itself when the tests are built.
fn kept(project: &Project) -> Result<PathBuf> {
    let running = if cfg!(target_os = "linux") {
        // Also when that is the program of before.
        "/proc/self/exe".into()
    } else {
        env::current_exe().context("finding this program")?
    };
    let kept = project.work().join("instead-of-rustc");
    let new = kept.with_extension(process::id().to_string());
    let copied = fs::create_dir_all(project.work())
        .and_then(|()| fs::copy(&running, &new))
        .and_then(|_| fs::rename(&new, &kept));
    copied.with_context(|| format!("copying this program to {}", kept.display()))?;
    Ok(kept)
}

/// Panics name files: without the folders that this machine keeps them in, and so the same on every machine.
fn flags(project: &Project) -> Result<OsString> {
    let mut folders = Vec::new();
    // Before the first build there are none.
    if let Ok(registries) = fs::read_dir(cargo_home()?.join("registry/src")) {
        for registry in registries {
            folders.push(registry?.path());
        }
    }
    folders.sort();
    folders.push(project.root.clone());
    // White space stands between flags.
    folders.retain(|folder| !folder.to_string_lossy().contains(char::is_whitespace));
    let mut flags = OsString::new();
    for folder in folders {
        if !flags.is_empty() {
            flags.push(" ");
        }
        flags.push("--remap-path-prefix=");
        flags.push(folder.join(""));
        flags.push("=");
    }
    // Cargo does not see what is left out and added. It sees this, and compiles anew when one of them is another.
    let changes = LEFT_OUT.iter().chain(ADDED);
    let changes = changes.flat_map(|(name, values)| {
        let of_crate = values.iter();
        of_crate.map(move |value| format!("{name}:{}", value.replace('"', "")))
    });
    let changes = changes.collect::<Vec<String>>().join(",");
    if !flags.is_empty() {
        flags.push(" ");
    }
    flags.push(format!("--cfg=published_page=\"{changes}\""));
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(env::home_dir()
        .context("there is no home folder")?
        .join(".cargo"))
}

/// Goes on as rustc, if that is what this program was called as. Returns only if not.
pub(crate) fn instead() -> Result<()> {
    if env::var_os(CALLED).is_none() {
        return Ok(());
    }
    let called: Vec<OsString> = env::args_os().skip(1).collect();
    let mut arguments: Vec<OsString> = env::var_os(NEXT).into_iter().collect();
    arguments.extend(changed(&called));
    let (program, arguments) = arguments.split_first().context("cargo names no rustc")?;
    let failed = Command::new(program).args(arguments).exec();
    Err(failed).with_context(|| format!("calling {}", program.display()))
}

/// The arguments of a rustc, without what [`LEFT_OUT`] says of the crate that it compiles and with what [`ADDED`] says.
fn changed(arguments: &[OsString]) -> Vec<OsString> {
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let crate_name = after("--crate-name");
    let of_crate = |list: &[(&str, &'static [&'static str])]| -> &'static [&'static str] {
        let found = list.iter().find(|(name, _)| {
            crate_name.is_some_and(|crate_name| crate_name == name)
                && after("--target").is_some_and(|target| target == TARGET)
        });
        found.map_or(&[], |(_, values)| values)
    };
    let left_out = of_crate(LEFT_OUT);
    let is_left_out = |value: &OsString| {
        left_out
            .iter()
            .any(|feature| *value == *format!("feature=\"{feature}\""))
    };
    let mut kept: Vec<OsString> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        if is_left_out(argument) && kept.last().is_some_and(|last| last == "--cfg") {
            kept.pop();
        } else {
            kept.push(argument.clone());
        }
    }
    for added in of_crate(ADDED) {
        kept.extend(["--cfg".into(), added.into()]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(line: &str) -> String {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let kept = changed(&arguments).into_iter();
        let kept: Vec<String> = kept.map(|word| word.into_string().unwrap()).collect();
        kept.join(" ")
    }

    #[test]
    fn the_page_goes_without_what_is_left_out() {
        let line = |features: &str, target: &str| {
            format!("rustc --crate-name snow src/lib.rs{features} --target {target} -C panic=abort")
        };
        let asked = " --cfg feature=\"use-aes-gcm\" --cfg feature=\"use-sha2\"";
        assert_eq!(
            filtered(&line(asked, TARGET)),
            line(" --cfg feature=\"use-sha2\"", TARGET)
        );
        let native = line(asked, "x86_64-unknown-linux-gnu");
        assert_eq!(filtered(&native), native);
        let other = line(asked, TARGET).replace("snow", "snowflake");
        assert_eq!(filtered(&other), other);
    }

    #[test]
    fn the_page_hashes_in_loops() {
        let line = |target: &str| format!("rustc --crate-name sha2 src/lib.rs --target {target}");
        let added = " --cfg feature=\"force-soft-compact\" --cfg sha2_backend_soft=\"compact\"";
        assert_eq!(filtered(&line(TARGET)), line(TARGET) + added);
        let native = line("x86_64-unknown-linux-gnu");
        assert_eq!(filtered(&native), native);
    }

    #[test]
    fn questions_to_rustc_are_handed_on() {
        for line in ["rustc -vV", "rustc - --crate-name", "rustc"] {
            assert_eq!(filtered(line), line);
        }
    }
}
