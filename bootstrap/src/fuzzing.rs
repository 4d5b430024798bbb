//! Ways in for the fuzz targets of this repository (`fuzz/`): what strangers send and what lies in files, given to
//! what reads it. Each function panics where something is not as it should be. Only built with `--cfg fuzzing`.

use std::net::SocketAddr;

use axum::http::{Method, Request, Uri};
use libp2p::{PeerId, kad::store::RecordStore as _};
use moim_dht::{Change, ProviderRow, Store, StoreLimits};
use moim_protocol::UnixMillis;

pub use crate::turn::fuzzing::{TurnLab, frames as turn_frames};
use crate::{
    admin, block_list,
    block_list::BlockList,
    commands,
    config::Web,
    limits,
    site::Site,
    store,
    stun::{
        message,
        wire::{HEADER_BYTES, Message, attribute, unxor},
    },
    tls,
};

/// Longest answer to a STUN question: an IPv6 address, or an error that names what is not known.
const STUN_ANSWER_BYTES_MAX: usize = HEADER_BYTES + 24;

/// A datagram to the STUN server. Its answer is of the question, tells where that came from, and is bounded.
pub fn stun(datagram: &[u8], source: SocketAddr) {
    let Some(answer) = message::answer(datagram, source) else {
        return;
    };
    assert!(answer.len() <= STUN_ANSWER_BYTES_MAX, "{answer:?}");
    let question = Message::parse(datagram).expect("it was answered");
    let answer = Message::parse(&answer).expect("answers are messages");
    assert_eq!(answer.transaction, question.transaction);
    for one in answer.iter() {
        if one.kind == attribute::XOR_MAPPED_ADDRESS {
            let told = unxor(one.value, &answer.transaction).expect("an address");
            let ip = source.ip().to_canonical();
            assert_eq!(told, SocketAddr::new(ip, source.port()));
        }
    }
}

/// A connection to the TLS port after its handshake, whose first request comes in these pieces. What is found out
/// does not depend on them, nothing of it is lost, and a whole head gets an answer from who serves the page and a
/// verdict on who may see the dashboard.
pub fn http(pieces: &[&[u8]], remote: SocketAddr) {
    let whole = pieces.concat();
    assert_eq!(
        tls::head::fuzzing::read(pieces, limits::HTTP_HEADER_BYTES_MAX),
        tls::head::fuzzing::read(&[&whole], limits::HTTP_HEADER_BYTES_MAX),
    );
    let Some(request) = request(&whole) else {
        return;
    };
    admin::fuzzing::access(remote, &request);
    let site = Site::open(&Web::Off).expect("nothing is opened");
    let answer = site.answer(request.method(), request.uri(), request.headers());
    assert!(matches!(answer.status().as_u16(), 200 | 304 | 404 | 405));
}

fn request(head: &[u8]) -> Option<Request<()>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(head).ok()?.is_complete().then_some(())?;
    let mut request = Request::builder()
        .method(parsed.method?.parse::<Method>().ok()?)
        .uri(parsed.path?.parse::<Uri>().ok()?);
    for header in parsed.headers {
        request = request.header(header.name, header.value);
    }
    request.body(()).ok()
}

/// A block list. What is read of it is read the same way from what it is written as, and editing it does what it
/// says and no more.
pub fn block_list(text: &str) {
    let (list, broken) = BlockList::parse(text);
    assert!(list.len() + broken.len() <= block_list::ENTRIES_MAX);
    let written: String = list.iter().map(|entry| format!("{entry}\n")).collect();
    let (again, wrong) = BlockList::parse(&written);
    assert_eq!(wrong, []);
    assert_eq!(again, list);
    let Some(entry) = list.iter().next() else {
        return;
    };
    assert_eq!(block_list::with(text, entry), None);
    let without = block_list::without(text, entry).expect("it was there");
    let with = block_list::with(&without, entry).expect("it is not there");
    assert_eq!(BlockList::parse(&with).0, list);
}

/// Lines for `store import`. What is taken is what was given.
pub fn import(text: &[u8]) {
    let mut store = Store::new(local(), 0, StoreLimits::default());
    let (mut reader, mut number) = (text, 0);
    while let Ok(Some(record)) = commands::store::next_record(&mut reader, &mut number) {
        let (key, value) = (record.key.clone(), record.value.clone());
        if store.put(record).is_ok() {
            assert_eq!(store.get(&key).expect("it was taken").value, value);
        }
    }
}

/// A record's row of the store's file; its columns are those of the file.
#[must_use]
pub fn record_row(
    key: &[u8],
    (sequence, flags): (u64, u8),
    (remembered_until, expires): (u64, u64),
    (origin, value): (&[u8], &[u8]),
) -> Change {
    let columns = (sequence, flags, remembered_until, expires, origin, value);
    Change::Record {
        key: key.to_vec(),
        row: Some(store::decode_record(columns)),
    }
}

/// A provider's row of the store's file; its columns are those of the file.
#[must_use]
pub fn provider_row(key: &[u8], peer: &[u8], expires: u64, addresses: &[&[u8]]) -> Option<Change> {
    Some(Change::Provider {
        key: key.to_vec(),
        peer: store::decode_peer(peer).ok()?,
        row: Some(ProviderRow {
            expires: UnixMillis(expires),
            addresses: store::decode_addresses(addresses).ok()?,
        }),
    })
}

/// Whose store it is.
fn local() -> PeerId {
    PeerId::from_multihash(Default::default()).expect("the empty identity is one")
}
