//! What a person sees: each thing that happens as a line.
//!
//! **Invariant:** every text that others wrote goes through [`text`] before it is shown.

use moim_peer::{
    BootstrapState, ClockOff, Connection, DirectMessage, LeaveReason, Member, Path, PeerId, Reach,
    Receipt, Refusal, RoomMessage, SendError, Snapshot, Status, Stored, Value,
};

use super::style::Style;
use crate::{
    exit::explain,
    ids::{addresses, short},
    text,
};

/// Characters of a message that its delivery line repeats, so that one knows which it was.
const EXCERPT_CHARACTERS: usize = 40;

/// Who else is in the room, and who this person is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others<'a> {
    pub(super) me: PeerId,
    pub(super) members: &'a [Member],
}

/// Turns things into lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) style: Style,
    /// Tells the time of day as it is shown.
    pub(super) clock: fn() -> String,
}

impl View {
    /// A peer as it is always shown: name and short id.
    pub(super) fn who(self, peer: &PeerId, name: &str) -> String {
        format!(
            "{} {}",
            self.style.name(peer, &text::line(name)),
            self.style.dim(&short(peer))
        )
    }

    /// A peer that is shown by its id where it is no member.
    pub(super) fn whom(self, peer: &PeerId, members: &[Member]) -> String {
        match members.iter().find(|member| member.peer == *peer) {
            Some(member) => self.who(peer, member.name.as_str()),
            None => self.style.name(peer, &short(peer)),
        }
    }

    fn timed(self, text: &str) -> String {
        format!("{} {text}\n", self.style.dim(&(self.clock)()))
    }

    /// Somebody who is not in the room: by its id alone, and marked.
    fn stranger(self, peer: &PeerId) -> String {
        format!(
            "{} {}",
            self.style.name(peer, &short(peer)),
            self.style.bad("(not in the room)")
        )
    }

    pub(super) fn room_message(self, message: &RoomMessage) -> String {
        let author = match &message.name {
            Some(name) => self.who(&message.from, name.as_str()),
            None => self.stranger(&message.from),
        };
        self.timed(&format!("{author}: {}", text::block(message.text.as_str())))
    }

    pub(super) fn direct_message(self, message: &DirectMessage, members: &[Member]) -> String {
        let mark = self
            .style
            .strong(&format!("[direct message{}]", way(message.path, ", ", "")));
        let author = if members.iter().any(|member| member.peer == message.from) {
            self.whom(&message.from, members)
        } else {
            self.stranger(&message.from)
        };
        self.timed(&format!(
            "{mark} {author}: {}",
            text::block(message.text.as_str())
        ))
    }

    pub(super) fn sending(self, to: &str) -> String {
        self.timed(&self.style.dim(&format!("sending to {to} …")))
    }

    pub(super) fn delivered(self, to: &str, message: &str, receipt: &Receipt) -> String {
        let mark = self.style.good("✓ delivered");
        self.timed(&format!(
            "{mark} to {to}{}: {}",
            way(receipt.path, " (", ")"),
            self.style.dim(&excerpt(message))
        ))
    }

    pub(super) fn undelivered(self, to: &str, message: &str, error: &SendError) -> String {
        let mark = self.style.bad("✗ not delivered");
        let advice = match error {
            SendError::NoReceipt { .. } => {
                "; it may have arrived all the same. Try again when /members shows the peer as reached"
            }
            _ => "",
        };
        let reason = text::line(&explain(error));
        self.timed(&format!(
            "{mark} to {to}: {}\n      {reason}{advice}",
            excerpt(message)
        ))
    }

    /// That a name looks like that of `other`, who may be this person (`you`).
    fn alike(self, member: &Member, others: &Others<'_>) -> String {
        let Some(other) = member.looks_like else {
            return String::new();
        };
        let whose = if other == others.me {
            "yours".to_owned()
        } else {
            format!("that of {}", self.whom(&other, others.members))
        };
        self.style.bad(&format!(
            ", and has a name that looks like {whose}: go by the ids"
        ))
    }

    pub(super) fn joined(self, member: &Member, others: &Others<'_>) -> String {
        let how = match member.reach {
            Reach::Connected(way) => format!("is here, {}", path(way)),
            Reach::Connecting => "is here, connecting".to_owned(),
            Reach::Unconnected => "is here".to_owned(),
        };
        self.timed(&format!(
            "{} {} {how}{}",
            self.style.good("→"),
            self.who(&member.peer, member.name.as_str()),
            self.alike(member, others)
        ))
    }

    /// A member is reached in another way or has another name; empty where that is nothing to a person.
    pub(super) fn updated(self, member: &Member, before: &Member, others: &Others<'_>) -> String {
        let is_renamed = member.name != before.name;
        let how = match (before.reach, member.reach) {
            _ if is_renamed => "has this name now".to_owned(),
            // Told when the other one came.
            (before, now) if before == now => return String::new(),
            (_, Reach::Connected(Path::Direct(transport))) => {
                format!("is reached directly now ({transport})")
            }
            (_, Reach::Connected(Path::Turn)) => "is reached through a TURN server now".to_owned(),
            (_, Reach::Connected(Path::Relayed { by })) => {
                format!("is reached through the relay {} now", short(&by))
            }
            (Reach::Connected(_), _) => "is here, but the connection is gone".to_owned(),
            _ => return String::new(),
        };
        let alike = if is_renamed {
            self.alike(member, others)
        } else {
            String::new()
        };
        self.timed(&format!(
            "{} {} {how}{alike}",
            self.style.dim("·"),
            self.who(&member.peer, member.name.as_str())
        ))
    }

    pub(super) fn gone(self, peer: &PeerId, name: &str, reason: LeaveReason) -> String {
        let how = match reason {
            LeaveReason::Expired => "is gone: not heard of for too long",
            LeaveReason::Left => "left",
            LeaveReason::Lost => "is gone: the connection broke, and it can't be reached",
        };
        self.timed(&format!(
            "{} {} {how}",
            self.style.bad("←"),
            self.who(peer, name)
        ))
    }

    pub(super) fn status(self, status: &Status) -> String {
        let because = status
            .why()
            .map(|why| format!(": {}", text::line(&why.to_string())))
            .unwrap_or_default();
        match status {
            Status::Connected => self.timed(&self.style.good("connected: in the DHT")),
            Status::Connecting => self.timed(&self.style.dim("connecting …")),
            Status::Failed { .. } => self.timed(&format!(
                "{}{because}\n      Trying again by itself. Is a bootstrap node running there? --bootstrap names another one.",
                self.style.bad("cannot get into the DHT")
            )),
            Status::Offline => self.timed(&self.style.bad("offline: this device has no network")),
            Status::Reconnecting { .. } => self.timed(&format!(
                "{}{because}\n      Trying again by itself. Members that are connected still hear you.",
                self.style.bad("lost the DHT")
            )),
        }
    }

    /// This device's clock is found to be wrong, or is right again.
    pub(super) fn clock_told(self, off: Option<ClockOff>) -> String {
        match off {
            Some(off) => self.problem(&off.to_string()),
            None => self.timed(&self.style.good("this device's clock is right again")),
        }
    }

    /// A bootstrap node does not let this peer in.
    pub(super) fn turned_away(self, why: Refusal) -> String {
        self.timed(&format!(
            "{}: {why}\n      Trying again by itself, less and less often.",
            self.style.bad("turned away")
        ))
    }

    pub(super) fn stored(self, stored: &Stored) -> String {
        self.timed(&format!(
            "{} {} is kept by {}",
            self.style.good("✓"),
            text::line(stored.key.as_str()),
            count(stored.copies, "peer")
        ))
    }

    pub(super) fn value(self, key: &str, value: Option<&Value>) -> String {
        let key = text::line(key);
        match value {
            Some(value) => {
                let by = self
                    .style
                    .dim(&format!("(from {})", short(&value.publisher)));
                self.timed(&format!(
                    "{key} = {} {by}",
                    text::json(&value.value.to_string())
                ))
            }
            None => self.timed(&format!("there is no value under {key}")),
        }
    }

    /// Something did not work.
    pub(super) fn problem(self, text: &str) -> String {
        self.timed(&format!("{} {}", self.style.bad("✗"), text::line(text)))
    }

    pub(super) fn members(self, me: &str, others: &Others<'_>) -> String {
        let members = others.members;
        let mut lines = format!("You are {me}. ");
        lines.push_str(&match members.len() {
            0 => "Nobody else is here yet.\n".to_owned(),
            others => format!(
                "{} here:\n",
                if others == 1 {
                    "One other is".to_owned()
                } else {
                    format!("{others} others are")
                }
            ),
        });
        for member in members {
            let how = match member.reach {
                Reach::Connected(way) => path(way),
                Reach::Connecting => "connecting".to_owned(),
                Reach::Unconnected => "not connected, reached through others".to_owned(),
            };
            lines.push_str(&format!(
                "  {}  {}{}\n",
                self.who(&member.peer, member.name.as_str()),
                self.style.dim(&how),
                self.alike(member, others)
            ));
        }
        lines
    }

    pub(super) fn network(self, snapshot: &Snapshot, members: &[Member]) -> String {
        let mut lines = format!(
            "{}: {}",
            self.style.strong("network"),
            snapshot.status.word()
        );
        if let Some(why) = snapshot.status.why() {
            lines.push_str(&format!(", {}", text::line(&why.to_string())));
        }
        let serving = if snapshot.dht.server {
            ", and serves it"
        } else {
            ""
        };
        lines.push_str(&format!(
            "; connected to {} of the DHT{serving}\n",
            count(snapshot.dht.servers, "server")
        ));
        lines.push_str(&format!(
            "{}: {}\n",
            self.style.strong("your peer id"),
            snapshot.peer
        ));
        for node in &snapshot.bootstrap {
            let state = match &node.state {
                BootstrapState::Connected { peer } => format!("connected to {}", short(peer)),
                BootstrapState::Connecting => "connecting".to_owned(),
                BootstrapState::Failed { why } => format!("failed, will be tried again: {why}"),
                BootstrapState::TurnedAway { why } => format!("turned away: {why}"),
            };
            lines.push_str(&format!(
                "{}: {}: {state}\n",
                self.style.strong("bootstrap node"),
                text::line(&node.source)
            ));
        }
        for address in addresses(snapshot) {
            lines.push_str(&format!(
                "{}: {address}\n",
                self.style.strong("your address")
            ));
        }
        if snapshot.connections.is_empty() {
            lines.push_str("no connections\n");
        }
        for connection in &snapshot.connections {
            lines.push_str(&self.connection(connection, members));
        }
        lines
    }

    fn connection(self, connection: &Connection, members: &[Member]) -> String {
        let mut about = vec![path(connection.path)];
        if let Some(time) = connection.round_trip {
            about.push(format!("{:.1} ms", time.as_secs_f64() * 1000.0));
        }
        if connection.bootstrap_node {
            about.push("bootstrap node".to_owned());
        }
        if let Some(agent) = &connection.agent {
            about.push(text::line(agent));
        }
        let mut lines = format!(
            "{}: {} {} {}\n",
            self.style.strong("connection"),
            self.whom(&connection.peer, members),
            about.join(", "),
            self.style.dim(&text::line(&connection.address.to_string()))
        );
        if let Some(why) = &connection.not_direct {
            lines.push_str(&format!("  not direct: {}", why.why));
            if let Some(retry) = why.retry {
                lines.push_str(&format!("; tried again {} s later", retry.as_secs()));
            }
            lines.push('\n');
        }
        lines
    }
}

/// A path in words, with what is written around it; nothing if it is not known.
fn way(way: Option<Path>, before: &str, after: &str) -> String {
    way.map_or_else(String::new, |way| format!("{before}{}{after}", path(way)))
}

/// A path in words.
fn path(path: Path) -> String {
    match path {
        Path::Direct(transport) => format!("direct ({transport})"),
        Path::Turn => "by a TURN server".to_owned(),
        Path::Relayed { by } => format!("relayed by {}", short(&by)),
    }
}

/// `1 peer`, `2 peers`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The start of a message, in one line.
fn excerpt(message: &str) -> String {
    let mut start: String = message.chars().take(EXCERPT_CHARACTERS).collect();
    if start.len() < message.len() {
        start.push('…');
    }
    text::line(&start)
}
