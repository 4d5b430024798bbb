//! The connection over a `WebSocket` that the test plays the other side of.
#![cfg(target_arch = "wasm32")]

use std::{io, task::Poll};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, poll};
use libp2p_core::{
    Endpoint, Multiaddr, Transport as _,
    transport::{DialOpts, PortUse, TransportError},
};
use moim_websocket::{
    Connection, Dial, Error, OUTGOING_MAX, Transport, UNKNOWN_UNREAD_MAX, UNREAD_MAX,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_test::{wasm_bindgen_test as test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const ADDRESS: &str = "/ip4/192.0.2.1/tcp/8469/ws";

#[wasm_bindgen(inline_js = "
const Real = globalThis.WebSocket;

class Fake extends EventTarget {
  static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3;
  readyState = 0; bufferedAmount = 0; sent = 0; listening = 0;
  constructor(url) { super(); this.url = url; Fake.last = this; }
  addEventListener(...all) { this.listening += 1; super.addEventListener(...all); }
  removeEventListener(...all) { this.listening -= 1; super.removeEventListener(...all); }
  send(data) {
    if (this.readyState === 0) throw new Error('not open');
    this.sent += data.byteLength;
    this.bufferedAmount += data.byteLength;
  }
  close() { if (this.readyState < 2) this.readyState = 2; }
  open() { this.readyState = 1; this.dispatchEvent(new Event('open')); }
  drain(bytes) { this.bufferedAmount -= bytes; }
  deliver(data) { this.dispatchEvent(new MessageEvent('message', { data })); }
  bytes(count) { this.deliver(new Uint8Array(count).fill(7).buffer); }
  finish(wasClean, code) {
    this.readyState = 3;
    this.dispatchEvent(new CloseEvent('close', { wasClean, code }));
  }
}

export function pretend() { globalThis.WebSocket = Fake; }
export function last() { globalThis.WebSocket = Real; return Fake.last; }
export function refuse() {
  globalThis.WebSocket = function () { globalThis.WebSocket = Real; throw new Error('not here'); };
}
")]
extern "C" {
    type Fake;
    fn pretend();
    fn last() -> Fake;
    fn refuse();
    #[wasm_bindgen(method)]
    fn open(this: &Fake);
    #[wasm_bindgen(method)]
    fn drain(this: &Fake, bytes: usize);
    #[wasm_bindgen(method)]
    fn deliver(this: &Fake, data: JsValue);
    #[wasm_bindgen(method)]
    fn bytes(this: &Fake, count: usize);
    #[wasm_bindgen(method)]
    fn finish(this: &Fake, clean: bool, code: u16);
    #[wasm_bindgen(method, getter)]
    fn sent(this: &Fake) -> usize;
    #[wasm_bindgen(method, getter)]
    fn listening(this: &Fake) -> usize;
    #[wasm_bindgen(method, getter, js_name = readyState)]
    fn ready_state(this: &Fake) -> u16;
}

fn dial(address: &str, role: Endpoint) -> Result<Dial, TransportError<Error>> {
    let options = DialOpts {
        role,
        port_use: PortUse::Reuse,
    };
    let address: Multiaddr = address.parse().expect("valid");
    Transport::default().dial(address, options)
}

/// A dial on its way, and the other side.
async fn dialling() -> (Dial, Fake) {
    let mut dial = dial(ADDRESS, Endpoint::Dialer).expect("supported");
    pretend();
    assert!(poll!(&mut dial).is_pending());
    (dial, last())
}

async fn connected() -> (Connection, Fake) {
    let (dial, fake) = dialling().await;
    fake.open();
    (dial.await.expect("open"), fake)
}

#[test]
async fn a_dial_ends_when_the_socket_is_open() {
    let (mut dial, fake) = dialling().await;
    assert!(poll!(&mut dial).is_pending());
    fake.open();
    assert!(dial.await.is_ok());
}

#[test]
async fn a_dial_fails_as_the_browser_does() {
    let (dial, fake) = dialling().await;
    fake.finish(false, 1006);
    assert!(matches!(dial.await, Err(Error::Failed { .. })));

    let dialled = dial_refused().await;
    assert_eq!(
        dialled.to_string(),
        "the browser refuses to open ws://192.0.2.1:8469/: not here"
    );
}

async fn dial_refused() -> Error {
    let dial = dial(ADDRESS, Endpoint::Dialer).expect("supported");
    refuse();
    dial.await.expect_err("refused")
}

#[test]
async fn the_browsers_own_socket_fails_where_nobody_listens() {
    // A port that browsers do not even try.
    let dial = dial("/ip4/127.0.0.1/tcp/1/ws", Endpoint::Dialer).expect("supported");
    assert!(matches!(dial.await, Err(Error::Failed { .. })));
}

#[test]
fn other_addresses_and_roles_are_left_to_others() {
    for (address, role) in [
        ("/ip4/192.0.2.1/tcp/8469", Endpoint::Dialer),
        (ADDRESS, Endpoint::Listener),
    ] {
        assert!(matches!(
            dial(address, role),
            Err(TransportError::MultiaddrNotSupported(_))
        ));
    }
}

#[test]
async fn messages_are_read_as_a_stream() {
    let (mut connection, fake) = connected().await;
    let mut target = [0; 8];
    assert!(poll!(connection.read(&mut target)).is_pending());
    fake.bytes(5);
    fake.bytes(5);
    assert_eq!(connection.read(&mut target).await.expect("bytes"), 8);
    assert_eq!(connection.read(&mut target).await.expect("bytes"), 2);
    assert!(poll!(connection.read(&mut target)).is_pending());
}

#[test]
async fn a_flush_does_not_wait_for_what_is_on_its_way() {
    let (mut connection, fake) = connected().await;
    connection.write_all(&[1; 1000]).await.expect("written");
    assert!(matches!(poll!(connection.flush()), Poll::Ready(Ok(()))));
    assert_eq!(fake.sent(), 1000);
}

#[test]
async fn a_writer_waits_until_there_is_room() {
    let (mut connection, fake) = connected().await;
    let all = vec![1; OUTGOING_MAX + 10];
    assert_eq!(connection.write(&all).await.expect("written"), OUTGOING_MAX);
    {
        let mut waiting = connection.write(&all);
        assert!(poll!(&mut waiting).is_pending());
        fake.drain(100);
        // By the timer.
        assert_eq!(waiting.await.expect("written"), 100);
    }
    let mut waiting = connection.write(&all);
    assert!(poll!(&mut waiting).is_pending());
    fake.drain(50);
    // By what arrives.
    fake.bytes(1);
    assert!(matches!(poll!(&mut waiting), Poll::Ready(Ok(50))));
    assert_eq!(fake.sent(), OUTGOING_MAX + 150);
}

#[test]
async fn what_came_before_the_end_is_read() {
    for (clean, end) in [(true, Ok(0)), (false, Err(io::ErrorKind::ConnectionReset))] {
        let (mut connection, fake) = connected().await;
        fake.bytes(3);
        fake.finish(clean, 1006);
        let mut target = [0; 8];
        assert_eq!(connection.read(&mut target).await.expect("bytes"), 3);
        for _ in 0..2 {
            let read = connection.read(&mut target).await;
            assert_eq!(read.map_err(|error| error.kind()), end);
        }
        let written = connection.write(&[1]).await.expect_err("ended");
        assert_eq!(written.kind(), io::ErrorKind::BrokenPipe);
        assert!(connection.flush().await.is_err());
        assert!(connection.close().await.is_ok());
    }
}

#[test]
async fn text_ends_the_connection() {
    let (mut connection, fake) = connected().await;
    fake.deliver("hello".into());
    let read = connection.read(&mut [0; 8]).await.expect_err("text");
    assert_eq!(read.kind(), io::ErrorKind::InvalidData);
    assert_eq!(fake.ready_state(), 2);
}

#[test]
async fn of_an_unknown_end_64_kib_may_wait() {
    let (mut connection, fake) = connected().await;
    fake.bytes(UNKNOWN_UNREAD_MAX);
    assert_eq!(fake.ready_state(), 1);
    fake.bytes(1);
    assert_eq!(fake.ready_state(), 2, "closed");
    let mut target = vec![0; UNKNOWN_UNREAD_MAX];
    connection.read_exact(&mut target).await.expect("all of it");
    assert!(connection.read(&mut target).await.is_err());
}

#[test]
async fn a_megabyte_of_a_known_end_may_wait_and_no_more_than_the_bound() {
    let (mut connection, fake) = connected().await;
    connection.unknown().is_known();
    for _ in 0..UNREAD_MAX / (1024 * 1024) {
        fake.bytes(1024 * 1024);
    }
    assert_eq!(fake.ready_state(), 1);
    fake.bytes(1);
    assert_eq!(fake.ready_state(), 2, "closed");
    let mut target = vec![0; UNREAD_MAX];
    connection.read_exact(&mut target).await.expect("all of it");
    assert!(connection.read(&mut target).await.is_err());
}

#[test]
async fn closing_waits_for_the_other_side() {
    let (mut connection, fake) = connected().await;
    let mut closing = connection.close();
    assert!(poll!(&mut closing).is_pending());
    assert_eq!(fake.ready_state(), 2);
    fake.finish(true, 1000);
    assert!(closing.now_or_never().expect("closed").is_ok());
}

#[test]
async fn nothing_listens_to_a_socket_that_was_dropped() {
    let (connection, fake) = connected().await;
    assert_eq!(fake.listening(), 3);
    drop(connection);
    assert_eq!((fake.listening(), fake.ready_state()), (0, 2));
    // The browser goes on to tell about it.
    fake.bytes(1);
    fake.finish(true, 1000);

    let (dial, fake) = dialling().await;
    drop(dial);
    assert_eq!((fake.listening(), fake.ready_state()), (0, 2));
}
