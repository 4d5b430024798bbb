//! What of a conversation is new.

use leptos::prelude::*;

/// What of a conversation nobody has looked at yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread {
    /// How many messages.
    pub(crate) count: ArcRwSignal<usize>,
    /// The key of the first one. It stays when they are looked at, so that the reader finds the place, until there
    /// are others or the reader says something.
    pub(crate) first: ArcRwSignal<Option<u64>>,
}

impl Unread {
    /// One more, with this key.
    pub(crate) fn add(&self, key: u64) {
        if self.count.get_untracked() == 0 {
            self.first.set(Some(key));
        }
        self.count.update(|count| *count += 1);
    }

    /// Somebody looks at the conversation.
    pub(super) fn clear(&self) {
        if self.count.get_untracked() > 0 {
            self.count.set(0);
        }
    }

    /// The reader goes on talking: where it began no longer matters.
    pub(crate) fn forget(&self) {
        if self.first.get_untracked().is_some() {
            self.first.set(None);
        }
    }
}
