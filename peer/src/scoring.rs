//! What gossipsub thinks of its neighbours, and which topics it lets them name.
//!
//! Scores are never positive: who has been useful for an hour may not spend that on a flood. What
//! counts is what no honest peer does (invalid messages) or seldom does (promising messages and not
//! sending them, joining the mesh too soon after having been sent away). What an honest peer may do
//! counts nothing: being slow, being quiet, sharing an address with others.

use std::{collections::HashMap, time::Duration};

use libp2p::gossipsub::{
    IdentityTransform, MaxCountSubscriptionFilter, PeerScoreParams, PeerScoreThresholds, TopicHash,
    TopicScoreParams, TopicSubscriptionFilter, score_parameter_decay,
};
use moim_protocol::topic;

/// Invalid messages after which a peer is not listened to at all, if they come within a minute or
/// so. One may be a bug, or a difference between two versions.
const INVALID_MAX: f64 = 8.0;

/// The same for promises not kept and for joining the mesh too soon, above what may happen: each
/// connection that breaks takes some promises with it, and a page that is loaded again has forgotten
/// when it was sent away.
const MISBEHAVIOUR_MAX: f64 = 8.0;

/// See [`MISBEHAVIOUR_MAX`].
const MISBEHAVIOUR_FREE: f64 = 16.0;

/// A counter is down to a tenth after this. Eight invalid messages a minute do no harm.
const FORGIVEN: Duration = Duration::from_secs(120);

/// A peer that has gone does not come back with a clean slate before this. Longer than a round of
/// [`FORGIVEN`], and no longer, because every peer that ever connected is remembered for it.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// The score of a peer that is not listened to, whatever it does: see `driver/shares.rs`.
pub(crate) const DEAF_SCORE: f64 = -2.0 * INVALID_MAX * INVALID_MAX;

/// Topics of one peer that are remembered. A peer is in 32 rooms at most (`ROOMS_MAX`).
const TOPICS_PER_PEER_MAX: usize = 64;

/// Topics named in one message: a peer names all of its own in the first.
const TOPICS_PER_MESSAGE_MAX: usize = 128;

/// Gossipsub as peers use it.
pub(crate) type Gossip = libp2p::gossipsub::Behaviour<IdentityTransform, Subscriptions>;

/// Bounds the topics that a peer may say it listens to: they are all remembered.
pub(crate) type Subscriptions = MaxCountSubscriptionFilter<Rooms>;

/// Topics that are rooms. Others are passed over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rooms;

impl TopicSubscriptionFilter for Rooms {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        topic::TopicHash::from_gossip_topic(topic.as_str()).is_some()
    }
}

pub(crate) fn subscriptions() -> Subscriptions {
    MaxCountSubscriptionFilter {
        filter: Rooms,
        max_subscribed_topics: TOPICS_PER_PEER_MAX,
        max_subscriptions_per_request: TOPICS_PER_MESSAGE_MAX,
    }
}

pub(crate) fn params() -> PeerScoreParams {
    PeerScoreParams {
        topics: HashMap::new(),
        // There is nothing positive to be capped.
        topic_score_cap: 0.0,
        app_specific_weight: 1.0,
        // Schools, offices and households are behind one address, everybody whom a relay connects
        // is behind the relay's, and all is on one machine in tests. Connections are bounded by
        // number instead.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: MISBEHAVIOUR_FREE,
        behaviour_penalty_decay: score_parameter_decay(FORGIVEN),
        retain_score: REMEMBERED,
        // A phone on a bad line is slow without malice; what waits for it is bounded by gossipsub.
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

/// The square of [`INVALID_MAX`] and of [`MISBEHAVIOUR_MAX`] is where nothing is taken any more;
/// with half as many, a peer is told nothing more of what there is to ask for.
pub(crate) fn thresholds() -> PeerScoreThresholds {
    let graylist = -(INVALID_MAX * INVALID_MAX).min(MISBEHAVIOUR_MAX * MISBEHAVIOUR_MAX);
    PeerScoreThresholds {
        gossip_threshold: graylist / 4.0,
        publish_threshold: graylist / 2.0,
        graylist_threshold: graylist,
        // Nobody is believed who names other peers: they are found in the room's list.
        accept_px_threshold: f64::MAX,
        // Without positive scores the mesh is not changed for better ones.
        opportunistic_graft_threshold: 0.0,
    }
}

/// The same for every room.
pub(crate) fn room() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        // Rooms are quiet for hours; nobody owes messages.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: score_parameter_decay(FORGIVEN),
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossipsub_takes_these_numbers() {
        assert_eq!(params().validate(), Ok(()));
        assert_eq!(thresholds().validate(), Ok(()));
        assert_eq!(room().validate(), Ok(()));
        assert!(DEAF_SCORE < thresholds().graylist_threshold);
    }

    #[test]
    fn only_rooms_are_topics() {
        let room = topic::Topic::new("global-chat").expect("valid").hash();
        for (topic, is_room) in [
            (room.gossip_topic(), true),
            (room.gossip_topic().to_uppercase(), false),
            (format!("{}0", room.gossip_topic()), false),
            ("/moim/room/2/".to_owned() + &room.to_hex(), false),
            (String::new(), false),
        ] {
            let topic = TopicHash::from_raw(topic);
            assert_eq!(Rooms.can_subscribe(&topic), is_room, "{topic}");
        }
    }
}
