//! What is said in a room and directly, between processes.

use std::time::Duration;

use moim_e2e::{
    BootstrapNode, Event, PATIENCE, Signal, Terminal, TerminalBuilder, Transport, see_each_other,
    topic,
};

/// Time after which a direct message without a receipt has failed for good, with room for a busy
/// machine (`limits` in docs/protocol.md: 60 s).
const FAILED_WITHIN: Duration = Duration::from_secs(75);

/// Three peers, each entering by another transport.
fn three(node: &BootstrapNode, about: &str) -> [Terminal; 3] {
    let topic = topic(about);
    [
        ("tcp", Transport::Tcp),
        ("quic", Transport::Quic),
        ("websocket", Transport::WebSocket),
    ]
    .map(|(name, transport)| Terminal::join(&topic, name, node.address(transport)))
}

fn is_receipt<'a>(to: &'a str, state: &'a str) -> impl Fn(&Event) -> bool + use<'a> {
    move |event| event.kind() == "receipt" && event.text("to") == to && event.text("state") == state
}

#[test]
fn peers_on_three_transports_see_each_other_in_time() {
    let node = BootstrapNode::start();
    let [a, b, c] = three(&node, "see");
    see_each_other(&[&a, &b, &c]);
    for peer in [&a, &b, &c] {
        for event in peer.events_of("member_joined") {
            assert!(!event.text("name").is_empty(), "{event:?}");
            assert!(
                ["connecting", "direct", "relayed", "unconnected"].contains(&event.text("path")),
                "{event:?}"
            );
        }
        let members: Vec<_> = peer.events_of("member_joined");
        assert_eq!(
            members.len(),
            2,
            "each member joins once, and nobody else: {members:?}"
        );
    }
}

#[test]
fn each_room_message_reaches_everybody_once_and_in_order() {
    const EACH: usize = 25;
    let node = BootstrapNode::start();
    let mut peers = three(&node, "room");
    see_each_other(&peers.each_ref());

    // All at once and as fast as they can.
    for number in 0..EACH {
        for peer in &mut peers {
            let text = format!("{} {number}", peer.name());
            peer.say(&text);
        }
    }
    // A second round after the first has arrived everywhere shows what a late copy would add.
    for round in ["end", "fence"] {
        for peer in &mut peers {
            let text = format!("{} {round}", peer.name());
            peer.say(&text);
        }
        for peer in &peers {
            for other in peers
                .iter()
                .filter(|other| other.peer_id() != peer.peer_id())
            {
                peer.hears(other.peer_id(), &format!("{} {round}", other.name()));
            }
        }
    }

    for peer in &peers {
        for other in peers
            .iter()
            .filter(|other| other.peer_id() != peer.peer_id())
        {
            let numbers = (0..EACH).map(|number| number.to_string());
            let said: Vec<_> = numbers
                .chain(["end".to_owned(), "fence".to_owned()])
                .map(|what| format!("{} {what}", other.name()))
                .collect();
            assert_eq!(
                peer.heard_from(other.peer_id()),
                said,
                "{} hears {}",
                peer.name(),
                other.name()
            );
        }
        let mut ids: Vec<_> = peer
            .events_of("room_message")
            .iter()
            .map(|event| event.text("id").to_owned())
            .collect();
        let heard = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), heard, "every message has an id of its own");
    }
}

#[test]
fn whoever_joins_in_the_middle_hears_what_is_said_from_then_on() {
    let node = BootstrapNode::start();
    let topic = topic("middle");
    let mut early = Terminal::join(&topic, "early", node.address(Transport::Tcp));
    let witness = Terminal::join(&topic, "witness", node.address(Transport::Quic));
    see_each_other(&[&early, &witness]);
    for number in 0..5 {
        early.say(&format!("before {number}"));
    }
    witness.hears(early.peer_id(), "before 4");

    let late = Terminal::join(&topic, "late", node.address(Transport::WebSocket));
    late.sees_by(early.peer_id(), late.started() + PATIENCE);
    early.sees_by(late.peer_id(), late.started() + PATIENCE);
    for number in 0..5 {
        early.say(&format!("after {number}"));
    }
    late.hears(early.peer_id(), "after 4");
    let after: Vec<_> = (0..5).map(|number| format!("after {number}")).collect();
    assert_eq!(late.heard_from(early.peer_id()), after);
}

#[test]
fn direct_messages_arrive_once_and_only_at_their_receiver() {
    let node = BootstrapNode::start();
    let mut peers = three(&node, "direct");
    see_each_other(&peers.each_ref());

    for from in 0..peers.len() {
        for to in (0..peers.len()).filter(|&to| to != from) {
            let receiver = peers[to].peer_id().to_owned();
            let text = format!("{from} to {to}: 안녕 👋");
            peers[from].send(&receiver, &text);
            let receipt = peers[from].wait(&text, PATIENCE, is_receipt(&receiver, "delivered"));
            // The receipt is true: by now the receiver has it, and it is the same message.
            let sender = peers[from].peer_id().to_owned();
            let message = peers[to].wait(&text, PATIENCE, |event| {
                event.kind() == "direct_message" && event.text("text") == text
            });
            assert_eq!(message.text("from"), sender);
            assert_eq!(
                message.text("id"),
                receipt.text("id"),
                "the receipt is of this message"
            );
            assert_eq!(
                message.text("path"),
                "direct",
                "peers on one machine reach each other directly"
            );
        }
    }
    for peer in &peers {
        assert_eq!(peer.events_of("direct_message").len(), 2, "{}", peer.name());
        assert_eq!(peer.events_of("receipt").len(), 2, "{}", peer.name());
        assert!(
            peer.events_of("room_message").is_empty(),
            "direct is not for the room"
        );
    }
}

#[test]
fn a_receipt_is_not_given_for_a_receiver_that_hangs() {
    let node = BootstrapNode::start();
    let topic = topic("hang");
    let mut a = Terminal::join(&topic, "sender", node.address(Transport::Tcp));
    let mut b = Terminal::join(&topic, "receiver", node.address(Transport::Tcp));
    see_each_other(&[&a, &b]);
    let receiver = b.peer_id().to_owned();

    b.process().signal(Signal::Stop);
    a.send(&receiver, "are you there?");
    // Nothing to wait for: the absence of a receipt needs a while to be worth something.
    let early = a.wait_until(
        0,
        std::time::Instant::now() + Duration::from_secs(3),
        |event| event.kind() == "receipt",
    );
    assert!(
        early.is_none(),
        "a hung receiver has accepted nothing: {early:?}"
    );

    b.process().signal(Signal::Continue);
    a.wait("the receipt", PATIENCE, is_receipt(&receiver, "delivered"));
    // However often it was tried: the receiver shows it once.
    a.send(&receiver, "after");
    b.wait("the second message", PATIENCE, |event| {
        event.text("text") == "after"
    });
    let texts: Vec<_> = b
        .events_of("direct_message")
        .iter()
        .map(|event| event.text("text").to_owned())
        .collect();
    assert_eq!(texts, ["are you there?", "after"]);
}

#[test]
fn a_direct_message_to_a_peer_that_is_gone_fails() {
    let node = BootstrapNode::start();
    let topic = topic("gone");
    let mut a = Terminal::join(&topic, "sender", node.address(Transport::Tcp));
    let b = Terminal::join(&topic, "receiver", node.address(Transport::Tcp));
    let c = Terminal::join(&topic, "witness", node.address(Transport::Tcp));
    see_each_other(&[&a, &b, &c]);
    let gone = b.peer_id().to_owned();
    b.kill();

    let mark = a.mark();
    a.send(&gone, "too late");
    let failed = a.wait_since(mark, "the failure", FAILED_WITHIN, |event| {
        event.kind() == "receipt" && event.text("to") == gone
    });
    assert_eq!(failed.text("state"), "failed", "{failed:?}");
    // The others are not held up by it.
    a.send(c.peer_id(), "still here");
    a.wait_since(
        mark,
        "a receipt of another",
        PATIENCE,
        is_receipt(c.peer_id(), "delivered"),
    );
}

#[test]
fn what_cannot_be_said_is_refused_with_a_reason() {
    let node = BootstrapNode::start();
    let mut a = TerminalBuilder::new(&topic("refused"), "a")
        .bootstrap(&node.url())
        .start();
    let own = a.peer_id().to_owned();
    let cases = [
        (
            "an empty message",
            serde_json::json!({"cmd": "say", "text": ""}),
        ),
        (
            "a message of 17 KiB",
            serde_json::json!({"cmd": "say", "text": "x".repeat(17 * 1024)}),
        ),
        (
            "a message to oneself",
            serde_json::json!({"cmd": "send", "to": own, "text": "me"}),
        ),
        (
            "a message to no peer id",
            serde_json::json!({"cmd": "send", "to": "nobody", "text": "x"}),
        ),
    ];
    for (what, command) in cases {
        let mark = a.mark();
        a.command(&command);
        let refusal = a.wait_since(mark, what, PATIENCE, |event| {
            event.kind() == "error" || event.text("state") == "failed"
        });
        let said = refusal.value.to_string();
        assert!(said.len() > 40, "{what} is refused with a reason: {said}");
    }
    assert!(a.process().is_running());
}

#[test]
fn programs_that_cannot_be_dialled_are_connected_directly_after_a_while() {
    let node = BootstrapNode::start();
    let topic = topic("undialled");
    let start = |name: &str| {
        TerminalBuilder::new(&topic, name)
            .bootstrap(node.address(Transport::Tcp))
            .arg("--listen")
            .arg("none")
            .start()
    };
    let (mut ada, bob) = (start("Ada"), start("Bob"));
    see_each_other(&[&ada, &bob]);
    ada.say("through the relay");
    bob.hears(ada.peer_id(), "through the relay");
    // Hole punching, which needs sockets that listen, has its time first.
    for (peer, other) in [(&ada, &bob), (&bob, &ada)] {
        peer.wait("the other is reached directly", PATIENCE, |event| {
            event.kind() == "member_updated"
                && event.text("peer") == other.peer_id()
                && event.text("path") == "direct"
        });
    }
    ada.say("without it");
    bob.hears(ada.peer_id(), "without it");
}
