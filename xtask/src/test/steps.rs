//! The steps, in order of cheapness.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::{Context, FORMAT, licences, nextest_profile, page};
use crate::{
    checks::{self, cycles, edges, manifests, platform},
    process,
    project::Project,
    setup::{Needs, macos},
    sim,
    ui::{self, Progress},
};

/// A step that only reads source.
pub(super) const SHORT: Duration = Duration::from_secs(300);
/// A step that compiles or tests: far more than it takes on a slow machine, and less than for ever.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// One thing that must hold.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Whether `--quick` keeps it: it needs neither wasm nor a browser.
    pub(super) quick: bool,
    pub(super) needs: Needs,
    pub(super) run: fn(&Context<'_>) -> Result<()>,
}

const NOTHING: Needs = Needs {
    page: false,
    wasm_lints: false,
    test_runner: false,
    browser: false,
    node: false,
    cpp: false,
    deny: false,
    macos: false,
};

/// All of them.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "formatting",
        quick: true,
        needs: NOTHING,
        run: format,
    },
    Step {
        name: "edges",
        about: "who uses whom, crates and files",
        quick: true,
        needs: NOTHING,
        run: edges,
    },
    Step {
        name: "manifests",
        about: "every member inherits lints and versions",
        quick: true,
        needs: NOTHING,
        run: manifests,
    },
    Step {
        name: "packages",
        about: "the library crates can be packaged for a registry",
        quick: true,
        needs: NOTHING,
        run: packages,
    },
    Step {
        name: "platform",
        about: "platform code in platform files, file layout",
        quick: true,
        needs: NOTHING,
        run: platform,
    },
    Step {
        name: "clippy",
        about: "lints, native",
        quick: true,
        needs: NOTHING,
        run: clippy,
    },
    Step {
        name: "docs",
        about: "documentation builds without warnings",
        quick: true,
        needs: NOTHING,
        run: docs,
    },
    Step {
        name: "sim",
        about: "what must hold in small rooms, in simulated time with 1,000 seeds",
        quick: true,
        needs: NOTHING,
        run: simulate,
    },
    Step {
        name: "licences",
        about: "licences, sources, bans and advisories, by deny.toml",
        quick: true,
        needs: Needs {
            deny: true,
            ..NOTHING
        },
        run: licences::licences,
    },
    Step {
        name: "clippy-wasm",
        about: "lints, wasm",
        quick: false,
        needs: Needs {
            wasm_lints: true,
            ..NOTHING
        },
        run: clippy_wasm,
    },
    Step {
        name: "macos",
        about: "the code compiles for macOS",
        quick: false,
        needs: Needs {
            macos: true,
            ..NOTHING
        },
        run: macos,
    },
    Step {
        name: "tests",
        about: "unit and integration tests, native",
        quick: true,
        needs: Needs {
            test_runner: true,
            ..NOTHING
        },
        run: tests,
    },
    Step {
        name: "doctests",
        about: "the examples in the documentation",
        quick: true,
        needs: Needs {
            test_runner: true,
            ..NOTHING
        },
        run: doctests,
    },
    Step {
        name: "wasm-tests",
        about: "the peer's and the WebSocket transport's tests in a real browser",
        quick: false,
        needs: Needs {
            wasm_lints: true,
            browser: true,
            ..NOTHING
        },
        run: page::wasm_tests,
    },
    Step {
        name: "page",
        about: "the page as it is published: what it imports, and its size",
        quick: false,
        needs: Needs {
            page: true,
            ..NOTHING
        },
        run: page::page,
    },
    Step {
        name: "browser",
        about: "pages in a real browser with real processes",
        quick: false,
        needs: Needs {
            page: true,
            browser: true,
            node: true,
            ..NOTHING
        },
        run: page::browser,
    },
    Step {
        name: "fuzz",
        about: "every fuzz target for 45 seconds",
        quick: false,
        needs: Needs {
            cpp: true,
            ..NOTHING
        },
        run: fuzz,
    },
];

/// Runs a command with its output in the step's log, shown when it fails.
pub(super) fn quietly(project: &Project, name: &str, command: Command) -> Result<()> {
    let mut progress = Progress::start(name);
    process::run_logged(command, &project.log(name), LONG, &mut progress)?;
    progress.done("fine");
    Ok(())
}

/// Builds every program and test once. Always all members at once: a part of them would be built
/// with other features of the crates they share, and so twice.
pub(super) fn build(project: &Project) -> Result<()> {
    let mut command = project.cargo();
    command.args(["build", "--locked", "--workspace", "--all-targets"]);
    quietly(project, "build", command)
}

/// Tells tests where the programs are.
pub(super) fn name_programs(project: &Project, command: &mut Command) {
    command
        .env("MOIM_BOOTSTRAP_BIN", project.binary("moim-bootstrap"))
        .env("MOIM_BIN", project.binary("moim"))
        .env("MOIM_DIST", project.page());
}

/// Ends a check of the source.
fn conclude(violations: &[String], advice: &str) -> Result<()> {
    checks::report(violations, advice)?;
    println!("{} fine", ui::paint("32", "✓"));
    Ok(())
}

fn format(context: &Context<'_>) -> Result<()> {
    let mut command = context.project.cargo();
    command.args(["fmt", "--all", "--", "--check"]).args(FORMAT);
    quietly(context.project, "fmt", command).context("`cargo xtask fmt` formats everything")
}

fn edges(context: &Context<'_>) -> Result<()> {
    let mut violations = edges::violations(&context.project.metadata()?);
    violations.extend(cycles::violations(&context.project.root)?);
    conclude(
        &violations,
        "ARCHITECTURE.md draws who may use whom, and CONTRIBUTING.md says how files do",
    )
}

fn manifests(context: &Context<'_>) -> Result<()> {
    let mut violations = Vec::new();
    for package in context.project.metadata()?.members() {
        let text = fs::read_to_string(&package.manifest_path)
            .with_context(|| format!("reading {}", package.manifest_path))?;
        violations.extend(manifests::violations(&package.name, &text)?);
    }
    conclude(&violations, "see the Cargo.toml of another member")
}

/// All of them at once, so that cargo finds each beside those that use it, and not in the registry. What is in the
/// packages is compiled by the other steps.
fn packages(context: &Context<'_>) -> Result<()> {
    let mut command = context.project.cargo();
    command.args(["package", "--locked", "--no-verify", "--allow-dirty"]);
    for library in manifests::LIBRARIES {
        command.args(["--package", library]);
    }
    quietly(context.project, "packages", command)
}

fn platform(context: &Context<'_>) -> Result<()> {
    let root = &context.project.root;
    let mut violations = Vec::new();
    for package in context.project.metadata()?.members() {
        let folder = Path::new(&package.manifest_path).parent().unwrap_or(root);
        for file in checks::rust_files(folder)? {
            let source =
                fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let name = file
                .strip_prefix(root)
                .unwrap_or(&file)
                .to_string_lossy()
                .into_owned();
            violations.extend(platform::violations(&name, &source));
        }
    }
    conclude(
        &violations,
        "xtask/src/checks/platform.rs says what goes where",
    )
}

fn clippy(context: &Context<'_>) -> Result<()> {
    let mut command = context.project.cargo();
    command.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    quietly(context.project, "clippy", command)?;
    // The same once more with what only the fuzz targets see. Handed to clippy alone, the cfg leaves what was compiled of
    // the dependencies as it is; the targets' few lines of their own are left to `fuzz`, which has libFuzzer.
    let mut command = context.project.cargo();
    command
        .args(["clippy", "--locked", "--workspace", "--lib", "--"])
        .args(["-D", "warnings", "--cfg", "fuzzing"]);
    quietly(context.project, "clippy-fuzzing", command)
}

fn simulate(context: &Context<'_>) -> Result<()> {
    sim::sim(context.project, &["--runs".into(), "1000".into()])
}

fn clippy_wasm(context: &Context<'_>) -> Result<()> {
    let mut command = context.project.cargo();
    context.tooling.wasm.apply(&mut command);
    command.args([
        "clippy",
        "--locked",
        "--target",
        crate::setup::wasm::TARGET,
        // The examples are programs with a runtime of their own.
        "--lib",
        "--bins",
        "--tests",
    ]);
    command.args([
        "--package",
        "moim-bench",
        "--package",
        "moim-peer",
        "--package",
        "moim-web",
        "--package",
        "moim-websocket",
        "--",
        "-D",
        "warnings",
    ]);
    quietly(context.project, "clippy-wasm", command)?;
    // The page alone: with the others, moim-peer has features that the page goes without.
    let mut command = context.project.cargo();
    context.tooling.wasm.apply(&mut command);
    command
        .args(["clippy", "--locked", "--target", crate::setup::wasm::TARGET])
        .args(["--package", "moim-web", "--bins", "--", "-D", "warnings"]);
    quietly(context.project, "clippy-page", command)
}

/// Only checks: nothing is linked, so nobody looks at what C compilers for macOS would make. `true` takes their place;
/// and with some `SDKROOT`, nobody looks for Apple's.
fn macos(context: &Context<'_>) -> Result<()> {
    if !context.tooling.macos {
        ui::note("not checked: its standard library is not here");
        return Ok(());
    }
    let mut command = context.project.cargo();
    command.args(["check", "--locked", "--target", macos::TARGET]);
    for tool in ["AR", "CC", "CXX"] {
        let target = macos::TARGET.replace('-', "_");
        command.env(format!("{tool}_{target}"), "true");
    }
    command.env("SDKROOT", "/");
    quietly(context.project, "macos", command)
}

fn docs(context: &Context<'_>) -> Result<()> {
    let mut command = context.project.cargo();
    command
        .args([
            "doc",
            "--locked",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        .env("RUSTDOCFLAGS", "-D warnings");
    quietly(context.project, "docs", command)
}

fn tests(context: &Context<'_>) -> Result<()> {
    let project = context.project;
    build(project)?;
    let mut command = project.cargo();
    command.args(["nextest", "run", "--locked", "--workspace", "--all-targets"]);
    command.args(["--profile", nextest_profile()]);
    name_programs(project, &mut command);
    for variable in &context.tooling.extras {
        command.env(variable, "1");
    }
    process::run_shown(command, &project.log("tests"), LONG)
}

fn fuzz(context: &Context<'_>) -> Result<()> {
    crate::fuzz::test(context.project)
}

fn doctests(context: &Context<'_>) -> Result<()> {
    let mut command = context.project.cargo();
    command.args(["test", "--locked", "--workspace", "--doc"]);
    quietly(context.project, "doctests", command)
}
