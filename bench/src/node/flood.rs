//! How long an honest peer takes to get in while somebody floods the server from one address.

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lexopt::Parser;
use libp2p::{Multiaddr, core::muxing::StreamMuxerBox, identity::Keypair};
use tokio::{
    process::{Child, Command},
    sync::{Mutex, Semaphore},
    task::JoinSet,
    time::MissedTickBehavior,
};

use super::{
    Bench,
    dial::{connect, source},
    kad::{Asking, Connection},
    process::{Programs, Server, Subject},
    table::{Aim, Table, percentile},
};
use crate::word;

/// Honest dials, one after the other, and the pause between them.
const DIALS: usize = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// No more of them after that: a server that was taken by the flood makes each take seconds.
const DIALS_LIMIT: Duration = Duration::from_secs(20);
/// Time for a flood to rise before it is measured.
const RISE: Duration = Duration::from_secs(1);
/// How many times longer an honest dial may take.
const SLOWDOWN_MAX: f64 = 3.0;

/// Where the flood comes from.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
/// New connections of a flood: nine times as many as js-libp2p can serve, in a second.
const CONNECTION_INTERVAL: Duration = Duration::from_millis(1);
/// Connections that a flood is setting up at one time, and that it holds.
const PENDING_MAX: usize = 300;
const HELD_MAX: usize = 1_500;
/// Questions that a flood asks at one time.
const QUESTIONS_AT_ONCE: usize = 30;
/// The client's number of who asks: far from the honest.
const ASKING: usize = 50_000;

const CONNECTIONS: &str = "connections";
const QUESTIONS: &str = "questions";

pub(super) async fn round(bench: &Bench, round: usize, table: &mut Table) -> Result<()> {
    for subject in bench.order(round) {
        let flags: &[&str] = match subject {
            Subject::Ours => &["--limit-loopback"],
            Subject::Bare => &["--kad"],
            Subject::Js => &[],
        };
        let server = Server::start(&bench.programs, subject, flags).await?;
        let files = server.open_files()?;
        let dials = bench.scaled(DIALS);
        let what = "honest dial by WebSocket, p99";
        // The first of everything takes longer.
        honest(&server, dials / 4).await?;
        let quiet = honest(&server, dials).await?;
        table.add(what, "ms", None, subject, quiet);
        let floods = match subject {
            // It serves no DHT here.
            Subject::Js => &[CONNECTIONS][..],
            Subject::Ours | Subject::Bare => &[CONNECTIONS, QUESTIONS],
        };
        for flood in floods {
            server.settle(files).await?;
            let address = server.address(if *flood == CONNECTIONS { "ws" } else { "tcp" })?;
            let flooding = start(&bench.programs, flood, &address)?;
            tokio::time::sleep(RISE).await;
            let under = honest(&server, dials).await?;
            stop(flooding).await?;
            let what = format!("{what}, in a flood of {flood}");
            table.add(&what, "ms", None, subject, under);
            let aim = Some(Aim::Most(SLOWDOWN_MAX));
            table.add(
                format!("{what}, to without"),
                "times",
                aim,
                subject,
                under / quiet,
            );
        }
        server.stop().await?;
    }
    Ok(())
}

/// The 99th percentile of so many dials, in milliseconds.
async fn honest(server: &Server, dials: usize) -> Result<f64> {
    let address = server.address("ws")?;
    let mut each = Vec::new();
    let started = Instant::now();
    for number in 0..dials {
        let begun = Instant::now();
        // One that fails took as long as it was waited for, and says enough by that.
        drop(connect(&address, source(number), None).await);
        each.push(begun.elapsed().as_secs_f64() * 1e3);
        if started.elapsed() > DIALS_LIMIT {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    percentile(&each, 99).context("nothing was measured")
}

/// Starts a flood in a process of its own, so that it takes nothing of the honest but the machine.
fn start(programs: &Programs, flood: &str, address: &Multiaddr) -> Result<Child> {
    let mut command = Command::new(&programs.own);
    command
        .args(["flood", flood, &address.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command.spawn()?)
}

async fn stop(mut flooding: Child) -> Result<()> {
    if let Some(status) = flooding.try_wait()? {
        bail!("the flood ended by itself: {status}");
    }
    Ok(flooding.kill().await?)
}

/// Floods until it is killed.
pub(super) async fn run(mut arguments: Parser) -> Result<()> {
    let (kind, address) = (word(&mut arguments)?, word(&mut arguments)?);
    let address = address.context("flood whom?")?.parse()?;
    match kind.as_deref() {
        Some(CONNECTIONS) => connections(address).await,
        Some(QUESTIONS) => questions(address).await,
        other => bail!("no flood of {other:?}"),
    }
}

/// New identities at a steady rate; who is let in stays.
async fn connections(address: Multiaddr) -> Result<()> {
    let pending = Arc::new(Semaphore::new(PENDING_MAX));
    let held = Arc::new(Mutex::new(VecDeque::<StreamMuxerBox>::new()));
    let mut ticks = tokio::time::interval(CONNECTION_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Ok(slot) = Arc::clone(&pending).try_acquire_owned() else {
            continue;
        };
        let (address, held) = (address.clone(), Arc::clone(&held));
        tokio::spawn(async move {
            let connection = connect(&address, ATTACKER, None).await;
            drop(slot);
            if let Ok(connection) = connection {
                let mut held = held.lock().await;
                held.push_back(connection);
                if held.len() > HELD_MAX {
                    held.pop_front();
                }
            }
        });
    }
}

/// One peer asks for random keys as fast as it is answered, and comes again when it is hung up on.
async fn questions(address: Multiaddr) -> Result<()> {
    let keypair = Keypair::generate_ed25519();
    loop {
        let Ok(connection) = Connection::open_as(keypair.clone(), ASKING, &address).await else {
            // Turned away, for coming too often.
            tokio::task::yield_now().await;
            continue;
        };
        let mut asking = JoinSet::new();
        for _ in 0..QUESTIONS_AT_ONCE {
            asking.spawn(ask(connection.asking.clone()));
        }
        asking.join_all().await;
    }
}

/// Asks until there is no answer.
async fn ask(asking: Asking) {
    loop {
        let key = Keypair::generate_ed25519().public().to_peer_id().to_bytes();
        if asking.find_node(&key).await.is_err() {
            return;
        }
    }
}
