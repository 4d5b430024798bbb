//! Values in a DHT of several servers: many at once, right after each other, and with servers that hang.

use std::{collections::BTreeMap, sync::mpsc, thread, time::Duration};

use futures::{StreamExt as _, future, stream};
use moim_peer::{
    BootstrapSource, DhtMode, GetError, LookupError, PeerBuilder, PeerEvent, PutError, limits,
};
use serde_json::json;

use crate::common::{PATIENCE, TestPeer, builder, peer, server, test, topic};

const LIFETIME: Duration = limits::RECORD_TTL_DEFAULT;

fn serving(source: &BootstrapSource) -> PeerBuilder {
    builder(source).dht_mode(DhtMode::Server)
}

/// The server by which they enter, and so many more.
async fn servers(more: usize) -> (Vec<TestPeer>, BootstrapSource) {
    let (first, source) = server().await;
    let mut servers = vec![first];
    for _ in 0..more {
        servers.push(TestPeer::start(serving(&source)).await);
    }
    for server in &servers {
        knows(server, more).await;
    }
    (servers, source)
}

async fn knows(peer: &TestPeer, others: usize) {
    let mut snapshot = peer.peer.snapshot();
    let known = snapshot.wait_for(|snapshot| snapshot.dht.peers >= others);
    tokio::time::timeout(PATIENCE, known)
        .await
        .expect("all servers are known in time")
        .expect("the peer runs");
}

/// A server whose program stops when it is told to, with its sockets open.
struct Hanging {
    stop: mpsc::Sender<()>,
    has_stopped: mpsc::Receiver<()>,
    /// Where others enter by it.
    source: BootstrapSource,
}

impl Hanging {
    /// One of several servers.
    async fn start(source: &BootstrapSource) -> Self {
        let (builder, source) = (serving(source), source.clone());
        let joining = async {
            let peer = TestPeer::start(builder).await;
            peer.connected().await;
            (peer, source)
        };
        Self::run(joining).await
    }

    async fn run(
        starting: impl Future<Output = (TestPeer, BootstrapSource)> + Send + 'static,
    ) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (stands_still, has_stopped) = mpsc::channel();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            let (asked, mut is_asked) = tokio::sync::oneshot::channel();
            thread::spawn(move || {
                let _ = stopped.recv();
                let _ = asked.send(());
            });
            let _peer = runtime.block_on(async {
                let (peer, source) = starting.await;
                let _ = ready.send(source);
                let _ = (&mut is_asked).await;
                peer
            });
            // Nothing runs any more, and nothing is closed.
            let _ = stands_still.send(());
            loop {
                thread::park();
            }
        });
        let source = is_ready.await.expect("in the DHT");
        Self {
            stop,
            has_stopped,
            source,
        }
    }

    fn hang(&self) {
        self.stop.send(()).expect("it runs");
        self.has_stopped.recv().expect("it stops");
    }
}

#[test]
async fn a_thousand_puts_and_gets_at_once_through_one_peer_are_done() {
    const COUNT: usize = 500;
    let (_servers, source) = servers(2).await;
    let ada = peer(&source).await;
    ada.connected().await;
    let puts = (0..COUNT).map(|n| ada.peer.put(format!("many/{n}"), json!(n), LIFETIME));
    for (number, stored) in future::join_all(puts).await.into_iter().enumerate() {
        stored.unwrap_or_else(|error| panic!("put {number}: {error}"));
    }
    let gets = (0..COUNT).map(|n| ada.peer.get(format!("many/{n}")));
    for (number, value) in future::join_all(gets).await.into_iter().enumerate() {
        let value = value.unwrap_or_else(|error| panic!("get {number}: {error}"));
        assert_eq!(value.map(|value| value.value), Some(json!(number)));
    }
}

#[test]
async fn who_asks_for_more_than_is_queued_is_told_that_the_peer_is_busy() {
    const COUNT: usize = 2_000;
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    ada.connected().await;
    // No more keys than a server keeps of one publisher.
    let key = |n: usize| format!("flood/{}", n % 400);
    let puts = (0..COUNT).map(|n| ada.peer.put(key(n), json!(n), LIFETIME));
    let gets = (0..COUNT).map(|n| ada.peer.get(key(n)));
    let (puts, gets) = future::join(future::join_all(puts), future::join_all(gets)).await;
    let mut outcomes = BTreeMap::<_, usize>::new();
    for stored in puts {
        let outcome = match stored {
            Ok(_) => "done",
            Err(PutError::Busy) => "busy",
            Err(error) => panic!("{error}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    for value in gets {
        let outcome = match value {
            Ok(_) => "done",
            Err(GetError::Busy) => "busy",
            Err(error) => panic!("{error}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    assert!(
        outcomes["done"] >= 1_000 && outcomes["busy"] > 0,
        "{outcomes:?}"
    );
}

#[test]
async fn a_get_right_after_a_put_finds_it_a_thousand_times() {
    let (_servers, source) = servers(12).await;
    let (ada, bob) = (peer(&source).await, peer(&source).await);
    for user in [&ada, &bob] {
        knows(user, 13).await;
    }
    for number in 0..1_000 {
        // Some keys for the first time, some for the tenth: the newest counts.
        let key = format!("again/{}", number % 100);
        let (writer, reader) = if number % 2 == 0 {
            (&ada, &bob)
        } else {
            (&bob, &ada)
        };
        let stored = writer.peer.put(key.as_str(), json!(number), LIFETIME).await;
        stored.unwrap_or_else(|error| panic!("put {number}: {error}"));
        let value = reader.peer.get(key.as_str()).await.expect("asked");
        assert_eq!(value.map(|value| value.value), Some(json!(number)));
    }
}

#[test]
async fn a_get_right_after_a_put_finds_it_with_a_fifth_of_the_servers_hung() {
    let (_servers, source) = servers(8).await;
    let hanging: Vec<_> = stream::iter(0..2)
        .then(|_| Hanging::start(&source))
        .collect()
        .await;
    let (ada, bob) = (peer(&source).await, peer(&source).await);
    for user in [&ada, &bob] {
        knows(user, 11).await;
    }
    ada.peer
        .put("hung", json!("before"), LIFETIME)
        .await
        .expect("stored");
    for server in &hanging {
        server.hang();
    }
    for number in 0..100 {
        let key = if number % 2 == 0 {
            "hung".to_owned()
        } else {
            format!("hung/{number}")
        };
        let stored = ada.peer.put(key.as_str(), json!(number), LIFETIME).await;
        stored.unwrap_or_else(|error| panic!("put {number}: {error}"));
        let value = bob.peer.get(key.as_str()).await.expect("asked");
        assert_eq!(value.map(|value| value.value), Some(json!(number)));
    }
}

#[test]
async fn where_no_server_answers_nobody_says_that_there_is_nothing() {
    let server = Hanging::run(server()).await;
    let ada = peer(&server.source).await;
    ada.connected().await;
    ada.peer
        .put("there", json!(1), LIFETIME)
        .await
        .expect("stored");
    server.hang();
    let (value, members) = future::join(
        ada.peer.get("there"),
        ada.peer
            .lookup(topic("nobody here"), Duration::from_secs(4)),
    )
    .await;
    assert_eq!(value, Err(GetError::NoAnswer));
    assert!(matches!(members, Err(LookupError::NoAnswer)), "{members:?}");
    let stored = ada.peer.put("there", json!(2), LIFETIME).await;
    let why = stored.expect_err("nobody has it");
    assert!(
        // It is known to hang by now, or not yet.
        matches!(why, PutError::NoAnswer | PutError::NotConnected(_)),
        "{why:?}"
    );
}

#[test]
async fn copies_grow_after_a_put_is_answered() {
    let (servers, source) = servers(14).await;
    let mut ada = peer(&source).await;
    knows(&ada, servers.len()).await;
    let stored = ada.peer.put("grows", json!(1), LIFETIME).await;
    // Those that the others are to be found at, and then all.
    assert_eq!(stored.expect("stored").copies, 11);
    let copies = ada
        .expect("that the others keep it too", |event| match event {
            PeerEvent::CopiesGrown(stored) if stored.key.as_ref() == "grows" => Some(stored.copies),
            _ => None,
        })
        .await;
    assert_eq!(copies, servers.len());
}
