//! The protocols a peer speaks, composed into one libp2p behaviour.

use std::time::Duration;

use libp2p::{
    PeerId, connection_limits,
    core::ConnectedPoint,
    gossipsub::{self, IdentTopic},
    identify,
    identity::Keypair,
    kad, ping, relay,
    swarm::{
        ConnectionId, FromSwarm, NetworkBehaviour,
        behaviour::{ConnectionEstablished, toggle::Toggle},
    },
};
use moim_dht::Introductions;
use moim_protocol::{limits, names, room::gossip_message_id};
use moim_rpc::ProtocolSupport;
use moim_webrtc::AsDirect;

use crate::{
    builder::{DhtMode, PeerBuilder},
    duplicates,
    error::StartError,
    platform, probe,
    scoring::{self, Gossip},
    sources, swarm,
};

/// Connections a peer keeps at most: a room's neighbours, bootstrap nodes, DHT servers, and
/// strangers that look something up.
const CONNECTIONS_MAX: u32 = 256;

/// Of these, those that others have opened: there is always room for bootstrap nodes and members that this peer looks for.
const INCOMING_MAX: u32 = CONNECTIONS_MAX / 4 * 3;

/// Of these, those from one address: a class behind one NAT.
const INCOMING_PER_SOURCE_MAX: usize = CONNECTIONS_MAX as usize / 4;

/// Of these, those of strangers behind relays.
const INCOMING_RELAYED_MAX: usize = INCOMING_MAX as usize / 2;

/// Dials under way at once. For what others begin see [`waiting`](crate::waiting).
const DIALS_MAX: u32 = 64;

/// One direct and one relayed, each by several addresses at once and from both sides.
const CONNECTIONS_PER_PEER_MAX: u32 = 8;

/// Round trips shown to people should be fresh, and a dead connection noticed within half a minute.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Longer than any round trip over a relay on a bad line.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long gossip waits for a neighbour. Its shares bound how much that is.
const QUEUED_FOR: Duration = Duration::from_secs(5);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) sources: sources::Behaviour,
    pub(crate) duplicates: duplicates::Behaviour,
    pub(crate) relay: AsDirect<relay::client::Behaviour>,
    pub(crate) identify: Introductions,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: moim_dht::Behaviour,
    pub(crate) gossip: Toggle<Gossip>,
    pub(crate) message: moim_rpc::Behaviour,
    pub(crate) presence: moim_rpc::Behaviour,
    pub(crate) probe: probe::Behaviour,
    pub(crate) refusal: moim_rpc::Behaviour,
    #[cfg(feature = "programs")]
    pub(crate) streams: crate::streams::behaviour::Behaviour,
    pub(crate) time: moim_rpc::Behaviour,
    pub(crate) platform: swarm::PlatformBehaviour,
}

impl Behaviour {
    pub(crate) fn new(
        keypair: &Keypair,
        relay: relay::client::Behaviour,
        platform: swarm::PlatformBehaviour,
        settings: &PeerBuilder,
    ) -> Result<Self, StartError> {
        let me = keypair.public().to_peer_id();
        let mut kad = moim_dht::Behaviour::new(me, platform::seed());
        kad.set_mode(Some(match settings.dht {
            DhtMode::Client => kad::Mode::Client,
            DhtMode::Server => kad::Mode::Server,
        }));
        let gossip = if settings.gossip {
            Some(gossip(keypair)?)
        } else {
            None
        };
        Ok(Self {
            limits: connection_limits::Behaviour::new(
                connection_limits::ConnectionLimits::default()
                    .with_max_pending_outgoing(Some(DIALS_MAX))
                    .with_max_established(Some(CONNECTIONS_MAX))
                    .with_max_established_incoming(Some(INCOMING_MAX))
                    .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX)),
            ),
            sources: sources::Behaviour::new(INCOMING_PER_SOURCE_MAX, INCOMING_RELAYED_MAX),
            duplicates: duplicates::Behaviour::default(),
            relay: AsDirect::new(relay),
            identify: Introductions::new(
                identify::Config::new(names::IDENTIFY_PROTOCOL.to_owned(), keypair.public())
                    .with_agent_version(settings.agent.clone())
                    .with_push_listen_addr_updates(true)
                    // What a relay calls itself is among these. External addresses are ours.
                    .with_hide_listen_addrs(true),
            ),
            ping: ping::Behaviour::new(
                ping::Config::new()
                    .with_interval(PING_INTERVAL)
                    .with_timeout(PING_TIMEOUT),
            ),
            kad,
            gossip: gossip.into(),
            message: moim_rpc::behaviour(names::MESSAGE_PROTOCOL, ProtocolSupport::Full),
            presence: moim_rpc::behaviour(names::PRESENCE_PROTOCOL, ProtocolSupport::Full),
            probe: probe::Behaviour::default(),
            refusal: moim_rpc::behaviour(names::REFUSAL_PROTOCOL, ProtocolSupport::Inbound),
            #[cfg(feature = "programs")]
            streams: crate::streams::behaviour::Behaviour::default(),
            time: moim_rpc::behaviour(names::TIME_PROTOCOL, ProtocolSupport::Outbound),
            platform,
        })
    }

    /// A connection to a peer has closed and another is there. Gossipsub names its topics to a peer on
    /// the first connection only, also when that closes a moment later, with the topics on it; so it is
    /// told that there is a first connection once more. js-libp2p, which gossips to nobody who does not
    /// gossip to it, hears of the connection that is left.
    pub(crate) fn greet_again(
        &mut self,
        peer_id: PeerId,
        connection_id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        if let Some(gossip) = self.gossip.as_mut() {
            // Gossipsub wants to know whose it is, not which.
            gossip.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                failed_addresses: &[],
                other_established: 0,
            }));
        }
    }

    /// Listens to a room's gossip, and scores who brings it.
    pub(crate) fn listen_to(&mut self, topic: &IdentTopic) {
        let Some(gossip) = self.gossip.as_mut() else {
            return;
        };
        if let Err(error) = gossip.subscribe(topic) {
            tracing::warn!(%error, "cannot subscribe to the room's gossip");
        }
        if let Err(error) = gossip.set_topic_params(topic.clone(), scoring::room()) {
            tracing::warn!(%error, "nobody is scored in the room");
        }
    }

    /// Peers that are known to listen to a gossip topic and are connected.
    pub(crate) fn gossip_listeners(&self, topic: &gossipsub::TopicHash) -> Vec<PeerId> {
        let Some(gossip) = self.gossip.as_ref() else {
            return Vec::new();
        };
        gossip
            .all_peers()
            .filter(|(_, topics)| topics.contains(&topic))
            .map(|(peer, _)| *peer)
            .collect()
    }
}

fn gossip(keypair: &Keypair) -> Result<Gossip, StartError> {
    let set_up = |source| StartError::SetUp {
        part: "gossipsub",
        source,
    };
    let config = gossipsub::ConfigBuilder::default()
        .max_transmit_size(limits::BODY_BYTES_MAX)
        // In a small room everybody hears the author directly, whatever the mesh looks like.
        .flood_publish(true)
        // A member whose connection dropped for some seconds still hears what it missed.
        .history_length(12)
        .history_gossip(8)
        // What members say waits as long for a neighbour that is busy with a flood as what this peer says.
        .forward_queue_duration(QUEUED_FOR)
        .publish_queue_duration(QUEUED_FOR)
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(|message| {
            let id = gossip_message_id(
                message.topic.as_str(),
                message.source.as_ref(),
                &message.data,
            );
            gossipsub::MessageId::from(id.to_vec())
        })
        .build()
        .map_err(|error| set_up(error.into()))?;
    let mut gossip = Gossip::new_with_subscription_filter(
        gossipsub::MessageAuthenticity::Signed(keypair.clone()),
        config,
        scoring::subscriptions(),
    )
    .map_err(|error| set_up(error.into()))?;
    gossip
        .with_peer_score(scoring::params(), scoring::thresholds())
        .map_err(|error| set_up(error.into()))?;
    Ok(gossip)
}
