//! A terminal peer driven as programs drive it: NDJSON both ways.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    PATIENCE, Place, SEEN_WITHIN, moim_binary,
    process::{Output, Process, Signal},
};

/// One event as the peer printed it.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// The number of the next line: where to look on from.
    pub next: usize,
    /// The whole object.
    pub value: Value,
}

impl Event {
    /// Its `type`.
    pub fn kind(&self) -> &str {
        self.text("type")
    }

    /// A field that is a text; empty where there is none.
    pub fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_default()
    }
}

/// Settings of a terminal peer.
#[derive(Debug)]
pub struct TerminalBuilder {
    topic: String,
    name: String,
    args: Vec<OsString>,
    data: Option<TempDir>,
    /// What the program is started with.
    through: Option<Command>,
    environment: Vec<(String, PathBuf)>,
}

impl TerminalBuilder {
    /// A peer that will join `topic` as `name`.
    pub fn new(topic: &str, name: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            name: name.to_owned(),
            args: Vec::new(),
            data: None,
            through: None,
            environment: Vec::new(),
        }
    }

    /// A bootstrap address or URL; may be given several times.
    #[must_use]
    pub fn bootstrap(self, source: &str) -> Self {
        self.arg("--bootstrap").arg(source)
    }

    /// How long the others keep it without hearing of it.
    #[must_use]
    pub fn presence_lifetime(self, lifetime: Duration) -> Self {
        self.arg("--presence-lifetime")
            .arg(lifetime.as_secs().to_string())
    }

    /// Takes no part in gossip.
    #[must_use]
    pub fn no_gossip(self) -> Self {
        self.arg("--no-gossip")
    }

    /// Keeps records for others.
    #[must_use]
    pub fn serve_dht(self) -> Self {
        self.arg("--serve-dht")
    }

    /// The data directory of an earlier peer, and with it its identity.
    #[must_use]
    pub fn data(mut self, data: TempDir) -> Self {
        self.data = Some(data);
        self
    }

    /// With variables in its environment.
    #[must_use]
    pub fn environment(mut self, variables: &[(&str, PathBuf)]) -> Self {
        let variables = variables.iter();
        self.environment
            .extend(variables.map(|(name, value)| ((*name).to_owned(), value.clone())));
        self
    }

    /// On another machine.
    #[must_use]
    pub fn inside(mut self, place: &Place) -> Self {
        self.through = Some(place.enter(moim_binary()));
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start(self) -> Terminal {
        let mut terminal = self.launch();
        terminal.read_ready();
        terminal
    }

    /// Starts it without waiting for anything; it has no peer id until
    /// [`Terminal::read_ready`].
    pub fn launch(self) -> Terminal {
        let data = self
            .data
            .unwrap_or_else(|| tempfile::tempdir().expect("a temporary folder can be made"));
        let mut command = self.through.unwrap_or_else(|| Command::new(moim_binary()));
        command.envs(self.environment);
        command.args(["join", &self.topic, "--json", "--name", &self.name]);
        command.arg("--data-dir").arg(data.path()).args(&self.args);
        let process = Process::start(&self.name, &mut command);
        Terminal {
            process,
            data,
            topic: self.topic,
            peer_id: String::new(),
        }
    }
}

/// A `moim join --json`. Dropped: killed.
#[derive(Debug)]
pub struct Terminal {
    process: Process,
    data: TempDir,
    topic: String,
    peer_id: String,
}

impl Terminal {
    /// Starts a peer with one bootstrap address.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn join(topic: &str, name: &str, bootstrap: &str) -> Self {
        TerminalBuilder::new(topic, name)
            .bootstrap(bootstrap)
            .start()
    }

    /// Waits until it is ready and takes its peer id from what it says then.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn read_ready(&mut self) {
        let ready = self.wait("ready", PATIENCE, |event| event.kind() == "ready");
        self.peer_id = ready.text("peer_id").to_owned();
        assert!(self.peer_id.starts_with("12D3KooW"), "{ready:?}");
    }

    /// The topic it joins.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its peer id.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// When its process was started.
    pub fn started(&self) -> Instant {
        self.process.started()
    }

    /// Everything it reported so far.
    pub fn events(&self) -> Vec<Event> {
        let lines = self.process.lines().into_iter().enumerate();
        lines
            .filter(|(_, line)| line.from == Output::Stdout)
            .map(|(number, line)| event(number, line.at, &line.text))
            .collect()
    }

    /// Events of one kind so far.
    pub fn events_of(&self, kind: &str) -> Vec<Event> {
        self.events()
            .into_iter()
            .filter(|event| event.kind() == kind)
            .collect()
    }

    /// Where [`Self::wait_since`] starts to look at what happens from now on.
    pub fn mark(&self) -> usize {
        self.process.lines().len()
    }

    /// Waits for an event, from the peer's start on.
    ///
    /// # Panics
    /// If there is none within `within` from now.
    pub fn wait(&self, what: &str, within: Duration, is: impl FnMut(&Event) -> bool) -> Event {
        self.wait_since(0, what, within, is)
    }

    /// Waits for an event after `mark`.
    ///
    /// # Panics
    /// If there is none within `within` from now.
    pub fn wait_since(
        &self,
        mark: usize,
        what: &str,
        within: Duration,
        is: impl FnMut(&Event) -> bool,
    ) -> Event {
        self.wait_until(mark, Instant::now() + within, is)
            .unwrap_or_else(|| panic!("{} did not see within {within:?}: {what}", self.name()))
    }

    /// As [`Self::wait_since`] with a point in time, and `None` when there is no such event.
    pub fn wait_until(
        &self,
        mark: usize,
        deadline: Instant,
        mut is: impl FnMut(&Event) -> bool,
    ) -> Option<Event> {
        self.process.pick_line(mark, deadline, |number, line| {
            let event =
                (line.from == Output::Stdout).then(|| event(number, line.at, &line.text))?;
            is(&event).then_some(event)
        })
    }

    /// Sends a command.
    ///
    /// # Panics
    /// If the peer has ended.
    pub fn command(&mut self, command: &Value) {
        self.process.write(format!("{command}\n").as_bytes());
    }

    /// Says something in the room.
    pub fn say(&mut self, text: &str) {
        self.command(&json!({"cmd": "say", "text": text}));
    }

    /// Sends a direct message.
    pub fn send(&mut self, to: &str, text: &str) {
        self.command(&json!({"cmd": "send", "to": to, "text": text}));
    }

    /// Waits until `peer` is a member of the room, and is at the end of the events.
    ///
    /// # Panics
    /// If it is not at `deadline`; says how late it is, if it comes at all.
    pub fn sees_by(&self, peer: &str, deadline: Instant) {
        let joined = |event: &Event| event.kind() == "member_joined" && event.text("peer") == peer;
        let Some(event) = self.wait_until(0, deadline + PATIENCE, joined) else {
            panic!("{} never sees {peer}", self.name());
        };
        let late = event.at.saturating_duration_since(deadline);
        assert!(
            late.is_zero(),
            "{} sees {peer} {late:?} too late",
            self.name()
        );
    }

    /// Waits until the list of members shows a direct connection to `peer`.
    ///
    /// # Panics
    /// If it does not within [`PATIENCE`].
    pub fn is_connected_to(&self, peer: &str) {
        self.wait(
            &format!("a direct connection to {peer}"),
            PATIENCE,
            |event| {
                ["member_joined", "member_updated"].contains(&event.kind())
                    && event.text("peer") == peer
                    && event.text("path") == "direct"
            },
        );
    }

    /// Waits until `peer` is no member any more; answers when it went and why.
    ///
    /// # Panics
    /// If it is still there after `within` from now.
    pub fn loses(&self, mark: usize, peer: &str, within: Duration) -> (Instant, String) {
        let event = self.wait_since(mark, &format!("{peer} leaves"), within, |event| {
            event.kind() == "member_left" && event.text("peer") == peer
        });
        (event.at, event.text("reason").to_owned())
    }

    /// Waits for a message in the room.
    ///
    /// # Panics
    /// If it does not arrive within [`PATIENCE`].
    pub fn hears(&self, from: &str, text: &str) -> Event {
        self.wait(&format!("`{text}` in the room"), PATIENCE, |event| {
            event.kind() == "room_message"
                && event.text("from") == from
                && event.text("text") == text
        })
    }

    /// The texts heard in the room from `from`, in order of arrival.
    pub fn heard_from(&self, from: &str) -> Vec<String> {
        let messages = self.events_of("room_message").into_iter();
        messages
            .filter(|event| event.text("from") == from)
            .map(|event| event.text("text").to_owned())
            .collect()
    }

    /// Leaves the room by command and waits for the end of the process.
    ///
    /// # Panics
    /// If it does not end.
    pub fn leave(&mut self) -> ExitStatus {
        self.command(&json!({"cmd": "leave"}));
        self.process.wait(PATIENCE)
    }

    /// Kills it without a word and hands over its data directory.
    pub fn kill(mut self) -> TempDir {
        self.process.signal(Signal::Kill);
        self.process.wait(PATIENCE);
        self.data
    }
}

fn event(number: usize, at: Instant, line: &str) -> Event {
    let value = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("a line on stdout is not JSON ({error}): {line}"));
    Event {
        at,
        next: number + 1,
        value,
    }
}

/// The ids of `peers`.
pub fn member_ids<'a>(peers: impl IntoIterator<Item = &'a Terminal>) -> Vec<String> {
    peers
        .into_iter()
        .map(|peer| peer.peer_id().to_owned())
        .collect()
}

/// Asserts that every one of `peers` sees all others within [`SEEN_WITHIN`] of the last one's
/// start.
///
/// # Panics
/// If one does not.
pub fn see_each_other(peers: &[&Terminal]) {
    let last = peers
        .iter()
        .map(|peer| peer.started())
        .max()
        .unwrap_or_else(Instant::now);
    for peer in peers {
        for other in peers
            .iter()
            .filter(|other| other.peer_id() != peer.peer_id())
        {
            peer.sees_by(other.peer_id(), last + SEEN_WITHIN);
        }
    }
}
