//! What the page says, in English and Korean.
//!
//! One [`Messages`] table per language; the compiler sees to it that none has a gap. What depends
//! on a number or a name is a function, so that each language forms its plurals and word order by
//! itself.

use moim_peer::{DocumentFault, ErrorCode, NoDirectWay, Unreached, identity::StorageFault};

mod en;
mod errors;
mod ko;

#[cfg(test)]
mod tests;

pub(crate) use self::errors::{
    candidate_types, clock, join_refusal, name_refusal, node_fault, not_in_dht, refusal,
    say_refusal, send_refusal, source_problem, topic_refusal,
};

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Korean,
}

impl Language {
    /// The first of the user's languages that the page speaks, else English. Takes BCP 47 tags.
    pub(crate) fn choose<'a>(preferred: impl IntoIterator<Item = &'a str>) -> Self {
        preferred
            .into_iter()
            .find_map(|tag| {
                match tag
                    .split('-')
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase()
                    .as_str()
                {
                    "en" => Some(Self::English),
                    "ko" => Some(Self::Korean),
                    _ => None,
                }
            })
            .unwrap_or(Self::English)
    }

    /// The tag for the `lang` attribute.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The language's table.
    pub(crate) fn messages(self) -> &'static Messages {
        match self {
            Self::English => &en::MESSAGES,
            Self::Korean => &ko::MESSAGES,
        }
    }
}

/// A text that depends on a number.
type Count = fn(usize) -> String;
/// A text that depends on another text.
type With = fn(&str) -> String;
/// A text that depends on the names of some and on how many more there are.
type WithNames = fn(&[String], usize) -> String;

/// Everything the page says.
#[derive(Debug)]
pub(crate) struct Messages {
    // The frame.
    pub(crate) skip_to_talk: &'static str,
    pub(crate) views: &'static str,
    pub(crate) view_people: &'static str,
    pub(crate) view_room: &'static str,
    pub(crate) view_direct: &'static str,
    pub(crate) view_connection: &'static str,
    pub(crate) open_connection: &'static str,
    pub(crate) close: &'static str,
    pub(crate) unread: Count,
    pub(crate) copy_refused: With,
    pub(crate) dismiss: &'static str,

    // The state of the network.
    pub(crate) status: &'static str,
    pub(crate) connecting: &'static str,
    pub(crate) connected: &'static str,
    pub(crate) reconnecting: &'static str,
    pub(crate) offline: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) reconnecting_help: &'static str,
    pub(crate) offline_help: &'static str,
    pub(crate) failed_help: &'static str,
    pub(crate) try_again: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) not_started: &'static str,
    pub(crate) no_answer_yet: &'static str,
    pub(crate) no_node: &'static str,
    pub(crate) no_server: &'static str,
    pub(crate) restarting: &'static str,
    pub(crate) connection_lost: &'static str,
    pub(crate) closed_at_once: &'static str,
    pub(crate) unreached: fn(Unreached) -> &'static str,
    pub(crate) document: fn(DocumentFault) -> String,
    pub(crate) stopped: &'static str,
    pub(crate) reload: &'static str,

    // Joining.
    pub(crate) join_heading: &'static str,
    pub(crate) join_intro: &'static str,
    pub(crate) name: &'static str,
    pub(crate) name_hint: &'static str,
    pub(crate) topic: &'static str,
    pub(crate) topic_hint: &'static str,
    pub(crate) join: &'static str,
    pub(crate) join_while_connecting: &'static str,

    // People.
    pub(crate) people: &'static str,
    pub(crate) rooms: &'static str,
    pub(crate) join_another: &'static str,
    pub(crate) members: &'static str,
    pub(crate) you: &'static str,
    pub(crate) not_in_room: &'static str,
    pub(crate) looks_like: With,
    pub(crate) looks_like_you: &'static str,
    pub(crate) nobody_yet: &'static str,
    pub(crate) others_here: Count,
    pub(crate) directs: &'static str,
    pub(crate) write_to: &'static str,
    pub(crate) reach_direct: &'static str,
    pub(crate) reach_turn: &'static str,
    pub(crate) reach_relayed: &'static str,
    pub(crate) reach_connecting: &'static str,
    pub(crate) reach_unconnected: &'static str,
    pub(crate) reach_away: &'static str,
    pub(crate) reach_direct_help: &'static str,
    pub(crate) reach_turn_help: &'static str,
    pub(crate) reach_relayed_help: &'static str,
    pub(crate) reach_connecting_help: &'static str,
    pub(crate) reach_unconnected_help: &'static str,
    pub(crate) reach_away_help: &'static str,

    // A room.
    pub(crate) share: &'static str,
    pub(crate) link_copied: &'static str,
    pub(crate) leave: &'static str,
    pub(crate) room_log: With,
    pub(crate) room_input: With,
    pub(crate) room_empty: &'static str,
    pub(crate) room_empty_help: &'static str,
    pub(crate) room_unreached: &'static str,
    pub(crate) send: &'static str,
    pub(crate) write_here: &'static str,
    pub(crate) input_help: &'static str,
    pub(crate) here: WithNames,
    pub(crate) left: WithNames,
    pub(crate) gone: WithNames,
    pub(crate) newest: &'static str,
    pub(crate) unread_from_here: &'static str,
    pub(crate) show_all: &'static str,
    pub(crate) show_less: &'static str,
    pub(crate) heard_by_nobody: &'static str,
    pub(crate) message_from: With,

    // A direct conversation.
    pub(crate) direct_heading: With,
    pub(crate) direct_input: With,
    pub(crate) direct_empty: &'static str,
    pub(crate) sending: &'static str,
    pub(crate) delivered: &'static str,
    pub(crate) delivered_direct: &'static str,
    pub(crate) delivered_turn: &'static str,
    pub(crate) delivered_relayed: &'static str,
    pub(crate) not_delivered: &'static str,
    pub(crate) send_again: &'static str,
    pub(crate) direct_from: With,

    // The connection panel.
    pub(crate) own_id: &'static str,
    pub(crate) own_id_pending: &'static str,
    pub(crate) copy_id: &'static str,
    pub(crate) id_copied: &'static str,
    pub(crate) identity_kept: &'static str,
    pub(crate) identity_session: &'static str,
    pub(crate) bootstrap_nodes: &'static str,
    pub(crate) bootstrap_none: &'static str,
    pub(crate) bootstrap_connected: &'static str,
    pub(crate) bootstrap_connecting: &'static str,
    pub(crate) bootstrap_failed: &'static str,
    pub(crate) bootstrap_turned_away: &'static str,
    pub(crate) clock_ahead: With,
    pub(crate) clock_behind: With,
    pub(crate) clock_unknown: &'static str,
    pub(crate) clock_help: &'static str,
    pub(crate) minutes: fn(u64) -> String,
    pub(crate) hours: fn(u64) -> String,
    pub(crate) days: fn(u64) -> String,
    pub(crate) turned_away_help: &'static str,
    pub(crate) turned_away_full: &'static str,
    pub(crate) turned_away_blocked: &'static str,
    pub(crate) turned_away_identity: &'static str,
    pub(crate) turned_away_address: &'static str,
    pub(crate) turned_away_other: &'static str,
    pub(crate) dht: &'static str,
    pub(crate) dht_outside: &'static str,
    pub(crate) dht_inside: Count,
    pub(crate) addresses: &'static str,
    pub(crate) addresses_help: &'static str,
    pub(crate) no_addresses: &'static str,
    pub(crate) connections: Count,
    pub(crate) no_connections: &'static str,
    pub(crate) path: &'static str,
    pub(crate) by_turn: &'static str,
    pub(crate) relayed_by: With,
    pub(crate) why_not_direct: &'static str,
    pub(crate) not_direct: fn(NoDirectWay) -> &'static str,
    pub(crate) no_way_through: &'static str,
    pub(crate) turn_refused: fn(u16) -> String,
    pub(crate) kind_host: &'static str,
    pub(crate) kind_reflexive: &'static str,
    pub(crate) kind_relayed: &'static str,
    pub(crate) kind_none: &'static str,
    pub(crate) candidates: fn(&str, &str) -> String,
    pub(crate) tried_again: fn(u64) -> String,
    pub(crate) round_trip: &'static str,
    pub(crate) not_measured: &'static str,
    pub(crate) program: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) address: &'static str,
    pub(crate) bootstrap_node: &'static str,

    // Settings.
    pub(crate) settings: &'static str,
    pub(crate) sources_label: &'static str,
    pub(crate) sources_hint: &'static str,
    pub(crate) sources_save: &'static str,
    pub(crate) sources_default: &'static str,
    pub(crate) sources_saved: &'static str,
    pub(crate) sources_overridden: &'static str,
    pub(crate) sources_ignored: &'static str,
    pub(crate) sources_unusable: &'static str,
    pub(crate) source_malformed: With,
    pub(crate) source_not_dialable: With,
    pub(crate) source_blocked: With,
    pub(crate) source_too_many: Count,
    pub(crate) not_kept: &'static str,

    // The identity.
    pub(crate) identity_unavailable: With,
    pub(crate) storage: fn(&StorageFault) -> &'static str,
    pub(crate) identity_broken: &'static str,
    pub(crate) start_anew: &'static str,

    // Refusals.
    pub(crate) name_empty: &'static str,
    pub(crate) name_too_long: Count,
    pub(crate) name_forbidden: With,
    pub(crate) name_marks: &'static str,
    pub(crate) topic_empty: &'static str,
    pub(crate) topic_too_long: Count,
    pub(crate) topic_forbidden: With,
    pub(crate) topic_marks: &'static str,
    pub(crate) already_joined: &'static str,
    pub(crate) too_many_rooms: Count,
    pub(crate) message_empty: &'static str,
    pub(crate) message_too_long: Count,
    pub(crate) message_forbidden: With,
    pub(crate) not_possible: &'static str,
    pub(crate) room_left: &'static str,
    pub(crate) say_too_fast: &'static str,
    pub(crate) busy: &'static str,
    pub(crate) sent_already: &'static str,
    pub(crate) no_receipt: fn(u64, &str) -> String,
    pub(crate) not_connected: &'static str,
    pub(crate) no_answer: &'static str,
    pub(crate) broken: &'static str,
    pub(crate) nonsense: &'static str,
    pub(crate) answered: fn(ErrorCode) -> &'static str,
    pub(crate) refused: With,
    pub(crate) to_self: &'static str,
    pub(crate) unsupported: &'static str,
    pub(crate) peer_stopped: &'static str,
    pub(crate) peer_restarting: &'static str,
}
