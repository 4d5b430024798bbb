//! What only a page can show.

use std::{collections::HashMap, time::Duration};

use futures::{
    FutureExt as _,
    future::{join, join_all},
};
use moim_peer::{
    BootstrapSource, DirectTransport, MessageId, Path, Peer, PeerEvent, PeerId, Reach, Receipt,
};
use n0_future::time::{Instant, sleep, timeout};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::common::{PATIENCE, TestPeer, peer, server, test, webrtc_direct};

// Counts what the page holds of the browser's: connections that are not closed, and listeners on them
// and on what belongs to them.
#[wasm_bindgen(inline_js = "
const held = { connections: 0, listeners: 0 };
const Real = globalThis.RTCPeerConnection;
globalThis.RTCPeerConnection = class extends Real {
  #open = true;
  constructor(...all) { super(...all); held.connections += 1; }
  close() {
    held.connections -= this.#open ? 1 : 0;
    this.#open = false;
    super.close();
  }
};
for (const { prototype } of [Real, RTCDataChannel, RTCSctpTransport, RTCDtlsTransport]) {
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  prototype.addEventListener = function (...all) {
    held.listeners += 1;
    return addEventListener.apply(this, all);
  };
  prototype.removeEventListener = function (...all) {
    held.listeners -= 1;
    return removeEventListener.apply(this, all);
  };
}
const turn = (name) => dispatchEvent(new PageTransitionEvent(name, { persisted: true }));
export function put_away() { turn('pagehide'); }
export function bring_back() { turn('pageshow'); }
export function connections() { return held.connections; }
export function listeners() { return held.listeners; }
")]
extern "C" {
    fn put_away();
    fn bring_back();
    fn connections() -> u32;
    fn listeners() -> u32;
}

#[test]
async fn pages_become_directly_connected() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let bob = peer(&source).await;
    let ada_room = ada.join("close", "Ada").await;
    let bob_room = bob.join("close", "Bob").await;
    for (peer, room) in [(&ada, &ada_room), (&bob, &bob_room)] {
        peer.members(room, "reached directly", |members| {
            members.iter().any(|member| {
                matches!(
                    member.reach,
                    Reach::Connected(Path::Direct(DirectTransport::WebRtc))
                )
            })
        })
        .await;
    }
    // For a second there are both connections, and a message may go either way.
    let bob_id = bob.peer.id();
    let mut snapshot = ada.peer.snapshot();
    let is_over = snapshot.wait_for(|snapshot| {
        let to_bob = snapshot.connections.iter().filter(|c| c.peer == bob_id);
        to_bob
            .map(|c| c.path)
            .eq([Path::Direct(DirectTransport::WebRtc)])
    });
    timeout(PATIENCE, is_over)
        .await
        .expect("the relayed connection is closed in time")
        .expect("the peer runs");
    let receipt = ada.peer.send(bob_id, "hello").await.expect("delivered");
    assert_eq!(receipt.path, Some(Path::Direct(DirectTransport::WebRtc)));
}

/// As the back/forward cache does with a page.
#[test]
async fn a_page_that_comes_back_is_in_its_rooms_again() {
    let (_server, source) = server().await;
    let (ada, bob) = (peer(&source).await, peer(&source).await);
    let ada_room = ada.join("put away", "Ada").await;
    let bob_room = bob.join("put away", "Bob").await;
    let pairs = [(&ada, &ada_room), (&bob, &bob_room)];
    let mut events = bob_room.events();
    for text in ["before", "after"] {
        for (peer, room) in pairs {
            peer.members(room, "the other is connected", |members| {
                let mut members = members.iter();
                members.any(|member| matches!(member.reach, Reach::Connected(_)))
            })
            .await;
        }
        ada_room.say(text).await.expect("said");
        let is_it = |event: &PeerEvent| matches!(event, PeerEvent::RoomMessage(message) if message.text.as_str() == text);
        let hearing = async {
            while let Some(event) = events.next().await {
                if is_it(&event) {
                    return;
                }
            }
            panic!("the room is left");
        };
        timeout(PATIENCE, hearing).await.expect("heard in time");
        if text == "before" {
            put_away();
            for (peer, room) in pairs {
                peer.members(room, "nobody is there", Vec::is_empty).await;
            }
            bring_back();
        }
    }
    let history = bob_room.history().await;
    let texts: Vec<&str> = history
        .iter()
        .map(|message| message.text.as_str())
        .collect();
    assert_eq!(texts, ["before", "after"]);
}

/// Connections that become direct under load.
const UPGRADES: usize = 100;

/// So many at once.
const AT_ONCE: usize = 5;

/// Messages that each side sends after the first that went directly.
const AFTER: usize = 20;

/// What is sent both ways while a relayed connection becomes a direct one arrives, once; and nothing
/// is left of the connections when they are over.
#[test]
async fn under_load_every_message_arrives_once_while_connections_become_direct() {
    let (_server, source) = server().await;
    let mut receipts = Vec::new();
    for round in 0..UPGRADES / AT_ONCE {
        let pairs = (0..AT_ONCE)
            .map(|number| talk_while_it_becomes_direct(&source, format!("load {round}.{number}")));
        receipts.extend(join_all(pairs).await.concat());
    }
    let direct = receipts
        .iter()
        .filter(|receipt| receipt.path == Some(Path::Direct(DirectTransport::WebRtc)))
        .count();
    let relayed = receipts.len() - direct;
    assert!(relayed >= UPGRADES, "{relayed} messages went by the relay");
    assert!(direct >= 2 * UPGRADES * AFTER, "{direct} went directly");

    nothing_is_left().await;
}

async fn nothing_is_left() {
    let gone = async {
        while connections() > 0 || listeners() > 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let gone = timeout(PATIENCE, gone).await;
    assert!(
        gone.is_ok(),
        "{} connections and {} listeners are left",
        connections(),
        listeners()
    );
}

/// Two peers that talk from when they know each other until well after they are connected directly.
async fn talk_while_it_becomes_direct(source: &BootstrapSource, topic: String) -> Vec<Receipt> {
    let (mut ada, mut bob) = join(peer(source), peer(source)).await;
    let (ada_room, bob_room) = join(ada.join(&topic, "Ada"), bob.join(&topic, "Bob")).await;
    join(
        ada.members(&ada_room, "Bob is there", |members| !members.is_empty()),
        bob.members(&bob_room, "Ada is there", |members| !members.is_empty()),
    )
    .await;
    let (from_ada, from_bob) = join(
        send_until_direct(&ada.peer, bob.peer.id()),
        send_until_direct(&bob.peer, ada.peer.id()),
    )
    .await;
    arrived_once(&mut bob, &from_ada);
    arrived_once(&mut ada, &from_bob);
    [from_ada, from_bob].concat()
}

async fn send_until_direct(peer: &Peer, to: PeerId) -> Vec<Receipt> {
    let mut receipts: Vec<Receipt> = Vec::new();
    let mut direct = 0;
    let sending = async {
        while direct <= AFTER {
            let text = format!("message {}", receipts.len());
            let receipt = peer.send(to, text).await.expect("delivered");
            let is_direct = receipt.path == Some(Path::Direct(DirectTransport::WebRtc));
            direct += usize::from(is_direct);
            receipts.push(receipt);
        }
    };
    let sent = timeout(PATIENCE, sending).await;
    assert!(
        sent.is_ok(),
        "{} were sent, {direct} of them directly",
        receipts.len()
    );
    receipts
}

/// Of what has happened to a peer so far.
fn arrived_once(peer: &mut TestPeer, receipts: &[Receipt]) {
    let mut arrived: HashMap<MessageId, usize> = HashMap::new();
    let mut events = std::mem::take(&mut peer.seen);
    while let Some(Some(event)) = peer.events.next().now_or_never() {
        events.push(event);
    }
    for event in events {
        if let PeerEvent::DirectMessage(message) = event {
            *arrived.entry(message.id).or_default() += 1;
        }
    }
    for receipt in receipts {
        assert_eq!(arrived.remove(&receipt.id), Some(1), "{receipt:?}");
    }
    assert!(arrived.is_empty(), "nobody knows of these: {arrived:?}");
}

/// Peers that come and go over WebRTC-direct.
const VISITS: usize = 10;

#[test]
async fn peers_come_and_go_over_webrtc_direct_and_leave_nothing_behind() {
    let (_server, source) = server().await;
    let direct: BootstrapSource = webrtc_direct().parse().expect("an address");
    {
        let mut host = peer(&source).await;
        let room = host.join("by webrtc-direct", "Ada").await;
        for visit in 0..VISITS {
            let guest = peer(&direct).await;
            guest.connected().await;
            let there = guest.join("by webrtc-direct", "Bob").await;
            guest
                .members(&there, "Ada is there", |members| !members.is_empty())
                .await;
            let text = format!("visit {visit}");
            let sent = guest.peer.send(host.peer.id(), text.clone()).await;
            sent.expect("delivered");
            host.expect("the message", |event| match event {
                PeerEvent::DirectMessage(message) if message.text.as_str() == text => Some(()),
                _ => None,
            })
            .await;
            let node = guest.peer.snapshot().borrow().connections.clone();
            assert!(
                node.iter().any(|connection| {
                    connection.address.to_string().contains("/webrtc-direct/")
                }),
                "{node:?}"
            );
        }
        drop(room);
    }
    nothing_is_left().await;
}

/// Longer than a failing dial may take, with what goes on around it.
const FAILED_WITHIN: Duration = Duration::from_secs(12);

#[test]
async fn what_is_wrong_with_a_webrtc_direct_address_is_said_in_time() {
    let good = webrtc_direct();
    let (before, after) = good.split_once("/certhash/").expect("a certificate's hash");
    let (hash, id) = after.split_once("/p2p/").expect("a peer id");
    let (host, port) = before
        .strip_suffix("/webrtc-direct")
        .and_then(|before| before.rsplit_once('/'))
        .expect("a port");
    assert_ne!(port, "9");
    // The last characters but one and two are of the hash's last bytes.
    let other_hash: String = match hash.strip_suffix("AAA") {
        Some(start) => format!("{start}BBA"),
        None => format!("{}AAA", &hash[..hash.len() - 3]),
    };
    let stranger = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
    for (address, words) in [
        (
            format!("{before}/certhash/{other_hash}/p2p/{id}"),
            "the other side does not have the certificate",
        ),
        (
            format!("{before}/certhash/{hash}/p2p/{stranger}"),
            "another peer",
        ),
        (
            format!("{host}/9/webrtc-direct/certhash/{hash}/p2p/{id}"),
            "no answer in time",
        ),
    ] {
        let source: BootstrapSource = address.parse().expect("an address");
        let began = Instant::now();
        let lost = peer(&source).await;
        let mut snapshot = lost.peer.snapshot();
        let failed = snapshot.wait_for(|snapshot| {
            let why = snapshot.status.why().map(ToString::to_string);
            why.is_some_and(|why| why.contains(words))
        });
        let failed = timeout(FAILED_WITHIN, failed).await;
        assert!(
            matches!(failed, Ok(Ok(_))),
            "{words:?} of {address} after {:?}: {:?}",
            began.elapsed(),
            lost.peer.snapshot().borrow().status
        );
    }
    nothing_is_left().await;
}
