//! The commands that do one thing and end: `get`, `peers`, `put`.
//!
//! They are somebody new each time, listen nowhere, and keep nothing on this machine.

use std::io::{self, Write as _};

use moim_peer::{
    BootstrapState, Code, Peer, Snapshot, Status,
    json::{Event, MemberRow},
};
use tokio::time::timeout;

use crate::{
    args::{GetArgs, OneShotArgs, PeersArgs, PutArgs},
    exit::{Exit, Failure, explain},
    ids::short,
    json::ToLine as _,
    session::AGENT,
    text,
};

/// How long the end may take: what was asked for is already there.
const STOP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// `moim get KEY`: prints the value alone.
pub(crate) async fn get(arguments: GetArgs) -> Result<Exit, Failure> {
    let GetArgs { key, common } = arguments;
    with_peer(&common, async |peer| {
        let value = peer
            .get(key.clone())
            .await
            .map_err(|error| failed(&error))?;
        let missing = value.is_none();
        if common.json {
            print(&Event::value(key.clone(), value).to_line())?;
        } else if let Some(value) = value {
            print(&(text::json(&value.value.to_string()) + "\n"))?;
        }
        if missing {
            let message = format!("there is no value under {}", text::line(&key));
            return Err(Failure::new(Exit::NotFound, "not_found", message).told());
        }
        Ok(Exit::Done)
    })
    .await
}

/// `moim put KEY VALUE`.
pub(crate) async fn put(arguments: PutArgs) -> Result<Exit, Failure> {
    let lifetime = arguments.lifetime();
    let PutArgs {
        key, value, common, ..
    } = arguments;
    with_peer(&common, async |peer| {
        let stored = peer
            .put(key, value, lifetime)
            .await
            .map_err(|error| failed(&error))?;
        if common.json {
            print(
                &Event::Stored {
                    key: stored.key.to_string(),
                    copies: stored.copies,
                }
                .to_line(),
            )?;
        } else {
            let peers = if stored.copies == 1 { "peer" } else { "peers" };
            print(&format!(
                "{} is kept by {} {peers}\n",
                text::line(stored.key.as_str()),
                stored.copies
            ))?;
        }
        Ok(Exit::Done)
    })
    .await
}

/// `moim peers TOPIC`: one member a line, id and name.
pub(crate) async fn peers(arguments: PeersArgs) -> Result<Exit, Failure> {
    let wait = arguments.wait();
    let PeersArgs { topic, common, .. } = arguments;
    with_peer(&common, async |peer| {
        let members = peer
            .lookup(topic.clone(), wait)
            .await
            .map_err(|error| failed(&error))?;
        if common.json {
            print(
                &Event::Members {
                    members: members.iter().map(MemberRow::from).collect(),
                }
                .to_line(),
            )?;
        } else {
            let lines: String = members
                .iter()
                .map(|member| format!("{} {}\n", member.peer, text::line(member.name.as_str())))
                .collect();
            print(&lines)?;
        }
        if members.is_empty() {
            let message = format!("nobody is in {} right now", text::line(topic.as_str()));
            return Err(Failure::new(Exit::NotFound, "not_found", message).told());
        }
        Ok(Exit::Done)
    })
    .await
}

/// Starts a peer, gets it into the DHT, does `what`, and stops it.
async fn with_peer(
    arguments: &OneShotArgs,
    what: impl AsyncFnOnce(&Peer) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let builder = Peer::builder()
        .agent(AGENT)
        .bootstrap(arguments.bootstrap.sources());
    // The events are of no interest; that they are dropped does not stop the peer.
    let (peer, _events) = builder
        .start()
        .await
        .map_err(|error| Failure::new(Exit::Failed, error.code(), explain(&error)))?;
    let outcome = match connected(&peer, arguments).await {
        Ok(()) => what(&peer).await,
        Err(failure) => Err(failure),
    };
    let off = peer.snapshot().borrow().clock;
    let outcome = outcome.map_err(|mut failure| {
        // The likeliest reason for anything that others did not take, or that was not taken from them.
        if let Some(off) = off {
            failure.message = format!("{}; {}", failure.message, off);
        }
        failure
    });
    // It is in no room, so nobody needs to hear that it stops.
    let _ = timeout(STOP_TIMEOUT, peer.stop()).await;
    outcome
}

/// Resolves once the peer is in the DHT.
async fn connected(peer: &Peer, arguments: &OneShotArgs) -> Result<(), Failure> {
    let mut snapshot = peer.snapshot();
    let mut complained = arguments.json;
    let connecting = async {
        loop {
            {
                let now = snapshot.borrow_and_update();
                if now.status == Status::Connected {
                    return true;
                }
                // People see at once why they wait.
                if !complained && matches!(now.status, Status::Failed { .. }) {
                    complained = true;
                    complain(&format!("not connected yet, trying on: {}\n", why(&now)));
                }
            }
            if snapshot.changed().await.is_err() {
                return false;
            }
        }
    };
    match timeout(arguments.timeout(), connecting).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(
            Exit::Failed,
            "stopped",
            "the peer stopped by itself; RUST_LOG=debug may tell why",
        )),
        Err(_) => {
            let snapshot = peer.snapshot();
            let snapshot = snapshot.borrow();
            let is_there = snapshot
                .bootstrap
                .iter()
                .any(|node| matches!(node.state, BootstrapState::TurnedAway { .. }));
            let advice = if is_there {
                ""
            } else {
                "is a bootstrap node running there? "
            };
            let message = format!(
                "could not get into the DHT within {} s: {}; {advice}--bootstrap names another one, --timeout waits longer",
                arguments.timeout().as_secs(),
                why(&snapshot)
            );
            Err(Failure::new(Exit::NotConnected, "not_connected", message))
        }
    }
}

/// What is known about why a peer is not in the DHT.
fn why(snapshot: &Snapshot) -> String {
    let of_nodes: Vec<String> = snapshot
        .bootstrap
        .iter()
        .map(|node| {
            let state = match &node.state {
                BootstrapState::Connected { peer } => {
                    format!("connected to {}, which does not serve the DHT", short(peer))
                }
                BootstrapState::Connecting => "no answer yet".to_owned(),
                BootstrapState::Failed { why } => why.to_string(),
                BootstrapState::TurnedAway { why } => why.to_string(),
            };
            text::line(&format!("{}: {state}", node.source))
        })
        .collect();
    match snapshot.status.why() {
        _ if !of_nodes.is_empty() => of_nodes.join("; "),
        Some(why) => text::line(&why.to_string()),
        None => "no bootstrap node answers".to_owned(),
    }
}

/// The failure of an operation. What breaks a limit is wrong usage.
fn failed(error: &(impl Code + 'static)) -> Failure {
    let exit = match error.code() {
        "invalid" => Exit::Usage,
        "not_connected" => Exit::NotConnected,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.code(), explain(error))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        // Whoever read the output has seen enough, like `head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Failed,
            "output",
            format!("cannot write the output: {error}"),
        )
        .told()),
        _ => Ok(()),
    }
}

fn complain(text: &str) {
    // Without standard error there is nobody to complain to.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
