//! Set-up: everything that building, running and testing needs and that is not there yet.
//!
//! Each step looks first and does nothing when all is well, so set-up runs before every `run` and
//! `test`. Only package registries are needed: crates.io, npm and, on Debian, its packages.

pub(crate) mod apt;
pub(crate) mod browser;
mod cpp;
pub(crate) mod debian;
mod extras;
mod lab;
pub(crate) mod macos;
pub(crate) mod node;
mod rustup;
pub(crate) mod tools;
pub(crate) mod versions;
pub(crate) mod wasm;

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    args::SetupOptions,
    machine, process,
    project::Project,
    setup::{browser::Browser, wasm::Toolchain},
    ui::{self, Progress},
};

/// What the coming work needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Building the page: the wasm target, wasm-bindgen and trunk.
    pub(crate) page: bool,
    /// Compiling for wasm and linting it, without building the page.
    pub(crate) wasm_lints: bool,
    /// A test runner, and what native tests need besides.
    pub(crate) test_runner: bool,
    /// A browser with its driver.
    pub(crate) browser: bool,
    /// The packages of the tests in the browser.
    pub(crate) node: bool,
    /// A C++ compiler, for the fuzz targets.
    pub(crate) cpp: bool,
    /// cargo-deny.
    pub(crate) deny: bool,
    /// Checking the code for macOS.
    pub(crate) macos: bool,
}

impl Needs {
    /// What `cargo xtask setup` was asked for.
    pub(crate) fn for_setup(options: &SetupOptions) -> Self {
        let tests = !options.page_only;
        Self {
            page: true,
            wasm_lints: tests,
            test_runner: tests,
            browser: tests,
            node: tests,
            cpp: tests,
            deny: tests,
            macos: tests,
        }
    }

    /// What both need together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            page: self.page || other.page,
            wasm_lints: self.wasm_lints || other.wasm_lints,
            test_runner: self.test_runner || other.test_runner,
            browser: self.browser || other.browser,
            node: self.node || other.node,
            cpp: self.cpp || other.cpp,
            deny: self.deny || other.deny,
            macos: self.macos || other.macos,
        }
    }

    fn anything(self) -> bool {
        self != Self::default()
    }
}

/// Set to choose the way to the wasm target, as `--wasm-route` does.
pub(crate) const ROUTE_VARIABLE: &str = "MOIM_WASM_ROUTE";

/// Which way to the wasm target is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// rustup, or what is there already and works.
    #[default]
    Rustup,
    /// Debian's packages. They change files of the system, so somebody has to ask for them.
    Debian,
    /// rustup, and Debian's packages where rustup cannot.
    Auto,
}

impl Route {
    /// Reads `rustup`, `debian` or `auto`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            "auto" => Ok(Self::Auto),
            _ => Err("there are the routes rustup, debian and auto"),
        }
    }

    /// The one that the command line asks for, or [`ROUTE_VARIABLE`], or the first.
    fn choose(asked: Option<Self>, variable: Option<&OsStr>) -> Result<Self> {
        if let Some(route) = asked {
            return Ok(route);
        }
        let Some(value) = variable.filter(|value| !value.is_empty()) else {
            return Ok(Self::default());
        };
        Self::parse(&value.to_string_lossy())
            .map_err(|reason| anyhow!("{ROUTE_VARIABLE} is {value:?}: {reason}"))
    }
}

/// What set-up found or made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tooling {
    /// The toolchain with the wasm target.
    pub(crate) wasm: Toolchain,
    /// The browser, where one is needed.
    pub(crate) browser: Option<Browser>,
    /// Whether networks with NATs can be built, where they are needed.
    pub(crate) lab: bool,
    /// Whether code can be checked for macOS, where that is needed.
    pub(crate) macos: bool,
    /// Variables that tell native tests what there is for them.
    pub(crate) extras: Vec<&'static str>,
}

/// Makes sure that everything in `needs` is there.
pub(crate) fn setup(project: &Project, needs: Needs) -> Result<Tooling> {
    setup_by(project, needs, None)
}

/// The same, with the way to the wasm target that the command line asks for.
pub(crate) fn setup_by(project: &Project, needs: Needs, route: Option<Route>) -> Result<Tooling> {
    if !needs.anything() {
        return Ok(Tooling::default());
    }
    ui::headline("Set-up");
    let _lock = lock()?;
    let mut tooling = Tooling::default();
    if needs.page || needs.wasm_lints {
        let route = Route::choose(route, env::var_os(ROUTE_VARIABLE).as_deref())?;
        tooling.wasm = wasm::ensure(project, route)?;
    }
    if needs.wasm_lints {
        wasm::ensure_lints(project)?;
    }
    if needs.page || needs.browser {
        // First the small and certain one. wasm-bindgen-test-runner comes with it.
        tools::ensure(project, &tools::wasm_bindgen(project)?)?;
    }
    if needs.page {
        tools::ensure(project, &tools::trunk())?;
        fetch(project, &tooling.wasm)?;
    }
    if needs.test_runner {
        tools::ensure_nextest(project)?;
        tooling.extras = extras::ensure(project)?;
    }
    if needs.deny {
        tools::ensure(project, &tools::cargo_deny())?;
    }
    if needs.macos {
        tooling.macos = macos::ensure(project)?;
    }
    if needs.cpp {
        cpp::ensure(project)?;
    }
    tools::clean_up(project);
    if needs.browser {
        tooling.browser = Some(browser::ensure(project)?);
    }
    if needs.node {
        node::ensure(project)?;
        tooling.lab = lab::ensure(project)?;
    }
    Ok(tooling)
}

/// One set-up at a time per user, whichever clone it runs in: two would install over each other.
fn lock() -> Result<File> {
    let folder = machine::cache_dir()?;
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join("setup.lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    ui::note("another set-up is running, waiting for it");
                    told = true;
                }
                if let Some(signal) = process::interrupted() {
                    bail!("stopped by signal {signal}");
                }
                thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
    }
}

/// Downloads the crates of Cargo.lock, so that a build shows its own progress and a missing network
/// is named here.
fn fetch(project: &Project, toolchain: &Toolchain) -> Result<()> {
    let mut command = project.cargo();
    toolchain.apply(&mut command);
    command.args(["fetch", "--locked"]);
    step(
        project,
        "crates",
        "fetch",
        command,
        Duration::from_secs(900),
        "as locked",
    )
}

/// Runs one command of a step with progress and a log.
pub(crate) fn step(
    project: &Project,
    name: &str,
    log: &str,
    command: Command,
    limit: Duration,
    done: &str,
) -> Result<()> {
    let mut progress = Progress::start(name);
    process::run_logged(command, &project.log(log), limit, &mut progress)
        .with_context(|| format!("set-up, {name}"))?;
    progress.done(done);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_chooses_the_route_before_the_variable() {
        let choose = |asked, variable: Option<&str>| Route::choose(asked, variable.map(OsStr::new));
        assert_eq!(choose(None, None).unwrap(), Route::Rustup);
        assert_eq!(choose(None, Some("")).unwrap(), Route::Rustup);
        assert_eq!(choose(None, Some("auto")).unwrap(), Route::Auto);
        let asked = Some(Route::Rustup);
        assert_eq!(choose(asked, Some("debian")).unwrap(), Route::Rustup);
        let error = choose(None, Some("moon")).unwrap_err().to_string();
        assert!(
            error.contains("moon") && error.contains("debian"),
            "{error}"
        );
    }
}
