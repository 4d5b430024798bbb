use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use clap::Parser as _;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder,
    identity::Keypair,
    kad::{self, GetRecordOk, QueryResult, Quorum, Record},
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use moim_protocol::{UnixMillis, record};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use super::*;
use crate::args::Args;

/// Makes the event loop panic so many times, once for each of its rounds, or stand still once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sabotage {
    panics: Arc<AtomicU32>,
    still_seconds: Arc<AtomicU32>,
}

impl Sabotage {
    pub(crate) fn spring(&self) {
        let still = self.still_seconds.swap(0, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(still.into()));
        let one_less = |left: u32| left.checked_sub(1);
        let sprung = self
            .panics
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        assert!(sprung.is_err(), "sabotage");
    }

    fn set(&self, times: u32) {
        self.panics.store(times, Ordering::Relaxed);
    }

    fn stand_still(&self, seconds: u32) {
        self.still_seconds.store(seconds, Ordering::Relaxed);
    }
}

const DEADLINE: Duration = Duration::from_secs(30);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = time::timeout(DEADLINE, future).await;
    result.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

fn start(data: &tempfile::TempDir, past: &Past) -> (Node, Config) {
    let mut args = vec![
        "moim-bootstrap".to_owned(),
        format!("--data-dir={}", data.path().display()),
        "--web=off".to_owned(),
    ];
    for flag in ["tcp", "quic", "ws", "webrtc-direct", "http", "stun"] {
        args.push(format!("--{flag}=127.0.0.1:0"));
    }
    let config = Args::parse_from(args).load(|_| None).unwrap();
    (Node::start_after(&config, past).unwrap(), config)
}

/// A node that runs, and is started anew when it panics.
struct Running {
    status: Status,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), RunError>>,
    _configs: watch::Sender<Config>,
}

impl Running {
    async fn start(node: Node, config: Config, past: Past) -> Self {
        let mut status = node.status();
        let (_configs, receiver) = watch::channel(config.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let running = tokio::spawn(keep_running(node, config, past, receiver, shutdown));
        let status = soon("the node", status.wait_for(|status| status.ready)).await;
        Self {
            status: status.unwrap().clone(),
            stop,
            running,
            _configs,
        }
    }

    fn http(&self) -> SocketAddr {
        self.status.http[0]
    }

    fn address(&self, transport: &str) -> Multiaddr {
        let mut listening = self.status.listening.iter();
        let address = listening.find(|address| connections::transport(address) == transport);
        let address = address.unwrap().clone();
        address.with_p2p(self.status.peer_id).unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        let ended = soon("the node to stop", self.running).await;
        ended.unwrap().unwrap();
    }
}

struct Client(Swarm<moim_dht::Behaviour>);

impl Client {
    fn new() -> Self {
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_quic()
            .with_behaviour(|key| {
                let mut kad = moim_dht::Behaviour::new(key.public().to_peer_id(), 7);
                kad.set_mode(Some(kad::Mode::Client));
                kad
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        Self(swarm)
    }

    async fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(SwarmEvent<kad::Event>) -> Option<T>,
    ) -> T {
        soon(what, async {
            loop {
                if let Some(found) = wanted(self.0.select_next_some().await) {
                    return found;
                }
            }
        })
        .await
    }

    /// Has a record kept by the node at this address, if it does.
    async fn put(&mut self, node: &Multiaddr, record: Record) -> bool {
        let peer = node.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        self.0
            .behaviour_mut()
            .add_address(&peer.unwrap(), node.clone());
        let put = self.0.behaviour_mut().put_record(record, Quorum::One);
        put.unwrap();
        let put = self.until("what becomes of a record", |event| match event {
            SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                result: QueryResult::PutRecord(result),
                ..
            }) => Some(result.is_ok()),
            _ => None,
        });
        put.await
    }

    /// Dials as often as it takes.
    async fn connect(&mut self, address: &Multiaddr) {
        soon("a connection", async {
            loop {
                self.0.dial(address.clone()).unwrap();
                let is_there = loop {
                    match self.0.select_next_some().await {
                        SwarmEvent::ConnectionEstablished { .. } => break true,
                        SwarmEvent::OutgoingConnectionError { .. } => break false,
                        _ => {}
                    }
                };
                if is_there {
                    return;
                }
            }
        })
        .await;
    }
}

async fn get(http: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn menu() -> Record {
    value("menu")
}

fn value(key: &str) -> Record {
    let keypair = Keypair::generate_ed25519();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let issued = UnixMillis::from_epoch(since.unwrap());
    let value = record::Record {
        key: key.parse().unwrap(),
        value: serde_json::json!("soup"),
        publisher: keypair.public().to_peer_id(),
        sequence: 1,
        issued,
        expires: issued.saturating_add(moim_protocol::limits::RECORD_TTL_DEFAULT),
    };
    let signed = value.sign(&keypair).unwrap().into_bytes();
    Record::new(record::record_key(key), signed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_event_loop_costs_a_moment_and_neither_identity_nor_store_nor_address() {
    let data = tempfile::tempdir().unwrap();
    let past = Past::default();
    let (node, config) = start(&data, &past);
    let sabotage = past.sabotage.clone();
    let running = Running::start(node, config, past).await;
    let addresses = ["tcp", "quic"].map(|transport| running.address(transport));

    let mut client = Client::new();
    client.connect(&addresses[0]).await;
    let menu = menu();
    assert!(client.put(&addresses[0], menu.clone()).await);

    sabotage.set(1);
    let gone = client.until("the connection to end", |event| {
        matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(())
    });
    gone.await;
    // Whoever finds the node's peer id at its old addresses has found the node.
    for address in &addresses {
        client.connect(address).await;
    }
    client.0.behaviour_mut().get_record(menu.key.clone());
    let found = client.until("the record", |event| match event {
        SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
            result: QueryResult::GetRecord(result),
            ..
        }) => Some(result),
        _ => None,
    });
    match found.await {
        Ok(GetRecordOk::FoundRecord(found)) => assert_eq!(found.record.value, menu.value),
        other => panic!("{other:?}"),
    }
    let health = get(running.http(), "/health").await;
    assert!(health.contains("\"restarts\":1"), "{health}");
    let metrics = get(running.http(), "/metrics").await;
    assert!(
        metrics.contains("moim_bootstrap_restarts_total 1\n"),
        "{metrics}"
    );

    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_thread_that_writes_the_store_costs_a_moment_and_nothing_that_was_written() {
    let data = tempfile::tempdir().unwrap();
    let (node, config) = start(&data, &Past::default());
    let mut status = node.status();
    let sabotage_store = node.store_sabotage();
    let running = Running::start(node, config, Past::default()).await;
    let address = running.address("tcp");
    let mut client = Client::new();
    client.connect(&address).await;
    let (kept, other) = (menu(), value("other"));
    assert!(client.put(&address, kept.clone()).await);

    sabotage_store.store(true, Ordering::Relaxed);
    // It is acknowledged by nobody.
    assert!(!client.put(&address, other.clone()).await);
    soon("the node to be gone", async {
        while status.changed().await.is_ok() {}
    })
    .await;
    client.connect(&address).await;
    assert!(client.put(&address, other).await, "it is written again");
    let mut guest = Client::new();
    guest.connect(&address).await;
    guest
        .0
        .behaviour_mut()
        .add_address(&running.status.peer_id, address);
    guest.0.behaviour_mut().get_record(kept.key.clone());
    let found = guest.until("the record", |event| match event {
        SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
            result: QueryResult::GetRecord(result),
            ..
        }) => Some(result),
        _ => None,
    });
    assert!(
        matches!(found.await, Ok(GetRecordOk::FoundRecord(found)) if found.record.value == kept.value)
    );
    let health = get(running.http(), "/health").await;
    assert!(health.contains("\"restarts\":1"), "{health}");
    assert!(health.contains("\"store\":\"ok\""), "{health}");
    running.stop().await;
}

/// Whether the node's HTTP port answers.
async fn answers(http: SocketAddr) -> bool {
    let stream = soon("the port", async {
        loop {
            if let Ok(stream) = TcpStream::connect(http).await {
                return stream;
            }
            time::sleep(limits::RESTART_PAUSE).await;
        }
    });
    let mut stream = stream.await;
    let _ = stream
        .write_all(b"GET /health HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        .await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    !answer.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_blocked_is_blocked_after_a_panic_though_the_list_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let list = data.path().join("blocked.txt");
    std::fs::write(&list, "127.0.0.1\n").unwrap();
    let past = Past::default();
    let (node, config) = start(&data, &past);
    let mut status = node.status();
    let sabotage = past.sabotage.clone();
    let running = Running::start(node, config, past).await;
    assert!(!answers(running.http()).await);
    std::fs::remove_file(&list).unwrap();
    sabotage.set(1);
    soon("the node to be gone", async {
        while status.changed().await.is_ok() {}
    })
    .await;
    assert!(!answers(running.http()).await);
    // It is still followed.
    std::fs::write(&list, "").unwrap();
    soon("to be let in", async {
        while !answers(running.http()).await {
            time::sleep(limits::RESTART_PAUSE).await;
        }
    })
    .await;
    let health = get(running.http(), "/health").await;
    assert!(health.contains("\"restarts\":1"), "{health}");
    running.stop().await;
}

/// The event loop is where `main` has it: on the thread that waits for everything to end, and not on one of the runtime's,
/// which would take the runtime's sockets with it when it stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_that_the_event_loop_stands_still_and_that_it_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let past = Past::default();
    let (node, config) = start(&data, &past);
    let mut status = node.status();
    let sabotage = past.sabotage.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let asking = tokio::spawn(async move {
        let http = status.wait_for(|status| status.ready).await.unwrap().http[0];
        let says = async |words: [&str; 2]| loop {
            let health = get(http, "/health").await;
            if words.iter().all(|word| health.contains(word)) {
                return;
            }
            time::sleep(limits::RESTART_PAUSE).await;
        };
        says(["HTTP/1.1 200 ", "\"status\":\"ok\""]).await;
        let seconds = limits::HEARTBEAT_MAX.as_secs() as u32 + 3;
        sabotage.stand_still(seconds);
        says(["HTTP/1.1 503 ", "\"status\":\"stalled\""]).await;
        says(["HTTP/1.1 200 ", "\"status\":\"ok\""]).await;
        stop.send(()).unwrap();
    });
    let (_configs, receiver) = watch::channel(config.clone());
    let shutdown = async {
        let _ = stopped.await;
    };
    let running = keep_running(node, config, past, receiver, shutdown);
    soon("the node to be stopped", running).await.unwrap();
    asking.await.unwrap();
}
