//! The peer's refusals and reasons in the user's language. Errors of libraries are in none: they go to the console.

use std::time::Duration;

use moim_peer::{
    BootstrapSource, CandidateTypes, ClockOff, JoinError, LineError, NameError, NodeFault,
    NotInDht, Refusal, SayError, SendError, Setback, TextError, TopicError,
};

use super::Messages;
use crate::settings::{Problem, Refused, SOURCES_MAX};

/// Why a name is not taken.
pub(crate) fn name_refusal(text: &Messages, NameError(error): NameError) -> String {
    match error {
        LineError::Empty => text.name_empty.to_owned(),
        LineError::Forbidden(character) => (text.name_forbidden)(&code_point(character)),
        LineError::Marks => text.name_marks.to_owned(),
        LineError::TooLong { bytes, .. } => (text.name_too_long)(bytes),
        _ => text.not_possible.to_owned(),
    }
}

/// Why a topic cannot be joined.
pub(crate) fn join_refusal(text: &Messages, error: &JoinError) -> String {
    match error {
        JoinError::AlreadyJoined => text.already_joined.to_owned(),
        JoinError::Stopped => text.peer_stopped.to_owned(),
        JoinError::TooManyRooms { max } => (text.too_many_rooms)(*max),
        _ => text.not_possible.to_owned(),
    }
}

/// Why something is no topic.
pub(crate) fn topic_refusal(text: &Messages, TopicError(error): TopicError) -> String {
    match error {
        LineError::Empty => text.topic_empty.to_owned(),
        LineError::Forbidden(character) => (text.topic_forbidden)(&code_point(character)),
        LineError::Marks => text.topic_marks.to_owned(),
        LineError::TooLong { bytes, .. } => (text.topic_too_long)(bytes),
        _ => text.not_possible.to_owned(),
    }
}

fn code_point(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}

/// Why something was not said in a room.
pub(crate) fn say_refusal(text: &Messages, error: &SayError) -> String {
    match error {
        SayError::Left => text.room_left.to_owned(),
        SayError::Stopped => text.peer_stopped.to_owned(),
        SayError::TooFast => text.say_too_fast.to_owned(),
        SayError::Text(error) => text_refusal(text, *error),
        _ => text.not_possible.to_owned(),
    }
}

fn text_refusal(text: &Messages, error: TextError) -> String {
    match error {
        TextError::Empty => text.message_empty.to_owned(),
        TextError::TooLong(bytes) => (text.message_too_long)(bytes),
        TextError::Forbidden(character) => (text.message_forbidden)(&code_point(character)),
        _ => text.not_possible.to_owned(),
    }
}

/// Why a direct message was not delivered.
pub(crate) fn send_refusal(text: &Messages, error: &SendError) -> String {
    match error {
        SendError::Busy => text.busy.to_owned(),
        SendError::Duplicate => text.sent_already.to_owned(),
        SendError::NoReceipt { after, last } => {
            (text.no_receipt)(after.as_secs(), setback(text, *last))
        }
        SendError::Refused(code) => (text.refused)((text.answered)(*code)),
        SendError::Stopped => text.peer_stopped.to_owned(),
        SendError::Text(error) => text_refusal(text, *error),
        SendError::ToSelf => text.to_self.to_owned(),
        SendError::Unsupported => text.unsupported.to_owned(),
        _ => text.not_possible.to_owned(),
    }
}

/// What became of the last attempt, in a few words.
fn setback(text: &Messages, last: Setback) -> &'static str {
    match last {
        // It stands in parentheses, in the middle of a sentence.
        Setback::Answered(code) => (text.answered)(code).trim_end_matches('.'),
        Setback::Broken => text.broken,
        Setback::NoAnswer => text.no_answer,
        Setback::Nonsense => text.nonsense,
        // Which of its addresses led where is nothing to the one who writes.
        _ => text.not_connected,
    }
}

/// Why the page is not in the network.
pub(crate) fn not_in_dht(text: &Messages, why: &NotInDht) -> String {
    let why = match why {
        NotInDht::Nodes(nodes) => return faults(text, nodes),
        NotInDht::NoNode => text.no_node,
        NotInDht::NoServer => text.no_server,
        NotInDht::Offline => text.offline_help,
        NotInDht::Restarting => text.restarting,
        _ => text.no_answer_yet,
    };
    why.to_owned()
}

/// What became of each bootstrap node; said once where it is the same of all, and with the node's place else.
fn faults(text: &Messages, nodes: &[(String, NodeFault)]) -> String {
    let mut faults = nodes.iter().map(|(_, fault)| *fault);
    match faults.next() {
        Some(first) if faults.all(|fault| fault == first) => node_fault(text, first),
        _ => {
            let each = nodes.iter().map(|(node, fault)| {
                let place = node
                    .parse()
                    .ok()
                    .and_then(|node: BootstrapSource| node.place());
                let place = place.map_or_else(|| node.clone(), |place| place.to_string());
                format!("\u{2068}{place}\u{2069}: {}", node_fault(text, *fault))
            });
            each.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Why a bootstrap node is not connected.
pub(crate) fn node_fault(text: &Messages, fault: NodeFault) -> String {
    match fault {
        NodeFault::Closed => text.closed_at_once.to_owned(),
        NodeFault::Document(fault) => (text.document)(fault),
        NodeFault::Lost => text.connection_lost.to_owned(),
        NodeFault::TurnedAway(why) => refusal(text, why).to_owned(),
        NodeFault::Unreached(why) => (text.unreached)(why).to_owned(),
        _ => text.bootstrap_failed.to_owned(),
    }
}

/// Types of candidates that were tried.
pub(crate) fn candidate_types(text: &Messages, types: CandidateTypes) -> String {
    let named = [
        (types.host, text.kind_host),
        (types.reflexive, text.kind_reflexive),
        (types.relayed, text.kind_relayed),
    ];
    let named: Vec<_> = named
        .into_iter()
        .filter_map(|(is_named, word)| is_named.then_some(word))
        .collect();
    match named[..] {
        [] => text.kind_none.to_owned(),
        _ => named.join(", "),
    }
}

/// What is wrong with this device's clock, and what to do.
pub(crate) fn clock(text: &Messages, off: ClockOff) -> String {
    const HOUR: u64 = 60;
    const DAY: u64 = 24 * HOUR;
    let span = |by: Duration| match by.as_secs() / 60 {
        minutes if minutes < 2 * HOUR => (text.minutes)(minutes),
        minutes if minutes < 2 * DAY => (text.hours)(minutes / HOUR),
        minutes => (text.days)(minutes / DAY),
    };
    let wrong = match off {
        ClockOff::Ahead { by } => (text.clock_ahead)(&span(by)),
        ClockOff::Behind { by } => (text.clock_behind)(&span(by)),
        ClockOff::Unknown => text.clock_unknown.to_owned(),
    };
    format!("{wrong} {}", text.clock_help)
}

/// Why a bootstrap node does not let this page in, and what to do.
pub(crate) fn refusal(text: &Messages, why: Refusal) -> &'static str {
    match why {
        Refusal::AddressFull => text.turned_away_address,
        Refusal::Blocked => text.turned_away_blocked,
        Refusal::Full => text.turned_away_full,
        Refusal::IdentityInUse => text.turned_away_identity,
        Refusal::Other => text.turned_away_other,
    }
}

/// Why a bootstrap node is not used, and what to give instead.
pub(crate) fn source_problem(text: &Messages, refused: &Refused) -> String {
    match &refused.problem {
        Problem::BlockedByHttps => (text.source_blocked)(&refused.text),
        Problem::Malformed => (text.source_malformed)(&refused.text),
        Problem::NotDialable => (text.source_not_dialable)(&refused.text),
        Problem::TooMany => (text.source_too_many)(SOURCES_MAX),
    }
}
