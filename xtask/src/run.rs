//! `cargo xtask run`: a bootstrap node and the page, on this machine, until Ctrl-C.

mod ports;
pub(crate) mod trunk;

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    args::RunOptions,
    http, machine,
    process::{self, Group},
    project::Project,
    setup::{self, Needs, Route, Tooling, step},
    ui::{self, Progress},
};

const BUILD_LIMIT: Duration = Duration::from_secs(3600);
/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often we look whether both servers are still there.
const WATCH: Duration = Duration::from_millis(100);

/// What `/bootstrap.json` says.
#[derive(Debug)]
pub(crate) struct BootstrapInfo {
    pub(crate) peer_id: String,
    pub(crate) addresses: Vec<String>,
}

impl BootstrapInfo {
    /// Reads the answer.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let broken = || format!("the bootstrap node's /bootstrap.json is {json:?}");
        let info: Value = serde_json::from_str(json).with_context(broken)?;
        let addresses = info
            .get("addresses")
            .and_then(Value::as_array)
            .with_context(broken)?;
        Ok(Self {
            peer_id: info
                .get("peer_id")
                .and_then(Value::as_str)
                .with_context(broken)?
                .to_owned(),
            addresses: addresses
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// A server of ours and where its output goes.
struct Server {
    name: &'static str,
    log: std::path::PathBuf,
    group: Group,
}

/// Builds, starts and watches over both servers.
pub(crate) fn run(project: &Project, options: &RunOptions) -> Result<()> {
    let wanted = ports::Ports::wanted(options, |name| env::var(name).ok())?;
    // Before anything is built: minutes later is too late to say so.
    wanted.check()?;
    let tooling = setup::setup(
        project,
        Needs {
            page: true,
            ..Needs::default()
        },
        Route::Auto,
    )?;
    build(project, options, &tooling)?;
    wanted.check()?;

    ui::headline("Start");
    let node = ports::reachable(&wanted.http)?;
    let mut bootstrap = start_bootstrap(project, options, &wanted.http)?;
    let info = wait_for_bootstrap(&mut bootstrap, node)?;
    let page_address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.page_port));
    let mut page = trunk::serve(project, options, tooling.wasm, node.port())?;
    wait_for_page(&mut page, page_address)?;
    announce(options, &info, &bootstrap, &page);
    if options.open {
        open(project, &page_url(options));
    }
    watch(&mut [bootstrap, page])
}

fn build(project: &Project, options: &RunOptions, tooling: &Tooling) -> Result<()> {
    ui::headline("Build");
    let mut command = project.cargo();
    command.args(["build", "--locked", "--package", "moim-bootstrap"]);
    if options.release {
        command.arg("--release");
    }
    step(
        project,
        "bootstrap node",
        "build-bootstrap",
        command,
        BUILD_LIMIT,
        "built",
    )?;
    let mut command = project.machine.command("trunk");
    trunk::prepare(project, &mut command, tooling.wasm);
    command.args(["build", "--offline"]);
    if options.release {
        command.arg("--release");
    }
    step(project, "page", "build-page", command, BUILD_LIMIT, "built")
}

fn start_bootstrap(project: &Project, options: &RunOptions, http: &str) -> Result<Server> {
    let profile = if options.release { "release" } else { "debug" };
    let program = project.target.join(profile).join("moim-bootstrap");
    let mut command = project.machine.command(&program.to_string_lossy());
    if let Some(folder) = &options.data_dir {
        command.arg("--data-dir").arg(folder);
    }
    for (name, value) in options.listen.iter().filter(|(name, _)| name != "http") {
        command.arg(format!("--{name}")).arg(value);
    }
    // Always, so that a settings file cannot move the port that we and the page ask at.
    command.arg("--http").arg(http);
    start(project, "bootstrap node", "bootstrap", command)
}

/// Starts a server with its output in a log.
fn start(project: &Project, name: &'static str, log: &str, mut command: Command) -> Result<Server> {
    let log = project.log(log);
    let file = process::create_log(&log)?;
    command
        .current_dir(&project.root)
        .stdout(file.try_clone()?)
        .stderr(file);
    Ok(Server {
        name,
        log,
        group: Group::spawn(&mut command)?,
    })
}

impl Server {
    /// Fails with the reason when it ended.
    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.group.poll()? {
            bail!(
                "the {} {}\n{}\n(all of it: {})",
                self.name,
                process::explain(status),
                process::tail(&self.log),
                self.log.display()
            );
        }
        if let Some(signal) = process::interrupted() {
            bail!("stopped by signal {signal}");
        }
        Ok(())
    }

    /// Asks again and again until `ready` has an answer.
    fn wait<T>(&mut self, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            self.check()?;
            if let Some(answer) = ready() {
                return Ok(answer);
            }
            if started.elapsed() > START_LIMIT {
                bail!(
                    "the {} does not answer after {} s\n{}",
                    self.name,
                    START_LIMIT.as_secs(),
                    process::tail(&self.log)
                );
            }
            thread::sleep(WATCH);
        }
    }
}

fn wait_for_bootstrap(server: &mut Server, address: SocketAddr) -> Result<BootstrapInfo> {
    let progress = Progress::start(server.name);
    server.wait(|| {
        http::get(address, "/health")
            .ok()
            .filter(|(status, _)| *status == 200)
    })?;
    let (_, body) = http::get(address, "/bootstrap.json").context("asking the bootstrap node")?;
    let info = BootstrapInfo::parse(&body)?;
    progress.done("up");
    Ok(info)
}

fn wait_for_page(server: &mut Server, address: SocketAddr) -> Result<()> {
    let progress = Progress::start(server.name);
    server.wait(|| {
        http::get(address, "/")
            .ok()
            .filter(|(status, _)| *status == 200)
    })?;
    progress.done("up");
    Ok(())
}

fn page_url(options: &RunOptions) -> String {
    format!("http://localhost:{}", options.page_port)
}

fn announce(options: &RunOptions, info: &BootstrapInfo, bootstrap: &Server, page: &Server) {
    ui::headline("Moim is running");
    println!("  page            {}", ui::paint("1", &page_url(options)));
    println!("  bootstrap node  {}", info.peer_id);
    for address in &info.addresses {
        println!("                  {address}");
    }
    println!("  logs            {}", bootstrap.log.display());
    println!("                  {}", page.log.display());
    println!("\nOpen the page twice and join the same topic. Ctrl-C stops everything.");
}

/// Opens the page where there is a desktop to open it on.
fn open(project: &Project, url: &str) {
    let opener = opener(
        |variable| env::var_os(variable).is_some(),
        cfg!(target_os = "macos"),
    );
    let Some(opener) = opener.filter(|_| !machine::is_ci()) else {
        return;
    };
    let Some(program) = project.machine.find(opener) else {
        return;
    };
    let mut command = project.machine.command(&program.to_string_lossy());
    // Not ours to stop, by Ctrl-C or otherwise: it is the user's browser from here on.
    command
        .arg(url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    if let Err(error) = command.spawn() {
        ui::note(&format!("{opener}: {error}; open the page yourself"));
    }
}

fn opener(is_set: impl Fn(&str) -> bool, macos: bool) -> Option<&'static str> {
    if macos {
        Some("open")
    } else if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") {
        Some("xdg-open")
    } else {
        None
    }
}

/// Until Ctrl-C, or until one of them ends by itself, which is an error. The other is stopped on
/// the way out.
fn watch(servers: &mut [Server]) -> Result<()> {
    loop {
        for server in servers.iter_mut() {
            if let Err(error) = server.check() {
                if process::interrupted().is_none() {
                    return Err(error);
                }
                println!("\nstopping");
                for server in servers.iter_mut() {
                    server.group.stop();
                }
                return Ok(());
            }
        }
        thread::sleep(WATCH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bootstrap_node_says_is_read() {
        let info = BootstrapInfo::parse(r#"{"peer_id":"12D3","addresses":["/a","/b"]}"#).unwrap();
        assert_eq!((info.peer_id.as_str(), info.addresses.len()), ("12D3", 2));
        for broken in ["", "{}", r#"{"peer_id":"12D3"}"#, r#"{"addresses":[]}"#] {
            assert!(BootstrapInfo::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_page_is_opened_where_there_is_a_desktop() {
        assert_eq!(opener(|_| false, false), None);
        assert_eq!(opener(|name| name == "DISPLAY", false), Some("xdg-open"));
        assert_eq!(
            opener(|name| name == "WAYLAND_DISPLAY", false),
            Some("xdg-open")
        );
        assert_eq!(opener(|_| false, true), Some("open"));
    }
}
