//! A joined room from start to leave, whoever sits at the other end of standard input and output.
//!
//! [`Session::run`] is one loop over what is typed, what happens and what is done; a [`Front`] turns
//! each of these into text. **Invariant:** the loop takes nothing in before there is room for the
//! answer, and waits for nothing without hearing signals as well.

use std::{io, pin::Pin, time::Duration};

use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use moim_peer::{Code as _, DhtMode, EventStream, Peer, PeerEvent, Profile, Room, Snapshot};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    args::JoinArgs,
    exit::{Exit, Failure, explain},
    identity::Identity,
    ids::short,
    lines::{Input, Line},
    output::Output,
    signals::Signals,
};

/// Commands that may be under way at once. A person has a few, a program that sends to a room full
/// of members has one for each of them.
pub(crate) const JOBS_MAX: usize = 256;

/// How long commands that are under way are given when the input ends, so that
/// `echo … | moim join …` gets its answers.
const JOBS_GRACE: Duration = Duration::from_secs(2);

/// How long leaving may take. The peer itself takes two seconds at most to tell the others.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the last events and answers of a peer that has stopped may take: its task only has to
/// be taken down.
const REST_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the start waits for the addresses it listens on; that takes milliseconds.
const ADDRESSES_TIMEOUT: Duration = Duration::from_secs(1);

/// Addresses come one by one. After this long without another one, those of the start are there.
const ADDRESSES_QUIET: Duration = Duration::from_millis(50);

/// The program's name and version as others see it.
pub(crate) const AGENT: &str = concat!("moim/", env!("CARGO_PKG_VERSION"));

/// Something that takes time. Resolves to what is to be written when it is done.
pub(crate) type Job = Pin<Box<dyn Future<Output = String> + Send>>;

/// What a line of input leads to.
pub(crate) enum Reaction {
    /// Leave and end.
    Leave,
    /// Write this.
    Print(String),
    /// Write this (or nothing) and begin the job.
    Start(String, Job),
}

/// Turns what happens into text, whole lines each with its line end. Empty: nothing to say.
pub(crate) trait Front {
    /// The room was joined on this side.
    fn started(&mut self, snapshot: &Snapshot) -> String;
    /// A line was typed. When `busy`, [`Reaction::Start`] is not possible.
    fn line(&mut self, line: Line, busy: bool) -> Reaction;
    /// Something happened.
    fn event(&mut self, event: PeerEvent) -> String;
    /// The peer's state changed.
    fn snapshot(&mut self, snapshot: &Snapshot) -> String;
    /// Leaving begins; it can take a moment.
    fn leaving(&mut self) -> String;
    /// The session is over, perhaps because of a failure (which standard error gets too). The last
    /// words.
    fn left(&mut self, failure: Option<&Failure>) -> String;
}

/// Why a session ends.
#[derive(Debug)]
enum Ending {
    /// By a command, a signal, or Ctrl-C.
    Asked,
    /// There will be no more commands.
    InputEnded,
    /// No command can be read any more.
    InputFailed(io::Error),
    /// Nothing can be written any more.
    OutputClosed,
    /// The peer ended by itself, which it should not.
    PeerStopped,
}

impl Ending {
    /// What went wrong, if anything did.
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Asked | Self::InputEnded | Self::OutputClosed => None,
            Self::InputFailed(error) => Some(Failure::new(
                Exit::Failed,
                "input",
                format!("cannot read the standard input: {error}"),
            )),
            Self::PeerStopped => Some(Failure::new(
                Exit::Failed,
                "stopped",
                "the peer stopped by itself; RUST_LOG=debug may tell why",
            )),
        }
    }
}

/// A peer in a room.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) peer: Peer,
    pub(crate) room: Room,
    pub(crate) profile: Profile,
    events: EventStream,
    identity: Identity,
}

impl Session {
    /// Starts the peer and joins. Being offline is no failure.
    pub(crate) async fn start(arguments: &JoinArgs, identity: Identity) -> Result<Self, Failure> {
        let (listen, by_default) = (arguments.listen(), arguments.listen_by_default());
        let listens = !listen.is_empty() || !by_default.is_empty();
        let mut builder = Peer::builder()
            .agent(AGENT)
            .bootstrap(arguments.bootstrap.sources())
            .listen(listen)
            .listen_where_possible(by_default)
            .dht_mode(if arguments.serve_dht {
                DhtMode::Server
            } else {
                DhtMode::Client
            })
            .gossip(!arguments.no_gossip);
        if let Some(keypair) = &identity.keypair {
            builder = builder.identity(keypair.clone());
        }
        if let Some(seconds) = arguments.presence_lifetime {
            builder = builder.presence_lifetime(Duration::from_secs(seconds));
        }
        let (peer, events) = builder.start().await.map_err(|error| {
            let message = format!("{}; choose another address with --listen", explain(&error));
            match error.code() {
                "listen" => Failure::new(Exit::Failed, "listen", message),
                code => Failure::new(Exit::Failed, code, explain(&error)),
            }
        })?;
        let profile = match &arguments.name {
            Some(profile) => profile.clone(),
            None => default_profile(&peer)?,
        };
        let room = peer
            .join(arguments.topic.clone(), profile.clone())
            .await
            .map_err(|error| Failure::new(Exit::Failed, error.code(), explain(&error)))?;
        if listens {
            // Later addresses are told as they come; without any the peer still reaches others.
            let _ = timeout(ADDRESSES_TIMEOUT, addresses_settle(&peer)).await;
        }
        Ok(Self {
            peer,
            room,
            profile,
            events,
            identity,
        })
    }

    /// Goes on until somebody or something ends it, then leaves properly.
    pub(crate) async fn run(
        mut self,
        mut front: impl Front,
        mut input: mpsc::Receiver<Input>,
        output: Output,
        mut signals: Signals,
    ) -> Result<Exit, Failure> {
        let mut jobs = FuturesUnordered::new();
        let ending = self
            .talk(&mut front, &mut input, &output, &mut signals, &mut jobs)
            .await;
        tracing::debug!(?ending, "leaving");
        output.offer(front.leaving());

        let mut last = String::new();
        let leave = async {
            if matches!(ending, Ending::InputEnded) {
                let answers = async {
                    while let Some(answer) = jobs.next().await {
                        last.push_str(&answer);
                    }
                };
                let _ = timeout(JOBS_GRACE, answers).await;
            }
            if timeout(LEAVE_TIMEOUT, self.peer.stop()).await.is_err() {
                tracing::warn!("leaving took too long, some members may not know");
            }
        };
        // A second signal: the user does not want to wait.
        let hurried = tokio::select! {
            biased;
            exit = signals.next() => Some(exit),
            () = leave => None,
        };
        // What others were told has arrived must be shown, and no command stays without an answer.
        let rest = async {
            while let Some(event) = self.events.next().await {
                last.push_str(&front.event(event));
            }
            while let Some(answer) = jobs.next().await {
                last.push_str(&answer);
            }
        };
        let _ = timeout(
            if hurried.is_some() {
                Duration::ZERO
            } else {
                REST_TIMEOUT
            },
            rest,
        )
        .await;
        let failure = ending.failure().map(Failure::told);
        last.push_str(&front.left(failure.as_ref()));
        let written = output.finish(last).await;
        // Held to here: nobody may take over the identity while this peer still speaks for it.
        drop(self.identity);

        match (hurried, failure, written) {
            (Some(exit), ..) => Ok(exit),
            (None, Some(failure), _) => Err(failure),
            (None, None, Ok(())) => Ok(Exit::Done),
            // Whoever read the output has seen enough, like `head`.
            (None, None, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
            (None, None, Err(error)) => Err(Failure::new(
                Exit::Failed,
                "output",
                format!("cannot write the output: {error}"),
            )
            .told()),
        }
    }

    async fn talk(
        &mut self,
        front: &mut impl Front,
        input: &mut mpsc::Receiver<Input>,
        output: &Output,
        signals: &mut Signals,
        jobs: &mut FuturesUnordered<Job>,
    ) -> Ending {
        let mut snapshot = self.peer.snapshot();
        let mut text = front.started(&snapshot.borrow_and_update());
        loop {
            let place = tokio::select! {
                biased;
                _ = signals.next() => return Ending::Asked,
                place = output.place() => match place {
                    Some(place) => place,
                    None => return Ending::OutputClosed,
                },
            };
            if !text.is_empty() {
                place.send(text);
                text = String::new();
                continue;
            }
            text = tokio::select! {
                _ = signals.next() => return Ending::Asked,
                () = output.closed() => return Ending::OutputClosed,
                changed = snapshot.changed() => match changed {
                    Ok(()) => front.snapshot(&snapshot.borrow_and_update()),
                    Err(_) => return Ending::PeerStopped,
                },
                event = self.events.next() => match event {
                    Some(event) => front.event(event),
                    None => return Ending::PeerStopped,
                },
                Some(answer) = jobs.next(), if !jobs.is_empty() => answer,
                input = input.recv() => match input {
                    Some(Input::Line(line)) => match front.line(line, jobs.len() >= JOBS_MAX) {
                        Reaction::Leave => return Ending::Asked,
                        Reaction::Print(text) => text,
                        Reaction::Start(text, job) => text + &begin(job, jobs),
                    },
                    Some(Input::Interrupted) => return Ending::Asked,
                    Some(Input::Failed(error)) => return Ending::InputFailed(error),
                    Some(Input::End) | None => return Ending::InputEnded,
                },
            };
        }
    }
}

/// Resolves when the peer has addresses and no more come.
async fn addresses_settle(peer: &Peer) {
    let mut snapshot = peer.snapshot();
    if snapshot
        .wait_for(|snapshot| !snapshot.addresses.is_empty())
        .await
        .is_err()
    {
        return;
    }
    let mut known = snapshot.borrow().addresses.len();
    while timeout(
        ADDRESSES_QUIET,
        snapshot.wait_for(|snapshot| snapshot.addresses.len() != known),
    )
    .await
    .is_ok_and(|more| more.is_ok())
    {
        known = snapshot.borrow().addresses.len();
    }
}

/// Takes the first step of a job at once, so that jobs reach the peer in the order in which they
/// were typed.
fn begin(mut job: Job, jobs: &FuturesUnordered<Job>) -> String {
    if let Some(answer) = (&mut job).now_or_never() {
        return answer;
    }
    jobs.push(job);
    String::new()
}

/// The account's name or, where that is no name for a profile, one made from the peer id.
fn default_profile(peer: &Peer) -> Result<Profile, Failure> {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find_map(|name| Profile::named(&name).ok())
        .map_or_else(
            || Profile::named(&format!("peer {}", short(&peer.id()))),
            Ok,
        )
        .map_err(|error| {
            Failure::new(
                Exit::Usage,
                "usage",
                format!("{error}; choose a name with --name"),
            )
        })
}
