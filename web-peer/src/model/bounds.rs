//! How much of what was said the page shows.

use std::collections::VecDeque;

use leptos::prelude::WithUntracked as _;
use moim_peer::limits;

use super::{DirectModel, TalkItem};

/// Messages and notes shown per conversation. The peer itself remembers about as many.
const TALK_MAX: usize = 500;

/// Bytes of text shown per conversation. As the peer keeps them.
const TALK_BYTES_MAX: usize = limits::CONVERSATION_BYTES_MAX;

/// Direct conversations shown, and bytes of text in all of them; the one that was quiet longest goes
/// first. As the peer keeps them.
const DIRECTS_MAX: usize = limits::CONVERSATIONS_MAX;

/// See [`DIRECTS_MAX`].
const DIRECTS_BYTES_MAX: usize = limits::CONVERSATIONS_BYTES_MAX;

impl TalkItem {
    /// Bytes of text in it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => {
                message.text.len() + message.name.as_ref().map_or(0, |name| name.as_str().len())
            }
            Self::Note(_) => 0,
        }
    }
}

impl DirectModel {
    /// Bytes of text in it.
    fn bytes(&self) -> usize {
        self.talk
            .with_untracked(|talk| talk.iter().map(|item| item.text.len()).sum())
    }

    /// Whether something was said here, and not only heard.
    fn is_answered(&self) -> bool {
        self.talk
            .with_untracked(|talk| talk.iter().any(|item| item.own))
    }
}

/// Appends and, over the bounds, drops the oldest.
pub(super) fn push_bounded<T>(talk: &mut VecDeque<T>, item: T, bytes: impl Fn(&T) -> usize) {
    talk.push_back(item);
    let mut all: usize = talk.iter().map(&bytes).sum();
    while talk.len() > TALK_MAX || all > TALK_BYTES_MAX {
        let Some(oldest) = talk.pop_front() else {
            return;
        };
        all = all.saturating_sub(bytes(&oldest));
    }
}

/// Drops the conversations that were quiet longest until the others are within their bounds: first
/// those in which nothing was ever said here, of which strangers can begin any number.
pub(super) fn bound_directs(directs: &mut Vec<DirectModel>) {
    let mut all: usize = directs.iter().map(DirectModel::bytes).sum();
    while directs.len() > 1 && (directs.len() > DIRECTS_MAX || all > DIRECTS_BYTES_MAX) {
        let mut others = directs.iter().skip(1);
        let stranger = others.rposition(|direct| !direct.is_answered());
        let quiet = directs.remove(stranger.map_or(directs.len() - 1, |index| index + 1));
        all = all.saturating_sub(quiet.bytes());
    }
}
