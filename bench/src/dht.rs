//! What a DHT of twenty processes does for its users: Moim's, Python's `kademlia`, js-libp2p's and the
//! least that rust-libp2p makes of one. All nodes are processes of their own on loopback and are told by the
//! same lines what to do; each measures what it does by its own clock.

mod contestant;
mod node;
mod table;

use std::{
    env, fs,
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lexopt::{Arg::Long, Parser, ValueExt as _};

pub(crate) use self::node::run as run_node;
use self::{
    contestant::{Contestant, Node, Programs, Role},
    table::{Aim, Table},
};
use crate::node::machine;

/// Nodes that serve the DHT, the first of which is the way in.
const SERVERS: usize = 20;
/// Puts of each in a round, each with a get of another node right after it.
const OPERATIONS: usize = 100;
/// Nodes of each that come in a round.
const NEWCOMERS: usize = 10;
/// Time for all nodes to know each other.
const KNOWN_LIMIT: Duration = Duration::from_secs(30);
/// How often that is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What Moim's figures may be of Python's.
const GET_MOST: f64 = 1.0;
const PUT_MOST: f64 = 0.5;
const JOIN_MOST: f64 = 0.6;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Bench {
    programs: Programs,
    /// Where the table goes.
    output: PathBuf,
    rounds: usize,
    operations: usize,
}

/// Obeys the command line.
pub(crate) async fn run(mut arguments: Parser) -> Result<()> {
    let mut bench = Bench {
        programs: Programs {
            own: env::current_exe()?,
            js: env::var_os("MOIM_BENCH_JS").map(PathBuf::from),
            python: env::var_os("MOIM_BENCH_PYTHON").map(PathBuf::from),
        },
        output: "target/bench-dht.md".into(),
        rounds: 5,
        operations: OPERATIONS,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("rounds") => bench.rounds = arguments.value()?.parse()?,
            Long("operations") => bench.operations = arguments.value()?.parse()?,
            Long("output") => bench.output = arguments.value()?.into(),
            other => return Err(other.unexpected().into()),
        }
    }
    ensure!(
        bench.rounds > 0 && bench.operations > 0,
        "there has to be something to measure"
    );
    bench.run().await
}

impl Bench {
    async fn run(&self) -> Result<()> {
        let before = machine()?;
        let mut table = Table::default();
        let mut text = String::new();
        for round in 0..self.rounds {
            // Each round begins with another.
            let mut contestants = self.programs.contestants();
            let first = round % contestants.len();
            contestants.rotate_left(first);
            for contestant in contestants {
                self.measure(contestant, &mut table)
                    .await
                    .with_context(|| format!("{contestant:?}, round {}", round + 1))?;
            }
            text = format!(
                "{}\nRounds: {}. Before: {before}. After: {}.\n",
                table.to_markdown(),
                round + 1,
                machine()?
            );
            fs::write(&self.output, &text).with_context(|| self.output.display().to_string())?;
            writeln!(std::io::stdout(), "round {} of {}", round + 1, self.rounds)?;
        }
        Ok(writeln!(std::io::stdout(), "\n{text}")?)
    }

    async fn measure(&self, contestant: Contestant, table: &mut Table) -> Result<()> {
        let start = |entry| Node::start(&self.programs, contestant, entry, Role::Server);
        let first = start(None).await?;
        let entry = first.address.clone();
        let mut servers = vec![first];
        while servers.len() < SERVERS {
            servers.push(start(Some(entry.as_str())).await?);
        }
        let (mut known, patience) = (Vec::new(), Instant::now() + KNOWN_LIMIT);
        for server in &mut servers {
            known.push(until_known(server, SERVERS - 1, patience).await? as f64);
        }
        table.add(
            "other servers that a server knows",
            "",
            None,
            contestant,
            &known,
        );

        let user = |entry| Node::start(&self.programs, contestant, entry, Role::User);
        let mut writer = user(Some(entry.as_str())).await?;
        let mut reader = user(Some(entry.as_str())).await?;
        let patience = Instant::now() + KNOWN_LIMIT;
        for user in [&mut writer, &mut reader] {
            until_known(user, SERVERS, patience).await?;
        }
        let key = |number| format!("key {number}");
        let (mut puts, mut at_once, mut missed) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..self.operations {
            let key = key(number);
            let put = writer.ask(&format!("put {key}")).await?;
            ensure!(put.done, "{key} was not put");
            let get = reader.ask(&format!("get {key}")).await?;
            puts.push(put.took);
            at_once.push(get.took);
            missed.push(f64::from(u8::from(!get.done)));
        }
        let mut later = Vec::new();
        for number in 0..self.operations {
            later.push(reader.ask(&format!("get {}", key(number))).await?.took);
        }
        table.add(
            "put",
            "ms",
            Some(Aim::OfPython(PUT_MOST)),
            contestant,
            &puts,
        );
        let aim = Some(Aim::OfPython(GET_MOST));
        table.add("get of another", "ms", aim, contestant, &later);
        table.add(
            "get of another right after its put",
            "ms",
            aim,
            contestant,
            &at_once,
        );
        let what = "gets that missed it";
        table.add(what, "", Some(Aim::None), contestant, &missed);

        // Nobody goes before the end: to notice that is another matter, and takes Python seconds.
        let (mut newcomers, mut joined) = (Vec::new(), Vec::new());
        for _ in 0..NEWCOMERS {
            let began = Instant::now();
            newcomers.push(user(Some(entry.as_str())).await?);
            joined.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let aim = Some(Aim::OfPython(JOIN_MOST));
        table.add("process start to joined", "ms", aim, contestant, &joined);
        Ok(())
    }
}

/// Waits until a node knows so many others, or no more come; how many it knows.
async fn until_known(node: &mut Node, wanted: usize, patience: Instant) -> Result<usize> {
    loop {
        let known = node.known().await?;
        if known >= wanted || Instant::now() > patience {
            return Ok(known);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
