//! `cargo xtask test`: everything that must hold, in order of cheapness. CI runs this and nothing
//! else.

mod licences;
mod page;
mod report;
mod steps;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{
    args::TestOptions,
    machine, process,
    project::Project,
    setup::{self, Needs, Tooling},
    test::{
        report::{Outcome, Report},
        steps::{STEPS, Step},
    },
    ui::{self, Progress},
};

/// Imports one `use` per crate, in three groups. Both options are unstable in a file, but not on
/// the command line.
const FORMAT: &[&str] = &[
    "--config",
    "imports_granularity=Crate,group_imports=StdExternalCrate",
];

/// What a step works with.
#[derive(Debug)]
struct Context<'a> {
    project: &'a Project,
    tooling: Tooling,
}

/// Formats every Rust file.
pub(crate) fn format(project: &Project) -> Result<()> {
    let mut command = project.cargo();
    command.args(["fmt", "--all", "--"]).args(FORMAT);
    let mut progress = Progress::start("format");
    process::run_logged(command, &project.log("fmt"), steps::SHORT, &mut progress)?;
    progress.done("done");
    Ok(())
}

/// Runs the chosen steps.
pub(crate) fn test(project: &Project, options: &TestOptions) -> Result<()> {
    let chosen = choose(options)?;
    if options.list {
        for step in chosen {
            println!("{:<12} {}", step.name, step.about);
        }
        return Ok(());
    }
    let needs = chosen
        .iter()
        .fold(Needs::default(), |needs, step| needs.and(step.needs));
    let mut context = None;
    let mut report = Report::default();
    for step in &chosen {
        if report.failed() && !options.keep_going {
            report.add(step.name, Outcome::NotRun);
            continue;
        }
        // The checks that need nothing come first: set-up takes minutes on a fresh machine.
        if context.is_none() || step.needs != Needs::default() && !report.is_set_up {
            let wanted = if step.needs == Needs::default() {
                step.needs
            } else {
                needs
            };
            let tooling = setup::setup(project, wanted)?;
            report.is_set_up = wanted == needs;
            context = Some(Context { project, tooling });
        }
        let Some(context) = &context else { continue };
        let started = Instant::now();
        ui::headline(&format!("{}: {}", step.name, step.about));
        let result = (step.run)(context);
        if process::interrupted().is_some() {
            return result;
        }
        match result {
            Ok(()) => report.add(step.name, Outcome::Passed(started.elapsed())),
            Err(error) => {
                ui::failure(&error);
                report.add(step.name, Outcome::Failed(started.elapsed()));
            }
        }
        report.quote(&project.log(step.name));
    }
    report.print();
    if report.failed() {
        bail!("not everything holds: see above");
    }
    Ok(())
}

/// The steps that were asked for, in their own order.
fn choose(options: &TestOptions) -> Result<Vec<&'static Step>> {
    for name in &options.steps {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("there is no step {name:?}; there are: {}", names.join(", "));
        }
    }
    Ok(STEPS
        .iter()
        .filter(|step| options.steps.is_empty() || options.steps.iter().any(|n| n == step.name))
        .filter(|step| !options.quick || step.quick)
        .collect())
}

/// The profile of .config/nextest.toml.
fn nextest_profile() -> &'static str {
    if machine::is_ci() { "ci" } else { "default" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &TestOptions) -> Vec<&'static str> {
        choose(options)
            .unwrap()
            .iter()
            .map(|step| step.name)
            .collect()
    }

    #[test]
    fn quick_leaves_out_what_needs_wasm_or_a_browser_or_takes_long() {
        let quick = names(&TestOptions {
            quick: true,
            ..TestOptions::default()
        });
        assert!(quick.contains(&"tests") && quick.contains(&"edges"));
        for name in [
            "browser",
            "clippy-wasm",
            "fuzz",
            "macos",
            "page",
            "wasm-tests",
        ] {
            assert!(!quick.contains(&name), "{name}");
        }
        for step in choose(&TestOptions {
            quick: true,
            ..TestOptions::default()
        })
        .unwrap()
        {
            let Needs {
                page,
                browser,
                node,
                ..
            } = step.needs;
            assert!(!page && !browser && !node, "{}", step.name);
        }
    }

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        let steps = vec!["tests".to_owned(), "fmt".to_owned()];
        assert_eq!(
            names(&TestOptions {
                steps,
                ..TestOptions::default()
            }),
            ["fmt", "tests"]
        );
        let steps = vec!["nonsense".to_owned()];
        let error = choose(&TestOptions {
            steps,
            ..TestOptions::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("clippy-wasm"), "{error}");
    }

    #[test]
    fn what_needs_nothing_comes_before_what_needs_set_up() {
        let needs: Vec<bool> = STEPS
            .iter()
            .map(|step| step.needs != Needs::default())
            .collect();
        assert!(needs.is_sorted(), "{needs:?}");
    }
}
