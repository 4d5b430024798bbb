//! Direct conversations.

use std::{collections::VecDeque, sync::Arc};

use leptos::prelude::*;
use moim_peer::{MessageId, Path, PeerId};

use super::{Stamp, Unread, bounds::push_bounded, next_key};

/// A direct conversation.
#[derive(Clone)]
pub(crate) struct DirectModel {
    pub(crate) peer: PeerId,
    pub(crate) name: ArcRwSignal<String>,
    pub(crate) talk: ArcRwSignal<VecDeque<DirectItem>>,
    pub(crate) unread: Unread,
    pub(crate) draft: ArcRwSignal<String>,
    /// Why the last message was not even tried.
    pub(crate) refusal: ArcRwSignal<Option<String>>,
}

impl DirectModel {
    pub(super) fn new(peer: PeerId, name: String) -> Self {
        Self {
            peer,
            name: ArcRwSignal::new(name),
            talk: ArcRwSignal::new(VecDeque::new()),
            unread: Unread::default(),
            draft: ArcRwSignal::new(String::new()),
            refusal: ArcRwSignal::new(None),
        }
    }

    /// Adds a message unless it is there already.
    pub(crate) fn push(
        &self,
        id: MessageId,
        from: PeerId,
        text: &str,
        sent: u64,
        delivery: Delivery,
    ) -> Option<DirectItem> {
        let same = |known: &DirectItem| known.id == id && known.from == from;
        if self.talk.with_untracked(|talk| talk.iter().any(same)) {
            return None;
        }
        let (before, last_time) = self.talk.with_untracked(|talk| {
            let last = talk.back();
            (
                last.map(|item| (item.from, item.stamp.group)),
                last.map(|item| item.stamp.time),
            )
        });
        let item = DirectItem {
            key: next_key(),
            id,
            from,
            own: from != self.peer,
            text: text.into(),
            stamp: Stamp::new(sent, before, last_time, from),
            delivery: ArcRwSignal::new(delivery),
        };
        self.talk
            .update(|talk| push_bounded(talk, item.clone(), |item| item.text.len()));
        Some(item)
    }
}

/// A direct message.
#[derive(Clone)]
pub(crate) struct DirectItem {
    pub(crate) key: u64,
    pub(crate) id: MessageId,
    pub(crate) from: PeerId,
    pub(crate) own: bool,
    pub(crate) text: Arc<str>,
    pub(crate) stamp: Stamp,
    pub(crate) delivery: ArcRwSignal<Delivery>,
}

/// How far a direct message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Sending,
    /// The receiver has it.
    Delivered(Option<Path>),
    /// No receipt, and why.
    Failed(String),
}

impl Delivery {
    /// `sending`, `delivered` or `failed`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Delivered(_) => "delivered",
            Self::Failed(_) => "failed",
        }
    }
}
