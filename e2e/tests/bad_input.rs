//! Garbage to every door, while those inside go on talking.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use moim_e2e::{
    BootstrapNode, PATIENCE, Terminal, TerminalBuilder, Transport, get, see_each_other, topic,
};

/// Longest wait for an answer to a piece of garbage; most doors wait for more of it.
const ANSWER_MAX: Duration = Duration::from_millis(300);

/// A small deterministic generator (xorshift64): a failure can be repeated.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend(self.0.to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// Sends `parts` on one TCP connection; a door that closes in our face is right to do so.
fn push(door: SocketAddr, parts: &[&[u8]]) {
    let mut stream = TcpStream::connect_timeout(&door, PATIENCE).expect("the door is open");
    stream
        .set_write_timeout(Some(ANSWER_MAX))
        .expect("a time-out can be set");
    stream
        .set_read_timeout(Some(ANSWER_MAX))
        .expect("a time-out can be set");
    for part in parts {
        if stream.write_all(part).is_err() {
            return;
        }
        let mut answer = [0; 1024];
        if !matches!(stream.read(&mut answer), Ok(read) if read > 0) {
            return;
        }
    }
}

/// A multistream-select message: a varint length and a line.
fn multistream(line: &str) -> Vec<u8> {
    let length = u8::try_from(line.len() + 1).expect("a short line");
    [&[length], line.as_bytes(), b"\n"].concat()
}

/// Sends garbage of several kinds to a door.
type Abuse = fn(SocketAddr, &mut Noise);

/// The kinds of garbage for a TCP port, whoever listens there.
fn tcp_abuse(door: SocketAddr, noise: &mut Noise) {
    let hello = multistream("/multistream/1.0.0");
    let secure = multistream("/noise");
    push(door, &[&noise.bytes(64 * 1024)]);
    push(door, &[&[0; 4096]]);
    push(door, &[&[0xff; 4096]]);
    push(door, &[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]);
    push(
        door,
        &[b"GET /", &b"a".repeat(256 * 1024), b" HTTP/1.1\r\n\r\n"],
    );
    push(door, &[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]);
    // Multistream: a line that is too long, one without an end, many unknown protocols, `ls`.
    push(
        door,
        &[
            &hello,
            &[&[0xff, 0xff, 0x03][..], &b"x".repeat(65_535)].concat(),
        ],
    );
    push(door, &[&hello, b"\x40/without end"]);
    push(door, &[&hello, &multistream("/unknown/1.0.0").repeat(1000)]);
    push(door, &[&hello, &multistream("ls").repeat(1000)]);
    // Noise: the longest frame promised and not sent, an empty one, garbage in its place.
    push(door, &[&[&hello[..], &secure].concat(), &[0xff, 0xff]]);
    push(door, &[&[&hello[..], &secure].concat(), &[0, 0]]);
    push(
        door,
        &[
            &[&hello[..], &secure].concat(),
            &[&[1, 0][..], &noise.bytes(256)].concat(),
        ],
    );
}

/// A WebSocket that was asked for properly and is then fed what no client sends.
fn websocket_abuse(door: SocketAddr, noise: &mut Noise) {
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {door}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let upgrade = upgrade.as_bytes();
    // A frame of 200 MiB announced, and a part of it sent (RFC 6455 section 5.2).
    let header = [
        &[0x82, 0xff][..],
        &(200_u64 << 20).to_be_bytes(),
        &[1, 2, 3, 4],
    ]
    .concat();
    push(
        door,
        &[upgrade, &[&header[..], &noise.bytes(1 << 20)].concat()],
    );
    push(
        door,
        &[
            upgrade,
            &[&[0x82, 0xff][..], &u64::MAX.to_be_bytes()].concat(),
        ],
    );
    // Fragments without end, a text frame, an unmasked frame, reserved bits and opcodes.
    push(door, &[upgrade, &[0x02, 0x80, 0, 0, 0, 0].repeat(10_000)]);
    push(door, &[upgrade, b"\x81\x85\x00\x00\x00\x00hello"]);
    push(door, &[upgrade, b"\x82\x05hello"]);
    push(door, &[upgrade, b"\xff\x80\x00\x00\x00\x00"]);
    push(door, &[upgrade, &noise.bytes(4096)]);
    // Headers without end.
    push(
        door,
        &[
            upgrade.get(..40).unwrap_or(upgrade),
            &b"X-A: b\r\n".repeat(20_000),
        ],
    );
}

fn udp_abuse(door: SocketAddr, noise: &mut Noise) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let send = |datagram: &[u8]| {
        // A full send buffer drops the datagram, which the network may do as well.
        let _ = socket.send_to(datagram, door);
    };
    for length in [0, 1, 2, 19, 20, 21, 100, 1200, 1472, 9000, 65_000] {
        send(&noise.bytes(length));
    }
    for _ in 0..500 {
        // QUIC Initials (RFC 9000 section 17.2.2) of version 1 with garbage inside.
        send(&[&[0xc3, 0, 0, 0, 1, 8][..], &noise.bytes(1194)].concat());
        // STUN binding requests (RFC 8489 section 5): good head, lying length, unknown ufrag.
        let cookie = [0x21, 0x12, 0xa4, 0x42];
        send(&[&[0, 1, 0, 0][..], &cookie, &noise.bytes(12)].concat());
        send(&[&[0, 1, 0xff, 0xfc][..], &cookie, &noise.bytes(12)].concat());
        let ufrag = [&[0, 6, 0, 17][..], b"aaaaaaaa:bbbbbbbb", &[0; 3]].concat();
        send(&[&[0, 1, 0, 24][..], &cookie, &noise.bytes(12), &ufrag].concat());
        // DTLS client hellos (RFC 6347 section 4.2) to nobody.
        send(
            &[
                &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100][..],
                &noise.bytes(100),
            ]
            .concat(),
        );
    }
}

fn http_abuse(door: SocketAddr, noise: &mut Noise) {
    push(
        door,
        &[b"POST /bootstrap.json HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n"],
    );
    push(
        door,
        &[b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"],
    );
    push(door, &[b"GET /%00%ff HTTP/1.1\r\nHost: x\r\n\r\n"]);
    push(door, &[b"BREW / HTCPCP/1.0\r\n\r\n"]);
    push(door, &[b"GET / HTTP/1.1\r\n", &noise.bytes(64 * 1024)]);
}

/// Memory of a process in MiB, where the system tells.
fn resident_mib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

#[test]
fn garbage_to_every_port_of_the_bootstrap_node_disturbs_nobody() {
    let mut node = BootstrapNode::start();
    let topic = topic("garbage");
    let mut a = Terminal::join(&topic, "a", node.address(Transport::Tcp));
    let b = Terminal::join(&topic, "b", node.address(Transport::WebSocket));
    see_each_other(&[&a, &b]);
    let before = resident_mib(node.process().id());

    let [tcp, ws, quic, webrtc, http] = [
        node.socket(Transport::Tcp),
        node.socket(Transport::WebSocket),
        node.socket(Transport::Quic),
        node.socket(Transport::WebRtcDirect),
        node.http(),
    ];
    let mut noise = Noise(0x6d6f_696d);
    let doors: [(&str, SocketAddr, Abuse); 7] = [
        ("TCP", tcp, tcp_abuse),
        ("WebSocket before the upgrade", ws, tcp_abuse),
        ("WebSocket", ws, websocket_abuse),
        ("QUIC", quic, udp_abuse),
        ("WebRTC-direct", webrtc, udp_abuse),
        ("the HTTP port", http, tcp_abuse),
        ("HTTP", http, http_abuse),
    ];
    for (door, socket, abuse) in doors {
        abuse(socket, &mut noise);
        assert!(node.is_healthy(), "after garbage to {door}");
        let text = format!("after garbage to {door}");
        a.say(&text);
        b.hears(a.peer_id(), &text);
    }

    // Newcomers get in by every door that was abused.
    for transport in [Transport::Tcp, Transport::Quic, Transport::WebSocket] {
        let after = Terminal::join(&topic, "after", node.address(transport));
        after.sees_by(a.peer_id(), after.started() + PATIENCE);
    }
    let after = resident_mib(node.process().id());
    println!("resident before {before:?}, after {after:?} MiB");
    if let (Some(before), Some(after)) = (before, after) {
        assert!(
            after < before + 150,
            "memory grew from {before} to {after} MiB"
        );
    }
    let log = node.process().lines();
    let panic = log.iter().find(|line| line.text.contains("panicked"));
    assert!(panic.is_none(), "{panic:?}");
}

#[test]
fn garbage_to_the_ports_of_a_peer_disturbs_nobody() {
    let node = BootstrapNode::start();
    let topic = topic("peer-garbage");
    let mut a = Terminal::join(&topic, "a", node.address(Transport::Tcp));
    let mut b = Terminal::join(&topic, "b", node.address(Transport::Quic));
    see_each_other(&[&a, &b]);
    let addresses = b.wait("its addresses", PATIENCE, |event| {
        event.value["addresses"]
            .as_array()
            .is_some_and(|addresses| !addresses.is_empty())
    });
    let mut noise = Noise(0x6d6f_696d);
    // It listens on every interface; what is sent here stays on this machine.
    let doors: BTreeSet<_> = addresses.value["addresses"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(
            |address| match *address.as_str()?.split('/').collect::<Vec<_>>() {
                ["", "ip4", _, kind, port, ..] => Some((kind == "tcp", port.parse::<u16>().ok()?)),
                _ => None,
            },
        )
        .collect();
    for &(tcp, port) in &doors {
        let door = SocketAddr::from(([127, 0, 0, 1], port));
        if tcp {
            tcp_abuse(door, &mut noise);
            websocket_abuse(door, &mut noise);
        } else {
            udp_abuse(door, &mut noise);
        }
    }
    assert_eq!(doors.len(), 3, "TCP, QUIC and WebSocket: {addresses:?}");
    a.say("still there?");
    b.hears(a.peer_id(), "still there?");
    b.say("still here");
    a.hears(b.peer_id(), "still here");
    assert!(b.process().is_running());
    let lines = b.process().lines();
    let panic = lines.iter().find(|line| line.text.contains("panicked"));
    assert!(panic.is_none(), "{panic:?}");
}

#[test]
fn hundreds_of_silent_connections_leave_room_for_others() {
    let mut node = BootstrapNode::start();
    let topic = topic("silent-flood");
    let a = Terminal::join(&topic, "a", node.address(Transport::Tcp));
    let doors = [
        node.socket(Transport::Tcp),
        node.socket(Transport::WebSocket),
    ];
    let silent: Vec<_> = (0..300)
        .map(|number| TcpStream::connect(doors[number % 2]))
        .collect();
    let open = silent.iter().filter(|stream| stream.is_ok()).count();
    println!("{open} silent connections");
    // They are refused or time out; who comes meanwhile gets in at the latest then.
    let started = Instant::now();
    let b = Terminal::join(&topic, "b", node.address(Transport::Quic));
    b.sees_by(a.peer_id(), started + PATIENCE);
    let c = Terminal::join(&topic, "c", node.address(Transport::Tcp));
    c.sees_by(a.peer_id(), started + PATIENCE);
    assert!(node.is_healthy());
    drop(silent);
}

#[test]
fn garbage_on_standard_input_is_answered_and_the_session_goes_on() {
    let node = BootstrapNode::start();
    let topic = topic("stdin");
    let mut a = Terminal::join(&topic, "a", node.address(Transport::Tcp));
    let b = Terminal::join(&topic, "b", node.address(Transport::Tcp));
    see_each_other(&[&a, &b]);

    let deep = [b"[".repeat(5_000), b"\n".to_vec()].concat();
    let long = [
        b"{\"cmd\":\"say\",\"text\":\"".to_vec(),
        b"x".repeat(2 << 20),
        b"\"}\n".to_vec(),
    ]
    .concat();
    let cases: [(&str, &[u8]); 10] = [
        ("no JSON", b"hello\n"),
        ("half an object", b"{\"cmd\":\n"),
        ("no object", b"[1,2,3]\n"),
        ("no command", b"{}\n"),
        ("an unknown command", b"{\"cmd\":\"fly\"}\n"),
        ("a text that is none", b"{\"cmd\":\"say\",\"text\":7}\n"),
        ("nothing to say", b"{\"cmd\":\"say\"}\n"),
        ("no UTF-8", b"{\"cmd\":\"say\",\"text\":\"\xff\xfe\"}\n"),
        ("deep nesting", &deep),
        ("a line of 2 MiB", &long),
    ];
    for (what, bytes) in cases {
        let mark = a.mark();
        a.process().write(bytes);
        let answer = a.wait_since(mark, what, PATIENCE, |event| event.kind() == "error");
        assert!(
            answer.value.to_string().len() > 30,
            "{what}: says what is wrong: {answer:?}"
        );
    }
    // Empty lines are nobody's mistake.
    a.process().write(b"\n\r\n");
    a.say("and on");
    b.hears(a.peer_id(), "and on");
    assert_eq!(
        b.heard_from(a.peer_id()),
        ["and on"],
        "nothing of the garbage was said"
    );
}

#[test]
fn topics_and_names_out_of_bounds_are_refused() {
    let node = BootstrapNode::start();
    let (long_topic, long_name) = ("t".repeat(129), "n".repeat(65));
    for (topic, name, hint) in [
        ("", "n", "topic"),
        (long_topic.as_str(), "n", "topic"),
        ("a\u{7}b", "n", "topic"),
        ("t", long_name.as_str(), "name"),
        ("t", "a\nb", "name"),
    ] {
        let mut peer = TerminalBuilder::new(topic, name)
            .bootstrap(&node.url())
            .launch();
        let status = peer.process().wait(PATIENCE);
        assert!(
            !status.success(),
            "topic {topic:?}, name {name:?}: {status}"
        );
        let lines = peer.process().lines();
        let said: String = lines.iter().map(|line| line.text.as_str()).collect();
        assert!(
            said.to_lowercase().contains(hint) && !said.contains("panicked"),
            "{said}"
        );
    }
}

#[test]
fn the_node_answers_http_while_it_is_being_abused() {
    let node = BootstrapNode::start();
    let http = node.http();
    // Requests that never end hold their connection and nothing else.
    let held: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(http).expect("the door is open");
            stream
                .write_all(b"GET /health HTTP/1.1\r\nX-Slow: ")
                .expect("it reads");
            stream
        })
        .collect();
    let answer = get(http, "/health").expect("an answer");
    assert_eq!(answer.status, 200);
    drop(held);
}
