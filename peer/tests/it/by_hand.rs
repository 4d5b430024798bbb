//! A peer made by hand: it says what the library's own never would, as an older or a hostile one may.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, SwarmBuilder, gossipsub, identify,
    identity::Keypair,
    noise,
    request_response::{self, OutboundRequestId},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use moim_peer::{Topic, limits};
use moim_protocol::{
    UnixMillis, names,
    presence::{Presence, SignedPresence, State},
    presence_wire, room,
};
use moim_rpc::ProtocolSupport;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What such a peer speaks.
#[derive(NetworkBehaviour)]
struct Behaviour {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    message: moim_rpc::Behaviour,
    presence: moim_rpc::Behaviour,
}

/// What it is told to do.
#[derive(Debug)]
enum Order {
    /// Say this, whatever it is, in the room.
    Publish(Value),
    /// Ask `peer` who is in the room, with this presence.
    Sync(PeerId, Vec<u8>),
}

/// A peer made by hand, connected to one of the library's.
pub(crate) struct ByHand {
    pub(crate) keypair: Keypair,
    orders: mpsc::Sender<Order>,
}

impl ByHand {
    /// Connects to a peer at `address`, hears the gossip of `topic`, and answers whoever asks it for what it said with
    /// `missed`.
    pub(crate) async fn start(address: Multiaddr, topic: &Topic, missed: Value) -> Self {
        let keypair = Keypair::generate_ed25519();
        let mut swarm = SwarmBuilder::with_existing_identity(keypair.clone())
            .with_tokio()
            .with_tcp(
                tcp::Config::new(),
                noise::Config::new,
                yamux::Config::default,
            )
            .expect("TCP")
            .with_behaviour(|keypair| {
                let config = gossipsub::ConfigBuilder::default()
                    .message_id_fn(|message: &gossipsub::Message| {
                        let (topic, from) = (message.topic.as_str(), message.source.as_ref());
                        room::gossip_message_id(topic, from, &message.data)
                            .to_vec()
                            .into()
                    })
                    .validation_mode(gossipsub::ValidationMode::Strict)
                    .heartbeat_interval(Duration::from_millis(200))
                    .build()?;
                let authenticity = gossipsub::MessageAuthenticity::Signed(keypair.clone());
                let identity = identify::Config::new("/moim/1.0.0".to_owned(), keypair.public());
                Ok(Behaviour {
                    gossip: gossipsub::Behaviour::new(authenticity, config)?,
                    identify: identify::Behaviour::new(identity),
                    message: moim_rpc::behaviour(names::MESSAGE_PROTOCOL, ProtocolSupport::Full),
                    presence: moim_rpc::behaviour(names::PRESENCE_PROTOCOL, ProtocolSupport::Full),
                })
            })
            .expect("a behaviour")
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(Duration::from_secs(600))
            })
            .build();
        let gossip_topic = gossipsub::IdentTopic::new(topic.hash().gossip_topic());
        swarm
            .behaviour_mut()
            .gossip
            .subscribe(&gossip_topic)
            .expect("subscribed");
        swarm.dial(address).expect("dials");
        let (orders, mut ordered) = mpsc::channel(64);
        let (subscribed, ready) = tokio::sync::oneshot::channel();
        let mut subscribed = Some(subscribed);
        let topic_hash = gossip_topic.hash();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    order = ordered.recv() => match order {
                        Some(Order::Publish(body)) => {
                            let body = body.to_string().into_bytes();
                            swarm.behaviour_mut().gossip.publish(topic_hash.clone(), body).expect("somebody hears it");
                        }
                        Some(Order::Sync(peer, body)) => {
                            let _: OutboundRequestId = swarm.behaviour_mut().presence.send_request(&peer, body);
                        }
                        None => break,
                    },
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Subscribed { .. })) => {
                            if let Some(subscribed) = subscribed.take() {
                                let _ = subscribed.send(());
                            }
                        }
                        SwarmEvent::Behaviour(BehaviourEvent::Message(request_response::Event::Message {
                            message: request_response::Message::Request { channel, .. }, ..
                        })) => {
                            let body = missed.to_string().into_bytes();
                            let _ = swarm.behaviour_mut().message.send_response(channel, body);
                        }
                        SwarmEvent::Behaviour(BehaviourEvent::Presence(request_response::Event::Message {
                            message: request_response::Message::Request { channel, .. }, ..
                        })) => {
                            let body = presence_wire::Response::Accepted.encode();
                            let _ = swarm.behaviour_mut().presence.send_response(channel, body);
                        }
                        _ => {}
                    },
                }
            }
        });
        ready.await.expect("the other hears the room's gossip");
        Self { keypair, orders }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// Says something in the room.
    pub(crate) fn publish(&self, body: Value) {
        self.orders.try_send(Order::Publish(body)).expect("it runs");
    }

    /// Tells `peer` that this one is in the room, by this name.
    pub(crate) fn sync(&self, peer: PeerId, topic: &Topic, name: &str) {
        let presence = self.presence(topic, name);
        let request = presence_wire::Request::Sync {
            topic: topic.hash(),
            presence: Some(presence),
            after: None,
            known: None,
        };
        let order = Order::Sync(peer, request.encode());
        self.orders.try_send(order).expect("it runs");
    }

    fn presence(&self, topic: &Topic, name: &str) -> SignedPresence {
        let now = now();
        let presence = Presence {
            peer: self.id(),
            topic: topic.hash(),
            name: name.parse().expect("a name"),
            addresses: Vec::new(),
            sequence: now.0,
            issued: now,
            expires: now.saturating_add(limits::PRESENCE_TTL),
            state: State::Here,
        };
        presence.sign(&self.keypair).expect("signed")
    }
}

/// The wall clock.
pub(crate) fn now() -> UnixMillis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = now.expect("after 1970").as_millis();
    UnixMillis(millis.try_into().expect("before the year 280,000"))
}

/// Something said in a room, as it goes over the wire.
pub(crate) fn text(sequence: u64, name: &str, text: &str) -> Value {
    let now = now().0;
    json!({
        "v": 1, "type": "text", "id": format!("{sequence:032x}"), "session": now - now % 1_000_000, "sequence": sequence,
        "name": name, "text": text, "sent": now,
    })
}
