//! The peer's refusals in the user's language. What has no text of its own falls back to the
//! error's English one, which says what happened and why.

use std::time::Duration;

use moim_peer::{
    ClockOff, JoinError, LineError, NameError, Refusal, SayError, SendError, TextError, TopicError,
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
        other => NameError(other).to_string(),
    }
}

/// Why a topic cannot be joined.
pub(crate) fn join_refusal(text: &Messages, error: &JoinError) -> String {
    match error {
        JoinError::AlreadyJoined => text.already_joined.to_owned(),
        JoinError::Stopped => text.peer_stopped.to_owned(),
        JoinError::Topic(error) => topic_refusal(text, *error),
        JoinError::TooManyRooms { max } => (text.too_many_rooms)(*max),
        other => other.to_string(),
    }
}

fn topic_refusal(text: &Messages, TopicError(error): TopicError) -> String {
    match error {
        LineError::Empty => text.topic_empty.to_owned(),
        LineError::Forbidden(character) => (text.topic_forbidden)(&code_point(character)),
        LineError::Marks => text.topic_marks.to_owned(),
        LineError::TooLong { bytes, .. } => (text.topic_too_long)(bytes),
        other => TopicError(other).to_string(),
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
        other => other.to_string(),
    }
}

fn text_refusal(text: &Messages, error: TextError) -> String {
    match error {
        TextError::Empty => text.message_empty.to_owned(),
        TextError::TooLong(bytes) => (text.message_too_long)(bytes),
        other => other.to_string(),
    }
}

/// Why a direct message was not delivered.
pub(crate) fn send_refusal(text: &Messages, error: &SendError) -> String {
    match error {
        SendError::Busy => text.busy.to_owned(),
        SendError::NoReceipt { seconds, reason } => (text.no_receipt)(*seconds, reason),
        SendError::Refused { reason } => (text.refused)(reason),
        SendError::Stopped => text.peer_stopped.to_owned(),
        SendError::Text(error) => text_refusal(text, *error),
        SendError::ToSelf => text.to_self.to_owned(),
        SendError::Unsupported => text.unsupported.to_owned(),
        other => other.to_string(),
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
        Problem::Malformed(reason) => (text.source_malformed)(&refused.text, reason),
        Problem::NotDialable => (text.source_not_dialable)(&refused.text),
        Problem::TooMany => (text.source_too_many)(SOURCES_MAX),
    }
}
