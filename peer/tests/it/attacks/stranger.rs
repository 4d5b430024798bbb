//! A peer that says whatever a test wants, byte by byte.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder,
    identity::Keypair,
    noise,
    swarm::{SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use libp2p_stream::Control;
use moim_protocol::{
    UnixMillis,
    limits::PRESENCE_TTL,
    names,
    presence::{Presence, SignedPresence, State},
    room::RoomMessage,
    text::Name,
    topic::{Topic, TopicHash},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};

use crate::common::{PATIENCE, TestPeer};

const GOSSIP: StreamProtocol = StreamProtocol::new("/meshsub/1.1.0");

/// Bytes of gossip remembered of each that gossips to the stranger.
const HEARD_MAX: usize = 16 << 20;

pub(super) struct Stranger {
    keypair: Keypair,
    topic: TopicHash,
    control: Control,
    gossip: HashMap<PeerId, Stream>,
    heard: Arc<Mutex<HashMap<PeerId, Vec<u8>>>>,
    numbered: u64,
    said: u64,
    session: u64,
    running: JoinHandle<()>,
    /// Where those are that it makes up.
    pub(super) elsewhere: Vec<Multiaddr>,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.running.abort();
    }
}

pub(super) fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("before the year 500 million")
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len()), bytes].concat()
}

/// A field of a protobuf message that is bytes.
pub(super) fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![tag << 3 | 2], prefixed(bytes)].concat()
}

/// One frame of gossipsub: the fields of an RPC.
pub(super) fn frame(fields: &[u8]) -> Vec<u8> {
    prefixed(fields)
}

/// A frame with control messages.
pub(super) fn control(messages: &[u8]) -> Vec<u8> {
    frame(&field(3, messages))
}

impl Stranger {
    /// Connected to these, subscribed to the room's gossip, and grafted into the mesh.
    pub(super) async fn start(topic: &str, peers: &[&TestPeer]) -> Self {
        let keypair = Keypair::generate_ed25519();
        let mut swarm = SwarmBuilder::with_existing_identity(keypair.clone())
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .expect("a transport")
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        for peer in peers {
            let address = own_address(peer).await;
            let dial = DialOpts::peer_id(peer.peer.id()).addresses(vec![address]);
            swarm.dial(dial.build()).expect("dials");
            let connected = async {
                loop {
                    match swarm.select_next_some().await {
                        SwarmEvent::ConnectionEstablished { .. } => return,
                        SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                        _ => {}
                    }
                }
            };
            timeout(PATIENCE, connected).await.expect("connects");
        }
        let mut control = swarm.behaviour().new_control();
        let mut incoming = control.accept(GOSSIP).expect("accepted once");
        let heard: Arc<Mutex<HashMap<PeerId, Vec<u8>>>> = Arc::default();
        let hearing = heard.clone();
        let running = tokio::spawn(async move {
            let listening = async {
                while let Some((from, mut stream)) = incoming.next().await {
                    let heard = hearing.clone();
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 64 * 1024];
                        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                            let mut heard = heard.lock().expect("not poisoned");
                            let heard = heard.entry(from).or_default();
                            if heard.len() < HEARD_MAX {
                                heard.extend(&buffer[..read]);
                            }
                        }
                    });
                }
            };
            let driving = async {
                loop {
                    swarm.select_next_some().await;
                }
            };
            tokio::join!(listening, driving);
        });
        let mut stranger = Self {
            keypair,
            topic: Topic::new(topic).expect("valid").hash(),
            control,
            gossip: HashMap::new(),
            heard,
            numbered: 0,
            said: 0,
            // Long enough ago that the first message heard is not waited with.
            session: wall() - 60_000,
            running,
            elsewhere: Vec::new(),
        };
        for peer in peers {
            let id = peer.peer.id();
            let opened = stranger.control.open_stream(id, GOSSIP).await;
            stranger.gossip.insert(id, opened.expect("gossips"));
            let topic = stranger.topic.gossip_topic();
            // subscribe = 1 (bool true), topic = 2
            let subscription = [vec![1 << 3, 1], field(2, topic.as_bytes())].concat();
            let graft = field(3, &field(1, topic.as_bytes()));
            stranger.gossip(id, &frame(&field(1, &subscription))).await;
            stranger.gossip(id, &super::stranger::control(&graft)).await;
        }
        stranger
    }

    pub(super) fn id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    pub(super) fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    pub(super) fn gossip_topic(&self) -> String {
        self.topic.gossip_topic()
    }

    /// Becomes a member, as one that nobody can dial.
    pub(super) async fn join(&mut self, to: PeerId, name: &str) {
        let presence = self.presence(&self.keypair.clone(), name, wall());
        let frame = self.published(&self.keypair.clone(), &presence);
        self.gossip(to, &frame).await;
    }

    /// The data of somebody's presence.
    pub(super) fn presence(&self, who: &Keypair, name: &str, sequence: u64) -> Vec<u8> {
        self.presence_of(who, name, sequence, State::Here)
    }

    pub(super) fn presence_of(
        &self,
        who: &Keypair,
        name: &str,
        sequence: u64,
        state: State,
    ) -> Vec<u8> {
        let presence = self.signed(who, name, sequence, state);
        RoomMessage::Presence { presence }.encode()
    }

    /// The text of somebody's presence within such data.
    pub(super) fn presence_text(
        &self,
        who: &Keypair,
        name: &str,
        sequence: u64,
        state: State,
    ) -> String {
        let data = self.presence_of(who, name, sequence, state);
        let data: Value = serde_json::from_slice(&data).expect("JSON");
        data["presence"].as_str().expect("text").to_owned()
    }

    fn signed(&self, who: &Keypair, name: &str, sequence: u64, state: State) -> SignedPresence {
        let issued = UnixMillis(wall());
        let presence = Presence {
            peer: who.public().to_peer_id(),
            topic: self.topic,
            name: Name::new(name).expect("valid"),
            addresses: self.elsewhere.clone(),
            sequence,
            issued,
            expires: issued.saturating_add(PRESENCE_TTL),
            state,
        };
        presence.sign(who).expect("valid")
    }

    /// The data of the next text.
    pub(super) fn text(&mut self, text: &str) -> Vec<u8> {
        self.said += 1;
        let id = format!("{:032x}", self.said);
        let sent = wall();
        let (session, sequence) = (self.session, self.said);
        body(json!({
            "v": 1, "type": "text", "id": id, "session": session, "sequence": sequence,
            "name": "Mallory", "text": text, "sent": sent,
        }))
    }

    /// A frame with a message that `author` has signed.
    pub(super) fn published(&mut self, author: &Keypair, data: &[u8]) -> Vec<u8> {
        self.numbered += 1;
        let from = author.public().to_peer_id().to_bytes();
        let topic = self.gossip_topic();
        let message = [
            field(1, &from),
            field(2, data),
            field(3, &self.numbered.to_be_bytes()),
            field(4, topic.as_bytes()),
        ]
        .concat();
        let signature = author.sign(&[b"libp2p-pubsub:", message.as_slice()].concat());
        let signature = field(5, &signature.expect("signs"));
        frame(&field(2, &[message, signature].concat()))
    }

    /// Says something in the room, to one, that follows what was said before.
    pub(super) async fn say(&mut self, to: PeerId, text: &str) {
        let data = self.text(text);
        let frame = self.published(&self.keypair.clone(), &data);
        self.gossip(to, &frame).await;
    }

    /// Publishes data as one's own.
    pub(super) async fn publish(&mut self, to: PeerId, data: &[u8]) {
        let frame = self.published(&self.keypair.clone(), data);
        self.gossip(to, &frame).await;
    }

    /// Sends frames of gossip.
    pub(super) async fn gossip(&mut self, to: PeerId, frames: &[u8]) {
        let stream = self.gossip.get_mut(&to).expect("connected");
        let sent = async {
            stream.write_all(frames).await?;
            stream.flush().await
        };
        let sent = timeout(PATIENCE, sent).await.expect("in time");
        sent.expect("the other listens");
    }

    /// Asks one of Moim's own protocols.
    pub(super) async fn ask(&self, to: PeerId, protocol: &'static str, request: &[u8]) -> Value {
        let asking = async {
            let mut control = self.control.clone();
            let protocol = StreamProtocol::new(protocol);
            let mut stream = control.open_stream(to, protocol).await.expect("opens");
            stream.write_all(request).await.expect("asks");
            stream.close().await.expect("ends");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("is answered");
            serde_json::from_slice(&answer).expect("JSON")
        };
        timeout(PATIENCE, asking).await.expect("answered in time")
    }

    /// Sends a direct message. Answers what it was answered.
    pub(super) async fn send(&mut self, to: PeerId, text: &str) -> Value {
        self.numbered += 1;
        let id = format!("{:032x}", self.numbered);
        let request = body(json!({"v": 1, "type": "text", "id": id, "text": text, "sent": 0}));
        self.ask(to, names::MESSAGE_PROTOCOL, &request).await
    }

    /// Asks for the members of the room.
    pub(super) async fn sync(&self, to: PeerId) -> Value {
        let request = body(json!({"v": 1, "type": "sync", "topic": self.topic.to_hex()}));
        self.ask(to, names::PRESENCE_PROTOCOL, &request).await
    }

    /// Waits until somebody has gossiped these bytes to the stranger so often.
    pub(super) async fn hears(&self, from: PeerId, bytes: &[u8], count: usize) {
        let hearing = async {
            while self.heard(from, bytes) < count {
                tokio::task::yield_now().await;
            }
        };
        let heard = timeout(PATIENCE, hearing).await;
        let times = self.heard(from, bytes);
        assert!(heard.is_ok(), "heard {times} times instead of {count}");
    }

    /// How often somebody has gossiped these bytes to the stranger.
    pub(super) fn heard(&self, from: PeerId, bytes: &[u8]) -> usize {
        let heard = self.heard.lock().expect("not poisoned");
        heard.get(&from).map_or(0, |heard| {
            heard
                .windows(bytes.len())
                .filter(|window| window == &bytes)
                .count()
        })
    }
}

/// A body of one of Moim's protocols.
pub(super) fn body(body: Value) -> Vec<u8> {
    serde_json::to_vec(&body).expect("JSON")
}

async fn own_address(peer: &TestPeer) -> Multiaddr {
    let mut snapshot = peer.peer.snapshot();
    let listening = snapshot.wait_for(|snapshot| !snapshot.addresses.is_empty());
    let snapshot = timeout(PATIENCE, listening).await.expect("in time");
    snapshot.expect("the peer runs").addresses[0].clone()
}

/// What fills up: so much at once, and so much a second. With a second for what the clocks differ.
pub(super) fn at_most(burst: u32, per_second: u32, took: Duration) -> usize {
    let seconds = took.as_secs() as usize + 2;
    burst as usize + per_second as usize * seconds
}
