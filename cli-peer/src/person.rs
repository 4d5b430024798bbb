//! The session as people see it: a prompt, and what happens above it.

use std::sync::mpsc as blocking;

use moim_peer::{
    ClockOff, Member, Peer, PeerEvent, Reach, Refusal, Room, Snapshot, Status, limits,
};
use tokio::sync::watch;

use self::{
    commands::{Command, HELP},
    style::Style,
    view::{Others, View},
};
use crate::{
    exit::{Exit, Failure, explain},
    lines::{self, LINE_BYTES_MAX, Line},
    logging::Log,
    output::Output,
    session::{Front, Job, Reaction, Session},
    signals::Signals,
    text,
};

mod commands;
mod editor;
mod resolve;
mod style;
#[cfg(test)]
mod tests;
mod view;

/// With more members than this, comings and goings are no longer shown one by one: in a large room
/// they would leave no place for what is said.
const CROWD: usize = 30;

/// How long a value is kept. A person who needs another time takes `moim put`.
const LIFETIME: std::time::Duration = limits::RECORD_TTL_DEFAULT;

/// Runs a session at a prompt or, where input or output is no terminal, line by line.
pub(crate) async fn run(session: Session, signals: Signals, log: &Log) -> Result<Exit, Failure> {
    let style = Style::of_stdout();
    let mut person = Person::new(&session, style);
    if !editor::possible() {
        let failed = |error| {
            Failure::new(
                Exit::Failed,
                "terminal",
                format!("cannot use standard input and output: {error}"),
            )
        };
        let input = lines::from_stdin().map_err(failed)?;
        let output = Output::to_stdout().map_err(failed)?;
        return session.run(person, input, output, signals).await;
    }
    let prompt = format!("{}> ", text::line(session.room.topic().as_str()));
    let styled = style.strong(&prompt);
    let prompt = editor::open(prompt, styled).map_err(|error| {
        Failure::new(
            Exit::Failed,
            "terminal",
            format!("cannot use the terminal: {error:#}"),
        )
    })?;
    log.to_screen(prompt.output.weak());
    person.next = Some(prompt.next);
    let exit = session
        .run(person, prompt.input, prompt.output, signals)
        .await;
    drop(prompt.terminal);
    exit
}

/// The human side of a session.
#[derive(Debug)]
struct Person {
    view: View,
    me: String,
    topic: String,
    peer: Peer,
    room: Room,
    members: watch::Receiver<Vec<Member>>,
    state: watch::Receiver<Snapshot>,
    told: Option<(&'static str, Option<Refusal>)>,
    clock: Option<ClockOff>,
    crowded: bool,
    next: Option<blocking::SyncSender<()>>,
}

impl Person {
    fn new(session: &Session, style: Style) -> Self {
        let view = View { style, clock };
        Self {
            view,
            me: view.who(&session.peer.id(), session.profile.name().as_str()),
            topic: text::line(session.room.topic().as_str()),
            peer: session.peer.clone(),
            room: session.room.clone(),
            members: session.room.members(),
            state: session.peer.snapshot(),
            told: None,
            clock: None,
            crowded: false,
            next: None,
        }
    }

    fn react(&self, line: Line, busy: bool) -> Reaction {
        let view = self.view;
        let text = match line {
            Line::NotUtf8 => return Reaction::Print(view.problem("that line is not UTF-8 text")),
            Line::Text(text) => text,
            Line::TooLong { bytes } => {
                let text = format!(
                    "the line had {bytes} bytes and was thrown away; at most {LINE_BYTES_MAX} are allowed"
                );
                return Reaction::Print(view.problem(&text));
            }
        };
        let members = || self.members.borrow().clone();
        match commands::parse(&text) {
            Err(hint) => Reaction::Print(view.problem(&hint)),
            Ok(Command::Nothing) => Reaction::Print(String::new()),
            Ok(Command::Leave) => Reaction::Leave,
            Ok(Command::Help) => Reaction::Print(format!("{HELP}\n")),
            Ok(Command::Members) => {
                let others = Others {
                    me: self.peer.id(),
                    members: &members(),
                };
                Reaction::Print(view.members(&self.me, &others))
            }
            Ok(Command::Connections) => {
                Reaction::Print(view.network(&self.state.borrow(), &members()))
            }
            Ok(_) if busy => Reaction::Print(
                view.problem("too much is under way; try again when some of it is done"),
            ),
            Ok(Command::Get { key }) => Reaction::Start(self.waiting(), self.get(key)),
            Ok(Command::Put { key, value }) => {
                Reaction::Start(self.waiting(), self.put(key, value))
            }
            Ok(Command::Say { text }) => Reaction::Start(String::new(), self.say(text)),
            Ok(Command::To { reference, text }) => self.send(&reference, text, &members()),
        }
    }

    /// What to say before something that needs the DHT and will wait for it.
    fn waiting(&self) -> String {
        if self.state.borrow().status == Status::Connected {
            return String::new();
        }
        self.view.style.dim("waiting for the DHT …") + "\n"
    }

    fn get(&self, key: String) -> Job {
        let (view, peer) = (self.view, self.peer.clone());
        Box::pin(async move {
            match peer.get(key.clone()).await {
                Ok(value) => view.value(&key, value.as_ref()),
                Err(error) => view.problem(&explain(&error)),
            }
        })
    }

    fn put(&self, key: String, value: serde_json::Value) -> Job {
        let (view, peer) = (self.view, self.peer.clone());
        Box::pin(async move {
            match peer.put(key, value, LIFETIME).await {
                Ok(stored) => view.stored(&stored),
                Err(error) => view.problem(&explain(&error)),
            }
        })
    }

    fn say(&self, text: String) -> Job {
        let (view, room, members) = (self.view, self.room.clone(), self.members.clone());
        Box::pin(async move {
            match room.say(text).await {
                // What was said still stands where it was typed.
                Ok(_) => unheard(&members.borrow())
                    .map(|why| view.problem(why))
                    .unwrap_or_default(),
                Err(error) => view.problem(&explain(&error)),
            }
        })
    }

    fn send(&self, reference: &str, text: String, members: &[Member]) -> Reaction {
        let view = self.view;
        let to = match resolve::resolve(reference, members) {
            Ok(to) => to,
            Err(error) => return Reaction::Print(view.problem(&error.to_string())),
        };
        let peer = self.peer.clone();
        let whom = view.whom(&to, members);
        let sending = view.sending(&whom);
        let job: Job = Box::pin(async move {
            match peer.send(to, text.clone()).await {
                Ok(receipt) => view.delivered(&whom, &text, &receipt),
                Err(error) => view.undelivered(&whom, &text, &error),
            }
        });
        Reaction::Start(sending, job)
    }

    /// Whether comings and goings are too many to be shown, and a word when that changes.
    fn crowd(&mut self) -> String {
        let count = self.members.borrow().len();
        // Half of it to come back, so that a room at the limit does not go to and fro.
        let crowded = if self.crowded {
            count > CROWD / 2
        } else {
            count > CROWD
        };
        if crowded == self.crowded {
            return String::new();
        }
        self.crowded = crowded;
        let text = if crowded {
            format!(
                "More than {CROWD} are here: who comes and goes is no longer shown. /members lists them."
            )
        } else {
            format!("{count} others are here: who comes and goes is shown again.")
        };
        self.view.style.dim(&text) + "\n"
    }

    fn member_line(
        &mut self,
        always: bool,
        line: impl FnOnce(View, &Others<'_>) -> String,
    ) -> String {
        let mut text = self.crowd();
        if always || !self.crowded {
            let others = Others {
                me: self.peer.id(),
                members: &self.members.borrow(),
            };
            text.push_str(&line(self.view, &others));
        }
        text
    }
}

impl Front for Person {
    fn started(&mut self, snapshot: &Snapshot) -> String {
        let style = self.view.style;
        let mut text = format!("You are {} in {}. ", self.me, style.strong(&self.topic));
        text.push_str(&style.dim("/help lists the commands, Ctrl-D leaves."));
        text.push('\n');
        text + &self.snapshot(snapshot)
    }

    fn line(&mut self, line: Line, busy: bool) -> Reaction {
        let reaction = self.react(line, busy);
        match reaction {
            // The prompt must not come back.
            Reaction::Leave => self.next = None,
            Reaction::Print(_) | Reaction::Start(..) => {
                if let Some(next) = &self.next {
                    // Of lines there is one at a time, and so of these.
                    let _ = next.try_send(());
                }
            }
        }
        reaction
    }

    fn event(&mut self, event: PeerEvent) -> String {
        let view = self.view;
        match event {
            PeerEvent::DirectMessage(message) => {
                view.direct_message(&message, &self.members.borrow())
            }
            PeerEvent::Lagged(missed) => view.problem(&format!(
                "{missed} events were too many to show; /members and /connections are right"
            )),
            PeerEvent::MemberJoined { member, .. } => {
                // A warning is shown in a crowd too.
                let always = member.looks_like.is_some();
                self.member_line(always, |view, others| view.joined(&member, others))
            }
            PeerEvent::MemberLeft {
                peer, name, reason, ..
            } => self.member_line(false, |view, _| view.gone(&peer, name.as_str(), reason)),
            PeerEvent::MemberUpdated { member, before, .. } => {
                let always = member.looks_like.is_some() && member.name != before.name;
                self.member_line(always, |view, others| {
                    view.updated(&member, &before, others)
                })
            }
            PeerEvent::RoomMessage(message) => view.room_message(&message),
            // Told from the snapshot, which cannot lag.
            PeerEvent::CopiesGrown(_) | PeerEvent::StatusChanged(_) => String::new(),
            // Newer than this program.
            _ => String::new(),
        }
    }

    fn snapshot(&mut self, snapshot: &Snapshot) -> String {
        // Only when the state is another one: the reason may differ with every attempt.
        let mut text = String::new();
        let state = (snapshot.status.word(), snapshot.refusal());
        if self.told != Some(state) {
            self.told = Some(state);
            text.push_str(&match state {
                (_, Some(why)) => self.view.turned_away(why),
                (_, None) => self.view.status(&snapshot.status),
            });
        }
        if self.clock != snapshot.clock {
            self.clock = snapshot.clock;
            text.push_str(&self.view.clock_told(snapshot.clock));
        }
        text
    }

    fn leaving(&mut self) -> String {
        // Also after Ctrl-C and Ctrl-D, whose lines were never answered.
        self.next = None;
        format!("Leaving {} …\n", self.topic)
    }

    fn left(&mut self, _failure: Option<&Failure>) -> String {
        // A failure is told on standard error.
        String::new()
    }
}

/// Why nobody has heard what was just said, if nobody has.
fn unheard(members: &[Member]) -> Option<&'static str> {
    let is_connected = |member: &Member| matches!(member.reach, Reach::Connected(_));
    if members.is_empty() {
        Some("nobody else is here yet, so nobody heard that")
    } else if members.iter().any(is_connected) {
        None
    } else {
        Some("nobody is connected now, so nobody heard that yet; it is kept for two minutes")
    }
}

/// The time of day on this machine's clock.
fn clock() -> String {
    jiff::Zoned::now().strftime("%H:%M").to_string()
}
