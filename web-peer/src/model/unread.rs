//! What of a conversation is new.

use leptos::prelude::*;

/// What of a conversation nobody has looked at yet.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    /// How many messages came while the conversation was out of sight.
    pub(crate) count: ArcRwSignal<usize>,
    /// The key of the first one that is new. It stays when they are looked at, so that the reader finds the place,
    /// until there are others or the reader says something.
    pub(crate) first: ArcRwSignal<Option<u64>>,
    /// Whether `first` waits for the reader, who has not been at the end of the conversation since it came.
    waits: ArcStoredValue<bool>,
    /// Whether the reader is at the end of the conversation.
    at_end: ArcStoredValue<bool>,
}

impl Default for Unread {
    fn default() -> Self {
        Self {
            count: ArcRwSignal::new(0),
            first: ArcRwSignal::new(None),
            waits: ArcStoredValue::new(false),
            at_end: ArcStoredValue::new(true),
        }
    }
}

impl Unread {
    /// A message with this key came while the conversation was out of sight.
    pub(crate) fn add(&self, key: u64) {
        self.mark(key);
        self.count.update(|count| *count += 1);
    }

    /// A message with this key came while the conversation was in sight.
    pub(crate) fn came(&self, key: u64) {
        if !self.at_end() {
            self.mark(key);
        }
    }

    fn mark(&self, key: u64) {
        if !self.waits.get_value() {
            self.waits.set_value(true);
            self.first.set(Some(key));
        }
    }

    /// Somebody looks at the conversation.
    pub(super) fn clear(&self) {
        if self.count.get_untracked() > 0 {
            self.count.set(0);
        }
    }

    /// The reader went on talking: where it began no longer matters.
    pub(crate) fn forget(&self) {
        self.waits.set_value(false);
        if self.first.get_untracked().is_some() {
            self.first.set(None);
        }
    }

    /// The conversation is opened: at its end, unless something new waits.
    pub(crate) fn open(&self) {
        self.at_end.set_value(true);
    }

    /// Whether the reader was at the end when they looked last.
    pub(crate) fn at_end(&self) -> bool {
        self.at_end.get_value()
    }

    /// Whether something new waits for the reader.
    pub(crate) fn waits(&self) -> bool {
        self.waits.get_value()
    }

    /// Whether the reader is at the end and stays there, whatever is said.
    pub(crate) fn follows(&self) -> bool {
        self.at_end() && !self.waits()
    }

    /// The reader is at the end of the conversation, or elsewhere.
    pub(crate) fn read(&self, to_end: bool) {
        self.at_end.set_value(to_end);
        if to_end {
            self.waits.set_value(false);
        }
    }
}
