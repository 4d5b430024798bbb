//! The step that asks cargo-deny.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::{Context, steps::quietly};
use crate::{
    process,
    project::Project,
    ui::{self, Progress},
};

/// What cargo-deny takes, as deny.toml names no other.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";
/// The database is some 10 MB. Where a firewall swallows packets, we do not wait for ever.
const FETCH_LIMIT: Duration = Duration::from_secs(30);

/// Licences, sources and bans; and advisories, where their database can be had.
pub(super) fn licences(context: &Context<'_>) -> Result<()> {
    check(context.project, FETCH_LIMIT)
}

fn check(project: &Project, fetch_limit: Duration) -> Result<()> {
    let command = deny(project, &["check", "bans", "licenses", "sources"]);
    quietly(project, "licences", command).context("deny.toml says what is allowed, and why")?;

    let log = project.log("advisory-db");
    let fetch = deny(project, &["fetch", "db"]);
    let mut progress = Progress::start("advisory database");
    if let Err(error) = process::run_logged(fetch, &log, fetch_limit, &mut progress) {
        if process::interrupted().is_some() {
            return Err(error);
        }
        ui::note(&format!(
            "advisories not checked: the database could not be fetched from {DATABASE} ({} says why)",
            log.display()
        ));
        return Ok(());
    }
    // Everything was fetched just now, and if fetching failed here, it would look like an advisory.
    let command = deny(project, &["--offline", "check", "advisories"]);
    quietly(project, "advisories", command).context(
        "update the crate; if no update mends it, deny.toml is where to say why it may stay",
    )
}

fn deny(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.cargo();
    command
        .args(["deny", "--locked"])
        .args(arguments)
        // git fetches the database. It has nobody to ask for a password.
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::stand_in::StandIn;

    /// What `cargo deny` does, by its last argument.
    fn machine(sources: &str, db: &str, advisories: &str) -> StandIn {
        let machine = StandIn::new();
        machine.script(
            "bin/cargo",
            &format!(
                "for last; do :; done\ncase $last in sources) {sources};; db) {db};; \
                 advisories) {advisories};; esac"
            ),
        );
        machine
    }

    #[test]
    fn what_is_not_allowed_fails_the_step() {
        let machine = machine("exit 1", "exit 0", "exit 0");
        let error = check(&machine.project, FETCH_LIMIT).unwrap_err();
        assert!(error.to_string().contains("deny.toml"), "{error}");
    }

    #[test]
    fn an_advisory_fails_the_step() {
        let machine = machine("exit 0", "exit 0", "echo RUSTSEC-2030-0001; exit 1");
        let error = check(&machine.project, FETCH_LIMIT).unwrap_err();
        assert!(
            format!("{error:#}").contains("RUSTSEC-2030-0001"),
            "{error}"
        );
    }

    #[test]
    fn without_the_database_the_rest_is_checked_and_nothing_waits_for_it() {
        for db in ["exit 1", "sleep 60"] {
            let machine = machine("exit 0", db, "exit 1");
            let started = Instant::now();
            check(&machine.project, Duration::from_millis(100)).unwrap();
            assert!(started.elapsed() < Duration::from_secs(30), "{db}");
            assert_eq!(machine.calls(&[]).len(), 2, "{db}");
        }
    }
}
