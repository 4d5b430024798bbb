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
    setup::{self, Needs, Tooling, step},
    ui::{self, Progress},
};

const BUILD_LIMIT: Duration = Duration::from_secs(3600);
/// How long the bootstrap node may take until it answers.
const NODE_START_LIMIT: Duration = Duration::from_secs(60);
/// How long the page's server may: it builds once more what changed since we did.
const PAGE_START_LIMIT: Duration = Duration::from_secs(900);
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
    let needs = Needs {
        page: true,
        ..Needs::default()
    };
    let tooling = setup::setup(project, needs)?;
    build(project, options, &tooling)?;
    wanted.check()?;

    ui::headline("Start");
    let node = ports::reachable(&wanted.http)?;
    let mut bootstrap = start_bootstrap(project, options, &wanted.http)?;
    bootstrap.wait(node, "/health", NODE_START_LIMIT)?;
    let (_, body) = http::get(node, "/bootstrap.json").context("asking the bootstrap node")?;
    let info = BootstrapInfo::parse(&body)?;
    let page_address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.page_port));
    let mut page = trunk::serve(project, options, tooling.wasm, node.port())?;
    page.wait(page_address, "/", PAGE_START_LIMIT)?;
    announce(options, node, &info, [&bootstrap, &page]);
    if options.open {
        open(project, &page_url(options));
    }
    watch(&mut [bootstrap, page])
}

fn build(project: &Project, options: &RunOptions, tooling: &Tooling) -> Result<()> {
    ui::headline("Build");
    let mut command = project.cargo();
    // Both at once, and not by package: built apart, they would share fewer crates, and everything
    // would be compiled twice.
    command.args([
        "build",
        "--locked",
        "--bin",
        "moim-bootstrap",
        "--bin",
        "moim",
    ]);
    if options.release {
        command.arg("--release");
    }
    step(
        project,
        "bootstrap node and terminal peer",
        "build-programs",
        command,
        BUILD_LIMIT,
        "built",
    )?;
    let mut command = project.machine.command("trunk");
    trunk::prepare(project, &mut command, tooling.wasm, options.release)?;
    command.args(["build", "--offline"]);
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

    /// Asks again and again until `path` is answered.
    fn wait(&mut self, address: SocketAddr, path: &str, limit: Duration) -> Result<()> {
        let started = Instant::now();
        let mut progress = Progress::start(self.name);
        loop {
            self.check()?;
            if http::get(address, path).is_ok_and(|(status, _)| status == 200) {
                progress.done("up");
                return Ok(());
            }
            if started.elapsed() > limit {
                bail!(
                    "the {} does not answer after {} s\n{}",
                    self.name,
                    limit.as_secs(),
                    process::tail(&self.log)
                );
            }
            progress.tick(&self.log);
            thread::sleep(WATCH);
        }
    }
}

fn page_url(options: &RunOptions) -> String {
    format!("http://localhost:{}", options.page_port)
}

fn announce(options: &RunOptions, node: SocketAddr, info: &BootstrapInfo, servers: [&Server; 2]) {
    ui::headline("Moim is running");
    println!("  page            {}", ui::paint("1", &page_url(options)));
    println!("  terminal peer   {}", terminal_peer(options, node));
    println!("  bootstrap node  {}", info.peer_id);
    for address in &info.addresses {
        println!("                  {address}");
    }
    for (index, server) in servers.iter().enumerate() {
        let title = if index == 0 { "logs" } else { "" };
        println!("  {title:<15} {}", server.log.display());
    }
    println!("\nOpen the page twice and join the same topic. Ctrl-C stops everything.");
}

/// How to start a terminal peer that finds this bootstrap node.
fn terminal_peer(options: &RunOptions, node: SocketAddr) -> String {
    let release = if options.release { " --release" } else { "" };
    let bootstrap = if node.port() == trunk::PROXIED_PORT {
        String::new()
    } else {
        format!(" --bootstrap http://{node}/bootstrap.json")
    };
    format!("cargo run{release} --bin moim -- join global-chat{bootstrap}")
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
    fn the_terminal_peer_is_led_to_this_node() {
        let options = RunOptions::default();
        let at = |port| terminal_peer(&options, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(at(8470), "cargo run --bin moim -- join global-chat");
        assert!(at(9470).ends_with(" --bootstrap http://127.0.0.1:9470/bootstrap.json"));
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
