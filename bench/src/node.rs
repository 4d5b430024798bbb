//! What is measured of the bootstrap node, beside the least that rust-libp2p makes a server of and
//! beside js-libp2p. Servers are processes of their own, clients are here, the same for all.

pub(crate) mod bare;
mod client;
mod dht;
mod dial;
mod flood;
mod handshakes;
mod hung;
mod idle;
mod kad;
mod process;
mod records;
mod start;
mod table;

use std::{env, fs, io::Write as _, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lexopt::{
    Arg::{Long, Value},
    Parser, ValueExt as _,
};
use libp2p::identity::Keypair;

pub(crate) use self::table::{figure, median, percentile};
use self::{
    process::{Programs, Subject, raise_open_file_limit},
    table::Table,
};

/// What can be measured, in this order.
const MEASURES: [&str; 9] = [
    "idle",
    "cycles",
    "handshakes",
    "webrtc",
    "flood",
    "dht",
    "hung",
    "store",
    "start",
];

/// How much fewer of everything `--quick` measures.
const QUICK: usize = 10;

/// Files that the largest crowd needs.
const OPEN_FILES: u64 = 12_000;

/// Signatures that a look at the machine's speed makes.
const SIGNATURES: u32 = 2_000;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Bench {
    programs: Programs,
    /// Where what is used again stays: records, and stores full of them.
    work: PathBuf,
    /// Where the table goes.
    output: PathBuf,
    rounds: usize,
    is_quick: bool,
    measures: Vec<String>,
}

/// Obeys the command line.
pub(crate) async fn run(command: &str, arguments: Parser) -> Result<()> {
    match command {
        "bare" => bare::run(arguments).await,
        "flood" => flood::run(arguments).await,
        "member" => hung::run(arguments).await,
        "node" => Bench::from_arguments(arguments)?.run().await,
        other => {
            bail!(
                "{other:?}? There are `node` and `dht`; nothing at all is the server of the page's benchmark"
            )
        }
    }
}

impl Bench {
    fn from_arguments(mut arguments: Parser) -> Result<Self> {
        let own = env::current_exe()?;
        let mut bench = Self {
            programs: Programs {
                node: own.with_file_name("moim-bootstrap"),
                own,
                js: env::var_os("MOIM_BENCH_JS").map(PathBuf::from),
            },
            work: "target/bench-node".into(),
            output: "target/bench-node.md".into(),
            rounds: 5,
            is_quick: false,
            measures: Vec::new(),
        };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("rounds") => bench.rounds = arguments.value()?.parse()?,
                Long("quick") => bench.is_quick = true,
                Long("work") => bench.work = arguments.value()?.into(),
                Long("output") => bench.output = arguments.value()?.into(),
                Value(measure) => {
                    let measure = measure.string()?;
                    ensure!(
                        MEASURES.contains(&measure.as_str()),
                        "{measure:?} is not measured; there are {}",
                        MEASURES.join(", ")
                    );
                    bench.measures.push(measure);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        ensure!(bench.rounds > 0, "there has to be a round");
        Ok(bench)
    }

    fn wants(&self, measure: &str) -> bool {
        self.measures.is_empty() || self.measures.iter().any(|wanted| wanted == measure)
    }

    /// Who is measured, each round beginning with another.
    fn order(&self, round: usize) -> Vec<Subject> {
        let mut subjects = Subject::ALL.to_vec();
        subjects.retain(|subject| *subject != Subject::Js || self.programs.js.is_some());
        let first = round % subjects.len();
        subjects.rotate_left(first);
        subjects
    }

    /// So many, or fewer where it is only to be tried out.
    fn scaled(&self, count: usize) -> usize {
        if self.is_quick { count / QUICK } else { count }
    }

    async fn run(&self) -> Result<()> {
        raise_open_file_limit(OPEN_FILES)?;
        fs::create_dir_all(&self.work)?;
        let before = machine()?;
        let mut table = Table::default();
        let mut text = String::new();
        for measure in MEASURES.into_iter().filter(|measure| self.wants(measure)) {
            for round in 0..self.rounds {
                let started = Instant::now();
                self.measure(measure, round, &mut table)
                    .await
                    .with_context(|| format!("{measure}, round {}", round + 1))?;
                // Each time, so that what is known is not lost with what fails.
                text = self.report(&table, &before)?;
                fs::write(&self.output, &text)
                    .with_context(|| self.output.display().to_string())?;
                let seconds = started.elapsed().as_secs();
                say(&format!(
                    "{measure}: round {} of {}, {seconds} s",
                    round + 1,
                    self.rounds
                ))?;
            }
        }
        say(&format!("\n{text}"))
    }

    fn report(&self, table: &Table, before: &str) -> Result<String> {
        Ok(format!(
            "{}\nRounds: {}{}. Before: {before}. After: {}.\n",
            table.to_markdown(),
            self.rounds,
            if self.is_quick {
                ", with a tenth of everything (--quick): no figures, a trial"
            } else {
                ""
            },
            machine()?
        ))
    }

    async fn measure(&self, measure: &str, round: usize, table: &mut Table) -> Result<()> {
        match measure {
            "idle" => idle::held(self, round, table).await,
            "cycles" => idle::cycles(self, round, table).await,
            "handshakes" => handshakes::round(self, round, table).await,
            "webrtc" => handshakes::webrtc(self, round, table).await,
            "flood" => flood::round(self, round, table).await,
            "dht" => dht::load(self, round, table).await,
            "hung" => hung::round(self, round, table).await,
            "store" => dht::latency(self, round, table).await,
            _ => start::round(self, round, table).await,
        }
    }
}

/// What the machine has to do, and how fast it is.
pub(crate) fn machine() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("this is for Linux")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let (keypair, started) = (Keypair::generate_ed25519(), Instant::now());
    for number in 0..SIGNATURES {
        keypair.sign(&number.to_be_bytes())?;
    }
    let each = started.elapsed() / SIGNATURES;
    Ok(format!(
        "load {load} on {cores} cores, {:.1} µs a signature",
        each.as_nanos() as f64 / 1e3
    ))
}

/// Says a line to who waits.
fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
