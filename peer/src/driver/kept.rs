//! What is kept of a room while the page that it is in is put away.

use std::sync::Weak;

use moim_protocol::{text::Name, topic::Topic};

use super::view::View;
use crate::history::{Conversation, RoomMessage};

/// A room that was left for a while, with what programs hold of it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) topic: Topic,
    pub(super) name: Name,
    pub(super) handle: Weak<()>,
    pub(super) history: Conversation<RoomMessage>,
    pub(super) view: View,
}
