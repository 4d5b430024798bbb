//! Who is in a topic, without joining it.

use std::time::Duration;

use libp2p_identity::PeerId;
use moim_protocol::{after, alike::Alike, roster::Roster, topic::Topic};
use multiaddr::Multiaddr;
use web_time::Instant;

use crate::{
    asking::{Asked, Asking, Purpose},
    input::{Failure, Input, RequestId},
    leaving::answer_as_none,
    links::Links,
    now::Now,
    output::{Member, Output, Outputs},
    search::{Search, read_list},
    walk::Walk,
};

/// How long a lookup waits for something new before it is done.
const LOOKUP_QUIET: Duration = Duration::from_millis(1500);

/// How long it waits at least after the first answer of a server: a list may be under way.
const LOOKUP_SETTLE: Duration = Duration::from_millis(50);

/// What a lookup begins with.
#[derive(Clone, Debug)]
pub struct LookupConfig {
    /// This peer.
    pub me: PeerId,
    /// Who is in this topic is to be found out.
    pub topic: Topic,
    /// How long it takes at most.
    pub wait: Duration,
    /// Whether there is a DHT server to ask.
    pub in_dht: bool,
    /// Who is connected.
    pub connected: Vec<PeerId>,
    /// Where choices come from. It should differ from lookup to lookup.
    pub seed: u64,
}

/// Finds out who is in a topic, without being in it. It ends with [`Found`](Output::Found) or
/// [`NoAnswer`](Output::NoAnswer), and is dropped then; or whenever nobody wants to know any more.
#[derive(Debug)]
pub struct Lookup {
    topic: Topic,
    in_dht: bool,
    links: Links,
    asking: Asking,
    roster: Roster,
    search: Search,
    /// Whether a DHT server has said who is there, be it nobody.
    is_answered: bool,
    /// Nothing new until this: done.
    quiet: Instant,
    /// `None` when it is done.
    deadline: Option<Instant>,
    out: Outputs,
}

impl Lookup {
    /// Begins to look. There is something to do at once, see [`poll_timeout`](Self::poll_timeout).
    #[must_use]
    pub fn begin(config: LookupConfig, now: Now) -> Self {
        let topic = config.topic.hash();
        let mut lookup = Self {
            topic: config.topic,
            in_dht: config.in_dht,
            links: Links::default(),
            asking: Asking::default(),
            roster: Roster::new(topic, config.me),
            search: Search::new(topic, config.seed, now.instant),
            is_answered: false,
            quiet: after(now.instant, LOOKUP_QUIET),
            deadline: Some(after(now.instant, config.wait)),
            out: Outputs::default(),
        };
        for peer in config.connected {
            lookup.links.connected(peer);
            lookup.roster.connected(peer);
        }
        lookup
    }

    /// The topic that is looked up.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Takes an input. What it brings about is taken from [`poll_output`](Self::poll_output), all of it before the next
    /// input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Dht(in_dht) => self.in_dht = in_dht,
            Input::LookupAgain => self.search.lookup_again(now.instant),
            Input::Connected(peer) => {
                self.links.connected(peer);
                self.roster.connected(peer);
                self.greet(peer, now.instant);
            }
            Input::Disconnected(peer) => {
                self.links.disconnected(&peer);
                self.roster.disconnected(&peer);
            }
            // Nobody who was asked will answer, and what was found may be half of it.
            Input::Restarted => self.end(Output::NoAnswer),
            Input::Providers {
                providers,
                is_answer,
            } => self.on_providers(providers, is_answer, now.instant),
            Input::Answered { request, body } => self.on_answered(request, &body, now),
            Input::Failed { request, why } => self.on_failed(request, why, now.instant),
            other => answer_as_none(other, &mut self.out),
        }
    }

    /// Does what is due. Calling too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        let Some(deadline) = self.deadline else {
            return;
        };
        if self.search.lookup_due(self.roster.len(), now.instant) && self.in_dht {
            self.out.push(Output::FindProviders);
        }
        self.roster.tick(now.instant);
        let due = self.search.strangers_due(&self.roster, now.instant);
        for (peer, addresses) in due {
            if self.links.is_connected(&peer) {
                self.greet(peer, now.instant);
            } else {
                self.out.push(Output::Stranger { peer, addresses });
            }
        }
        let is_quiet = !self.is_busy() && self.quiet <= now.instant;
        if deadline <= now.instant || is_quiet {
            self.finish();
        }
    }

    /// The next output, if there is one.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; a time that is past means now. `None` when
    /// the machine is done. An input may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.deadline?;
        let quiet = (!self.is_busy()).then_some(self.quiet);
        let ends = self.roster.poll_timeout();
        let next = deadline.min(self.search.poll_timeout());
        quiet.into_iter().chain(ends).chain([next]).min()
    }

    /// Whether there is an answer to come.
    fn is_busy(&self) -> bool {
        self.search.is_asking_anybody() || !self.is_answered
    }

    fn on_providers(
        &mut self,
        providers: Vec<(PeerId, Vec<Multiaddr>)>,
        is_answer: bool,
        now: Instant,
    ) {
        if is_answer && !self.is_answered {
            self.is_answered = true;
            self.quiet = self.quiet.max(after(now, LOOKUP_SETTLE));
        }
        let (roster, out) = (&self.roster, &mut self.out);
        if self.search.providers(providers, roster, now, out) {
            self.quiet = after(now, LOOKUP_QUIET);
        }
    }

    /// A connection to this peer is there: ask it who is there, if that is of use.
    fn greet(&mut self, peer: PeerId, now: Instant) {
        if self.search.concerns(&peer, &self.roster) && self.search.list_due(now) {
            self.ask(peer, None);
        }
    }

    fn ask(&mut self, peer: PeerId, next: Option<(PeerId, Walk)>) {
        let (after, walk) = next.unzip();
        let walk = walk.unwrap_or_else(|| self.search.walk());
        let (roster, asking) = (&self.roster, &mut self.asking);
        self.search
            .ask(peer, (after, walk), None, roster, asking, &mut self.out);
    }

    fn on_answered(&mut self, request: RequestId, body: &[u8], now: Now) {
        let Some(Asked {
            to,
            purpose: Purpose::Sync(walk),
            ..
        }) = self.asking.answered(request)
        else {
            return;
        };
        self.asked(&to, now.instant);
        let Some(list) = read_list(to, walk, body, &self.roster, &mut self.out) else {
            return;
        };
        for (presence, age) in list.members {
            // What one list has wrong, another has right.
            if let Err(error) =
                self.roster
                    .handle_presence(presence, to, age, now.instant, now.wall)
            {
                tracing::debug!(from = %to, %error, "presence not taken");
            }
        }
        if list.next.is_some() && self.links.is_connected(&to) {
            self.ask(to, list.next);
        }
    }

    fn on_failed(&mut self, request: RequestId, why: Failure, now: Instant) {
        let links = &self.links;
        let is_connected = |peer: &PeerId| links.is_connected(peer);
        let failed = self
            .asking
            .failed(request, why, is_connected, &mut self.out);
        if let Some(Asked { to, .. }) = failed {
            self.asked(&to, now);
        }
    }

    fn asked(&mut self, peer: &PeerId, now: Instant) {
        self.search.asked(peer);
        self.quiet = after(now, LOOKUP_QUIET);
    }

    fn finish(&mut self) {
        if !self.is_answered && self.roster.is_empty() {
            self.end(Output::NoAnswer);
            return;
        }
        let mut alike = Alike::new(self.roster.me());
        for member in self.roster.members() {
            alike.insert(member.presence.peer, &member.presence.name);
        }
        let members = self.roster.members().map(|member| Member {
            peer: member.presence.peer,
            name: member.presence.name.clone(),
            looks_like: alike.of(&member.presence.peer),
        });
        let found = Output::Found(members.collect());
        self.end(found);
    }

    fn end(&mut self, output: Output) {
        if self.deadline.take().is_some() {
            self.out.push(output);
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
