//! The command line.

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Result, bail, ensure};
use lexopt::{
    Arg::{Long, Short, Value},
    Parser, ValueExt as _,
};

use crate::setup::Route;

/// What `cargo xtask help` says.
pub(crate) const HELP: &str = "\
cargo xtask COMMAND

  setup     install what is missing: wasm target, trunk, wasm-bindgen, test tools
              --page-only          only what `run` needs, nothing for the tests
              --wasm-route ROUTE   where the wasm target comes from: rustup (default); debian, whose
                                   packages need root's rights and change files below /usr; or auto,
                                   rustup first, then debian. MOIM_WASM_ROUTE does the same for
                                   every command
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
              --quick              leave out what needs wasm or a browser, macOS and fuzzing
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
              --seconds N, --minutes N   how long each (45 seconds)
              --input FILE         give the one named target this input and nothing else
              --list               name the targets
  sim       build the simulator and run it with the options that follow; `sim --help` lists them
  fmt       format all Rust files
  help      this text";

/// Flags of `run` that the bootstrap node gets.
const LISTEN_FLAGS: [&str; 6] = ["tcp", "quic", "ws", "webrtc-direct", "stun", "http"];

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
    Sim(Vec<OsString>),
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
    /// Where the wasm target is to come from, if that was said.
    pub(crate) route: Option<Route>,
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
pub(crate) fn parse(arguments: impl IntoIterator<Item: Into<OsString>>) -> Result<Invocation> {
    let mut parser = Parser::from_args(arguments);
    let Some(name) = command_name(&mut parser)? else {
        return Ok(Invocation::Help);
    };
    let mut invocation = command(&name)?;
    if let Invocation::Sim(arguments) = &mut invocation {
        arguments.extend(parser.raw_args()?);
        return Ok(invocation);
    }
    while let Some(argument) = parser.next()? {
        match (&mut invocation, argument) {
            (_, Short('h') | Long("help")) => return Ok(Invocation::Help),
            (Invocation::Bench(to), Long("rounds")) => to.rounds = count(&mut parser)?,
            (Invocation::Bench(to), Long("upgrades")) => to.upgrades = count(&mut parser)?,
            (Invocation::BenchDht(to), Long("rounds")) => to.rounds = count(&mut parser)?,
            (Invocation::BenchDht(to), Long("operations")) => to.operations = count(&mut parser)?,
            (Invocation::BenchNode(to), Long("rounds")) => to.rounds = count(&mut parser)?,
            (Invocation::BenchNode(to), Long("quick")) => to.quick = true,
            (Invocation::BenchNode(to), Value(measure)) => to.measures.push(measure.string()?),
            (Invocation::Build(to), Long("deb")) => to.deb = true,
            (Invocation::Fuzz(to), Long("seconds")) => to.seconds = seconds(&mut parser, 1)?,
            (Invocation::Fuzz(to), Long("minutes")) => to.seconds = seconds(&mut parser, 60)?,
            (Invocation::Fuzz(to), Long("input")) => to.input = Some(parser.value()?.into()),
            (Invocation::Fuzz(to), Long("list")) => to.list = true,
            (Invocation::Fuzz(to), Value(target)) => to.targets.push(target.string()?),
            (Invocation::Run(to), Long("no-open")) => to.open = false,
            (Invocation::Run(to), Long("release")) => to.release = true,
            (Invocation::Run(to), Long("page-port")) => to.page_port = port(&mut parser)?,
            (Invocation::Run(to), Long("data-dir")) => to.data_dir = Some(parser.value()?.into()),
            (Invocation::Run(to), Long(flag)) if LISTEN_FLAGS.contains(&flag) => {
                let flag = flag.to_owned();
                to.listen.push((flag, parser.value()?.string()?));
            }
            (Invocation::Setup(to), Long("page-only")) => to.page_only = true,
            (Invocation::Setup(to), Long("wasm-route")) => {
                to.route = Some(parser.value()?.parse_with(Route::parse)?);
            }
            (Invocation::Size { record }, Long("record")) => *record = true,
            (Invocation::Test(to), Long("quick")) => to.quick = true,
            (Invocation::Test(to), Long("keep-going")) => to.keep_going = true,
            (Invocation::Test(to), Long("list")) => to.list = true,
            (Invocation::Test(to), Value(step)) => to.steps.push(step.string()?),
            (_, other) => bail!("`cargo xtask {name}`: {}", other.unexpected()),
        }
    }
    check(&invocation)?;
    Ok(invocation)
}

/// The first argument, and the second where that belongs to it (`bench node`). None where help is asked for.
fn command_name(parser: &mut Parser) -> Result<Option<String>> {
    let mut name = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(None),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let mut rest = parser.raw_args()?;
    if name == "bench"
        && let Some(what) = rest.next_if(|next| next == "node" || next == "dht")
    {
        name = format!("bench {}", what.string()?);
    }
    Ok((name != "help").then_some(name))
}

/// The command of this name, with no option given.
fn command(name: &str) -> Result<Invocation> {
    Ok(match name {
        "bench" => Invocation::Bench(BenchOptions::default()),
        "bench dht" => Invocation::BenchDht(BenchDhtOptions::default()),
        "bench node" => Invocation::BenchNode(BenchNodeOptions::default()),
        "build" => Invocation::Build(BuildOptions::default()),
        "fmt" => Invocation::Fmt,
        "fuzz" => Invocation::Fuzz(FuzzOptions::default()),
        "run" => Invocation::Run(RunOptions::default()),
        "sim" => Invocation::Sim(Vec::new()),
        "setup" => Invocation::Setup(SetupOptions::default()),
        "size" => Invocation::Size { record: false },
        "test" | "ci" => Invocation::Test(TestOptions::default()),
        other => bail!("there is no command {other:?}"),
    })
}

/// What options must be with each other.
fn check(invocation: &Invocation) -> Result<()> {
    match invocation {
        Invocation::Bench(options) => ensure!(
            options.upgrades >= options.rounds,
            "every round needs a direct connection: {} for {} rounds are too few",
            options.upgrades,
            options.rounds
        ),
        Invocation::Fuzz(options) => ensure!(
            options.input.is_none() || options.targets.len() == 1,
            "--input needs the one target that is to read the file"
        ),
        Invocation::Run(options) => ensure!(
            !options
                .listen
                .iter()
                .any(|(flag, address)| flag == "http" && address == "off"),
            "the page learns the node's addresses over HTTP: --http cannot be off here"
        ),
        _ => {}
    }
    Ok(())
}

fn count(parser: &mut Parser) -> Result<u32, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let count = text.parse().ok().filter(|count| *count > 0);
        count.ok_or("this is not a count of 1 or more")
    })
}

/// A length of time, given in a unit of so many seconds.
fn seconds(parser: &mut Parser, unit: u32) -> Result<u32, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let count = text.parse().ok().filter(|count: &u32| *count > 0);
        let seconds = count.and_then(|count| count.checked_mul(unit));
        seconds.ok_or("this is not a length of time")
    })
}

fn port(parser: &mut Parser) -> Result<u16, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let port = text.parse().ok().filter(|port| *port != 0);
        port.ok_or("this is not a port (1 to 65535)")
    })
}

#[cfg(test)]
mod tests;
