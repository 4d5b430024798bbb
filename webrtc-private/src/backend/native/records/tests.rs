use proptest::prelude::*;

use super::{
    messages::{FRAGMENTS_MAX, MESSAGES_MAX, PIECES_MAX, REPEATS_MAX},
    *,
};

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE: u8 = 11;

fn record(kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, high, low];
    record.extend(content);
    record
}

/// Bytes `from..to` of a message as a fragment.
fn fragment(kind: u8, number: u16, message: &[u8], from: usize, to: usize) -> Vec<u8> {
    let three = |value: usize| u32::try_from(value).unwrap().to_be_bytes()[1..].to_vec();
    [
        vec![kind],
        three(message.len()),
        number.to_be_bytes().to_vec(),
        three(from),
        three(to - from),
        message[from..to].to_vec(),
    ]
    .concat()
}

fn whole(kind: u8, number: u16, message: &[u8]) -> Vec<u8> {
    fragment(kind, number, message, 0, message.len())
}

fn take(records: &mut Records, datagram: &[u8]) -> Vec<u8> {
    let taken = records.take(BytesMut::from(datagram), false);
    taken.unwrap_or_default().to_vec()
}

/// What is in the records that are handed on, without their headers.
fn contents(taken: &[u8]) -> Vec<Vec<u8>> {
    let contents = records(taken).map(|record| record.content.to_vec());
    contents.collect()
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn messages_are_put_together_however_they_come() {
    let message = text(1000);
    let cut = |size: usize, overlap: usize| -> Vec<Vec<u8>> {
        let starts = (0..message.len()).step_by(size);
        let parts = starts.map(|start| {
            let end = (start + size + overlap).min(message.len());
            fragment(CERTIFICATE, 0, &message, start, end)
        });
        parts.collect()
    };
    let mut reversed = cut(100, 0);
    reversed.reverse();
    let mut inside_out = cut(400, 300);
    inside_out.rotate_left(1);
    for fragments in [
        cut(1000, 0),
        cut(999, 0),
        cut(300, 0),
        cut(100, 50),
        [cut(100, 0), cut(100, 0)].concat(),
        reversed,
        inside_out,
    ] {
        let wanted = vec![whole(CERTIFICATE, 0, &message)];
        let mut each = Records::default();
        let one_by_one: Vec<_> = fragments
            .iter()
            .flat_map(|part| contents(&take(&mut each, &record(HANDSHAKE, 0, part))))
            .collect();
        assert_eq!(one_by_one, wanted);
        let mut one = Records::default();
        let in_one = take(&mut one, &record(HANDSHAKE, 0, &fragments.concat()));
        assert_eq!(contents(&in_one), wanted);
        let datagram = fragments.iter().flat_map(|part| record(HANDSHAKE, 0, part));
        let datagram: Vec<_> = datagram.collect();
        let in_a_datagram = take(&mut Records::default(), &datagram);
        assert_eq!(contents(&in_a_datagram), wanted);
    }
}

#[test]
fn messages_are_handed_on_in_turn_and_once() {
    let mut records = Records::default();
    let (first, last) = (text(50), Vec::new());
    let later = record(HANDSHAKE, 0, &whole(SERVER_HELLO_DONE, 1, &last));
    assert!(take(&mut records, &later).is_empty());
    let both = take(&mut records, &record(HANDSHAKE, 0, &whole(2, 0, &first)));
    let wanted = [whole(2, 0, &first), whole(SERVER_HELLO_DONE, 1, &last)];
    assert_eq!(contents(&both), wanted);
    assert_eq!(both[5..11], [0, 0, 0, 0, 0, 0], "they are numbered anew");
    assert_eq!(both[13 + 12 + 50..][5..11], [0, 0, 0, 0, 0, 1]);
    for again in [later, record(HANDSHAKE, 0, &whole(2, 0, &first))] {
        assert!(take(&mut records, &again).is_empty());
    }
}

#[test]
fn a_client_may_say_hello_again_until_it_has_the_cookie() {
    let mut records = Records::default();
    let message = text(100);
    let hello = |number| record(HANDSHAKE, 0, &whole(CLIENT_HELLO, number, &message));
    let half = record(HANDSHAKE, 0, &fragment(CLIENT_HELLO, 0, &message, 0, 50));
    assert!(!take(&mut records, &hello(0)).is_empty());
    assert!(!take(&mut records, &hello(0)).is_empty());
    // That it has begun to do so is in nobody's way.
    assert!(take(&mut records, &half).is_empty());
    assert!(!take(&mut records, &hello(1)).is_empty());
    assert!(take(&mut records, &hello(0)).is_empty());
    assert!(take(&mut records, &hello(1)).is_empty());
}

#[test]
fn what_no_handshake_has_is_not_handed_on() {
    let message = text(30);
    let good = whole(CLIENT_HELLO, 0, &message);
    let with = |at: usize, byte: u8| {
        let mut changed = good.clone();
        changed[at] = byte;
        record(HANDSHAKE, 0, &changed)
    };
    let mut version = record(HANDSHAKE, 0, &good);
    version[2] = 1;
    for (what, datagram) in [
        ("longer than there is", with(11, 31)),
        ("beyond the end", with(8, 1)),
        ("a message that is too long", with(1, 1)),
        ("a message out of turn", with(5, 1)),
        ("a message of no handshake", with(4, 1)),
        ("nothing", record(HANDSHAKE, 0, &[])),
        (
            "a header that is cut off",
            record(HANDSHAKE, 0, &good[..11]),
        ),
        ("another version", version),
        ("another epoch", record(HANDSHAKE, 2, &good)),
        ("data in cleartext", record(APPLICATION_DATA, 0, &good)),
        (
            "a record that is cut off",
            record(HANDSHAKE, 0, &good)[..40].to_vec(),
        ),
        ("another kind", record(24, 0, &good)),
        (
            "a change with content",
            record(CHANGE_CIPHER_SPEC, 0, &good),
        ),
        ("a long alert", record(ALERT, 0, &good)),
        (
            "a long end",
            record(HANDSHAKE, 1, &[0; SHORT_BYTES_MAX + 1]),
        ),
        ("", Vec::new()),
    ] {
        assert!(
            take(&mut Records::default(), &datagram).is_empty(),
            "{what}"
        );
    }
}

#[test]
fn once_connected_nothing_in_cleartext_is_taken() {
    let data = record(APPLICATION_DATA, 1, &[7; 100]);
    for cleartext in [
        record(HANDSHAKE, 0, &whole(CLIENT_HELLO, 0, &text(30))),
        record(ALERT, 0, &[2, 40]),
        record(CHANGE_CIPHER_SPEC, 0, &[1]),
    ] {
        let mut records = Records::default();
        assert!(records.take(BytesMut::from(&*cleartext), true).is_none());
        let behind = [data.clone(), cleartext].concat();
        let taken = records.take(BytesMut::from(&*behind), true);
        assert_eq!(taken.unwrap(), data);
    }
    let mut records = Records::default();
    for _ in 0..10_000 {
        let taken = records.take(BytesMut::from(&*data), true);
        assert_eq!(taken.unwrap(), data);
    }
    let end = record(HANDSHAKE, 1, &[0; 48]);
    let ends = (0..1000).filter(|_| records.take(BytesMut::from(&*end), true).is_some());
    assert_eq!(ends.count(), SHORT_MAX);
}

/// What an attack costs: records that the protocol is given, and the bytes in them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    records: usize,
    bytes: usize,
}

fn work(datagrams: impl IntoIterator<Item = Vec<u8>>) -> Work {
    let mut records = Records::default();
    let mut work = Work::default();
    for datagram in datagrams {
        let taken = take(&mut records, &datagram);
        work.records += super::records(&taken).count();
        work.bytes += taken.len();
        assert!(records.messages.pieces() <= usize::from(MESSAGES_MAX) * PIECES_MAX);
    }
    work
}

/// Datagrams of 1,200 bytes, or nearly, 64 KiB of them and as many again.
fn flood(mut part: impl FnMut(usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut parts = (0..).map(&mut part);
    let mut datagrams = Vec::new();
    let mut bytes = 0;
    while bytes < 2 * HANDSHAKE_BYTES_MAX {
        let mut datagram = Vec::new();
        while datagram.len() < 1100 {
            datagram.extend(parts.next().unwrap());
        }
        bytes += datagram.len();
        datagrams.push(datagram);
    }
    datagrams
}

#[test]
fn fragments_of_every_form_cost_little() {
    let message = text(8000);
    let of = |number: usize, from: usize, to: usize| {
        let number = u16::try_from(number).unwrap();
        record(
            HANDSHAKE,
            0,
            &fragment(CLIENT_HELLO, number, &message, from, to),
        )
    };
    let nothing = Work::default();
    for (attack, datagrams, most) in [
        ("without bytes", flood(|_| of(0, 0, 0)), nothing),
        (
            "of one byte",
            flood(|n| of(0, n % 8000, n % 8000 + 1)),
            Work::default(),
        ),
        (
            "of one byte, from the end",
            flood(|n| of(0, 7999 - n % 8000, 8000 - n % 8000)),
            Work::default(),
        ),
        ("the same one", flood(|_| of(0, 0, 100)), Work::default()),
        (
            "that overlap",
            flood(|n| of(0, n % 100, 200 + n % 100)),
            Work::default(),
        ),
        (
            "of many messages",
            flood(|n| of(n % 65_536, 1, 20)),
            Work::default(),
        ),
        (
            "every other byte",
            flood(|n| of(n % 8, 2 * (n / 8) % 8000, 2 * (n / 8) % 8000 + 1)),
            Work::default(),
        ),
    ] {
        assert_eq!(work(datagrams), most, "{attack}");
    }
}

#[test]
fn whole_messages_again_and_again_cost_little() {
    let hello = text(200);
    let said = |number: usize| {
        let number = u16::try_from(number % 65_536).unwrap();
        record(HANDSHAKE, 0, &whole(CLIENT_HELLO, number, &hello))
    };
    let bytes = said(0).len();
    for (attack, datagrams, records) in [
        ("the first one", flood(|_| said(0)), 1 + REPEATS_MAX),
        ("each with another number", flood(said), MESSAGES_MAX.into()),
        (
            "each twice",
            flood(|n| said(n / 2)),
            // The first is one that may be said again.
            usize::from(MESSAGES_MAX) + 1,
        ),
    ] {
        let most = Work {
            records,
            bytes: records * bytes,
        };
        assert_eq!(work(datagrams), most, "{attack}");
    }
    let many = flood(|n| record(HANDSHAKE, 0, &whole(CERTIFICATE, n as u16 % 8, &[])));
    assert_eq!(work(many).records, usize::from(MESSAGES_MAX));
}

#[test]
fn what_is_not_of_the_handshake_costs_little() {
    for (attack, kind, epoch, content, most) in [
        (
            "changes of the keys",
            CHANGE_CIPHER_SPEC,
            0,
            vec![1],
            SHORT_MAX,
        ),
        ("alerts", ALERT, 0, vec![1, 0], SHORT_MAX),
        ("encrypted alerts", ALERT, 1, vec![7; 26], SHORT_MAX),
        (
            "ends of the handshake",
            HANDSHAKE,
            1,
            vec![7; 48],
            SHORT_MAX,
        ),
        ("early data", APPLICATION_DATA, 1, vec![7; 40], EARLY_MAX),
        (
            "early data without any",
            APPLICATION_DATA,
            1,
            vec![],
            EARLY_MAX,
        ),
        (
            "much early data",
            APPLICATION_DATA,
            1,
            vec![7; 1100],
            EARLY_BYTES_MAX / 1113,
        ),
    ] {
        let datagrams = flood(|_| record(kind, epoch, &content));
        assert_eq!(work(datagrams).records, most, "{attack}");
    }
}

#[test]
fn fragments_are_counted_though_none_is_of_use() {
    let message = text(600);
    let part = |from, to| record(HANDSHAKE, 0, &fragment(CLIENT_HELLO, 0, &message, from, to));
    let mut records = Records::default();
    for _ in 0..FRAGMENTS_MAX {
        assert!(take(&mut records, &part(0, 0)).is_empty());
    }
    assert!(take(&mut records, &part(0, 600)).is_empty());
}

proptest! {
    #[test]
    fn any_fragments_that_cover_a_message_make_it_up(
        length in 1_usize..3000,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
    ) {
        let message = text(length);
        let mut records = Records::default();
        let mut covered = vec![false; length];
        let mut handed_on = Vec::new();
        let all = cuts.into_iter().map(|(one, other)| (one.index(length + 1), other.index(length + 1)));
        for (one, other) in all.chain([(0, length)]) {
            let (from, to) = (one.min(other), one.max(other));
            covered[from..to].fill(true);
            let part = fragment(CERTIFICATE, 0, &message, from, to);
            handed_on.extend(contents(&take(&mut records, &record(HANDSHAKE, 0, &part))));
            prop_assert_eq!(!handed_on.is_empty(), covered.iter().all(|is| *is));
        }
        prop_assert_eq!(handed_on, vec![whole(CERTIFICATE, 0, &message)]);
    }

    #[test]
    fn whatever_comes_no_more_is_handed_on_than_came(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let mut records = Records::default();
        let (mut came, mut went) = (0, 0);
        for mut datagram in datagrams {
            for (at, byte) in [(0, 22), (1, 254), (2, 253), (3, 0), (4, 0), (11, 0)] {
                if let Some(place) = datagram.get_mut(at) {
                    *place = byte;
                }
            }
            came += datagram.len();
            went += take(&mut records, &datagram).len();
            prop_assert!(went <= came);
        }
    }
}
