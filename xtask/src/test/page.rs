//! The steps that compile for the page or need a browser.

use std::{
    fs, io,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Context,
    steps::{LONG, build, name_programs, quietly},
};
use crate::{
    checks::{self, wasm_imports},
    http,
    process::{self, Group},
    project::Project,
    run::BootstrapInfo,
    setup::{browser::Browser, node, wasm},
    size,
};

/// Name the bootstrap node to tests in the browser, when they are compiled: a page has no
/// environment.
const BOOTSTRAP_VARIABLE: &str = "MOIM_TEST_BOOTSTRAP";
const WEBRTC_DIRECT_VARIABLE: &str = "MOIM_TEST_WEBRTC_DIRECT";
/// Where that node listens when nobody else does. Always the same, or the tests would be compiled
/// anew each time.
const TEST_PORTS: [u16; 3] = [28469, 28470, 28471];
/// Tells the tests in the browser that they can build networks with NATs.
const LAB_VARIABLE: &str = "MOIM_NAT_LAB";
/// How long the node may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Seconds that one test program may take in the browser.
const WASM_TEST_SECONDS: &str = "300";

/// Builds the page, reads what it imports, and sees whether it has grown.
pub(super) fn page(context: &Context<'_>) -> Result<()> {
    let project = context.project;
    let command = crate::build::page(project, context.tooling.wasm)?;
    quietly(project, "page", command)?;
    let wasm = wasm_file(&project.page())?;
    let bytes = fs::read(&wasm).with_context(|| format!("reading {}", wasm.display()))?;
    let violations = wasm_imports::violations(&bytes)?;
    checks::report(
        &violations,
        "a crate in the page's tree does not support the browser",
    )?;
    size::check(project, context.tooling.wasm)
}

fn wasm_file(folder: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            files.push(path);
        }
    }
    ensure!(
        files.len() == 1,
        "{} holds {} wasm files",
        folder.display(),
        files.len()
    );
    files.pop().context("no wasm file")
}

/// The tests that are compiled for wasm, in a headless browser, with a bootstrap node beside them.
pub(super) fn wasm_tests(context: &Context<'_>) -> Result<()> {
    let project = context.project;
    let browser = browser_of(context)?;
    build(project)?;
    let (_node, info) = start_node(project)?;
    let capabilities = project.work().join("webdriver.json");
    browser.write_capabilities(&capabilities)?;
    let mut command = project.cargo();
    context.tooling.wasm.apply(&mut command);
    command
        .args([
            "test",
            "--locked",
            "--package",
            "moim-peer",
            "--package",
            "moim-websocket",
            "--target",
            wasm::TARGET,
            "--tests",
        ])
        .env("CHROMEDRIVER", &browser.driver)
        .env("WASM_BINDGEN_TEST_TIMEOUT", WASM_TEST_SECONDS)
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &capabilities)
        .env(BOOTSTRAP_VARIABLE, address(&info, "/tcp/", "/ws")?)
        .env(
            WEBRTC_DIRECT_VARIABLE,
            address(&info, "/udp/", "/webrtc-direct")?,
        );
    process::run_shown(command, &project.log("wasm-tests"), LONG)
}

fn browser_of<'a>(context: &'a Context<'_>) -> Result<&'a Browser> {
    context
        .tooling
        .browser
        .as_ref()
        .context("set-up found no browser")
}

/// Starts a bootstrap node on this machine only, with a state of its own, and returns its addresses.
fn start_node(project: &Project) -> Result<(Group, BootstrapInfo)> {
    let [ws, http, webrtc_direct] = TEST_PORTS.map(free_port);
    let log = project.log("wasm-tests-node");
    let file = process::create_log(&log)?;
    let program = project.binary("moim-bootstrap");
    let mut command = project.machine.command(&program.to_string_lossy());
    command
        .arg("--data-dir")
        .arg(project.work().join("wasm-tests-node"))
        .args(["--tcp", "off", "--quic", "off", "--stun", "off"])
        .args([
            "--webrtc-direct",
            &format!("127.0.0.1:{webrtc_direct}"),
            "--ws",
            &format!("127.0.0.1:{ws}"),
            "--http",
            &format!("127.0.0.1:{http}"),
        ])
        .stdout(file.try_clone()?)
        .stderr(file);
    let mut node = Group::spawn(&mut command)?;
    let started = Instant::now();
    let address = ([127, 0, 0, 1], http).into();
    loop {
        if let Some(status) = node.poll()? {
            bail!(
                "the bootstrap node {}\n{}",
                process::explain(status),
                process::tail(&log)
            );
        }
        if let Some(signal) = process::interrupted() {
            bail!("stopped by signal {signal}");
        }
        if let Ok((200, body)) = http::get(address, "/bootstrap.json") {
            return Ok((node, BootstrapInfo::parse(&body)?));
        }
        if started.elapsed() > START_LIMIT {
            bail!(
                "the bootstrap node does not answer\n{}",
                process::tail(&log)
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The wanted port, or any other when somebody has it.
fn free_port(wanted: u16) -> u16 {
    let is_free = |port: u16| {
        let tcp = TcpListener::bind(("127.0.0.1", port))?.local_addr()?;
        Ok(UdpSocket::bind(tcp)?.local_addr()?.port())
    };
    let free: io::Result<u16> = is_free(wanted).or_else(|_: io::Error| is_free(0));
    free.unwrap_or(wanted)
}

/// The node's address on this machine with this transport in it.
fn address(info: &BootstrapInfo, network: &str, transport: &str) -> Result<String> {
    let own = format!("/ip4/127.0.0.1{network}");
    let address = info.addresses.iter().find(|address| {
        // A transport at the end of an address has nothing after it.
        address.starts_with(&own) && format!("{address}/").contains(&format!("{transport}/"))
    });
    let address = address.with_context(|| format!("no {transport} address in {info:?}"))?;
    if address.contains("/p2p/") {
        return Ok(address.clone());
    }
    Ok(format!("{address}/p2p/{}", info.peer_id))
}

/// The page in a browser, with real processes beside it.
pub(super) fn browser(context: &Context<'_>) -> Result<()> {
    let project = context.project;
    let folder = node::folder(project);
    ensure!(
        folder.join("package.json").exists(),
        "{} is missing: it holds the tests",
        folder.display()
    );
    build(project)?;
    if wasm_file(&project.page()).is_err() {
        page(context)?;
    }
    // The same program once more, with the page in it. All members are named for their features alone,
    // so that only the bootstrap node is compiled.
    let mut command = project.cargo();
    command.args(["build", "--locked", "--workspace"]);
    crate::build::with_page(project, &mut command);
    quietly(project, "build-with-page", command)?;
    let mut command = node::npm(&project.machine, &folder);
    command
        .args(["test"])
        .env("MOIM_CHROMIUM", &browser_of(context)?.program);
    if context.tooling.lab {
        command.env(LAB_VARIABLE, "1");
    }
    name_programs(project, &mut command);
    process::run_shown(command, &project.log("browser"), LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_in_the_browser_know_how_to_dial_the_node() {
        let direct = "/ip4/127.0.0.1/udp/8469/webrtc-direct/certhash/u/p2p/12D3";
        let info = BootstrapInfo {
            peer_id: "12D3".to_owned(),
            addresses: vec![
                direct.to_owned(),
                "/ip4/192.0.2.1/tcp/1/ws/p2p/12D3".to_owned(),
                "/ip4/127.0.0.1/tcp/8469/ws".to_owned(),
            ],
        };
        assert_eq!(
            address(&info, "/tcp/", "/ws").unwrap(),
            "/ip4/127.0.0.1/tcp/8469/ws/p2p/12D3"
        );
        assert_eq!(address(&info, "/udp/", "/webrtc-direct").unwrap(), direct);
        let none = BootstrapInfo {
            addresses: Vec::new(),
            ..info
        };
        assert!(address(&none, "/tcp/", "/ws").is_err());
    }
}
