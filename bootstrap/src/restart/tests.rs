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
};

use super::*;
use crate::config::Args;

/// Makes the event loop panic so many times, once for each of its rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sabotage(Arc<AtomicU32>);

impl Sabotage {
    pub(crate) fn spring(&self) {
        let one_less = |left: u32| left.checked_sub(1);
        let sprung = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        assert!(sprung.is_err(), "sabotage");
    }

    fn set(&self, times: u32) {
        self.0.store(times, Ordering::Relaxed);
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
    let config = Config::load(Args::parse_from(args), |_| None).unwrap();
    (Node::start_after(&config, past).unwrap(), config)
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
    let keypair = Keypair::generate_ed25519();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let issued = UnixMillis::from_epoch(since.unwrap());
    let value = record::Record {
        key: "menu".parse().unwrap(),
        value: serde_json::json!("soup"),
        publisher: keypair.public().to_peer_id(),
        sequence: 1,
        issued,
        expires: issued.saturating_add(moim_protocol::limits::RECORD_TTL_DEFAULT),
    };
    let signed = value.sign(&keypair).unwrap().into_bytes();
    Record::new(record::record_key("menu"), signed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_event_loop_costs_a_moment_and_neither_identity_nor_store_nor_address() {
    let data = tempfile::tempdir().unwrap();
    let past = Past::default();
    let (node, config) = start(&data, &past);
    let mut status = node.status();
    let (_configs, receiver) = watch::channel(config.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let sabotage = past.sabotage.clone();
    let running = tokio::spawn(keep_running(node, config, past, receiver, shutdown));
    let status = soon("the node", status.wait_for(|status| status.ready)).await;
    let status = status.unwrap().clone();
    let peer = status.peer_id;
    let addresses = ["tcp", "quic"].map(|transport| {
        let mut listening = status.listening.iter();
        let address = listening.find(|address| connections::transport(address) == transport);
        address.unwrap().clone().with_p2p(peer).unwrap()
    });

    let mut client = Client::new();
    client.connect(&addresses[0]).await;
    client
        .0
        .behaviour_mut()
        .add_address(&peer, addresses[0].clone());
    let menu = menu();
    client
        .0
        .behaviour_mut()
        .put_record(menu.clone(), Quorum::One)
        .unwrap();
    let put = client.until("the record to be kept", |event| match event {
        SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
            result: QueryResult::PutRecord(result),
            ..
        }) => Some(result),
        _ => None,
    });
    put.await.unwrap();

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
    let health = get(status.http[0], "/health").await;
    assert!(health.contains("\"restarts\":1"), "{health}");
    let metrics = get(status.http[0], "/metrics").await;
    assert!(
        metrics.contains("moim_bootstrap_restarts_total 1\n"),
        "{metrics}"
    );

    stop.send(()).unwrap();
    soon("the node to stop", running).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_panics_at_once_again_ends_with_what_was_the_matter() {
    let data = tempfile::tempdir().unwrap();
    let past = Past::default();
    past.sabotage.set(u32::MAX);
    let (node, config) = start(&data, &past);
    let (_configs, receiver) = watch::channel(config.clone());
    let running = keep_running(node, config, past, receiver, std::future::pending());
    let error = soon("the end", running).await.unwrap_err();
    let RunError::GaveUp { times, source } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*times, RESTARTS_MAX);
    assert!(source.to_string().contains("sabotage"), "{source}");
}
