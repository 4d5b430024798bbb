//! What holds of a lookup for any sequence of inputs.

use std::collections::BTreeSet;

use moim_protocol::{presence::SignedPresence, presence_wire::Response};
use proptest::prelude::*;

use super::*;
use crate::testing::{address, here, left, peer, start, topic};

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Connected(u16),
    Disconnected(u16),
    Providers(Vec<u16>, bool),
    Answered(Vec<(u16, bool)>, Option<u16>),
    Nonsense(Vec<u8>),
    Failed(Failure),
    Dht(bool),
    LookupAgain,
}

fn step() -> impl Strategy<Value = Step> {
    let failures = vec![
        Failure::Timeout,
        Failure::ConnectionClosed,
        Failure::Io,
        Failure::Other,
    ];
    let members = prop::collection::vec((0..9_u16, any::<bool>()), 0..6);
    prop_oneof![
        4 => (0..3_000_u64).prop_map(Step::Pass),
        4 => (0..9_u16).prop_map(Step::Connected),
        1 => (0..9_u16).prop_map(Step::Disconnected),
        3 => (prop::collection::vec(0..99_u16, 0..30), any::<bool>())
            .prop_map(|(peers, is_answer)| Step::Providers(peers, is_answer)),
        4 => (members, prop::option::of(0..9_u16))
            .prop_map(|(members, next)| Step::Answered(members, next)),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Nonsense),
        2 => prop::sample::select(failures).prop_map(Step::Failed),
        1 => any::<bool>().prop_map(Step::Dht),
        1 => Just(Step::LookupAgain),
    ]
}

struct Checked {
    lookup: Lookup,
    now: Now,
    connected: BTreeSet<PeerId>,
    open: Vec<RequestId>,
    /// How it has ended.
    ends: Vec<Output>,
}

impl Checked {
    fn outputs(&mut self) {
        while let Some(output) = self.lookup.poll_output() {
            match output {
                Output::Ask { request, to, .. } => {
                    assert!(self.connected.contains(&to));
                    self.open.push(request);
                }
                Output::Found(_) | Output::NoAnswer => self.ends.push(output),
                _ => {}
            }
        }
        self.lookup.search.assert_bounds();
        assert_eq!(self.lookup.asking.len(), self.open.len());
        let is_over = self.lookup.poll_timeout().is_none();
        assert_eq!(self.ends.len(), usize::from(is_over));
    }

    fn handle(&mut self, input: Input) {
        self.lookup.handle(input, self.now);
        self.outputs();
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now.after(Duration::from_millis(millis));
        while let Some(next) = self.lookup.poll_timeout()
            && next <= end.instant
        {
            let wait = next.saturating_duration_since(self.now.instant);
            self.now = self.now.after(wait);
            self.lookup.handle_timeout(self.now);
            self.outputs();
            let then = self.lookup.poll_timeout();
            assert!(then.is_none_or(|then| then > self.now.instant));
        }
        self.now = end;
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass(millis) => self.pass(millis),
            Step::Connected(n) => {
                self.connected.insert(peer(n));
                self.handle(Input::Connected(peer(n)));
            }
            Step::Disconnected(n) => {
                self.connected.remove(&peer(n));
                self.handle(Input::Disconnected(peer(n)));
            }
            Step::Providers(peers, is_answer) => {
                let providers = peers.into_iter().map(|n| (peer(n), vec![address(n)]));
                self.handle(Input::Providers {
                    providers: providers.collect(),
                    is_answer,
                });
            }
            Step::Answered(members, next) => {
                let sign = |(n, is_here)| -> SignedPresence {
                    if is_here {
                        here(n, 1, self.now)
                    } else {
                        left(n, 2, self.now)
                    }
                };
                let members = members.into_iter().map(|it| (sign(it), Duration::ZERO));
                let members = members.collect();
                let next = next.map(peer);
                self.answer(Response::Members { members, next }.encode());
            }
            Step::Nonsense(body) => self.answer(body),
            Step::Failed(why) => {
                if let Some(request) = self.open.pop() {
                    self.handle(Input::Failed { request, why });
                }
            }
            Step::Dht(in_dht) => self.handle(Input::Dht(in_dht)),
            Step::LookupAgain => self.handle(Input::LookupAgain),
        }
    }

    fn answer(&mut self, body: Vec<u8>) {
        if let Some(request) = self.open.pop() {
            self.handle(Input::Answered { request, body });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_ends_once_and_in_time(steps in prop::collection::vec(step(), 0..60)) {
        let now = start();
        let config = LookupConfig {
            me: peer(0),
            topic: topic(),
            wait: Duration::from_secs(20),
            in_dht: true,
            connected: vec![peer(1)],
            seed: 7,
        };
        let lookup = Lookup::begin(config, now);
        let (open, ends) = (Vec::new(), Vec::new());
        let connected = BTreeSet::from([peer(1)]);
        let mut checked = Checked { lookup, now, connected, open, ends };
        for step in steps {
            checked.take(step);
        }
        checked.pass(20_000);
        prop_assert_eq!(checked.ends.len(), 1);
        if let [Output::Found(members)] = &checked.ends[..] {
            prop_assert!(members.iter().all(|member| member.peer != peer(0)));
        }
    }
}
