//! Trunk as it is called here.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::{Server, start};
use crate::{args::RunOptions, project::Project, rustc, setup::wasm::Toolchain};

/// The port of the bootstrap node that Trunk.toml names, and that terminal peers ask by default.
pub(super) const PROXIED_PORT: u16 = 8470;

/// What every call of trunk has in common; with `release`, the page as it is published.
pub(crate) fn prepare(
    project: &Project,
    command: &mut Command,
    toolchain: Toolchain,
    release: bool,
) -> Result<()> {
    toolchain.apply(command);
    command
        .current_dir(&project.root)
        .env("TRUNK_SKIP_VERSION_CHECK", "true");
    // Trunk reads it as a flag of its own and takes only `true` or `false`.
    command.env_remove("NO_COLOR");
    if release {
        rustc::publish(project, command)?;
        command.env("TRUNK_BUILD_RELEASE", "true");
    }
    Ok(())
}

/// Starts the page's server.
pub(super) fn serve(
    project: &Project,
    options: &RunOptions,
    toolchain: Toolchain,
    bootstrap_port: u16,
) -> Result<Server> {
    let mut command = project.machine.command("trunk");
    prepare(project, &mut command, toolchain, options.release)?;
    command.args([
        "serve",
        "--offline",
        "--port",
        &options.page_port.to_string(),
    ]);
    if bootstrap_port != PROXIED_PORT {
        let file = project.work().join("Trunk.toml");
        let own = fs::read_to_string(project.root.join("Trunk.toml"))?;
        fs::write(&file, with_proxy(&own, &project.root, bootstrap_port)?)?;
        command.arg("--config").arg(file);
    }
    start(project, "page's server", "page", command)
}

/// Trunk.toml for a bootstrap node on another port, to be read from another folder.
fn with_proxy(own: &str, root: &Path, port: u16) -> Result<String> {
    let mut config: Table = own.parse().context("reading Trunk.toml")?;
    let absolute = |value: &mut Value| {
        if let Some(path) = value.as_str() {
            *value = Value::String(root.join(path).to_string_lossy().into_owned());
        }
    };
    for (table, key) in [("build", "target"), ("build", "dist"), ("watch", "watch")] {
        match config.get_mut(table).and_then(|table| table.get_mut(key)) {
            Some(Value::Array(paths)) => paths.iter_mut().for_each(absolute),
            Some(path) => absolute(path),
            None => {}
        }
    }
    let proxies = config.get_mut("proxy").and_then(Value::as_array_mut);
    for proxy in proxies.into_iter().flatten() {
        if let Some(Value::String(backend)) = proxy.get_mut("backend") {
            *backend = backend.replace(&format!(":{PROXIED_PORT}/"), &format!(":{port}/"));
        }
    }
    toml::to_string(&config).context("writing Trunk.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_follows_the_bootstrap_node() {
        let own = include_str!("../../../Trunk.toml");
        let changed = with_proxy(own, Path::new("/clone"), 9470).unwrap();
        let changed: Table = changed.parse().unwrap();
        assert_eq!(
            changed["build"]["target"].as_str(),
            Some("/clone/index.html")
        );
        assert_eq!(
            changed["watch"]["watch"][1].as_str(),
            Some("/clone/web-peer")
        );
        assert_eq!(
            changed["proxy"][0]["backend"].as_str(),
            Some("http://127.0.0.1:9470/bootstrap.json")
        );
        assert_eq!(
            changed["serve"]["port"].as_integer(),
            Some(8080),
            "the rest stays"
        );
    }
}
