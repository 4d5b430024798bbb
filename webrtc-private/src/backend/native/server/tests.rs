//! Dials over loopback, with the dialling side of this crate on the same WebRTC implementation.

use std::{future::Future, time::Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, channel::mpsc};
use libp2p_core::{Endpoint, Transport as _, muxing::StreamMuxerExt as _, transport::PortUse};
use rtc_crypto::default_provider;
use rtc_ice::attributes::{control::AttrControlling, priority::PriorityAttr};
use rtc_stun::{
    attributes::ATTR_USERNAME,
    fingerprint::FINGERPRINT,
    integrity::MessageIntegrity,
    message::{BINDING_REQUEST, Message, TransactionId},
    textattrs::TextAttribute,
};
use tokio::{net::UdpSocket, task::JoinHandle, time::timeout};

use super::{
    super::{Native, channel::Channel},
    *,
};
use crate::{Stream, direct};

const PATIENCE: Duration = Duration::from_secs(20);

/// Comings and goings that nobody has looked at.
const COMERS: usize = 100;

type Muxer = crate::Connection<Connection>;

/// A server that says back what it is told, for as long as this is kept.
struct Echo {
    address: Multiaddr,
    identity: Keypair,
    /// Those who have come; `None` when one has left.
    clients: mpsc::Receiver<Option<PeerId>>,
    task: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Echo {
    async fn start() -> Self {
        // With RUST_LOG set, a failing test shows what happened.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let identity = Keypair::generate_ed25519();
        let certificate = Certificate::generate().unwrap();
        let mut server = Server::new(identity.clone(), certificate, PATIENCE);
        let listen = "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap();
        server.listen_on(ListenerId::next(), listen).unwrap();
        let address = match next(&mut server).await {
            TransportEvent::NewAddress { listen_addr, .. } => listen_addr,
            other => panic!("{other:?}"),
        };
        let (come, clients) = mpsc::channel(COMERS);
        let task = tokio::spawn(async move {
            loop {
                if let TransportEvent::Incoming { upgrade, .. } = next(&mut server).await {
                    let mut come = come.clone();
                    tokio::spawn(async move {
                        let Ok((peer, muxer)) = upgrade.await else {
                            return;
                        };
                        let _ = come.try_send(Some(peer));
                        echo(muxer).await;
                        let _ = come.try_send(None);
                    });
                }
            }
        });
        Self {
            address,
            identity,
            clients,
            task,
        }
    }

    fn peer_id(&self) -> PeerId {
        self.identity.public().to_peer_id()
    }

    async fn next(&mut self) -> Option<PeerId> {
        let next = timeout(PATIENCE, self.clients.next()).await;
        next.expect("in time").expect("it runs")
    }
}

async fn next(server: &mut Server) -> TransportEvent<Upgrade, Error> {
    poll_fn(|cx| Pin::new(&mut *server).poll(cx)).await
}

async fn echo(mut muxer: Muxer) {
    loop {
        let stream = poll_fn(|cx| {
            if let Poll::Ready(ended) = muxer.poll_unpin(cx) {
                return Poll::Ready(ended.map(|_| None));
            }
            muxer.poll_inbound_unpin(cx).map_ok(Some)
        })
        .await;
        let Ok(Some(mut stream)) = stream else {
            return;
        };
        tokio::spawn(async move {
            let mut heard = Vec::new();
            if stream.read_to_end(&mut heard).await.is_ok() {
                let _ = stream.write_all(&heard).await;
                let _ = stream.close().await;
            }
        });
    }
}

async fn dial(
    address: &Multiaddr,
    identity: &Keypair,
    within: Duration,
) -> Result<Accepted, Error> {
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let mut transport = direct::Transport::new(Native, identity.clone(), within);
    transport.dial(address.clone(), options).unwrap().await
}

/// Drives a connection until the work on its streams is done.
async fn drive<T>(muxer: &mut Muxer, work: impl Future<Output = T>) -> T {
    let ended = poll_fn(|cx| muxer.poll_unpin(cx));
    match timeout(PATIENCE, future::select(Box::pin(work), ended)).await {
        Ok(Either::Left((done, _))) => done,
        Ok(Either::Right((ended, _))) => panic!("{ended:?}"),
        Err(_) => panic!("not in time"),
    }
}

async fn said_back(muxer: &mut Muxer, text: &[u8]) -> Vec<u8> {
    let stream: Stream<Channel> = poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.unwrap();
    let (mut read, mut write) = stream.split();
    drive(muxer, async {
        let mut heard = Vec::new();
        let write = async {
            write.write_all(text).await.unwrap();
            write.close().await.unwrap();
        };
        let (_, read) = future::join(write, read.read_to_end(&mut heard)).await;
        read.unwrap();
        heard
    })
    .await
}

#[tokio::test]
async fn a_dialler_and_a_server_know_each_other_and_talk() {
    let mut server = Echo::start().await;
    let me = Keypair::generate_ed25519();
    let began = Instant::now();
    let (peer, mut muxer) = dial(&server.address, &me, PATIENCE).await.unwrap();
    println!("connected after {:?}", began.elapsed());
    assert_eq!(peer, server.peer_id());
    assert_eq!(server.next().await, Some(me.public().to_peer_id()));
    for round in 0..200_u8 {
        let text = vec![round; 20_000];
        assert_eq!(said_back(&mut muxer, &text).await, text);
    }
    let much = vec![7; 4 * 1024 * 1024];
    assert_eq!(said_back(&mut muxer, &much).await, much);
    drop(muxer);
    assert_eq!(server.next().await, None, "it notices");
}

#[tokio::test]
async fn a_crowd_is_served_at_one_socket() {
    const CROWD: usize = 20;
    let server = Echo::start().await;
    let dials = (0..CROWD).map(|number| {
        let (address, peer) = (server.address.clone(), server.peer_id());
        tokio::spawn(async move {
            let me = Keypair::generate_ed25519();
            let (id, mut muxer) = dial(&address, &me, PATIENCE).await.unwrap();
            assert_eq!(id, peer);
            let text = number.to_string().repeat(1000).into_bytes();
            assert_eq!(said_back(&mut muxer, &text).await, text);
        })
    });
    for dial in future::join_all(dials).await {
        dial.unwrap();
    }
}

#[tokio::test]
async fn a_server_with_another_certificate_is_not_connected_to() {
    let server = Echo::start().await;
    let other = Certificate::generate().unwrap();
    let mut address = server.address.clone();
    address.pop();
    let address = address.with(Protocol::Certhash(other.certhash()));
    let me = Keypair::generate_ed25519();
    let within = Duration::from_secs(3);
    let error = dial(&address, &me, within).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout(Step::Connecting)
                | Error::Closed {
                    step: Step::Connecting,
                    ..
                }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn garbage_disturbs_nobody_and_is_not_answered() {
    let mut server = Echo::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut parts = server.address.iter();
    let port = match (parts.next(), parts.next()) {
        (Some(_), Some(Protocol::Udp(port))) => port,
        other => panic!("{other:?}"),
    };
    socket.connect(("127.0.0.1", port)).await.unwrap();
    let cookie = [0x21, 0x12, 0xa4, 0x42];
    let name = [b"libp2p+webrtc+v2/", &b"x".repeat(22)[..], b":abcd"].concat();
    let username = [&[0, 6, 0, 44][..], &name].concat();
    assert_eq!(username.len(), 48);
    for size in [0_usize, 1, 19, 20, 60, 1200, 60_000] {
        socket.send(&vec![0xff; size]).await.unwrap();
        socket.send(&vec![0; size]).await.unwrap();
        let dtls = [&[22, 254, 253][..], &vec![0; size]].concat();
        socket.send(&dtls).await.unwrap();
        let length = u16::try_from(size).unwrap().to_be_bytes();
        let lies = [&[0, 1][..], &length, &cookie, &[7; 12], &username].concat();
        socket.send(&lies).await.unwrap();
    }
    // A check with a username, but not signed.
    let unsigned = [&[0, 1, 0, 48][..], &cookie, &[7; 12], &username].concat();
    socket.send(&unsigned).await.unwrap();

    let me = Keypair::generate_ed25519();
    let (_, mut muxer) = dial(&server.address, &me, PATIENCE).await.unwrap();
    assert_eq!(said_back(&mut muxer, b"still here").await, b"still here");
    assert_eq!(server.next().await, Some(me.public().to_peer_id()));
    let mut buffer = [0; 100];
    let answer = socket.try_recv(&mut buffer).unwrap_err();
    assert_eq!(answer.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn who_does_not_answer_is_not_heard_of() {
    let identity = Keypair::generate_ed25519();
    let certificate = Certificate::generate().unwrap();
    let mut server = Server::new(identity, certificate, PATIENCE);
    let listen = "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap();
    server.listen_on(ListenerId::next(), listen).unwrap();
    let TransportEvent::NewAddress { listen_addr, .. } = next(&mut server).await else {
        panic!("it listens");
    };
    let server_at = socket_addr(&listen_addr.iter().take(3).collect()).unwrap();
    let check = signed_check("libp2p+webrtc+v2/0123456789abcdefghijkl", "abcd");
    let (silent, talking) = (
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    );
    for socket in [&silent, &talking] {
        socket.send_to(&check, server_at).await.unwrap();
    }
    let mut question = [0; 2048];
    let answer = async {
        let (length, _) = talking.recv_from(&mut question).await.unwrap();
        assert!(length <= check.len(), "{length} for {}", check.len());
        let answer = [&[1, 1, 0, 0][..], &question[4..20]].concat();
        // From elsewhere it is no answer.
        silent.send_to(&answer, server_at).await.unwrap();
        talking.send_to(&answer, server_at).await.unwrap();
    };
    let came = future::select(Box::pin(next(&mut server)), Box::pin(answer)).await;
    let came = match came {
        Either::Right(((), coming)) => coming.await,
        Either::Left(_) => panic!("somebody came who was not asked"),
    };
    let TransportEvent::Incoming { send_back_addr, .. } = came else {
        panic!("{came:?}");
    };
    assert_eq!(send_back_addr, multiaddr(talking.local_addr().unwrap()));
}

/// The first check of a client that is called so.
pub(super) fn signed_check(server: &str, client: &str) -> Vec<u8> {
    let crypto = default_provider().unwrap();
    let mut check = Message::new();
    let signature = MessageIntegrity::new_short_term_integrity_with_provider(
        server.to_owned(),
        crypto.crypto(),
    );
    let built = check.build(&[
        Box::<TransactionId>::default(),
        Box::new(BINDING_REQUEST),
        Box::new(TextAttribute::new(
            ATTR_USERNAME,
            format!("{server}:{client}"),
        )),
        Box::new(PriorityAttr(1)),
        Box::new(AttrControlling(1)),
        Box::new(signature),
        Box::new(FINGERPRINT),
    ]);
    built.unwrap();
    check.raw
}

#[tokio::test]
async fn listeners_come_and_go() {
    let certificate = Certificate::generate().unwrap();
    let mut server = Server::new(Keypair::generate_ed25519(), certificate, PATIENCE);
    for address in ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"] {
        let refused = server.listen_on(ListenerId::next(), address.parse().unwrap());
        assert!(matches!(
            refused,
            Err(TransportError::MultiaddrNotSupported(_))
        ));
    }
    let id = ListenerId::next();
    let everywhere = "/ip4/0.0.0.0/udp/0/webrtc-direct".parse().unwrap();
    server.listen_on(id, everywhere).unwrap();
    let address = match next(&mut server).await {
        TransportEvent::NewAddress { listen_addr, .. } => listen_addr,
        other => panic!("{other:?}"),
    };
    let text = address.to_string();
    assert!(text.contains("/webrtc-direct/certhash/uEi"), "{text}");
    assert!(!text.contains("/0.0.0.0/"), "{text}");

    let taken = address.iter().take(3).collect();
    let refused = server.listen_on(ListenerId::next(), taken);
    assert!(
        matches!(refused, Err(TransportError::Other(Error::Socket(_)))),
        "{refused:?}"
    );
    assert!(server.remove_listener(id));
    assert!(!server.remove_listener(id));
    loop {
        match next(&mut server).await {
            TransportEvent::NewAddress { .. } => {}
            TransportEvent::ListenerClosed { listener_id, .. } => {
                assert_eq!(listener_id, id);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}
