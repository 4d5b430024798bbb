//! What gossip brings: how much of it is looked at and passed on, and whether it can be read.
//!
//! What a connection brings besides, in all rooms together, is counted by the caller.

use std::time::Duration;

use libp2p_identity::PeerId;
use moim_protocol::{
    after,
    allowance::{Allowances, Shares},
    limits::{
        DOUBTS_PER_AUTHOR, GOSSIP_PER_NEIGHBOUR, PRESENCES_PER_PEER, ROOM_DOUBTS, ROOM_PRESENCES,
        SHARES_MAX,
    },
    presence::{Presence, SignedPresence},
    room::RoomMessage,
};
use web_time::Instant;

use crate::{
    around::Around,
    conversation::Conversation,
    now::Now,
    output::{Acceptance, Output},
};

/// Gossip names a message to others for some seconds, and each who hears of it late names it anew. So from newcomer to
/// newcomer a presence would go round long after it was said, always as new. A newcomer takes one for so long only if it is
/// [dated](DATED_WITHIN) as if it were; of the others the lists say how old they are.
const NEWCOMER_FOR: Duration = Duration::from_secs(9);

/// See [`NEWCOMER_FOR`].
const DATED_WITHIN: Duration = Duration::from_secs(15);

/// What is left of what gossip may bring. *Near* is a member that we are connected to: of those there are no more than
/// connections.
#[derive(Debug)]
pub(crate) struct Hearing {
    /// Until when this peer is a newcomer.
    newcomer_until: Instant,
    /// By signer; what is no news by who has brought it up again.
    presences: Shares<PeerId>,
    /// By who doubts.
    doubts: Shares<PeerId>,
    /// Whatever a neighbour is the first to bring, whoever said it. Each room has its own: who is in many passes
    /// on as much as each of them may have.
    brought: Allowances<PeerId>,
}

impl Hearing {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            newcomer_until: after(now, NEWCOMER_FOR),
            presences: Shares::new(PRESENCES_PER_PEER, ROOM_PRESENCES, SHARES_MAX, now),
            doubts: Shares::new(DOUBTS_PER_AUTHOR, ROOM_DOUBTS, SHARES_MAX, now),
            brought: Allowances::new(GOSSIP_PER_NEIGHBOUR, SHARES_MAX),
        }
    }

    /// Reads what a neighbour has brought, which an author has signed. Returns a message that holds and is within the
    /// shares, or else what becomes of it.
    pub(crate) fn judge(
        &mut self,
        (neighbour, author): (PeerId, PeerId),
        data: &[u8],
        conversation: &mut Conversation,
        around: &mut Around,
        now: Now,
    ) -> Result<RoomMessage, Acceptance> {
        let bytes = data.len();
        // Who brings more than an honest one could pass on is not listened to.
        if !self
            .brought
            .of(neighbour, now.instant)
            .take(bytes, now.instant)
        {
            around.out.push(Output::Deafen(neighbour));
            return Err(Acceptance::Ignore);
        }
        let message = match RoomMessage::decode(data) {
            Ok(message) => message,
            // Others may know it, and must be able to say it through this peer.
            Err(error) if error.code().is_of_later_version() => {
                tracing::debug!(%author, %error, "room message not for this version");
                let is_within = conversation.takes(author, bytes, around, now.instant);
                return Err(within_share(is_within));
            }
            Err(error) => {
                tracing::debug!(%author, %error, "room message refused");
                return Err(if error.is_forwarders_fault() {
                    Acceptance::Reject
                } else {
                    Acceptance::Ignore
                });
            }
        };
        // Old messages may come again from anybody; whoever passes them on need not know better. What its author has
        // brought was said now, whatever the clock there says.
        if author != neighbour
            && let Err(error) = message.check_time(now.wall)
        {
            tracing::debug!(%author, %error, "room message ignored");
            return Err(Acceptance::Ignore);
        }
        let is_within = match &message {
            RoomMessage::Presence { presence } => {
                if presence.presence().topic != around.members.roster().topic() {
                    return Err(Acceptance::Reject);
                }
                if self.may_be_old(presence.presence(), neighbour, around, now) {
                    return Err(Acceptance::Ignore);
                }
                self.takes_presence(presence, author, bytes, around, now.instant)
            }
            RoomMessage::Text(text) => {
                conversation.takes_text(author, text, bytes, around, now.instant)
            }
            RoomMessage::Doubt(_) => {
                let is_near = around.is_near(&author);
                self.doubts.take(author, is_near, bytes, now.instant)
            }
        };
        if is_within {
            Ok(message)
        } else {
            tracing::debug!(%author, "says more than its share");
            Err(Acceptance::Ignore)
        }
    }

    /// Whether a newcomer hears of somebody who may be gone for long.
    fn may_be_old(
        &self,
        presence: &Presence,
        neighbour: PeerId,
        around: &Around,
        now: Now,
    ) -> bool {
        let known = around.members.roster().sequence(&presence.peer);
        let issued = presence.issued;
        let off = issued.since(now.wall).max(now.wall.since(issued));
        now.instant < self.newcomer_until
            && neighbour != presence.peer
            && known.is_none()
            && off > DATED_WITHIN
    }

    /// Whether a presence is within the shares.
    fn takes_presence(
        &mut self,
        signed: &SignedPresence,
        author: PeerId,
        bytes: usize,
        around: &Around,
        now: Instant,
    ) -> bool {
        let presence = signed.presence();
        let known = around.members.roster().sequence(&presence.peer);
        if known.is_none_or(|known| known < presence.sequence) {
            let is_near = around.is_near(&presence.peer);
            self.presences.take(presence.peer, is_near, bytes, now)
        } else {
            // Anybody can show again what somebody has signed, each time in another message.
            self.presences.take(author, false, bytes, now)
        }
    }
}

/// What is too much is not passed on, and not held against whoever brought it: that peer counts by
/// another clock.
pub(crate) const fn within_share(is_within: bool) -> Acceptance {
    if is_within {
        Acceptance::Accept
    } else {
        Acceptance::Ignore
    }
}

#[cfg(test)]
mod tests {
    use moim_protocol::{UnixMillis, limits::ROOM_BYTES_MAX};

    use super::*;
    use crate::{
        members::Members,
        testing::{here, peer, start, topic},
    };

    #[test]
    fn a_neighbour_brings_no_more_than_a_room_may_have() {
        let (now, name) = (start(), "Me".parse().unwrap());
        let topic = topic().hash();
        let mut around = Around::new(Members::new(topic, peer(0), &name));
        let mut conversation = Conversation::new(peer(0), topic, name, now);
        let mut hearing = Hearing::new(now.instant);
        let nonsense = vec![b'x'; ROOM_BYTES_MAX];
        let mut bring = |neighbour| {
            let from = (peer(neighbour), peer(3));
            hearing.judge(from, &nonsense, &mut conversation, &mut around, now)
        };
        let mut brought = 0;
        while bring(1) == Err(Acceptance::Reject) {
            brought += 1;
        }
        let bytes = usize::try_from(GOSSIP_PER_NEIGHBOUR.bytes.burst).unwrap();
        assert_eq!(brought, bytes / ROOM_BYTES_MAX);
        assert_eq!(bring(1), Err(Acceptance::Ignore));
        assert_eq!(bring(2), Err(Acceptance::Reject));
        assert_eq!(around.out.pop(), Some(Output::Deafen(peer(1))));
    }

    #[test]
    fn a_newcomer_takes_no_presence_that_may_have_gone_round_for_long() {
        let (began, name) = (start(), "Me".parse().unwrap());
        let topic = topic().hash();
        let mut around = Around::new(Members::new(topic, peer(0), &name));
        let mut conversation = Conversation::new(peer(0), topic, name, began);
        let seconds = Duration::from_secs;
        for (case, joined, dated, neighbour, is_taken) in [
            ("just said", 2, 0, 1, true),
            ("said a while ago", 2, 16, 1, false),
            ("said to its neighbour by itself", 2, 16, 3, true),
            ("heard by who is here for a while", 10, 16, 1, true),
        ] {
            let mut hearing = Hearing::new(began.instant);
            let now = began.after(seconds(joined));
            let wall = UnixMillis(now.wall.0 - dated * 1_000);
            let presence = here(3, 1, Now { wall, ..now });
            let data = RoomMessage::Presence { presence }.encode();
            let from = (peer(neighbour), peer(3));
            let heard = hearing.judge(from, &data, &mut conversation, &mut around, now);
            assert_eq!(heard.is_ok(), is_taken, "{case}");
        }
    }
}
