//! The command line, parsed by hand: it is small, and an argument parser would be most of our
//! compile time.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::setup::Route;

/// What `cargo xtask help` says.
pub(crate) const HELP: &str = "\
cargo xtask COMMAND

  setup     install what is missing: wasm target, trunk, wasm-bindgen, test tools
              --page-only          only what `run` needs, nothing for the tests
              --wasm-route ROUTE   auto (default), rustup or debian;
                                   MOIM_WASM_ROUTE sets it for `run` and `test`
  run       set up, build, start a bootstrap node and the page, until Ctrl-C
              --no-open            do not open the page in a browser
              --release            optimised: a much smaller page, built slower
              --page-port PORT     the page's port (8080)
              --data-dir DIR       the bootstrap node's state
              --tcp, --quic, --ws, --webrtc-direct, --stun, --http HOST:PORT
                                   handed on to the bootstrap node
  build     set up and build what is handed out: a release bootstrap node that carries the page, and
            the terminal peer
              --deb                and a Debian package of the bootstrap node
  test      set up and test everything; with names, only these steps
              --quick              leave out what needs wasm or a browser, and fuzzing
              --keep-going         do not stop at the first failed step
              --list               name the steps
  ci        the same as test
  bench     set up and measure Moim's transports beside js-libp2p and the browser's own; takes
            minutes, and a machine that does nothing else
              --rounds N           rounds in which all take turns (5)
              --upgrades N         direct connections that are made, of each (30)
  bench node
            measure the bootstrap node beside bare rust-libp2p and js-libp2p; with names (`idle`,
            `handshakes`, ...), only that
              --rounds N           rounds in which all take turns (5)
              --quick              a tenth of everything, to see whether it works
  bench dht set up and measure the DHT beside Python's kademlia, bare rust-libp2p and js-libp2p
              --rounds N           rounds in which all take turns (5)
              --operations N       puts and gets in a round, of each (100)
  size      build the page as it is published, and say what it takes
              --record             write that into page-size.toml, with which `test` compares
  fuzz      set up, build the fuzz targets and run them side by side; with names, only these
              --seconds N, --minutes N   how long each (60 seconds)
              --input FILE         give the one named target this input and nothing else
              --list               name the targets
  fmt       format all Rust files
  help      this text";

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    Bench(BenchOptions),
    BenchDht(BenchDhtOptions),
    BenchNode(BenchNodeOptions),
    Build(BuildOptions),
    Fmt,
    Fuzz(FuzzOptions),
    Help,
    Run(RunOptions),
    Setup(SetupOptions),
    Size { record: bool },
    Test(TestOptions),
}

/// Options of `cargo xtask bench`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BenchOptions {
    /// Rounds in which all take turns.
    pub(crate) rounds: u32,
    /// Direct connections that are made, of each implementation.
    pub(crate) upgrades: u32,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            rounds: 5,
            upgrades: 30,
        }
    }
}

/// Options of `cargo xtask build`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BuildOptions {
    /// Whether a Debian package is wanted, too.
    pub(crate) deb: bool,
}

/// Options of `cargo xtask fuzz`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FuzzOptions {
    /// The chosen targets; empty: all of them.
    pub(crate) targets: Vec<String>,
    /// How long each runs.
    pub(crate) seconds: u32,
    /// The only input that the target is to be given.
    pub(crate) input: Option<PathBuf>,
    pub(crate) list: bool,
}

impl Default for FuzzOptions {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            seconds: crate::fuzz::SECONDS,
            input: None,
            list: false,
        }
    }
}

/// Options of `cargo xtask bench dht`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BenchDhtOptions {
    /// Rounds in which all take turns.
    pub(crate) rounds: u32,
    /// Puts of each in a round, each with a get.
    pub(crate) operations: u32,
}

impl Default for BenchDhtOptions {
    fn default() -> Self {
        Self {
            rounds: 5,
            operations: 100,
        }
    }
}

/// Options of `cargo xtask bench node`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BenchNodeOptions {
    /// Rounds in which all take turns.
    pub(crate) rounds: u32,
    pub(crate) quick: bool,
    /// What is measured, as the program calls it; empty: everything.
    pub(crate) measures: Vec<String>,
}

impl Default for BenchNodeOptions {
    fn default() -> Self {
        Self {
            rounds: 5,
            quick: false,
            measures: Vec::new(),
        }
    }
}

/// Options of `cargo xtask setup`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SetupOptions {
    pub(crate) page_only: bool,
    pub(crate) route: Route,
}

/// Options of `cargo xtask run`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RunOptions {
    pub(crate) open: bool,
    pub(crate) release: bool,
    pub(crate) page_port: u16,
    pub(crate) data_dir: Option<PathBuf>,
    /// Flags for the bootstrap node as (name without dashes, value).
    pub(crate) listen: Vec<(String, String)>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            open: true,
            release: false,
            page_port: 8080,
            data_dir: None,
            listen: Vec::new(),
        }
    }
}

/// Options of `cargo xtask test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestOptions {
    pub(crate) quick: bool,
    pub(crate) keep_going: bool,
    pub(crate) list: bool,
    /// The chosen steps; empty: all of them.
    pub(crate) steps: Vec<String>,
}

/// Parses the arguments after the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Invocation> {
    let mut rest = split_equals(arguments).into_iter();
    let command = rest.next();
    Ok(match command.as_deref() {
        None | Some("help" | "-h" | "--help") => Invocation::Help,
        Some("bench") => bench(rest)?,
        Some("build") => build(rest)?,
        Some("fmt") => {
            no_more(rest)?;
            Invocation::Fmt
        }
        Some("fuzz") => fuzz(rest)?,
        Some("run") => run(rest)?,
        Some("setup") => setup(rest)?,
        Some("size") => size(rest)?,
        Some("test" | "ci") => test(rest)?,
        Some(other) => bail!("there is no command {other:?}"),
    })
}

/// `--name=value` is the same as `--name value`.
fn split_equals(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut split = Vec::new();
    for argument in arguments {
        match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                split.extend([name.to_owned(), value.to_owned()]);
            }
            _ => split.push(argument),
        }
    }
    split
}

fn no_more(mut rest: impl Iterator<Item = String>) -> Result<()> {
    rest.next().map_or(Ok(()), |argument| {
        bail!("{argument:?} is not understood here")
    })
}

fn build(rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut options = BuildOptions::default();
    for argument in rest {
        match argument.as_str() {
            "--deb" => options.deb = true,
            "-h" | "--help" => return Ok(Invocation::Help),
            other => bail!("`cargo xtask build` does not know {other:?}"),
        }
    }
    Ok(Invocation::Build(options))
}

fn bench(rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut rest = rest.peekable();
    if rest.next_if(|argument| argument == "node").is_some() {
        return bench_node(rest);
    }
    if rest.next_if(|argument| argument == "dht").is_some() {
        return bench_dht(rest);
    }
    let mut options = BenchOptions::default();
    while let Some(argument) = rest.next() {
        let count = match argument.as_str() {
            "--rounds" => &mut options.rounds,
            "--upgrades" => &mut options.upgrades,
            "-h" | "--help" => return Ok(Invocation::Help),
            other => bail!("`cargo xtask bench` does not know {other:?}"),
        };
        *count = count_after(&argument, &mut rest)?;
    }
    ensure!(
        options.upgrades >= options.rounds,
        "every round needs a direct connection: {} for {} rounds are too few",
        options.upgrades,
        options.rounds
    );
    Ok(Invocation::Bench(options))
}

fn fuzz(mut rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut options = FuzzOptions::default();
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next()
                .with_context(|| format!("{argument} needs a value"))
        };
        let mut count = |unit: u32| -> Result<u32> {
            let text = value()?;
            let count = text
                .parse()
                .ok()
                .and_then(|count: u32| count.checked_mul(unit));
            count
                .filter(|count| *count > 0)
                .with_context(|| format!("{text:?} is not a length of time"))
        };
        match argument.as_str() {
            "--seconds" => options.seconds = count(1)?,
            "--minutes" => options.seconds = count(60)?,
            "--input" => options.input = Some(value()?.into()),
            "--list" => options.list = true,
            "-h" | "--help" => return Ok(Invocation::Help),
            flag if flag.starts_with('-') => bail!("`cargo xtask fuzz` does not know {flag:?}"),
            target => options.targets.push(target.to_owned()),
        }
    }
    ensure!(
        options.input.is_none() || options.targets.len() == 1,
        "--input needs the one target that is to read the file"
    );
    Ok(Invocation::Fuzz(options))
}

fn bench_dht(mut rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut options = BenchDhtOptions::default();
    while let Some(argument) = rest.next() {
        let count = match argument.as_str() {
            "--rounds" => &mut options.rounds,
            "--operations" => &mut options.operations,
            "-h" | "--help" => return Ok(Invocation::Help),
            other => bail!("`cargo xtask bench dht` does not know {other:?}"),
        };
        *count = count_after(&argument, &mut rest)?;
    }
    Ok(Invocation::BenchDht(options))
}

fn bench_node(mut rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut options = BenchNodeOptions::default();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--rounds" => options.rounds = count_after(&argument, &mut rest)?,
            "--quick" => options.quick = true,
            "-h" | "--help" => return Ok(Invocation::Help),
            flag if flag.starts_with('-') => {
                bail!("`cargo xtask bench node` does not know {flag:?}")
            }
            _ => options.measures.push(argument),
        }
    }
    Ok(Invocation::BenchNode(options))
}

fn count_after(argument: &str, rest: &mut impl Iterator<Item = String>) -> Result<u32> {
    let text = rest
        .next()
        .with_context(|| format!("{argument} needs a value"))?;
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .with_context(|| format!("{text:?} is not a count"))
}

fn run(mut rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut options = RunOptions::default();
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next()
                .with_context(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--no-open" => options.open = false,
            "--release" => options.release = true,
            "--page-port" => {
                let text = value()?;
                let port = text.parse().ok().filter(|port| *port != 0);
                options.page_port =
                    port.with_context(|| format!("{text:?} is not a port (1 to 65535)"))?;
            }
            "--data-dir" => options.data_dir = Some(value()?.into()),
            "--tcp" | "--quic" | "--ws" | "--webrtc-direct" | "--stun" | "--http" => {
                let text = value()?;
                let name = argument.trim_start_matches('-').to_owned();
                ensure!(
                    name != "http" || text != "off",
                    "the page learns the node's addresses over HTTP: --http cannot be off here"
                );
                options.listen.push((name, text));
            }
            "-h" | "--help" => return Ok(Invocation::Help),
            other => bail!("`cargo xtask run` does not know {other:?}"),
        }
    }
    Ok(Invocation::Run(options))
}

fn setup(mut rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut options = SetupOptions::default();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--page-only" => options.page_only = true,
            "--wasm-route" => {
                options.route = rest
                    .next()
                    .as_deref()
                    .and_then(Route::parse)
                    .context("--wasm-route is auto, debian or rustup")?;
            }
            "-h" | "--help" => return Ok(Invocation::Help),
            other => bail!("`cargo xtask setup` does not know {other:?}"),
        }
    }
    Ok(Invocation::Setup(options))
}

fn size(rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut record = false;
    for argument in rest {
        match argument.as_str() {
            "--record" => record = true,
            "-h" | "--help" => return Ok(Invocation::Help),
            other => bail!("`cargo xtask size` does not know {other:?}"),
        }
    }
    Ok(Invocation::Size { record })
}

fn test(rest: impl Iterator<Item = String>) -> Result<Invocation> {
    let mut options = TestOptions::default();
    for argument in rest {
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--keep-going" => options.keep_going = true,
            "--list" => options.list = true,
            "-h" | "--help" => return Ok(Invocation::Help),
            flag if flag.starts_with('-') => bail!("`cargo xtask test` does not know {flag:?}"),
            step => options.steps.push(step.to_owned()),
        }
    }
    Ok(Invocation::Test(options))
}

#[cfg(test)]
mod tests;
