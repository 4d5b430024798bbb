//! What the DHT holds outlives the process, however it ends, and can be looked after.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    process::Output,
};

use data_encoding::BASE64;
use libp2p::{
    PeerId,
    identity::Keypair,
    kad::{self, GetRecordOk, QueryResult, Quorum, Record},
    swarm::SwarmEvent,
};
use moim_protocol::{
    UnixMillis, limits,
    record::{self, record_key},
};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    client::{BehaviourEvent, Client},
    process::{self, Node},
    soon, until,
};

fn wall() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis::from_epoch(since.unwrap())
}

/// A value of so many bytes under `key`.
pub(crate) fn value(keypair: &Keypair, key: &str, bytes: usize) -> Record {
    let record = record::Record {
        key: key.parse().unwrap(),
        value: serde_json::json!("x".repeat(bytes)),
        publisher: keypair.public().to_peer_id(),
        sequence: 1,
        issued: wall(),
        expires: wall().saturating_add(limits::RECORD_TTL_DEFAULT),
    };
    let signed = record.sign(keypair).unwrap();
    Record::new(record_key(key), signed.into_bytes())
}

/// A peer with the node in its routing table.
async fn joined(node: &Node) -> Client {
    let (mut client, address) = (Client::new().await, node.address("tcp"));
    client.connect(&address).await;
    let kad = &mut client.swarm.behaviour_mut().kad;
    kad.add_address(&node.peer_id(), address);
    client
}

fn begin_put(client: &mut Client, node: PeerId, record: Record) -> kad::QueryId {
    let kad = &mut client.swarm.behaviour_mut().kad;
    kad.put_record_to(record, [node].into_iter(), Quorum::One)
}

async fn put(client: &mut Client, node: PeerId, record: Record) -> bool {
    begin_put(client, node, record);
    let result = client.result(|result| match result {
        QueryResult::PutRecord(result) => Some(result.is_ok()),
        _ => None,
    });
    result.await
}

async fn get(client: &mut Client, record: &Record) -> Option<Vec<u8>> {
    let kad = &mut client.swarm.behaviour_mut().kad;
    kad.get_record(record.key.clone());
    let result = client.result(|result| match result {
        QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
            Some(Some(found.record.value))
        }
        QueryResult::GetRecord(_) => Some(None),
        _ => None,
    });
    result.await
}

/// Runs `moim-bootstrap store …`.
async fn store(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moim-bootstrap"));
    command
        .arg("store")
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env("RUST_LOG", "off")
        .kill_on_drop(true);
    soon("the command to end", command.output()).await.unwrap()
}

fn succeeded(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn failed(output: &Output, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in words {
        assert!(error.contains(word), "{word} in: {error}");
    }
}

/// The records of a data directory that no node uses, by key.
async fn exported(data: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let text = succeeded(&store(data, &["export", "-"]).await);
    let decode = |line: &serde_json::Value, name: &str| {
        BASE64
            .decode(line[name].as_str().unwrap().as_bytes())
            .unwrap()
    };
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line| (decode(&line, "key"), decode(&line, "value")))
        .collect()
}

#[tokio::test]
async fn a_value_is_still_there_after_a_restart() {
    for signal in ["TERM", "KILL"] {
        let node = Node::start().await;
        let record = value(&Keypair::generate_ed25519(), "menu", 100);
        let mut client = joined(&node).await;
        assert!(put(&mut client, node.peer_id(), record.clone()).await);

        let (.., data) = node.stop(signal).await;
        let node = Node::start_in(data, &[]).await;
        assert_eq!(node.metric("moim_bootstrap_dht_records").await, 1);
        let mut client = joined(&node).await;
        assert_eq!(get(&mut client, &record).await.unwrap(), record.value);
    }
}

/// Puts in flight at one time. kad takes 32 requests on a connection.
const IN_FLIGHT: usize = 24;

/// Puts values one after the other until the connection ends; kills the node after `kill_after`
/// acknowledgements. Gives what was acknowledged.
async fn put_until_killed(data: TempDir, kill_after: usize) -> (Vec<Record>, TempDir) {
    let node = Node::start_in(data, &[]).await;
    let (id, keypair) = (node.peer_id(), Keypair::generate_ed25519());
    let mut client = joined(&node).await;
    let mut begun = 0;
    let mut next = |client: &mut Client, open: &mut HashMap<_, _>| {
        begun += 1;
        let key = format!("{}/{begun}", keypair.public().to_peer_id());
        let record = value(&keypair, &key, 7 + begun * 997 % 4_000);
        open.insert(begin_put(client, id, record.clone()), record);
    };
    let mut open = HashMap::new();
    for _ in 0..IN_FLIGHT {
        next(&mut client, &mut open);
    }
    let mut acknowledged = Vec::new();
    let mut count = |event: &SwarmEvent<BehaviourEvent>, open: &mut HashMap<_, _>| {
        let SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
            id,
            result: QueryResult::PutRecord(result),
            ..
        })) = event
        else {
            return false;
        };
        let record = open.remove(id).unwrap();
        if result.is_ok() {
            acknowledged.push(record);
        }
        result.is_ok()
    };
    let mut rest = kill_after;
    while rest > 0 {
        let is_acknowledged = client
            .until("an event", |_, event| Some(count(&event, &mut open)))
            .await;
        if is_acknowledged {
            rest -= 1;
            next(&mut client, &mut open);
        }
    }
    let (.., data) = node.stop("KILL").await;
    // What was on its way when it was killed counts, too.
    client
        .until("the end of the connection", |swarm, event| {
            count(&event, &mut open);
            (swarm.connected_peers().count() == 0).then_some(())
        })
        .await;
    (acknowledged, data)
}

#[tokio::test]
async fn killed_a_hundred_times_under_load_it_loses_nothing_that_it_acknowledged() {
    const KILLS: usize = 100;
    let mut data = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let (records, after) = put_until_killed(data, 1 + round % 23).await;
        data = after;
        acknowledged.extend(records);
        let there = exported(data.path()).await;
        for record in &acknowledged {
            assert_eq!(
                there.get(record.key.as_ref()),
                Some(&record.value),
                "round {round}"
            );
        }
    }
    assert!(acknowledged.len() > KILLS * 10, "{}", acknowledged.len());
    let said = succeeded(&store(data.path(), &["check"]).await);
    assert!(said.contains(": 0 wrong"), "{said}");
}

#[tokio::test]
async fn a_node_is_back_in_the_network_without_being_told_where_it_is() {
    let other = Node::start().await;
    let flag = format!("--bootstrap={}", other.address("tcp"));
    let node = Node::start_with(&[&flag]).await;
    peers(&node).await;
    let (.., data) = node.stop("TERM").await;
    let node = Node::start_in(data, &[]).await;
    peers(&node).await;
}

/// Waits until a node has a peer.
async fn peers(node: &Node) {
    until("a peer", async || {
        node.get_json("/health").await["peers"] != 0
    })
    .await;
}

#[tokio::test]
async fn records_move_from_one_node_to_another() {
    let keypair = Keypair::generate_ed25519();
    let node = Node::start().await;
    let mut client = joined(&node).await;
    for n in 0..5 {
        let record = value(&keypair, &format!("k{n}"), 100 * n);
        assert!(put(&mut client, node.peer_id(), record).await);
    }
    // The store has one user at a time.
    let data = node.data.path();
    failed(&store(data, &["stats"]).await, &["in use by another"]);

    let (.., data) = node.stop("TERM").await;
    let stats = succeeded(&store(data.path(), &["stats"]).await);
    assert!(stats.contains("records                 5\n"), "{stats}");
    let checked = succeeded(&store(data.path(), &["check"]).await);
    assert!(checked.contains("checked 5 records"), "{checked}");
    let file = data.path().join("records.jsonl");
    let file = file.to_str().unwrap();
    succeeded(&store(data.path(), &["export", file]).await);
    // Nothing is overwritten.
    failed(&store(data.path(), &["export", file]).await, &[file]);

    let other = tempfile::tempdir().unwrap();
    let said = succeeded(&store(other.path(), &["import", file]).await);
    assert!(
        said.starts_with("5 records are in the store; 0 were refused"),
        "{said}"
    );
    assert_eq!(exported(other.path()).await, exported(data.path()).await);

    // A forged one is refused, and the rest goes in.
    let text = std::fs::read_to_string(file).unwrap();
    let forged: Vec<_> = text
        .lines()
        .map(|line| line.replacen("\"value\":\"", "\"value\":\"AAAA", 1))
        .take(1)
        .chain(text.lines().skip(1).map(str::to_owned))
        .collect();
    std::fs::write(file, forged.join("\n")).unwrap();
    let third = tempfile::tempdir().unwrap();
    let said = succeeded(&store(third.path(), &["import", file]).await);
    assert!(
        said.starts_with("4 records are in the store; 1 were refused"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_no_export_and_no_store_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["check", "stats"] {
        failed(&store(dir.path(), &[command]).await, &["does not exist"]);
    }
    failed(
        &store(dir.path(), &["import", "/nowhere/at/all"]).await,
        &["/nowhere/at/all", "No such file"],
    );
    let file = dir.path().join("lines");
    let long = "x".repeat(100_000);
    for (text, words) in [
        (
            "{\"key\":\"AA==\",\"value\":\"AA==\"}\nnonsense\n",
            ["line 2", "expected"],
        ),
        ("{\"key\":\"!\",\"value\":\"\"}\n", ["line 1", "base64"]),
        (&long, ["line 1", "longer than"]),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = store(dir.path(), &["import", file.to_str().unwrap()]).await;
        failed(&output, &words);
    }
    // Neither does a node start on it, nor is it overwritten.
    let path = dir.path().join("store.redb");
    std::fs::write(&path, "garbage").unwrap();
    let output = process::run_to_end(dir.path(), &[]).await;
    failed(&output, &["the store is damaged", "move store.redb"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"garbage");
}

/// Waits until the node says this of its store.
#[cfg(target_os = "linux")]
async fn store_is(node: &Node, state: &str) {
    until(state, async || {
        node.get_json("/health").await["store"] == state
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn with_a_full_disk_the_node_refuses_values_and_goes_on_when_there_is_room() {
    let node = Node::start_small_disk(4 * 1024 * 1024).await;
    // One publisher alone would soon have had its share.
    let keypairs: Vec<_> = (0..16).map(|_| Keypair::generate_ed25519()).collect();
    let mut client = joined(&node).await;
    let mut stored = Vec::new();
    for n in 0.. {
        let record = value(&keypairs[n % 16], &format!("k{n}"), 8_000);
        if !put(&mut client, node.peer_id(), record.clone()).await {
            break;
        }
        stored.push(record);
    }
    assert!(stored.len() > 20, "{}", stored.len());
    store_is(&node, "stuck").await;

    // Whoever comes is found all the same, and what was there is handed out.
    let mut client = joined(&node).await;
    let keypair = Keypair::generate_ed25519();
    let presence = crate::network::presence(&keypair, 1, moim_protocol::presence::State::Here);
    assert!(put(&mut client, node.peer_id(), presence).await);
    assert!(get(&mut client, &stored[0]).await.is_some());

    node.enlarge_disk().await;
    store_is(&node, "ok").await;
    let last = value(&keypair, "last", 8_000);
    assert!(put(&mut client, node.peer_id(), last.clone()).await);
    let (.., data) = node.stop("KILL").await;
    let there = exported(data.path()).await;
    for record in stored.iter().chain([&last]) {
        assert!(there.contains_key(record.key.as_ref()));
    }
}
