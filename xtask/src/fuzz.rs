//! `cargo xtask fuzz`: the targets of `fuzz/`, built with libFuzzer and run side by side.
//!
//! What cargo-fuzz would do, without having to install it and with the stable compiler: coverage is counted by LLVM
//! itself, and there is no address sanitizer, which in safe code has little to find. `cargo fuzz run TARGET -s none`
//! works as well.

mod build;
mod outcome;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use self::outcome::Outcome;
use crate::{
    args::FuzzOptions,
    process::{self, Group},
    project::Project,
    setup::{self, Needs},
    ui,
};

/// How long each target runs in `cargo xtask test`.
pub(crate) const SECONDS: u32 = 45;
/// Longest time of one input. The slowest have 256 signatures to make and to check, in a few hundredths of a second.
const INPUT_SECONDS_MAX: u32 = 10;
/// Most memory of one target, in MiB. They need some hundred, most of it for the fuzzer's own tables.
const MEMORY_MIB_MAX: u32 = 1024;
/// How long a target may take to load its inputs before it runs and to stop afterwards.
const SLACK: Duration = Duration::from_secs(300);
/// How often the running targets are looked at.
const POLL: Duration = Duration::from_millis(100);
/// An input is shown as it is up to here; its file has all of it.
const HEX_BYTES_MAX: usize = 512;

/// Sets up, builds, and does what was asked for.
pub(crate) fn fuzz(project: &Project, options: &FuzzOptions) -> Result<()> {
    let all = targets(project)?;
    if options.list {
        for target in all {
            println!("{target}");
        }
        return Ok(());
    }
    let chosen = choose(&all, &options.targets)?;
    let needs = Needs {
        cpp: true,
        ..Needs::default()
    };
    setup::setup(project, needs)?;
    ui::headline("Build");
    let programs = build::build(project)?;
    if let Some(input) = &options.input {
        // The command line has seen to it that there is one.
        return chosen
            .iter()
            .try_for_each(|target| again(project, &programs.join(target), input));
    }
    ui::headline("Fuzz");
    run(project, &programs, &chosen, options.seconds)
}

/// Runs every target, as a step of `cargo xtask test`, which has set up.
pub(crate) fn test(project: &Project) -> Result<()> {
    let programs = build::build(project)?;
    run(project, &programs, &targets(project)?, SECONDS)
}

/// Their names, sorted.
fn targets(project: &Project) -> Result<Vec<String>> {
    let folder = project.root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn choose(all: &[String], wanted: &[String]) -> Result<Vec<String>> {
    for name in wanted {
        if !all.contains(name) {
            bail!("there is no target {name:?}; there are: {}", all.join(", "));
        }
    }
    let is_wanted = |name: &&String| wanted.is_empty() || wanted.contains(name);
    Ok(all.iter().filter(is_wanted).cloned().collect())
}

/// Gives a target one input.
fn again(project: &Project, program: &Path, input: &Path) -> Result<()> {
    if !input.is_file() {
        bail!("{} is no file", input.display());
    }
    let mut command = Command::new(program);
    command.arg(input).env("RUST_BACKTRACE", "1");
    process::run_shown(command, &project.log("fuzz-again"), SLACK)
}

/// A target that runs.
struct Running {
    target: String,
    log: PathBuf,
    group: Group,
    started: Instant,
}

fn run(project: &Project, programs: &Path, targets: &[String], seconds: u32) -> Result<()> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let limit = Duration::from_secs(seconds.into()).saturating_add(SLACK);
    let mut waiting = targets.iter();
    let mut running: Vec<Running> = Vec::new();
    let mut failed = Vec::new();
    loop {
        while running.len() < jobs
            && let Some(target) = waiting.next()
        {
            running.push(start(project, &programs.join(target), target, seconds)?);
        }
        if running.is_empty() {
            break;
        }
        // Dropping those that run ends them.
        if let Some(signal) = process::interrupted() {
            bail!("stopped by signal {signal}");
        }
        let mut index = 0;
        while let Some(one) = running.get_mut(index) {
            let status = one.group.poll()?;
            let is_late = one.started.elapsed() > limit;
            if status.is_none() && !is_late {
                index += 1;
                continue;
            }
            let one = running.swap_remove(index);
            let ended = status.map_or_else(|| "did not stop".to_owned(), process::explain);
            let is_good = status.is_some_and(|status| status.success());
            if !tell(&one, is_good, &ended) {
                failed.push(one.target);
            }
        }
        thread::sleep(POLL);
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} found something. An input that was found becomes a unit test together with what mends it",
        failed.join(", ")
    )
}

fn start(project: &Project, program: &Path, target: &str, seconds: u32) -> Result<Running> {
    let corpus = build::folder(project).join("corpus").join(target);
    let artefacts = build::folder(project).join("artefacts").join(target);
    for folder in [&corpus, &artefacts] {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let mut command = Command::new(program);
    // The first folder is where new inputs go.
    command.arg(corpus);
    let seeds = project.root.join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    command
        .arg(format!("-artifact_prefix={}/", artefacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg("-print_final_stats=1")
        .env("RUST_BACKTRACE", "1");
    let log = project.log(&format!("fuzz-{target}"));
    let file = process::create_log(&log)?;
    let group = Group::spawn(command.stdout(file.try_clone()?).stderr(file))?;
    Ok(Running {
        target: target.to_owned(),
        log,
        group,
        started: Instant::now(),
    })
}

/// Says what a target has come to. Whether that is good.
fn tell(one: &Running, is_good: bool, ended: &str) -> bool {
    let text = String::from_utf8_lossy(&fs::read(&one.log).unwrap_or_default()).into_owned();
    let outcome = Outcome::read(&text);
    let (target, log) = (&one.target, one.log.display());
    if is_good {
        let took = ui::clock(one.started.elapsed());
        println!("{} {target}: {outcome} ({took})", ui::paint("32", "✓"));
        return true;
    }
    println!("{} {target}: {outcome}; {ended}", ui::paint("31", "✗"));
    println!("{}\n(all of it: {log})", process::tail(&one.log));
    if let Some(input) = outcome.input {
        let bytes = fs::read(&input).unwrap_or_default();
        println!(
            "The input ({} bytes), in hexadecimal digits:\n{}",
            bytes.len(),
            hex(&bytes)
        );
        println!(
            "Again with: cargo xtask fuzz {target} --input {}",
            input.display()
        );
    }
    false
}

fn hex(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(HEX_BYTES_MAX);
    let mut text: String = shown.map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > HEX_BYTES_MAX {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_name() {
        let all = ["stun".to_owned(), "turn".to_owned()];
        assert_eq!(choose(&all, &[]).unwrap(), all);
        assert_eq!(choose(&all, &["turn".to_owned()]).unwrap(), ["turn"]);
        let error = choose(&all, &["tun".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("tun") && error.contains("stun, turn"),
            "{error}"
        );
    }

    #[test]
    fn long_inputs_are_cut() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(
            hex(&[0; HEX_BYTES_MAX + 1]).chars().count(),
            2 * HEX_BYTES_MAX + 1
        );
    }
}
