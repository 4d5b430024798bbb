//! A Chromium with its driver, for the tests in the browser.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    machine::Machine,
    process,
    project::Project,
    setup::{
        apt::{self, Rights},
        versions::Version,
    },
    ui::Progress,
};

const SHORT: Duration = Duration::from_secs(30);

/// Set to use another browser than the first in the path.
const BROWSER_VARIABLE: &str = "MOIM_CHROMIUM";
/// Set to use another driver than the first in the path.
const DRIVER_VARIABLE: &str = "MOIM_CHROMEDRIVER";

const BROWSERS: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
const BROWSERS_MACOS: &[&str] = &[
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const DRIVERS: &[&str] = &["chromedriver", "chromium.chromedriver"];

/// A browser and the program that steers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Browser {
    pub(crate) program: PathBuf,
    pub(crate) driver: PathBuf,
}

/// Finds them, or installs Debian's.
pub(crate) fn ensure(project: &Project) -> Result<Browser> {
    let progress = Progress::start("browser");
    if let Some(browser) = find(&project.machine)? {
        progress.done(&describe(project, &browser)?);
        return Ok(browser);
    }
    if !apt::is_there(&project.machine) {
        bail!(
            "the tests in the browser need Chromium (or Chrome) and chromedriver of the same \
             version.\nWhat to do: install them (macOS: `brew install --cask chromium \
             chromedriver`; Fedora: `dnf install chromium chromedriver`; Arch: `pacman -S \
             chromium`), or name them in {BROWSER_VARIABLE} and {DRIVER_VARIABLE}; or leave those \
             tests out with `cargo xtask test --quick`."
        );
    }
    let rights = Rights::of(&project.machine);
    apt::install(
        project,
        &["chromium", "chromium-driver"],
        "for the browser tests",
        rights,
    )?;
    let browser = find(&project.machine)?
        .context("chromium and chromium-driver are installed, but not in the path")?;
    progress.done(&describe(project, &browser)?);
    Ok(browser)
}

fn find(machine: &Machine) -> Result<Option<Browser>> {
    let first = |names: &[&str]| names.iter().find_map(|name| machine.find(name));
    let program = match named(BROWSER_VARIABLE)? {
        Some(program) => Some(program),
        None => first(BROWSERS).or_else(|| {
            BROWSERS_MACOS
                .iter()
                .map(PathBuf::from)
                .find(|file| file.exists())
        }),
    };
    let driver = match named(DRIVER_VARIABLE)? {
        Some(driver) => Some(driver),
        None => first(DRIVERS),
    };
    Ok(program
        .zip(driver)
        .map(|(program, driver)| Browser { program, driver }))
}

fn named(variable: &str) -> Result<Option<PathBuf>> {
    match env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
    {
        Some(file) if !file.exists() => {
            bail!("{variable} names {}, which is not there", file.display())
        }
        file => Ok(file),
    }
}

/// The version, after making sure that both are of one: a driver steers only its own browser.
fn describe(project: &Project, browser: &Browser) -> Result<String> {
    let version = |program: &Path| {
        let mut command = project.machine.command(&program.to_string_lossy());
        command.arg("--version");
        let text = process::output(command, SHORT)?;
        Version::find(&text)
            .with_context(|| format!("{} says no version: {text}", program.display()))
    };
    let (program, driver) = (version(&browser.program)?, version(&browser.driver)?);
    if program.major != driver.major {
        bail!(
            "{} is version {program}, but {} is {driver}: install them in the same version",
            browser.program.display(),
            browser.driver.display()
        );
    }
    Ok(format!("{} {program}", browser.program.display()))
}

impl Browser {
    /// Writes what wasm-bindgen-test-runner tells the driver about the browser.
    pub(crate) fn write_capabilities(&self, file: &Path) -> Result<()> {
        let root = rustix::process::geteuid().is_root();
        let mut arguments = vec![
            "--headless=new",
            // Containers have a /dev/shm that is too small for it.
            "--disable-dev-shm-usage",
            "--disable-gpu",
            // Timers of a page that nobody looks at are slowed down; tests are not about that.
            "--disable-background-timer-throttling",
            "--disable-renderer-backgrounding",
        ];
        if root {
            // Chromium refuses its sandbox to root.
            arguments.push("--no-sandbox");
        }
        let capabilities = serde_json::json!({
            "goog:chromeOptions": { "binary": self.program, "args": arguments },
        });
        fs::write(file, format!("{capabilities:#}\n"))
            .with_context(|| format!("writing {}", file.display()))
    }
}
