use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::{platform, snapshot::DirectTransport};

const WALL: UnixMillis = UnixMillis(1_700_000_000_000);

type Answer = oneshot::Receiver<Result<Receipt, SendError>>;

/// Two people, one of them with the machine under test.
struct Desk {
    direct: Direct,
    me: PeerId,
    other: PeerId,
    now: Instant,
}

fn letter(n: u16) -> Letter {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    Letter {
        id: MessageId::from_bytes(id),
        text: format!("text {n}").parse().expect("valid"),
        sent: WALL,
    }
}

impl Desk {
    fn new() -> Self {
        let me = PeerId::random();
        Self {
            direct: Direct::new(me),
            me,
            other: PeerId::random(),
            now: platform::now(),
        }
    }

    fn send(&mut self, n: u16) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.direct.send(self.other, letter(n), reply, self.now);
        answer
    }

    fn outputs(&mut self, link: Link) -> Vec<Output> {
        self.direct.handle_timeout(|_| link, self.now)
    }

    /// Sends message `n` to the other, who is connected.
    fn transmit(&mut self, n: u16) -> Answer {
        let answer = self.send(n);
        let [Output::Request { id, to, .. }] = &self.outputs(Link::Connected)[..] else {
            panic!("not sent");
        };
        assert_eq!((*id, *to), (letter(n).id, self.other));
        answer
    }

    fn answered(&mut self, n: u16, response: &Response) {
        let path = Some(Path::Direct(DirectTransport::Tcp));
        self.direct
            .answered(letter(n).id, &response.encode(), path, self.now);
    }

    fn receive(&mut self, n: u16) -> Option<DirectMessage> {
        self.direct.received(self.other, letter(n), None, |_| false)
    }
}

fn accepted(n: u16) -> Response {
    Response::Accepted { id: letter(n).id }
}

#[test]
fn a_receipt_ends_the_wait_and_tells_the_path() {
    let mut desk = Desk::new();
    let mut answer = desk.transmit(1);
    assert!(desk.direct.is_writing_to(&desk.other));
    desk.answered(1, &accepted(1));
    let path = Some(Path::Direct(DirectTransport::Tcp));
    let receipt = answer.try_recv().expect("answered").expect("delivered");
    assert_eq!(
        receipt,
        Receipt {
            id: letter(1).id,
            to: desk.other,
            path
        }
    );
    assert!(!desk.direct.is_writing_to(&desk.other));
    let said = desk.direct.conversation(&desk.other);
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].from, said[0].path), (desk.me, path));
    desk.answered(1, &accepted(1));
    assert_eq!(
        desk.direct.conversation(&desk.other).len(),
        1,
        "a second receipt"
    );
    assert_eq!(desk.direct.poll_timeout(), None);
}

#[test]
fn what_comes_of_an_attempt_is_told_as_it_was() {
    let busy = Response::error(ErrorCode::Busy, "");
    let closed = Response::error(ErrorCode::NotAccepted, "");
    // What the receiver answers, and what becomes of the message: an error at once, or after the deadline.
    for (response, error) in [
        (closed, Some(SendError::Refused(ErrorCode::NotAccepted))),
        (busy, None),
        (accepted(2), None),
    ] {
        let last = match &response {
            Response::Error { code, .. } => Setback::Answered(*code),
            _ => Setback::Nonsense,
        };
        let mut desk = Desk::new();
        let mut answer = desk.transmit(1);
        desk.answered(1, &response);
        let _ = desk.outputs(Link::Connected);
        if error.is_none() {
            assert!(answer.try_recv().is_err(), "it is tried again");
            desk.now += limits::OUTBOX_DEADLINE;
            let _ = desk.outputs(Link::Connected);
        }
        let after = limits::OUTBOX_DEADLINE;
        let expected = error.unwrap_or(SendError::NoReceipt { after, last });
        assert_eq!(answer.try_recv().expect("answered"), Err(expected));
        assert!(!desk.direct.is_writing_to(&desk.other));
        assert!(desk.direct.conversation(&desk.other).is_empty());
    }
}

#[test]
fn a_program_that_takes_no_messages_is_not_asked_again() {
    let mut desk = Desk::new();
    let mut answer = desk.transmit(1);
    desk.direct
        .failed(letter(1).id, Failure::Unsupported, desk.now);
    assert_eq!(desk.outputs(Link::Connected), []);
    assert_eq!(
        answer.try_recv().expect("told"),
        Err(SendError::Unsupported)
    );
}

#[test]
fn who_is_not_connected_is_dialled_once_and_written_to_at_once_when_there() {
    let mut desk = Desk::new();
    let mut answer = desk.send(1);
    let refused = Some(Unreached::Refused);
    assert_eq!(
        desk.outputs(Link::Down(None)),
        [Output::Connect(desk.other)]
    );
    // The next try finds that somebody dials already.
    desk.now = desk.direct.poll_timeout().expect("it is tried again");
    assert_eq!(desk.outputs(Link::Dialling(refused)), []);
    desk.direct.connected(&desk.other, desk.now);
    assert_eq!(desk.outputs(Link::Connected).len(), 1);
    // The connection breaks, and nobody is reached any more.
    let broken = Failure::Setback(Setback::Broken);
    desk.direct.failed(letter(1).id, broken, desk.now);
    let told = loop {
        if let Ok(told) = answer.try_recv() {
            break told;
        }
        desk.now = desk.direct.poll_timeout().expect("a deadline");
        let _ = desk.outputs(Link::Dialling(refused));
    };
    let after = limits::OUTBOX_DEADLINE;
    let last = Setback::Unreached(Unreached::Refused);
    assert_eq!(told, Err(SendError::NoReceipt { after, last }));
}

#[test]
fn an_id_is_taken_once_and_only_so_many_wait() {
    let mut desk = Desk::new();
    let mut first = desk.send(1);
    let mut again = desk.send(1);
    assert_eq!(again.try_recv().expect("told"), Err(SendError::Duplicate));
    let most = u16::try_from(limits::OUTBOX_MAX).expect("few");
    let mut waiting: Vec<Answer> = (2..=most).map(|n| desk.send(n)).collect();
    assert!(waiting.iter_mut().all(|answer| answer.try_recv().is_err()));
    let mut over = desk.send(most + 1);
    assert_eq!(over.try_recv().expect("told"), Err(SendError::Busy));
    assert!(first.try_recv().is_err(), "it still waits");
}

#[test]
fn messages_to_one_receiver_keep_their_order() {
    let mut desk = Desk::new();
    let _first = desk.transmit(1);
    let _second = desk.send(2);
    assert_eq!(desk.outputs(Link::Connected), [], "the first is not there");
    desk.answered(1, &accepted(1));
    let [Output::Request { id, .. }] = &desk.outputs(Link::Connected)[..] else {
        panic!("the second is not sent");
    };
    assert_eq!(*id, letter(2).id);
}

#[test]
fn what_comes_twice_is_told_once() {
    let mut desk = Desk::new();
    let told = desk.receive(1).expect("new");
    assert_eq!((told.from, told.to), (desk.other, desk.me));
    assert!(desk.receive(1).is_none());
    assert!(desk.receive(2).is_some());
    assert_eq!(desk.direct.conversation(&desk.other).len(), 2);
}

#[test]
fn nobody_has_to_wait_for_the_answer() {
    let mut desk = Desk::new();
    drop(desk.transmit(1));
    desk.now += Duration::from_secs(1);
    desk.answered(1, &accepted(1));
    assert_eq!(desk.direct.conversation(&desk.other).len(), 1);
}
