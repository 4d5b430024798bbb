//! What it costs who uses the DHT that a fifth of its servers hang: their sockets stay open, and
//! nothing comes.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use lexopt::Parser;
use libp2p::{Multiaddr, Swarm, kad, swarm::SwarmEvent};
use moim_peer::{BootstrapSource, DhtMode, Peer, Status, limits};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::process::Command;

use super::{
    Bench, bare,
    dht::with_kad,
    process::{Server, Subject},
    table::{Aim, Table, percentile},
};
use crate::word;

/// Servers of the DHT, beside the one by which they enter it, and those of them that hang.
const SERVERS: usize = 20;
const HUNG: usize = 4;
/// Puts, and gets, in each state ...
const OPERATIONS: usize = 50;
/// ... or as many as are done in this time.
const OPERATIONS_LIMIT: Duration = Duration::from_secs(40);
/// How long the slowest in a hundred may take, in seconds.
const TIME_MAX: f64 = 1.0;
/// Time for a way into the DHT.
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// Time for all servers to be known.
const KNOWN_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn round(bench: &Bench, round: usize, table: &mut Table) -> Result<()> {
    for subject in with_kad(bench, round) {
        let flags: &[&str] = match subject {
            Subject::Bare => &["--kad"],
            Subject::Ours | Subject::Js => &[],
        };
        let entry = Server::start(&bench.programs, subject, flags).await?;
        let address = entry.address("tcp")?;
        let mut servers = Vec::new();
        for _ in 0..SERVERS {
            let mut command = Command::new(&bench.programs.own);
            match subject {
                Subject::Bare => command.args(["bare", "--kad", "--join"]),
                Subject::Ours | Subject::Js => command.arg("member"),
            };
            command.arg(address.to_string());
            servers.push(Server::spawn(subject, command, None).await?);
        }
        let mut user = User::join(subject, address).await?;
        let copies = user.until_all_are_known().await;
        table.add(
            "servers that have what is put when the put is answered",
            "copies",
            None,
            subject,
            copies as f64,
        );
        measure(
            bench,
            &mut user,
            "all answer",
            None,
            (subject, round),
            table,
        )
        .await?;
        for server in &servers[..HUNG] {
            let id = Pid::from_raw(server.process_id()?.try_into()?);
            kill(id, Signal::SIGSTOP)?;
        }
        let aim = Some(Aim::Most(TIME_MAX));
        let state = format!("{HUNG} of {SERVERS} servers hung");
        measure(bench, &mut user, &state, aim, (subject, round), table).await?;
    }
    Ok(())
}

async fn measure(
    bench: &Bench,
    user: &mut User,
    state: &str,
    aim: Option<Aim>,
    (subject, round): (Subject, usize),
    table: &mut Table,
) -> Result<()> {
    for (name, is_put) in [("put", true), ("get of what is not there", false)] {
        let (mut each, mut failed) = (Vec::new(), 0);
        let started = Instant::now();
        for number in 0..bench.scaled(OPERATIONS) {
            let key = format!("{round} {state} {name} {number}");
            let begun = Instant::now();
            let result = if is_put {
                user.put(key).await
            } else {
                user.get_missing(key).await
            };
            each.push(begun.elapsed().as_secs_f64());
            failed += usize::from(result.is_err());
            if started.elapsed() > OPERATIONS_LIMIT {
                break;
            }
        }
        let what = format!("DHT {name}, {state}");
        for hundredths in [50, 99] {
            let value = percentile(&each, hundredths).context("nothing was measured")?;
            let aim = aim.filter(|_| hundredths == 99);
            table.add(format!("{what}, p{hundredths}"), "s", aim, subject, value);
        }
        let part = 100.0 * failed as f64 / each.len() as f64;
        table.add(format!("{what}, failed"), "%", None, subject, part);
    }
    Ok(())
}

/// Who uses the DHT.
enum User {
    /// A peer of Moim's.
    Moim(Peer),
    /// rust-libp2p's kad as it comes.
    Bare(Box<Swarm<bare::Behaviour>>),
}

impl User {
    async fn join(subject: Subject, address: Multiaddr) -> Result<Self> {
        if subject == Subject::Ours {
            return Ok(Self::Moim(peer(address, DhtMode::Client).await?));
        }
        let mut swarm = bare::new_swarm(true).await?;
        bare::join(&mut swarm, address)?;
        Ok(Self::Bare(Box::new(swarm)))
    }

    /// Puts until more than half of the servers have something when it is answered, or no more come; says how
    /// many have the last.
    async fn until_all_are_known(&mut self) -> usize {
        let started = Instant::now();
        for number in 0.. {
            // What fails fails for want of servers that are known yet.
            let copies = self.copies(format!("hello {number}")).await.unwrap_or(0);
            if copies > SERVERS / 2 || started.elapsed() > KNOWN_LIMIT {
                return copies;
            }
        }
        0
    }

    /// Puts something; says how many servers keep it.
    async fn copies(&mut self, key: String) -> Result<usize> {
        match self {
            Self::Moim(peer) => {
                let value = json!("x".repeat(100));
                Ok(peer.put(key, value, limits::RECORD_TTL_MAX).await?.copies)
            }
            Self::Bare(swarm) => {
                let record = kad::Record::new(key.into_bytes(), vec![b'x'; 100]);
                let kad = swarm.behaviour_mut().kad.as_mut().context("no kad")?;
                let id = kad.put_record(record, kad::Quorum::Majority)?;
                loop {
                    let (of, result, stats) = next_result(swarm).await;
                    if let kad::QueryResult::PutRecord(result) = result
                        && of == id
                    {
                        result?;
                        // Each was asked who is closest before.
                        return Ok(stats.num_successes() as usize / 2);
                    }
                }
            }
        }
    }

    async fn put(&mut self, key: String) -> Result<()> {
        self.copies(key).await.map(drop)
    }

    async fn get_missing(&mut self, key: String) -> Result<()> {
        match self {
            Self::Moim(peer) => {
                ensure!(peer.get(key).await?.is_none(), "it is there");
                Ok(())
            }
            Self::Bare(swarm) => {
                let kad = swarm.behaviour_mut().kad.as_mut().context("no kad")?;
                let id = kad.get_record(key.into_bytes().into());
                loop {
                    let (of, result, _) = next_result(swarm).await;
                    if let kad::QueryResult::GetRecord(result) = result
                        && of == id
                    {
                        return match result {
                            Err(kad::GetRecordError::NotFound { .. }) => Ok(()),
                            Err(error) => Err(error.into()),
                            // Its end, or what should not be there.
                            Ok(_) => Err(anyhow::anyhow!("it is there")),
                        };
                    }
                }
            }
        }
    }
}

/// The next result of a query.
async fn next_result(
    swarm: &mut Swarm<bare::Behaviour>,
) -> (kad::QueryId, kad::QueryResult, kad::QueryStats) {
    loop {
        let event = swarm.select_next_some().await;
        bare::introduce(swarm, &event);
        if let SwarmEvent::Behaviour(bare::BehaviourEvent::Kad(
            kad::Event::OutboundQueryProgressed {
                id, result, stats, ..
            },
        )) = event
        {
            return (id, result, stats);
        }
    }
}

/// A peer that is in the DHT.
async fn peer(entry: Multiaddr, mode: DhtMode) -> Result<Peer> {
    let (peer, mut events) = Peer::builder()
        .bootstrap([BootstrapSource::Address(entry)])
        .listen(["/ip4/127.0.0.1/tcp/0".parse()?])
        .dht_mode(mode)
        .start()
        .await?;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut snapshot = peer.snapshot();
    let connected = snapshot.wait_for(|snapshot| snapshot.status == Status::Connected);
    tokio::time::timeout(JOIN_LIMIT, connected)
        .await
        .context("no way into the DHT")??;
    Ok(peer)
}

/// Serves the DHT that is entered by the server there, until it is killed.
pub(super) async fn run(mut arguments: Parser) -> Result<()> {
    let entry = word(&mut arguments)?.context("a member of which DHT?")?;
    let peer = peer(entry.parse()?, DhtMode::Server).await?;
    writeln!(std::io::stdout(), "{}", json!({ "addresses": [] }))?;
    // It lives as long as its handle.
    std::future::pending::<()>().await;
    drop(peer);
    Ok(())
}
