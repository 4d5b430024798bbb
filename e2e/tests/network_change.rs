//! The network changes under peers, a program is killed and comes back, a machine has no IPv6. On
//! machines of the tests' own, which root can make on Linux; elsewhere these tests are left out.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use moim_e2e::{Event, PATIENCE, Place, Process, TerminalBuilder, bootstrap_binary, topic};
use serde_json::Value;
use tempfile::TempDir;

/// Time in which messages have to arrive again after the change: a ping of 2 s, another connection, and
/// ample room for a busy machine. A dead TCP connection is noticed by libp2p's pings after 58 s.
const AGAIN_WITHIN: Duration = Duration::from_secs(20);

/// The address of the node, which is in the middle. Of the public internet, because others' private ones
/// are not dialled by everybody; nothing of this leaves the test.
const NODE: &str = "11.0.0.1";

/// A bootstrap node, on a machine that forwards between those that are linked to it.
struct Middle {
    place: Place,
    addresses: Vec<String>,
    _process: Process,
    _data: TempDir,
}

impl Middle {
    /// `None` where there are no namespaces.
    fn new() -> Option<Self> {
        let place = Place::new()?;
        place.run(&format!(
            "ip address add {NODE}/32 dev lo; echo 1 > /proc/sys/net/ipv4/ip_forward"
        ));
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = place.enter(bootstrap_binary());
        command.arg("--data-dir").arg(data.path());
        command.args(["--log-format", "json", "--webrtc-direct", "off"]);
        for flag in ["--tcp", "--quic", "--ws", "--http", "--stun"] {
            command.args([flag, &format!("{NODE}:0")]);
        }
        let process = Process::start("moim-bootstrap", &mut command);
        let ready = process.pick_line(0, Instant::now() + PATIENCE, |_, line| {
            let line: Value = serde_json::from_str(&line.text).ok()?;
            (line["type"] == "ready").then_some(line)
        });
        let ready = ready.expect("the node says that it is ready");
        let addresses = ready["addresses"].as_array().expect("addresses");
        let addresses = addresses.iter().filter_map(Value::as_str);
        Some(Self {
            place,
            addresses: addresses.map(str::to_owned).collect(),
            _process: process,
            _data: data,
        })
    }

    fn address(&self, transport: &str) -> &str {
        let found = self.addresses.iter().find(|address| {
            address.contains(transport) && (transport == "/ws" || !address.contains("/ws"))
        });
        found.unwrap_or_else(|| panic!("no {transport}: {:?}", self.addresses))
    }

    /// Another machine with a cable to here, of network number `net`.
    fn machine(&self, cable: &str, net: u8) -> Place {
        let place = Place::new().expect("another one");
        self.cable(&place, cable, net);
        plug_in(&place, cable, net);
        place
    }

    /// One more cable, which is not plugged in at the other end.
    fn cable(&self, place: &Place, cable: &str, net: u8) {
        self.place.link(&format!("to{net}"), place, cable);
        self.place.run(&format!(
            "ip address add 11.{net}.0.1/24 dev to{net}; ip link set to{net} up"
        ));
    }
}

fn plug_in(place: &Place, cable: &str, net: u8) {
    place.run(&format!(
        "ip address add 11.{net}.0.2/24 dev {cable}; ip link set {cable} up; \
         ip route replace default via 11.{net}.0.1"
    ));
}

/// How peers are connected, in one way only.
struct Way {
    transport: &'static str,
    listen: &'static str,
}

const TCP: Way = Way {
    transport: "/tcp/",
    listen: "/ip4/0.0.0.0/tcp/0",
};

const QUIC: Way = Way {
    transport: "/quic-v1",
    listen: "/ip4/0.0.0.0/udp/0/quic-v1",
};

impl Way {
    fn peer(&self, middle: &Middle, place: &Place, topic: &str, name: &str) -> TerminalBuilder {
        TerminalBuilder::new(topic, name)
            .inside(place)
            .bootstrap(middle.address(self.transport))
            .arg("--listen")
            .arg(self.listen)
    }
}

/// Both write to each other and say something in the room while `change` is a moment old; everything
/// arrives within [`AGAIN_WITHIN`].
fn messages_arrive_after(way: &Way, change: impl FnOnce(&Middle, &Place)) {
    const EACH: usize = 4;
    let Some(middle) = Middle::new() else { return };
    let (there, here) = (middle.machine("cable", 1), middle.machine("wifi", 2));
    let topic = topic("change");
    let mut a = way.peer(&middle, &there, &topic, "a").start();
    let mut b = way.peer(&middle, &here, &topic, "b").start();
    let ids = [a.peer_id().to_owned(), b.peer_id().to_owned()];
    a.is_connected_to(&ids[1]);
    b.is_connected_to(&ids[0]);

    change(&middle, &here);
    let changed = Instant::now();
    for number in 0..EACH {
        a.send(&ids[1], &format!("to b {number}"));
        b.send(&ids[0], &format!("to a {number}"));
    }
    a.say("everybody");
    b.say("all of you");
    for peer in [&a, &b] {
        let mut mark = 0;
        for _ in 0..EACH {
            let is_receipt = |event: &Event| event.kind() == "receipt";
            let receipt = peer.wait_since(mark, "a receipt", PATIENCE, is_receipt);
            mark = receipt.next;
            assert_eq!(receipt.text("state"), "delivered", "{receipt:?}");
            let took = receipt.at.saturating_duration_since(changed);
            assert!(took < AGAIN_WITHIN, "{took:?}: {receipt:?}");
        }
    }
    for (peer, from, text) in [(&a, &ids[1], "all of you"), (&b, &ids[0], "everybody")] {
        let heard = peer.hears(from, text);
        let took = heard.at.saturating_duration_since(changed);
        assert!(took < AGAIN_WITHIN, "{took:?}: {heard:?}");
    }
}

fn from_wifi_to_cable(middle: &Middle, here: &Place) {
    middle.cable(here, "cable", 3);
    here.run("ip link set wifi down; ip address flush dev wifi");
    plug_in(here, "cable", 3);
}

#[test]
fn from_wifi_to_cable_no_message_is_lost_by_tcp() {
    messages_arrive_after(&TCP, from_wifi_to_cable);
}

#[test]
fn from_wifi_to_cable_no_message_is_lost_by_quic() {
    messages_arrive_after(&QUIC, from_wifi_to_cable);
}

/// As with DHCP: the address is gone before the link is.
#[test]
fn another_address_on_the_same_link_loses_no_message() {
    messages_arrive_after(&TCP, |middle, here| {
        middle.place.run("ip address add 11.4.0.1/24 dev to2");
        here.run("ip address flush dev wifi");
        plug_in(here, "wifi", 4);
    });
}

/// A peer that was killed is there again before its connections have timed out.
#[test]
fn who_was_killed_and_is_back_over_quic_is_heard_soon() {
    /// Without a greeting on the new connection it takes the 10 s of the old one's time-out.
    const HEARD_WITHIN: Duration = Duration::from_secs(6);
    let Some(middle) = Middle::new() else { return };
    let (there, here) = (middle.machine("cable", 1), middle.machine("cable", 2));
    let topic = topic("killed");
    let mut a = QUIC.peer(&middle, &there, &topic, "a").start();
    let b = QUIC.peer(&middle, &here, &topic, "b").start();
    let ids = [a.peer_id().to_owned(), b.peer_id().to_owned()];
    a.is_connected_to(&ids[1]);
    let data = b.kill();

    let mut b = QUIC.peer(&middle, &here, &topic, "b").data(data).start();
    b.is_connected_to(&ids[0]);
    let met = Instant::now();
    b.say("back");
    a.say("welcome");
    for (peer, from, text) in [(&a, &ids[1], "back"), (&b, &ids[0], "welcome")] {
        let heard = peer.hears(from, text);
        let took = heard.at.saturating_duration_since(met);
        assert!(took < HEARD_WITHIN, "{took:?}: {heard:?}");
    }
}

#[test]
fn a_machine_without_ipv6_does_without_and_one_with_it_listens_there() {
    let has_ipv6 = |addresses: &Value| addresses.to_string().contains("/ip6/");
    for (disable, expected) in [(true, false), (false, true)] {
        let Some(place) = Place::new() else { return };
        if disable {
            place.run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
        }
        let peer = TerminalBuilder::new(&topic("ipv6"), "alone")
            .inside(&place)
            .bootstrap("/ip4/127.0.0.1/tcp/1")
            .start();
        let ready = peer.wait("ready", PATIENCE, |event| event.kind() == "ready");
        let told = has_ipv6(&ready.value["addresses"])
            || peer
                .events_of("addresses")
                .iter()
                .any(|event| has_ipv6(&event.value["addresses"]));
        assert_eq!(told, expected, "{ready:?}");
    }
}

/// By IPv6 alone, with what a peer does when it is told nothing.
#[test]
fn peers_meet_by_ipv6_where_there_is_nothing_else() {
    let Some(place) = Place::new() else { return };
    place.run("ip address del 127.0.0.1/8 dev lo; ip -6 address add 2600::1/128 dev lo nodad");
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = place.enter(bootstrap_binary());
    command.arg("--data-dir").arg(data.path());
    command.args([
        "--log-format",
        "json",
        "--webrtc-direct",
        "off",
        "--ws",
        "off",
    ]);
    for flag in ["--tcp", "--quic", "--http", "--stun"] {
        command.args([flag, "[2600::1]:0"]);
    }
    let process = Process::start("moim-bootstrap", &mut command);
    let ready = process.pick_line(0, Instant::now() + PATIENCE, |_, line| {
        let line: Value = serde_json::from_str(&line.text).ok()?;
        (line["type"] == "ready").then(|| line["addresses"][0].as_str().map(str::to_owned))?
    });
    let address = ready.expect("the node says where it is");
    let topic = topic("ipv6-only");
    let join = |name| {
        TerminalBuilder::new(&topic, name)
            .inside(&place)
            .bootstrap(&address)
            .start()
    };
    let (a, b) = (join("a"), join("b"));
    a.is_connected_to(b.peer_id());
    b.is_connected_to(a.peer_id());
}
