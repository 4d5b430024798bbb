//! Those who have said that they are there, and have not shown it.
//!
//! Anybody can write any address on a datagram. So the first check of a client is answered by a check of ours to where it
//! came from (a triggered check, RFC 8445, section 7.3.1.4), and counts when that was answered: whoever did has got it.
//! Until then nothing is made for the client but an entry here, and no more goes to it than came.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use rtc_crypto::RTCCrypto;
use rtc_ice::attributes::{control::AttrControlled, priority::PriorityAttr};
use rtc_shared::error::Error;
use rtc_stun::{
    attributes::ATTR_USERNAME,
    fingerprint::FINGERPRINT,
    integrity::MessageIntegrity,
    message::{BINDING_REQUEST, BINDING_SUCCESS, Message, TransactionId},
    textattrs::TextAttribute,
};

use super::dialler::Dialler;

/// Newcomers at one time, at 1.5 KiB at most each. The oldest make room: who is there answers within a round trip, and
/// if it lost its place, comes back with its next check.
const NEWCOMERS_MAX: usize = 2048;

/// How long they have. Round trips take less, and clients repeat their checks.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The longest first check that is kept. One with the longest username has some 650 bytes.
const CHECK_BYTES_MAX: usize = 1024;

/// Of a peer-reflexive candidate (RFC 8445, section 5.1.2.1). There is no other that it could be compared with.
const PRIORITY: u32 = (110 << 24) | (0xffff << 8) | 255;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    waiting: HashMap<SocketAddr, Newcomer>,
    /// Since when they are waiting, the longest first. Those who are gone may be in here.
    since: VecDeque<(Instant, SocketAddr)>,
}

#[derive(Debug)]
struct Newcomer {
    dialler: Dialler,
    /// The check that it came with.
    first: BytesMut,
    transaction: TransactionId,
    since: Instant,
}

impl Newcomers {
    /// Somebody has come with its first check. Returns what it is asked.
    pub(super) fn ask(
        &mut self,
        from: SocketAddr,
        dialler: Dialler,
        first: BytesMut,
        now: Instant,
        crypto: &dyn RTCCrypto,
    ) -> Option<BytesMut> {
        if first.len() > CHECK_BYTES_MAX {
            return None;
        }
        self.forget(now);
        let is_same = |there: &&Newcomer| there.dialler == dialler;
        let transaction = match self.waiting.get(&from).filter(is_same) {
            Some(there) => there.transaction,
            None => {
                let transaction = TransactionId::new();
                let newcomer = Newcomer {
                    dialler: dialler.clone(),
                    first,
                    transaction,
                    since: now,
                };
                self.waiting.insert(from, newcomer);
                self.since.push_back((now, from));
                transaction
            }
        };
        check(&dialler, transaction, crypto).ok()
    }

    /// A message of somebody who is not known: whether it answers what we have asked, and with what it came then.
    pub(super) fn answered(
        &mut self,
        from: SocketAddr,
        message: &Message,
        now: Instant,
    ) -> Option<(Dialler, BytesMut)> {
        self.forget(now);
        if !self.is_answer(from, message) {
            return None;
        }
        let Newcomer { dialler, first, .. } = self.waiting.remove(&from)?;
        Some((dialler, first))
    }

    /// Whether a message is the answer to what somebody there was asked.
    pub(super) fn is_answer(&self, from: SocketAddr, message: &Message) -> bool {
        let newcomer = self.waiting.get(&from);
        message.typ == BINDING_SUCCESS
            && newcomer.is_some_and(|newcomer| newcomer.transaction == message.transaction_id)
    }

    /// Forgets those who did not answer, and the oldest where there are too many.
    fn forget(&mut self, now: Instant) {
        while let Some((since, from)) = self.since.front() {
            let is_late = now.saturating_duration_since(*since) >= ANSWERS_WITHIN;
            if !is_late && self.since.len() < NEWCOMERS_MAX {
                return;
            }
            // It may have left and come back.
            if self
                .waiting
                .get(from)
                .is_some_and(|there| there.since == *since)
            {
                self.waiting.remove(from);
            }
            self.since.pop_front();
        }
    }
}

/// Our check of a client.
fn check(
    dialler: &Dialler,
    transaction: TransactionId,
    crypto: &dyn RTCCrypto,
) -> Result<BytesMut, Error> {
    let mut check = Message::new();
    let password = dialler.password().to_owned();
    check.build(&[
        Box::new(transaction),
        Box::new(BINDING_REQUEST),
        Box::new(TextAttribute::new(ATTR_USERNAME, dialler.username())),
        Box::new(PriorityAttr(PRIORITY)),
        Box::new(AttrControlled(0)),
        Box::new(MessageIntegrity::new_short_term_integrity_with_provider(
            password, crypto,
        )),
        Box::new(FINGERPRINT),
    ])?;
    Ok(BytesMut::from(&*check.raw))
}

#[cfg(test)]
mod tests {
    use rtc_crypto::default_provider;

    use super::*;

    fn dialler(number: usize) -> Dialler {
        Dialler::parse(&format!("libp2p+webrtc+v2/{number:022}:abcd")).unwrap()
    }

    fn from(number: usize) -> SocketAddr {
        let [_, _, high, low] = u32::try_from(number).unwrap().to_be_bytes();
        SocketAddr::from(([192, 0, high, low], 9))
    }

    fn read(data: &[u8]) -> Message {
        let mut message = Message::new();
        message.unmarshal_binary(data).unwrap();
        message
    }

    /// What answers a check.
    fn answer(check: &[u8]) -> Message {
        let mut answer = Message::new();
        let transaction = Box::new(read(check).transaction_id);
        answer
            .build(&[transaction, Box::new(BINDING_SUCCESS)])
            .unwrap();
        answer
    }

    struct Server {
        newcomers: Newcomers,
        start: Instant,
    }

    impl Server {
        fn new() -> Self {
            Self {
                newcomers: Newcomers::default(),
                start: Instant::now(),
            }
        }

        fn ask(&mut self, number: usize, millis: u64) -> Option<BytesMut> {
            let crypto = default_provider().unwrap();
            let now = self.start + Duration::from_millis(millis);
            let first = BytesMut::from(&*vec![0; 100]);
            let newcomers = &mut self.newcomers;
            newcomers.ask(from(number), dialler(number), first, now, crypto.crypto())
        }

        fn is_in(&mut self, number: usize, answer: &Message, millis: u64) -> bool {
            let now = self.start + Duration::from_millis(millis);
            let answered = self.newcomers.answered(from(number), answer, now);
            answered.is_some_and(|(there, _)| there == dialler(number))
        }
    }

    #[test]
    fn who_answers_is_there() {
        let mut server = Server::new();
        let asked = server.ask(1, 0).unwrap();
        let check = read(&asked);
        assert_eq!(check.typ, BINDING_REQUEST);
        let name = TextAttribute::get_from_as(&check, ATTR_USERNAME).unwrap();
        assert_eq!(name.text, format!("abcd:{}", dialler(1).server_ufrag()));
        assert!(!server.is_in(1, &check, 1), "the question is no answer");
        let mut other = answer(&asked);
        other.transaction_id.0[3] ^= 1;
        assert!(!server.is_in(1, &other, 1));
        assert!(!server.is_in(2, &answer(&asked), 1), "from elsewhere");
        assert!(server.is_in(1, &answer(&asked), 1));
        assert!(!server.is_in(1, &answer(&asked), 2), "once");
    }

    #[test]
    fn who_asks_again_is_asked_the_same() {
        let mut server = Server::new();
        let asked = server.ask(1, 0).unwrap();
        assert_eq!(server.ask(1, 3000), Some(asked.clone()));
        assert!(server.is_in(1, &answer(&asked), 4999));
        let asked = server.ask(1, 5000).unwrap();
        assert!(!server.is_in(1, &answer(&asked), 10_000), "too late");
        let again = server.ask(1, 10_000).unwrap();
        assert_ne!(again, asked);
    }

    #[test]
    fn no_more_goes_out_than_comes_in_and_little_is_kept() {
        let mut server = Server::new();
        let first = server.ask(0, 0).unwrap();
        for number in 1..10_000 {
            // A check of a browser has the same attributes, and one that asks to be chosen one more.
            assert_eq!(server.ask(number, 1).unwrap().len(), first.len());
            assert!(server.newcomers.waiting.len() <= NEWCOMERS_MAX);
            assert!(server.newcomers.since.len() <= NEWCOMERS_MAX);
        }
        assert!(first.len() <= 140, "{}", first.len());
        assert!(!server.is_in(0, &answer(&first), 2), "it had to make room");
        let asked = server.ask(0, 2).unwrap();
        assert!(server.is_in(0, &answer(&asked), 3));
        let long = BytesMut::from(&*vec![0; CHECK_BYTES_MAX + 1]);
        let crypto = default_provider().unwrap();
        let newcomers = &mut server.newcomers;
        let asked = newcomers.ask(from(0), dialler(0), long, server.start, crypto.crypto());
        assert_eq!(asked, None);
    }
}
