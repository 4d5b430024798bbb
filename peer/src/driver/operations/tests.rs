use std::collections::HashSet;

use tokio::sync::oneshot;

use super::*;
use crate::platform;

const WALL: UnixMillis = UnixMillis(1_700_000_000_000);

type PutAnswer = oneshot::Receiver<Result<Stored, PutError>>;
type GetAnswer = oneshot::Receiver<Result<Option<Value>, GetError>>;

/// The DHT as a test wants it.
#[derive(Default)]
struct FakeDht {
    is_away: bool,
    is_full: bool,
    is_busy: bool,
    known: Vec<PeerId>,
    silent: HashSet<PeerId>,
}

impl Dht for FakeDht {
    fn why_not(&self) -> Option<NotInDht> {
        self.is_away.then_some(NotInDht::NoServer)
    }

    fn is_full(&self) -> bool {
        self.is_full
    }

    fn has_room(&mut self, _: &RecordKey, _: usize, _: u32) -> bool {
        !self.is_busy
    }

    fn closest_known(&mut self, _: &RecordKey) -> Vec<PeerId> {
        self.known.clone()
    }

    fn keeps_silent(&self, server: &PeerId) -> bool {
        self.silent.contains(server)
    }
}

/// The machine beside a DHT of some servers.
struct Bench {
    operations: Operations,
    dht: FakeDht,
    now: Instant,
}

fn key() -> RecordKey {
    RecordKey::new("key").expect("valid")
}

impl Bench {
    fn new(servers: usize) -> Self {
        let known = (0..servers).map(|_| PeerId::random()).collect();
        Self {
            operations: Operations::new(Keypair::generate_ed25519()),
            dht: FakeDht {
                known,
                ..FakeDht::default()
            },
            now: platform::now(),
        }
    }

    fn put_for(&mut self, lifetime: Duration) -> PutAnswer {
        let (reply, answer) = oneshot::channel();
        let value = serde_json::json!(1);
        self.operations
            .put(key(), value, lifetime, reply, &self.dht, WALL);
        answer
    }

    fn put(&mut self) -> PutAnswer {
        self.put_for(limits::RECORD_TTL_DEFAULT)
    }

    fn get(&mut self) -> GetAnswer {
        let (reply, answer) = oneshot::channel();
        self.operations.get(key(), reply, &self.dht);
        answer
    }

    fn output(&mut self) -> Option<Output> {
        self.operations.poll_output(&mut self.dht, self.now)
    }

    /// A put looks for its servers: those that are known here.
    fn find(&mut self) {
        let Some(Output::FindServers { id, servers, .. }) = self.output() else {
            panic!("no servers are looked for");
        };
        assert_eq!(servers, CONFIRMING);
        let nearest = self.dht.known.iter().take(2).copied().collect();
        self.operations.servers_found(id, nearest, &mut self.dht);
        assert!(matches!(self.output(), Some(Output::Keep(_))));
    }

    /// Whom a value is handed to now.
    fn handed(&mut self) -> (OperationId, SignedRecord, Vec<PeerId>) {
        match self.output() {
            Some(Output::HandOver {
                id,
                signed,
                servers,
            }) => (id, signed, servers),
            other => panic!("nothing is handed over: {other:?}"),
        }
    }

    /// What is looked up now.
    fn looked_up(&mut self) -> OperationId {
        match self.output() {
            Some(Output::LookUp { id, .. }) => id,
            other => panic!("nothing is looked up: {other:?}"),
        }
    }

    fn took(&mut self, id: OperationId, took: Took) {
        self.operations.handed_over(id, took, &self.dht);
    }
}

/// What somebody else has put.
fn foreign(sequence: u64) -> SignedRecord {
    let keypair = Keypair::generate_ed25519();
    let record = Record {
        key: key(),
        value: serde_json::json!("theirs"),
        publisher: keypair.public().to_peer_id(),
        sequence,
        issued: WALL,
        expires: WALL.saturating_add(limits::RECORD_TTL_DEFAULT),
    };
    record.sign(&keypair).expect("valid")
}

#[test]
fn a_put_is_answered_when_the_quorum_has_it_and_the_others_follow() {
    let mut bench = Bench::new(20);
    let mut answer = bench.put();
    bench.find();
    let (id, _, servers) = bench.handed();
    assert_eq!(servers, bench.dht.known[..QUORUM]);
    assert!(answer.try_recv().is_err(), "nobody has it yet");
    bench.took(id, Took::All);
    let stored = answer.try_recv().expect("answered").expect("stored");
    assert_eq!(stored.copies, QUORUM);
    assert!(bench.operations.is_handing_over());
    let mut following: Vec<PeerId> = Vec::new();
    while following.len() < 20 - QUORUM {
        let (id, _, servers) = bench.handed();
        assert!(servers.len() <= FOLLOWING);
        following.extend(servers);
        bench.took(id, Took::All);
    }
    assert_eq!(following, bench.dht.known[QUORUM..]);
    let Some(Output::Grown(stored)) = bench.output() else {
        panic!("the copies have grown");
    };
    assert_eq!(stored.copies, 20);
    assert!(!bench.operations.is_handing_over());
    assert!(bench.output().is_none());
}

#[test]
fn servers_that_name_others_are_asked_for_all() {
    let mut bench = Bench::new(3);
    let _answer = bench.put();
    let Some(Output::FindServers { id, .. }) = bench.output() else {
        panic!("no servers are looked for");
    };
    let stranger = PeerId::random();
    bench
        .operations
        .servers_found(id, vec![stranger], &mut bench.dht);
    let Some(Output::FindServers { id, servers, .. }) = bench.output() else {
        panic!("they know what is not known here");
    };
    assert_eq!(servers, KEEPERS);
    bench
        .operations
        .servers_found(id, vec![stranger], &mut bench.dht);
    assert!(matches!(bench.output(), Some(Output::Keep(_))));
    assert_eq!(bench.handed().2, [stranger]);
}

#[test]
fn a_put_that_somebody_refuses_counts_on_from_what_is_there() {
    // What is there, and whether the value that is handed over next is another one.
    let ahead = WALL.0 + 60_000;
    for (there, is_new) in [(Some(ahead), true), (Some(1), false), (None, false)] {
        let mut bench = Bench::new(3);
        let mut answer = bench.put();
        bench.find();
        let (id, first, servers) = bench.handed();
        bench.took(id, Took::These(servers[1..].to_vec()));
        let id = bench.looked_up();
        if let Some(sequence) = there {
            let there = foreign(sequence);
            bench.operations.value(id, there.as_bytes(), WALL);
        }
        bench.operations.looked_up(id, true);
        bench.find();
        let (id, second, _) = bench.handed();
        let (first, second) = (first.record().sequence, second.record().sequence);
        assert_eq!(second > first, is_new, "{there:?}");
        assert!(there.is_none_or(|there| second > there));
        // Refused again: that is how it is.
        bench.took(id, Took::These(servers[..1].to_vec()));
        let stored = answer.try_recv().expect("answered").expect("stored");
        assert_eq!(stored.copies, 1);
    }
}

#[test]
fn a_server_that_keeps_silent_does_not_refuse() {
    let mut bench = Bench::new(3);
    let mut answer = bench.put();
    bench.find();
    let (id, _, servers) = bench.handed();
    bench.dht.silent.insert(servers[0]);
    bench.took(id, Took::These(servers[1..].to_vec()));
    let stored = answer.try_recv().expect("answered").expect("stored");
    assert_eq!(stored.copies, 2);
}

#[test]
fn a_put_that_comes_to_nothing_says_why() {
    // Nobody keeps it.
    let mut bench = Bench::new(3);
    let mut answer = bench.put();
    bench.find();
    let (id, ..) = bench.handed();
    bench.took(id, Took::These(Vec::new()));
    let id = bench.looked_up();
    bench.operations.looked_up(id, true);
    bench.find();
    let (id, ..) = bench.handed();
    bench.took(id, Took::These(Vec::new()));
    let refused = PutError::Refused { asked: 3 };
    assert_eq!(answer.try_recv().expect("answered"), Err(refused));
    // Nobody answers: neither those who are asked for servers, nor those who are asked what is there.
    let mut bench = Bench::new(0);
    let mut answer = bench.put();
    for _ in 0..2 {
        let Some(Output::FindServers { id, .. }) = bench.output() else {
            panic!("no servers are looked for");
        };
        bench
            .operations
            .servers_found(id, Vec::new(), &mut bench.dht);
    }
    assert_eq!(
        answer.try_recv().expect("answered"),
        Err(PutError::NoAnswer)
    );
    let mut bench = Bench::new(1);
    let mut answer = bench.put();
    bench.find();
    let (id, ..) = bench.handed();
    bench.took(id, Took::These(Vec::new()));
    let id = bench.looked_up();
    bench.operations.looked_up(id, false);
    assert_eq!(
        answer.try_recv().expect("answered"),
        Err(PutError::NoAnswer)
    );
    // It cannot be stored at all, or not from here.
    let mut bench = Bench::new(1);
    let mut answer = bench.put_for(Duration::ZERO);
    let lifetime = PutError::Invalid(InvalidValue::Lifetime);
    assert_eq!(answer.try_recv().expect("answered"), Err(lifetime));
    bench.dht.is_away = true;
    let away = PutError::NotConnected(NotInDht::NoServer);
    assert_eq!(bench.put().try_recv().expect("answered"), Err(away));
}

#[test]
fn a_get_tells_nothing_there_from_nobody_answers() {
    let found = foreign(1);
    for (value, is_answered, expected) in [
        (Some(&found), true, Ok(Some("theirs"))),
        (Some(&found), false, Ok(Some("theirs"))),
        (None, true, Ok(None)),
        (None, false, Err(GetError::NoAnswer)),
    ] {
        let mut bench = Bench::new(3);
        let mut answer = bench.get();
        let id = bench.looked_up();
        if let Some(value) = value {
            assert!(!bench.operations.value(id, value.as_bytes(), WALL));
            assert!(bench.operations.value(id, value.as_bytes(), WALL), "two");
        }
        bench.operations.looked_up(id, is_answered);
        let told = answer.try_recv().expect("answered");
        let told = told.map(|value| value.map(|value| value.value));
        let expected = expected.map(|value| value.map(|value| serde_json::json!(value)));
        assert_eq!(told, expected);
    }
}

#[test]
fn only_so_many_are_under_way_and_the_rest_wait_in_order() {
    let mut bench = Bench::new(3);
    let mut answers: Vec<GetAnswer> = Vec::new();
    let mut open = Vec::new();
    for _ in 0..OPERATIONS_MAX + WAITING_MAX {
        answers.push(bench.get());
        while let Some(output) = bench.output() {
            let Output::LookUp { id, .. } = output else {
                panic!("{output:?}");
            };
            open.push(id);
        }
    }
    assert_eq!(open.len(), OPERATIONS_MAX);
    let over = bench.get().try_recv().expect("answered");
    assert_eq!(over, Err(GetError::Busy));
    assert!(answers.iter_mut().all(|answer| answer.try_recv().is_err()));
    // Nobody waits any more for the next but one.
    drop(answers.remove(OPERATIONS_MAX + 1));
    for id in open {
        bench.operations.looked_up(id, true);
    }
    let next = std::iter::from_fn(|| bench.output()).count();
    assert_eq!(next, OPERATIONS_MAX);
    assert!(
        answers[..OPERATIONS_MAX]
            .iter_mut()
            .all(|answer| answer.try_recv().is_ok())
    );
    assert_eq!(
        bench.operations.waiting.len(),
        WAITING_MAX - OPERATIONS_MAX - 1
    );
}

#[test]
fn what_servers_cannot_take_now_is_tried_a_moment_later() {
    let mut bench = Bench::new(3);
    let mut answer = bench.get();
    bench.dht.is_busy = true;
    assert!(bench.output().is_none());
    let check = bench.operations.poll_timeout().expect("it is looked again");
    assert_eq!(check, bench.now + PACE_CHECK);
    bench.now = check;
    bench.dht.is_busy = false;
    bench.dht.is_full = true;
    assert!(bench.output().is_none());
    assert_eq!(bench.operations.poll_timeout(), None, "a query ends first");
    bench.dht.is_full = false;
    bench.dht.is_away = true;
    assert!(bench.output().is_none());
    let away = GetError::NotConnected(NotInDht::NoServer);
    assert_eq!(answer.try_recv().expect("answered"), Err(away));
}

#[test]
fn after_a_restart_nobody_waits_for_an_answer_that_cannot_come() {
    let mut bench = Bench::new(3);
    let (mut put, mut get) = (bench.put(), bench.get());
    bench.find();
    let (id, ..) = bench.handed();
    bench.operations.restarted();
    let why = PutError::NotConnected(NotInDht::Restarting);
    assert_eq!(put.try_recv().expect("answered"), Err(why));
    // What had not begun begins now.
    assert!(get.try_recv().is_err());
    assert!(matches!(bench.output(), Some(Output::LookUp { .. })));
    // An answer of the old swarm is for nobody.
    bench.took(id, Took::All);
    bench.operations.looked_up(id, true);
    assert!(!bench.operations.value(id, b"", WALL));
    bench.operations.restarted();
    let why = GetError::NotConnected(NotInDht::Restarting);
    assert_eq!(get.try_recv().expect("answered"), Err(why));
}
