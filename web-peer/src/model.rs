//! What the page shows, as signals. Filled by `state` and `actions`, read by the components.
//!
//! Every list has a bound and every entry a key of its own, so that a change in one entry touches
//! one element of the page, also in a room of hundreds.

mod bounds;
mod direct;
mod stamp;
mod unread;

use std::{collections::VecDeque, sync::Arc};

use leptos::prelude::*;
use moim_peer::{Keypair, MessageId, Name, Peer, PeerId, Profile, Reach, Room, Snapshot, Topic};

use self::bounds::{bound_directs, push_bounded};
pub(crate) use self::{
    direct::{Delivery, DirectItem, DirectModel},
    stamp::Stamp,
    unread::Unread,
};
use crate::{format, i18n::Messages, page, settings::Checked};

/// Names that a note spells out before it counts.
const NOTE_NAMES_MAX: usize = 3;

/// What the middle column shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The form to join a topic.
    Join,
    /// A room.
    Room(Topic),
}

/// What the right column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Connection,
    Direct(PeerId),
}

/// Which column is in front where not all of them fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pane {
    People,
    Talk,
    Side,
}

/// How far the page's own peer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Running,
    /// The stored identity is damaged; the user decides.
    IdentityBroken,
    /// The peer could not be started. The log tells why.
    NotStarted,
    /// The peer ended by itself.
    Stopped,
}

/// Where the peer's identity lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentityPlace {
    Unknown,
    Browser,
    Session,
}

/// The page's state. A bundle of signals, cheap to copy.
#[derive(Clone, Copy)]
pub(crate) struct App {
    pub(crate) text: &'static Messages,
    pub(crate) phase: RwSignal<Phase>,
    pub(crate) peer: RwSignal<Option<Peer>>,
    pub(crate) keypair: StoredValue<Option<Keypair>>,
    /// How often a peer was started; tells its tasks from those of the one before.
    pub(crate) starts: StoredValue<u32>,
    pub(crate) identity: RwSignal<IdentityPlace>,
    pub(crate) snapshot: RwSignal<Option<Snapshot>>,
    /// The bootstrap nodes in use.
    pub(crate) sources: RwSignal<Checked>,
    pub(crate) rooms: RwSignal<Vec<RoomModel>>,
    /// The most recently active first.
    pub(crate) directs: RwSignal<Vec<DirectModel>>,
    pub(crate) view: RwSignal<View>,
    pub(crate) side: RwSignal<Side>,
    pub(crate) pane: RwSignal<Pane>,
    /// What the join form holds.
    pub(crate) join_name: RwSignal<String>,
    pub(crate) join_topic: RwSignal<String>,
    /// Things to know that stay until dismissed.
    pub(crate) notices: RwSignal<Vec<String>>,
    /// A short confirmation that goes by itself, and its number: the same may be said again.
    pub(crate) toast: RwSignal<(u32, Option<String>)>,
    /// Read out by screen readers, not shown: what, and how often in a row.
    pub(crate) announcement: RwSignal<(String, usize)>,
}

impl App {
    pub(crate) fn new(text: &'static Messages) -> Self {
        Self {
            text,
            phase: RwSignal::new(Phase::Starting),
            peer: RwSignal::new(None),
            keypair: StoredValue::new(None),
            starts: StoredValue::new(0),
            identity: RwSignal::new(IdentityPlace::Unknown),
            snapshot: RwSignal::new(None),
            sources: RwSignal::new(Checked::default()),
            rooms: RwSignal::new(Vec::new()),
            directs: RwSignal::new(Vec::new()),
            view: RwSignal::new(View::Join),
            side: RwSignal::new(Side::Connection),
            pane: RwSignal::new(Pane::Talk),
            join_name: RwSignal::new(String::new()),
            join_topic: RwSignal::new(String::new()),
            notices: RwSignal::new(Vec::new()),
            toast: RwSignal::new((0, None)),
            announcement: RwSignal::new((String::new(), 0)),
        }
    }

    /// The page's state, from anywhere below `app::run`.
    pub(crate) fn of_page() -> Self {
        expect_context::<Self>()
    }

    pub(crate) fn room(&self, topic: &Topic) -> Option<RoomModel> {
        self.rooms
            .with_untracked(|rooms| rooms.iter().find(|room| room.topic == *topic).cloned())
    }

    pub(crate) fn direct(&self, peer: PeerId) -> Option<DirectModel> {
        self.directs
            .with_untracked(|directs| directs.iter().find(|direct| direct.peer == peer).cloned())
    }

    /// The conversation with `peer`, begun if there is none, moved to the front.
    pub(crate) fn direct_or_new(&self, peer: PeerId) -> DirectModel {
        let direct = self.direct(peer).unwrap_or_else(|| {
            let name =
                untrack(|| self.name_of_member(peer)).unwrap_or_else(|| format::short_id(&peer));
            DirectModel::new(peer, name)
        });
        self.directs.update(|directs| {
            directs.retain(|other| other.peer != peer);
            directs.insert(0, direct.clone());
            bound_directs(directs);
        });
        direct
    }

    /// The name a peer goes by in one of the rooms, if it is in one. Tracked, so a view follows.
    pub(crate) fn name_of_member(&self, peer: PeerId) -> Option<String> {
        self.member(peer).map(|member| member.name.get())
    }

    /// How `peer` is reached, if it is in one of the rooms. Tracked, so a view follows.
    pub(crate) fn reach_of(&self, peer: PeerId) -> Option<Reach> {
        self.member(peer).map(|member| member.reach.get())
    }

    /// `peer` as a member of any of the rooms.
    fn member(&self, peer: PeerId) -> Option<MemberModel> {
        self.rooms.with(|rooms| {
            rooms.iter().find_map(|room| {
                room.members
                    .with(|members| members.iter().find(|member| member.peer == peer).cloned())
            })
        })
    }

    /// Whether somebody looks at this room right now.
    pub(crate) fn sees_room(&self, topic: &Topic) -> bool {
        let shown = self
            .view
            .with_untracked(|view| matches!(view, View::Room(shown) if shown == topic));
        shown && page::visible() && (!page::narrow() || self.pane.get_untracked() == Pane::Talk)
    }

    /// Whether somebody looks at the conversation with `peer` right now.
    pub(crate) fn sees_direct(&self, peer: PeerId) -> bool {
        let shown = self.side.get_untracked() == Side::Direct(peer);
        shown && page::visible() && (!page::drawer() || self.pane.get_untracked() == Pane::Side)
    }

    /// Takes the unread counts off whatever is looked at.
    pub(crate) fn mark_seen(&self) {
        let rooms = self.rooms.get_untracked();
        for room in rooms.iter().filter(|room| self.sees_room(&room.topic)) {
            room.unread.clear();
        }
        let directs = self.directs.get_untracked();
        for direct in directs
            .iter()
            .filter(|direct| self.sees_direct(direct.peer))
        {
            direct.unread.clear();
        }
    }

    /// Has screen readers say something. The same once more counts, for what does not change is not read out.
    pub(crate) fn announce(&self, text: String) {
        self.announcement.update(|(said, times)| {
            if *said == text {
                *times += 1;
            } else {
                (*said, *times) = (text, 1);
            }
        });
    }

    /// Why nothing can be done by the peer that there was, and what to do about it.
    pub(crate) fn no_peer(&self) -> &'static str {
        match self.phase.get_untracked() {
            // If it runs, it is another one by now.
            Phase::Starting | Phase::Running => self.text.peer_restarting,
            Phase::NotStarted => self.text.not_started,
            Phase::IdentityBroken | Phase::Stopped => self.text.peer_stopped,
        }
    }

    pub(crate) fn notice(&self, text: String) {
        self.notices.update(|notices| {
            if !notices.contains(&text) {
                notices.push(text);
            }
        });
    }
}

/// A joined topic.
#[derive(Clone)]
pub(crate) struct RoomModel {
    pub(crate) topic: Topic,
    /// How this peer presents itself there.
    pub(crate) profile: Profile,
    /// `None` while the peer is being restarted.
    pub(crate) room: ArcStoredValue<Option<Room>>,
    pub(crate) members: ArcRwSignal<Vec<MemberModel>>,
    pub(crate) talk: ArcRwSignal<VecDeque<TalkItem>>,
    pub(crate) unread: Unread,
    pub(crate) draft: ArcRwSignal<String>,
    /// Why the last message was not said.
    pub(crate) refusal: ArcRwSignal<Option<String>>,
}

impl RoomModel {
    pub(crate) fn new(topic: Topic, profile: Profile) -> Self {
        Self {
            topic,
            profile,
            room: ArcStoredValue::new(None),
            members: ArcRwSignal::new(Vec::new()),
            talk: ArcRwSignal::new(VecDeque::new()),
            unread: Unread::default(),
            draft: ArcRwSignal::new(String::new()),
            refusal: ArcRwSignal::new(None),
        }
    }

    /// Whether any member is connected. Tracked, so a view follows.
    pub(crate) fn reaches_anybody(&self) -> bool {
        self.members.with(|members| {
            members
                .iter()
                .any(|member| matches!(member.reach.get(), Reach::Connected(_)))
        })
    }

    /// Adds a message unless it is there already; its key if it was new.
    /// `heard`: whether anybody was there to hear it.
    pub(crate) fn push(
        &self,
        message: &moim_peer::RoomMessage,
        own: bool,
        heard: bool,
    ) -> Option<u64> {
        // An id is its author's own: somebody else may use the same one, by malice even.
        let same = |known: &MessageItem| known.id == message.id && known.from == message.from;
        let known = self.talk.with_untracked(|talk| {
            talk.iter()
                .any(|item| matches!(item, TalkItem::Message(known) if same(known)))
        });
        if known {
            return None;
        }
        let before = self.talk.with_untracked(|talk| match talk.back() {
            Some(TalkItem::Message(before)) => Some((before.from, before.stamp.group)),
            _ => None,
        });
        let last_time = self
            .talk
            .with_untracked(|talk| talk.iter().rev().find_map(TalkItem::time));
        let stamp = Stamp::new(message.sent.0, before, last_time, message.from);
        let key = next_key();
        if own {
            self.unread.forget();
        }
        let message = MessageItem {
            key,
            id: message.id,
            from: message.from,
            name: message.name.clone(),
            text: message.text.to_string(),
            own,
            heard,
            stamp,
        };
        self.talk.update(|talk| {
            push_bounded(talk, TalkItem::Message(Arc::new(message)), TalkItem::bytes)
        });
        Some(key)
    }

    /// Notes that a member came or went. Notes of one kind in a row become one line.
    pub(crate) fn note(&self, kind: NoteKind, peer: PeerId, name: &Name) {
        let last = self.talk.with_untracked(|talk| match talk.back() {
            Some(TalkItem::Note(note)) if note.kind == kind => Some(note.clone()),
            _ => None,
        });
        if let Some(note) = last {
            note.who.update(|(names, more)| {
                if names.len() < NOTE_NAMES_MAX {
                    names.push((peer, name.clone()));
                } else {
                    *more += 1;
                }
            });
            return;
        }
        let who = ArcRwSignal::new((vec![(peer, name.clone())], 0));
        let note = NoteItem {
            key: next_key(),
            kind,
            who,
        };
        self.talk
            .update(|talk| push_bounded(talk, TalkItem::Note(note), TalkItem::bytes));
    }
}

/// A member of a room.
#[derive(Clone)]
pub(crate) struct MemberModel {
    pub(crate) peer: PeerId,
    pub(crate) name: ArcRwSignal<String>,
    pub(crate) reach: ArcRwSignal<Reach>,
    /// Another one in the room whose name looks like this one's.
    pub(crate) looks_like: ArcRwSignal<Option<PeerId>>,
}

/// A line of a room.
#[derive(Clone)]
pub(crate) enum TalkItem {
    Message(Arc<MessageItem>),
    Note(NoteItem),
}

impl TalkItem {
    pub(crate) fn key(&self) -> u64 {
        match self {
            Self::Message(message) => message.key,
            Self::Note(note) => note.key,
        }
    }

    fn time(&self) -> Option<f64> {
        match self {
            Self::Message(message) => Some(message.stamp.time),
            Self::Note(_) => None,
        }
    }
}

/// Something said in a room.
#[derive(Clone, Debug)]
pub(crate) struct MessageItem {
    pub(crate) key: u64,
    id: MessageId,
    pub(crate) from: PeerId,
    /// `None` if the author was no member.
    pub(crate) name: Option<Name>,
    pub(crate) text: String,
    pub(crate) own: bool,
    /// Whether anybody was connected when it was said.
    pub(crate) heard: bool,
    pub(crate) stamp: Stamp,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoteKind {
    Here,
    Left,
    Gone,
}

/// Members came or went.
#[derive(Clone)]
pub(crate) struct NoteItem {
    key: u64,
    pub(crate) kind: NoteKind,
    /// Some names, and how many more.
    pub(crate) who: ArcRwSignal<(Vec<(PeerId, Name)>, usize)>,
}

/// A key that no other element of the page has.
fn next_key() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
