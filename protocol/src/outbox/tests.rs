use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::testing::{WALL, millis, peer, start};

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

/// An outbox whose clock a test moves. Message `n` is for the peer that the test names.
struct Sender {
    outbox: Outbox<&'static str>,
    start: Instant,
    now: Instant,
}

impl Sender {
    fn new() -> Self {
        let start = start();
        Self {
            outbox: Outbox::new(),
            start,
            now: start,
        }
    }

    fn at(&mut self, at: u64) -> &mut Self {
        self.now = self.start + millis(at);
        self
    }

    fn send(&mut self, n: u8, to: u16) -> Result<(), OutboxError> {
        self.outbox.send(
            id(n),
            peer(to),
            format!("text {n}").parse().unwrap(),
            WALL,
            self.now,
        )
    }

    /// The messages to be sent now.
    fn transmits(&mut self) -> Vec<MessageId> {
        self.actions()
            .into_iter()
            .map(|action| match action {
                OutboxAction::Transmit { id, .. } => id,
                OutboxAction::Failed { reason, .. } => panic!("failed: {reason:?}"),
            })
            .collect()
    }

    /// The messages that have failed.
    fn failures(&mut self) -> Vec<(MessageId, FailureReason<&'static str>)> {
        self.actions()
            .into_iter()
            .filter_map(|action| match action {
                OutboxAction::Transmit { .. } => None,
                OutboxAction::Failed { id, reason, .. } => Some((id, reason)),
            })
            .collect()
    }

    fn actions(&mut self) -> Vec<OutboxAction<&'static str>> {
        let actions = self.outbox.next(self.now);
        assert!(
            self.outbox
                .poll_timeout()
                .is_none_or(|deadline| deadline > self.now)
        );
        actions
    }

    fn fail(&mut self, n: u8) {
        self.outbox.failure(id(n), "no connection", self.now);
    }
}

#[test]
fn a_message_is_sent_at_once_and_delivered_by_its_receipt() {
    let mut sender = Sender::new();
    sender.send(1, 7).unwrap();
    assert_eq!(sender.outbox.poll_timeout(), Some(sender.now));
    let actions = sender.actions();
    let [OutboxAction::Transmit { id: sent, to, body }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((*sent, *to), (id(1), peer(7)));
    let text = "text 1".parse().unwrap();
    assert_eq!(
        Request::decode(body).unwrap(),
        Request::Text {
            id: id(1),
            text,
            sent: WALL
        }
    );

    assert!(sender.at(500).actions().is_empty(), "under way");
    let delivered = Delivered {
        id: id(1),
        to: peer(7),
    };
    assert_eq!(sender.outbox.accepted(id(1)), Some(delivered));
    assert_eq!(sender.outbox.accepted(id(1)), None, "a second receipt");
    assert!(sender.outbox.is_empty());
    assert_eq!(sender.outbox.poll_timeout(), None);
}

#[test]
fn it_is_tried_again_with_growing_pauses_until_the_deadline() {
    let mut sender = Sender::new();
    sender.send(1, 7).unwrap();
    let mut attempts = Vec::new();
    let failed = loop {
        sender.now = sender.outbox.poll_timeout().unwrap();
        let at = (sender.now - sender.start).as_millis();
        match sender.actions().pop() {
            Some(OutboxAction::Transmit { .. }) => attempts.push(at),
            Some(OutboxAction::Failed { reason, .. }) => break (at, reason),
            None => panic!("woken for nothing at {at}"),
        }
        sender.fail(1);
    };
    assert_eq!(
        attempts,
        [
            0, 250, 750, 1750, 3750, 7750, 15_750, 23_750, 31_750, 39_750, 47_750, 55_750
        ]
    );
    assert_eq!(failed.0, 60_000);
    assert_eq!(
        failed.1,
        FailureReason::Deadline {
            last: Some("no connection")
        }
    );
    assert!(sender.outbox.is_empty());
}

#[test]
fn an_attempt_that_is_never_answered_fails_at_the_deadline() {
    let mut sender = Sender::new();
    sender.send(1, 7).unwrap();
    sender.transmits();
    assert_eq!(sender.at(59_999).failures(), []);
    let failures = sender.at(60_000).failures();
    assert_eq!(failures, [(id(1), FailureReason::Deadline { last: None })]);
    // Its answer comes after all: too late to be called delivered.
    assert_eq!(sender.outbox.accepted(id(1)), None);
    sender.fail(1);
    assert!(sender.outbox.is_empty());
}

#[test]
fn a_refusal_is_final() {
    let mut sender = Sender::new();
    sender.send(1, 7).unwrap();
    sender.transmits();
    sender.outbox.refused(id(1), "not wanted", sender.now);
    assert_eq!(sender.outbox.poll_timeout(), Some(sender.now));
    assert_eq!(
        sender.failures(),
        [(id(1), FailureReason::Refused("not wanted"))]
    );
    assert_eq!(sender.outbox.poll_timeout(), None);
}

#[test]
fn messages_to_one_peer_go_in_order_and_to_several_at_once() {
    let mut sender = Sender::new();
    for (n, to) in [(1, 7), (2, 7), (3, 8)] {
        sender.send(n, to).unwrap();
    }
    let first: HashSet<MessageId> = sender.transmits().into_iter().collect();
    assert_eq!(first, HashSet::from([id(1), id(3)]));
    sender.fail(1);
    assert!(
        sender.transmits().is_empty(),
        "the second waits for the first"
    );
    sender.at(250);
    assert_eq!(sender.transmits(), [id(1)]);
    sender.outbox.accepted(id(1));
    assert_eq!(
        sender.outbox.poll_timeout(),
        Some(sender.start),
        "the second may go"
    );
    assert_eq!(sender.transmits(), [id(2)]);
}

#[test]
fn a_connection_ends_the_pause() {
    let mut sender = Sender::new();
    sender.send(1, 7).unwrap();
    for at in [0, 250, 750, 1750] {
        sender.at(at);
        assert_eq!(sender.transmits(), [id(1)], "{at}");
        sender.fail(1);
    }
    sender.at(2000);
    sender.outbox.connected(&peer(8), sender.now);
    assert!(sender.transmits().is_empty());
    sender.outbox.connected(&peer(7), sender.now);
    assert_eq!(sender.transmits(), [id(1)]);
    sender.outbox.connected(&peer(7), sender.now);
    assert!(sender.transmits().is_empty(), "under way already");
}

#[test]
fn a_late_receipt_of_an_earlier_attempt_counts() {
    let mut sender = Sender::new();
    sender.send(1, 7).unwrap();
    sender.transmits();
    sender.fail(1);
    assert!(sender.outbox.accepted(id(1)).is_some());
    assert!(sender.at(60_000).actions().is_empty());
}

#[test]
fn one_failed_attempt_counts_once() {
    let mut sender = Sender::new();
    sender.send(1, 7).unwrap();
    sender.transmits();
    for _ in 0..5 {
        sender.fail(1);
    }
    assert_eq!(
        sender.outbox.poll_timeout(),
        Some(sender.start + millis(250))
    );
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut sender = Sender::new();
    let now = sender.now;
    let mut send = |text: &str| {
        sender
            .outbox
            .send(id(1), peer(7), text.parse().unwrap(), WALL, now)
    };
    assert_eq!(send("hello"), Ok(()));
    assert_eq!(send("again"), Err(OutboxError::Duplicate));
    assert_eq!(sender.outbox.len(), 1);
}

#[test]
fn a_full_outbox_refuses_more() {
    let mut sender = Sender::new();
    for n in 0..=255 {
        sender.send(n, n.into()).unwrap();
    }
    let send = |sender: &mut Sender| {
        let other = MessageId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6]);
        sender.outbox.send(
            other,
            peer(1),
            "one more".parse().unwrap(),
            WALL,
            sender.now,
        )
    };
    assert_eq!(send(&mut sender), Err(OutboxError::Full));
    assert_eq!(sender.transmits().len(), 256);
    // Failed, but not reported yet.
    sender.outbox.refused(id(3), "not wanted", sender.now);
    assert_eq!(send(&mut sender), Err(OutboxError::Full));
    assert_eq!(sender.failures().len(), 1);
    assert_eq!(send(&mut sender), Ok(()));
}

#[derive(Clone, Debug)]
enum Input {
    Accepted(u8),
    Connected(u16),
    Failure(u8, bool),
    Pause(u64),
    Send(u8, u16),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        (0_u8..8).prop_map(Input::Accepted),
        (0_u16..3).prop_map(Input::Connected),
        (0_u8..8, any::<bool>()).prop_map(|(n, retryable)| Input::Failure(n, retryable)),
        (0_u64..8000).prop_map(Input::Pause),
        (0_u8..8, 0_u16..3).prop_map(|(n, to)| Input::Send(n, to)),
    ]
}

proptest! {
    /// Every message ends once: with its receipt or with a failure, within its deadline.
    #[test]
    fn every_message_has_one_end(inputs in prop::collection::vec(input(), 0..80)) {
        let mut sender = Sender::new();
        let mut waiting = HashSet::new();
        let step = |sender: &mut Sender, waiting: &mut HashSet<MessageId>| {
            for action in sender.actions() {
                match action {
                    OutboxAction::Transmit { id, .. } => assert!(waiting.contains(&id)),
                    OutboxAction::Failed { id, .. } => assert!(waiting.remove(&id)),
                }
            }
        };
        for input in inputs {
            match input {
                Input::Accepted(n) => {
                    if sender.outbox.accepted(id(n)).is_some() {
                        prop_assert!(waiting.remove(&id(n)));
                    }
                }
                Input::Connected(to) => sender.outbox.connected(&peer(to), sender.now),
                Input::Failure(n, true) => sender.fail(n),
                Input::Failure(n, false) => sender.outbox.refused(id(n), "not wanted", sender.now),
                Input::Pause(pause) => sender.now += millis(pause),
                Input::Send(n, to) => match sender.send(n, to) {
                    Ok(()) => prop_assert!(waiting.insert(id(n))),
                    Err(error) => prop_assert_eq!(error, OutboxError::Duplicate),
                },
            }
            step(&mut sender, &mut waiting);
            prop_assert_eq!(sender.outbox.len(), waiting.len());
        }
        sender.now += OUTBOX_DEADLINE;
        step(&mut sender, &mut waiting);
        prop_assert!(waiting.is_empty() && sender.outbox.is_empty());
        prop_assert_eq!(sender.outbox.poll_timeout(), None);
    }
}
