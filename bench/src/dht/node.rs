//! A node of Moim's DHT, and one of rust-libp2p's as it comes.

use std::{io::Write as _, time::Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use lexopt::Parser;
use libp2p::{Multiaddr, Swarm, kad, multiaddr::Protocol, swarm::SwarmEvent};
use moim_peer::{BootstrapSource, DhtMode, Peer, Snapshot, Status, limits};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{node::bare, word};

/// What is put: as much as Python puts.
fn value() -> String {
    "x".repeat(100)
}

/// Serves until its standard input ends.
pub(crate) async fn run(mut arguments: Parser) -> Result<()> {
    let whose = word(&mut arguments)?.context("whose?")?;
    let entry = word(&mut arguments)?.map(|text| text.parse()).transpose()?;
    let mode = match word(&mut arguments)?.as_deref() {
        Some("user") => DhtMode::Client,
        _ => DhtMode::Server,
    };
    let lines = lines();
    match whose.as_str() {
        "ours" => ours(entry, mode, lines).await,
        "bare" => bare_node(entry, lines).await,
        other => bail!("{other:?}? There are `ours` and `bare`"),
    }
}

/// What it is told, until its standard input ends.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn say(what: &Value) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{what}")?)
}

async fn ours(
    entry: Option<Multiaddr>,
    mode: DhtMode,
    mut lines: mpsc::Receiver<String>,
) -> Result<()> {
    let (peer, mut events) = Peer::builder()
        .bootstrap(entry.map(BootstrapSource::Address))
        .listen(["/ip4/127.0.0.1/tcp/0".parse()?])
        .dht_mode(mode)
        .start()
        .await?;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut snapshot = peer.snapshot();
    let is_in = |snapshot: &Snapshot| {
        snapshot.status == Status::Connected && !snapshot.addresses.is_empty()
    };
    let address = snapshot.wait_for(is_in).await?.addresses[0].clone();
    let address = address.with_p2p(peer.id()).unwrap_or_else(|it| it);
    say(&json!({ "address": address }))?;
    while let Some(line) = lines.recv().await {
        let (command, key) = line.split_once(' ').unwrap_or((&line, ""));
        let started = Instant::now();
        let done = match command {
            "known" => {
                let known = peer.snapshot().borrow().dht.peers;
                say(&json!({ "known": known }))?;
                continue;
            }
            "put" => {
                let stored = peer.put(key, json!(value()), limits::RECORD_TTL_DEFAULT);
                stored.await.is_ok()
            }
            _ => peer.get(key).await?.is_some(),
        };
        let took = started.elapsed().as_secs_f64() * 1e3;
        say(&json!({ "took": took, "done": done }))?;
    }
    Ok(())
}

async fn bare_node(entry: Option<Multiaddr>, mut lines: mpsc::Receiver<String>) -> Result<()> {
    let mut swarm = bare::new_swarm(true).await?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    swarm.add_external_address(address.clone());
    let address = address.with(Protocol::P2p(*swarm.local_peer_id()));
    if let Some(entry) = entry {
        bare::join(&mut swarm, entry)?;
        // The last of a lookup of its own id and of the refreshed buckets.
        loop {
            let (_, result, last) = next_result(&mut swarm).await;
            if last && matches!(result, kad::QueryResult::Bootstrap(_)) {
                break;
            }
        }
    }
    say(&json!({ "address": address }))?;
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            event = swarm.select_next_some() => {
                bare::introduce(&mut swarm, &event);
                continue;
            }
        };
        let Some(line) = line else { return Ok(()) };
        let (command, key) = line.split_once(' ').unwrap_or((&line, ""));
        let started = Instant::now();
        let kad = swarm.behaviour_mut().kad.as_mut().context("no kad")?;
        let done = match command {
            "known" => {
                let known: usize = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
                say(&json!({ "known": known }))?;
                continue;
            }
            "put" => {
                let record = kad::Record::new(key.as_bytes().to_vec(), value().into_bytes());
                let id = kad.put_record(record, kad::Quorum::Majority)?;
                loop {
                    let (of, result, _) = next_result(&mut swarm).await;
                    if let kad::QueryResult::PutRecord(result) = result
                        && of == id
                    {
                        break result.is_ok();
                    }
                }
            }
            _ => {
                // A copy of its own would be no lookup.
                let key: kad::RecordKey = key.as_bytes().to_vec().into();
                use kad::store::RecordStore as _;
                kad.store_mut().remove(&key);
                let id = kad.get_record(key);
                loop {
                    let (of, result, last) = next_result(&mut swarm).await;
                    if of != id {
                        continue;
                    }
                    if let kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(_))) =
                        result
                    {
                        if let Some(mut query) = swarm
                            .behaviour_mut()
                            .kad
                            .as_mut()
                            .and_then(|kad| kad.query_mut(&id))
                        {
                            query.finish();
                        }
                        break true;
                    }
                    if last {
                        break false;
                    }
                }
            }
        };
        let took = started.elapsed().as_secs_f64() * 1e3;
        say(&json!({ "took": took, "done": done }))?;
    }
}

/// The next result of a query, and whether it is its last.
async fn next_result(swarm: &mut Swarm<bare::Behaviour>) -> (kad::QueryId, kad::QueryResult, bool) {
    loop {
        let event = swarm.select_next_some().await;
        bare::introduce(swarm, &event);
        if let SwarmEvent::Behaviour(bare::BehaviourEvent::Kad(
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            },
        )) = event
        {
            return (id, result, step.last);
        }
    }
}
