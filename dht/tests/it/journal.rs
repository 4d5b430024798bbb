//! When a record is acknowledged by a server that writes down what it holds.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use futures::{StreamExt as _, future};
use libp2p::{
    Multiaddr,
    identity::Keypair,
    kad::{self, PutRecordError, QueryResult, Quorum, Record},
};
use moim_dht::{Journal, Progress, StoreLimits};
use moim_protocol::{limits, presence::State, record};

use crate::node::{Kad, Node, meanwhile, wall};

/// A journal that writes when the test says so.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Default)]
struct DiskState {
    batches: Vec<moim_dht::Batch>,
    news: VecDeque<Progress>,
    waker: Option<Waker>,
}

impl Disk {
    fn says(&self, progress: Progress) {
        let mut state = self.0.lock().unwrap();
        state.news.push_back(progress);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn batches(&self) -> usize {
        self.0.lock().unwrap().batches.len()
    }
}

impl Journal for Disk {
    fn write(&mut self, batch: moim_dht::Batch) {
        self.0.lock().unwrap().batches.push(batch);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let mut state = self.0.lock().unwrap();
        state.waker = Some(cx.waker().clone());
        state.news.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

async fn durable_server(disk: &Disk) -> (Node, Multiaddr) {
    let keypair = Keypair::generate_ed25519();
    let id = keypair.public().to_peer_id();
    let kad = Kad::durable::<Infallible>(id, 7, StoreLimits::default(), [], disk.clone()).unwrap();
    Node::with_kad(keypair, kad, kad::Mode::Server)
        .listening()
        .await
}

/// Puts a record and gives what became of it, running `server` until `until` is ready as well.
async fn put(client: &mut Node, server: &mut Node, record: Record) -> Result<(), PutRecordError> {
    let to = vec![server.id()];
    client
        .kad()
        .put_record_to(record, to.into_iter(), Quorum::One);
    let stored = client.result(|result, _| match result {
        QueryResult::PutRecord(result) => Some(result.map(drop)),
        _ => None,
    });
    meanwhile(stored, server).await
}

fn value(node: &Node, key: &str) -> Record {
    let signed = record::Record {
        key: key.parse().unwrap(),
        value: serde_json::json!("soup"),
        publisher: node.id(),
        sequence: 1,
        issued: wall(),
        expires: wall().saturating_add(limits::RECORD_TTL_DEFAULT),
    };
    let signed = signed.sign(&node.keypair).unwrap();
    Record::new(record::record_key(key), signed.into_bytes())
}

#[tokio::test]
async fn a_record_is_acknowledged_when_it_is_written_and_not_before() {
    let disk = Disk::default();
    let (mut server, address) = durable_server(&disk).await;
    let mut client = Node::client();
    client.join(&mut server, &address).await;
    let record = value(&client, "menu");
    // The same once more: it is in the store, and still not written.
    let twice = [record.clone(), record.clone()];
    for record in twice {
        let to = vec![server.id()];
        client
            .kad()
            .put_record_to(record, to.into_iter(), Quorum::One);
    }
    // The answers to others don't wait.
    let mut other = Node::client();
    other.join(&mut server, &address).await;
    let mut asked = false;
    let both = async {
        let client_done = client.result(|result, _| match result {
            QueryResult::PutRecord(result) => Some(result),
            _ => None,
        });
        let mut client_done = std::pin::pin!(client_done);
        let written = async {
            while server.kad().store_mut().stats().records == 0 || disk.batches() == 0 {
                server.swarm.select_next_some().await;
            }
            let get = meanwhile(
                async {
                    other.kad().get_record(record.key.clone());
                    other
                        .result(|result, _| match result {
                            QueryResult::GetRecord(result) => Some(result),
                            _ => None,
                        })
                        .await
                },
                &mut server,
            );
            get.await.unwrap();
            asked = true;
        };
        let mut written = std::pin::pin!(written);
        match future::select(&mut client_done, &mut written).await {
            future::Either::Left((result, _)) => panic!("acknowledged unwritten: {result:?}"),
            future::Either::Right(((), _)) => {}
        }
    };
    both.await;
    assert!(asked);
    disk.says(Progress::Written);
    let mut stored = 0;
    let all_stored = client.result(|result, _| {
        if let QueryResult::PutRecord(result) = result {
            result.unwrap();
            stored += 1;
        }
        (stored == 2).then_some(())
    });
    meanwhile(all_stored, &mut server).await;
    assert_eq!(disk.batches(), 1);
    assert!(!server.kad().is_unwritten());
}

#[tokio::test]
async fn with_a_full_disk_values_are_refused_and_presences_are_not() {
    let disk = Disk::default();
    let (mut server, address) = durable_server(&disk).await;
    let mut client = Node::client();
    client.join(&mut server, &address).await;
    disk.says(Progress::Stuck);
    // Whoever waits for the disk is told by the end of the connection.
    let record = value(&client, "menu");
    put(&mut client, &mut server, record).await.unwrap_err();
    assert!(server.kad().is_stuck());

    client.join(&mut server, &address).await;
    let presence = client.presence(1, State::Here);
    put(&mut client, &mut server, presence).await.unwrap();
    let record = value(&client, "drinks");
    put(&mut client, &mut server, record.clone())
        .await
        .unwrap_err();

    // What is to be written is written once there is room again: first what was tried already.
    disk.says(Progress::Written);
    disk.says(Progress::Written);
    disk.says(Progress::Written);
    client.join(&mut server, &address).await;
    put(&mut client, &mut server, record).await.unwrap();
    assert!(!server.kad().is_stuck());
}
