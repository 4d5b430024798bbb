//! The session as programs see it: events and commands as JSON, one object a line.

use moim_peer::{
    ClockOff, Code, Member, Peer, PeerEvent, PeerId, Refusal, Room, SendError, Snapshot, Status,
    json::{Answer, ConnectionRow, Event, MemberRow},
};
use serde::Serialize;
use tokio::sync::watch;

use self::commands::{Command, Request, parse};
use crate::{
    exit::{Failure, explain},
    ids::addresses,
    lines::{LINE_BYTES_MAX, Line},
    session::{Front, JOBS_MAX, Job, Reaction, Session},
    text,
};

mod commands;
#[cfg(test)]
mod tests;

/// The JSON side of a session.
#[derive(Debug)]
pub(crate) struct Json {
    peer: Peer,
    room: Room,
    members: watch::Receiver<Vec<Member>>,
    state: watch::Receiver<Snapshot>,
    told: Told,
    line: u64,
}

/// What of the peer's state was told last.
#[derive(Debug, Default)]
struct Told {
    addresses: Vec<String>,
    status: Option<(Status, Option<Refusal>)>,
    clock: Option<ClockOff>,
}

impl Told {
    /// The events that tell what is new.
    fn changes(&mut self, snapshot: &Snapshot) -> String {
        let mut text = String::new();
        let addresses = addresses(snapshot);
        if self.addresses != addresses {
            text.push_str(
                &Event::Addresses {
                    addresses: addresses.clone(),
                }
                .to_line(),
            );
            self.addresses = addresses;
        }
        let status = (snapshot.status.clone(), snapshot.refusal());
        if self.status.as_ref() != Some(&status) {
            text.push_str(&Event::status(&status.0, status.1).to_line());
            self.status = Some(status);
        }
        if self.clock != snapshot.clock {
            text.push_str(&Event::clock(snapshot.clock).to_line());
            self.clock = snapshot.clock;
        }
        text
    }
}

impl Json {
    pub(crate) fn new(session: &Session) -> Self {
        Self {
            peer: session.peer.clone(),
            room: session.room.clone(),
            members: session.room.members(),
            state: session.peer.snapshot(),
            told: Told::default(),
            line: 0,
        }
    }

    fn react(&self, request: Request, busy: bool) -> Reaction {
        let Request { command, reference } = request;
        let answer = Answering {
            command: command.word(),
            line: self.line,
            reference,
        };
        match command {
            Command::Leave => return Reaction::Leave,
            Command::Connections => {
                let connections = self
                    .state
                    .borrow()
                    .connections
                    .iter()
                    .map(ConnectionRow::from)
                    .collect();
                return Reaction::Print(answer.with(Event::Connections { connections }));
            }
            Command::Members => {
                let members = self.members.borrow().iter().map(MemberRow::from).collect();
                return Reaction::Print(answer.with(Event::Members { members }));
            }
            _ if busy => {
                let message = format!(
                    "{JOBS_MAX} commands are under way; wait for answers before giving more"
                );
                return Reaction::Print(answer.refused("busy", message));
            }
            _ => {}
        }
        Reaction::Start(String::new(), self.job(command, answer))
    }

    /// The commands that ask the peer.
    fn job(&self, command: Command, answer: Answering) -> Job {
        let peer = self.peer.clone();
        match command {
            Command::Get { key } => Box::pin(async move {
                match peer.get(key.clone()).await {
                    Ok(value) => answer.with(Event::value(key, value)),
                    Err(error) => answer.failed(&error),
                }
            }),
            Command::Put {
                key,
                value,
                lifetime,
            } => Box::pin(async move {
                match peer.put(key, value, lifetime).await {
                    Ok(stored) => answer.with(Event::Stored {
                        key: stored.key.to_string(),
                        copies: stored.copies,
                    }),
                    Err(error) => answer.failed(&error),
                }
            }),
            Command::Say { text } => {
                let room = self.room.clone();
                Box::pin(async move {
                    match room.say(text).await {
                        Ok(message) => answer.with(Event::Said {
                            id: message.id.to_string(),
                            text: message.text.to_string(),
                        }),
                        Err(error) => answer.failed(&error),
                    }
                })
            }
            Command::Send { to, text } => Box::pin(send(peer, to, text, answer)),
            // Answered in `react`.
            Command::Connections | Command::Leave | Command::Members => {
                Box::pin(async { String::new() })
            }
        }
    }
}

async fn send(peer: Peer, to: PeerId, text: String, answer: Answering) -> String {
    let id = Peer::new_message_id();
    match peer.send_with_id(id, to, text).await {
        Ok(receipt) => answer.with(Event::delivered(&receipt)),
        // It was on its way, so its fate is a receipt's business.
        Err(
            error @ (SendError::NoReceipt { .. }
            | SendError::Refused { .. }
            | SendError::Unsupported),
        ) => answer.with(Event::undelivered(id, to, explain(&error))),
        Err(error) => answer.failed(&error),
    }
}

impl Front for Json {
    fn started(&mut self, snapshot: &Snapshot) -> String {
        let addresses = addresses(snapshot);
        let ready = Event::Ready {
            peer_id: self.peer.id().to_string(),
            addresses: addresses.clone(),
        }
        .to_line();
        self.told.addresses = addresses;
        ready + &self.told.changes(snapshot)
    }

    fn line(&mut self, line: Line, busy: bool) -> Reaction {
        self.line = self.line.saturating_add(1);
        let refused = |code, message| {
            let line = Some(self.line);
            Reaction::Print(
                Event::Error {
                    error: code,
                    message,
                    cmd: None,
                    line,
                }
                .to_line(),
            )
        };
        match line {
            Line::NotUtf8 => refused("invalid_json", "the line is not UTF-8".to_owned()),
            Line::Text(text) if text.trim().is_empty() => Reaction::Print(String::new()),
            Line::Text(text) => match parse(&text) {
                Ok(request) => self.react(request, busy),
                Err(wrong) => Reaction::Print(wrong.to_line(self.line)),
            },
            Line::TooLong { bytes } => refused(
                "line_too_long",
                format!(
                    "the line had {bytes} bytes and was thrown away; at most {LINE_BYTES_MAX} are allowed"
                ),
            ),
        }
    }

    fn event(&mut self, event: PeerEvent) -> String {
        event_line(event, &self.members.borrow())
    }

    fn snapshot(&mut self, snapshot: &Snapshot) -> String {
        self.told.changes(snapshot)
    }

    fn leaving(&mut self) -> String {
        String::new()
    }

    fn left(&mut self, failure: Option<&Failure>) -> String {
        failure.map(Failure::to_line).unwrap_or_default() + &Event::Left.to_line()
    }
}

fn event_line(event: PeerEvent, members: &[Member]) -> String {
    let event = Event::of(event, members);
    event.map(|event| event.to_line()).unwrap_or_default()
}

/// What is written as a line of its own.
pub(crate) trait ToLine: Serialize {
    /// The line with its end. Nothing in it moves a terminal, or ends the line early.
    fn to_line(&self) -> String {
        match serde_json::to_string(self) {
            Ok(json) => text::json(&json) + "\n",
            // Only types whose keys are no strings cannot be written, and there are none.
            Err(_) => {
                "{\"type\":\"error\",\"error\":\"failed\",\"message\":\"an event cannot be written\"}\n"
                    .to_owned()
            }
        }
    }
}

impl ToLine for Answer {}
impl ToLine for Event {}

/// What the answers to one command have in common.
#[derive(Debug)]
struct Answering {
    command: &'static str,
    line: u64,
    reference: Option<serde_json::Value>,
}

impl Answering {
    fn with(self, event: Event) -> String {
        Answer {
            event,
            reference: self.reference,
        }
        .to_line()
    }

    fn refused(self, code: &'static str, message: String) -> String {
        let (cmd, line) = (Some(self.command.to_owned()), Some(self.line));
        self.with(Event::Error {
            error: code,
            message,
            cmd,
            line,
        })
    }

    fn failed(self, error: &(impl Code + 'static)) -> String {
        let (code, message) = (error.code(), explain(error));
        self.refused(code, message)
    }
}
