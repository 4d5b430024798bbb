use moim_protocol::limits::{STREAMS_ALL, STREAMS_PER_PEER};
use tokio::sync::oneshot;

use super::*;
use crate::platform;

type Answer = oneshot::Receiver<Result<Raw, OpenError>>;

/// Whoever is to be reached, as a test wants it.
#[derive(Default)]
struct FakeLinks {
    best: Option<ConnectionId>,
    is_dialling: bool,
    last_error: Option<Unreached>,
}

impl Links for FakeLinks {
    fn best(&self, _: &PeerId) -> Option<ConnectionId> {
        self.best
    }

    fn is_dialling(&self, _: &PeerId) -> bool {
        self.is_dialling
    }

    fn last_error(&self, _: &PeerId) -> Option<Unreached> {
        self.last_error
    }
}

struct Desk {
    streams: Streams,
    links: FakeLinks,
    other: PeerId,
    now: Instant,
}

impl Desk {
    fn new() -> Self {
        Self {
            streams: Streams::new(Accepted::default()),
            links: FakeLinks::default(),
            other: PeerId::random(),
            now: platform::now(),
        }
    }

    fn open(&mut self) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.streams.open(self.other, reply, self.now);
        answer
    }

    fn outputs(&mut self) -> Vec<Output> {
        self.streams.handle_timeout(&self.links, self.now)
    }
}

fn told(answer: &mut Answer) -> OpenError {
    let told = answer.try_recv().expect("answered");
    told.expect_err("no stream")
}

#[test]
fn who_is_not_connected_is_dialled_now_and_then_until_the_time_is_over() {
    let mut desk = Desk::new();
    let mut answer = desk.open();
    assert_eq!(desk.outputs(), [Output::Connect(desk.other)]);
    assert_eq!(desk.outputs(), [], "not all the time");
    desk.now = desk.streams.poll_timeout().expect("again");
    desk.links.is_dialling = true;
    assert_eq!(desk.outputs(), [], "somebody dials");
    desk.links.last_error = Some(Unreached::Refused);
    desk.now += STREAM_CONNECT_TIME;
    assert_eq!(desk.outputs(), []);
    let unreached = OpenError::NotConnected(Unreached::Refused);
    assert_eq!(told(&mut answer), unreached);
    assert_eq!(desk.streams.poll_timeout(), None);
    assert!(!desk.streams.are_with(&desk.other), "its place is free");
}

#[test]
fn it_is_tried_on_some_connections_and_not_where_the_protocol_is_unknown() {
    let mut desk = Desk::new();
    let (mut broken, mut unsupported) = (desk.open(), desk.open());
    for attempt in 1..=TRIES_MAX {
        let on = ConnectionId::new_unchecked(usize::try_from(attempt).expect("few"));
        desk.links.best = Some(on);
        let outputs = desk.outputs();
        let Output::Open { id, on: chosen, .. } = outputs[0] else {
            panic!("{outputs:?}");
        };
        assert_eq!(chosen, on);
        assert_eq!(desk.outputs(), [], "it is being opened");
        desk.streams.not_opened(id, NotOpened::Broken, desk.now);
        if let Some(Output::Open { id, .. }) = outputs.get(1) {
            desk.streams
                .not_opened(*id, NotOpened::Unsupported, desk.now);
        }
    }
    assert_eq!(told(&mut broken), OpenError::Broken);
    assert_eq!(told(&mut unsupported), OpenError::Unsupported);
}

#[test]
fn one_that_is_never_opened_is_given_up() {
    let mut desk = Desk::new();
    desk.links.best = Some(ConnectionId::new_unchecked(1));
    let mut answer = desk.open();
    assert_eq!(desk.outputs().len(), 1);
    // The swarm was replaced: another connection is looked for.
    desk.streams.restarted();
    assert_eq!(desk.outputs().len(), 1);
    desk.now += STREAM_CONNECT_TIME;
    assert_eq!(desk.outputs(), []);
    assert_eq!(told(&mut answer), OpenError::Broken);
}

#[test]
fn nobody_has_more_than_his_share() {
    let mut desk = Desk::new();
    let waiting: Vec<Answer> = (0..STREAMS_PER_PEER).map(|_| desk.open()).collect();
    assert_eq!(told(&mut desk.open()), OpenError::Busy);
    drop(waiting);
    assert_eq!(desk.outputs(), [], "nobody waits any more");
    assert!(desk.open().try_recv().is_err(), "there is room again");

    let on = ConnectionId::new_unchecked(1);
    let mut kept = Vec::new();
    let mut is_full = || {
        let admission = desk.streams.admit(PeerId::random(), on, true);
        let is_full = !matches!(admission, Admission::Taken(_));
        kept.push(admission);
        is_full
    };
    let first = (0..=STREAMS_ALL).find(|_| is_full());
    assert_eq!(first, Some(STREAMS_ALL));
    // So many are told so, and the others not even that.
    let told = (0..=STREAMS_REFUSED_MAX).filter(|_| is_full()).count();
    assert_eq!(told, STREAMS_REFUSED_MAX + 1);
    assert!(matches!(kept.last(), Some(Admission::Reset)));
    assert!(desk.streams.are_on(on));
    kept.clear();
    assert!(!desk.streams.are_on(on));
}
