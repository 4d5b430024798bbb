//! The peer's refusals in the user's language. What has no text of its own falls back to the
//! error's English one, which says what happened and why.

use moim_peer::{JoinError, ProfileError, SayError, SendError, TopicError};

use super::Messages;
use crate::settings::{Problem, Refused, SOURCES_MAX};

/// Why a name is not taken.
pub(crate) fn name_refusal(text: &Messages, error: ProfileError) -> String {
    match error {
        ProfileError::ControlCharacter => text.name_control.to_owned(),
        ProfileError::Empty => text.name_empty.to_owned(),
        ProfileError::TooLong { bytes } => (text.name_too_long)(bytes),
    }
}

/// Why a topic cannot be joined.
pub(crate) fn join_refusal(text: &Messages, error: &JoinError) -> String {
    match error {
        JoinError::AlreadyJoined => text.already_joined.to_owned(),
        JoinError::Stopped => text.peer_stopped.to_owned(),
        JoinError::Topic(error) => topic_refusal(text, error),
        JoinError::TooManyRooms { max } => (text.too_many_rooms)(*max),
        other => other.to_string(),
    }
}

fn topic_refusal(text: &Messages, error: &TopicError) -> String {
    match error {
        TopicError::Empty => text.topic_empty.to_owned(),
        TopicError::Forbidden(character) => {
            (text.topic_forbidden)(&format!("U+{:04X}", u32::from(*character)))
        }
        TopicError::TooLong(bytes) => (text.topic_too_long)(*bytes),
        other => other.to_string(),
    }
}

/// Why something was not said in a room.
pub(crate) fn say_refusal(text: &Messages, error: &SayError) -> String {
    match error {
        SayError::Left => text.room_left.to_owned(),
        SayError::Stopped => text.peer_stopped.to_owned(),
        SayError::TooLong { bytes } => (text.message_too_long)(*bytes),
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
        SendError::ToSelf => text.to_self.to_owned(),
        SendError::TooLong { bytes } => (text.message_too_long)(*bytes),
        other => other.to_string(),
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
