//! Real peers, beside somebody who wants the bootstrap node for itself.

use std::{
    collections::VecDeque,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use moim_e2e::{BootstrapNode, PATIENCE, Terminal, Transport, see_each_other, topic};
use socket2::{Domain, Socket, Type};

/// Where the attacker is. The peers are at 127.0.0.1.
const ATTACKER: [u8; 4] = [127, 0, 0, 66];

/// Connections that the attacker holds at each door, the oldest of which it lets go for a new one:
/// more than an address may have, and less than a process may have files.
const HELD: usize = 300;

/// How long a message may take with the attack going on; without it is a matter of milliseconds.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// Opens connections as fast as it can, says `opening` on each, and nothing more.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Flood {
    fn start(door: SocketAddr, opening: &'static [u8]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut held, mut opened) = (VecDeque::new(), 0);
            while !told.load(Ordering::Relaxed) {
                if let Ok(mut stream) = connect(door) {
                    // It may have been turned away already.
                    let _ = stream.write_all(opening);
                    held.push_back(stream);
                    opened += 1;
                }
                if held.len() > HELD {
                    held.pop_front();
                }
            }
            opened
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it; says how many connections there were.
    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("not ended yet");
        thread.join().expect("no panic")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn connect(door: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((ATTACKER, 0)).into())?;
    socket.connect_timeout(&door.into(), PATIENCE)?;
    Ok(socket.into())
}

#[test]
fn peers_join_find_each_other_and_talk_while_one_address_floods_every_door() {
    let mut node = BootstrapNode::start_with(&["--limit-loopback"]);
    let floods = [
        Flood::start(node.socket(Transport::Tcp), b"\x13/multistream/1.0.0\n"),
        Flood::start(node.socket(Transport::WebSocket), b"GET / HTTP/1.1\r\nX: "),
        Flood::start(node.http(), b"GET / HTTP/1.1\r\nX: "),
    ];
    let topic = topic("under-attack");
    let mut a = Terminal::join(&topic, "a", node.address(Transport::Tcp));
    let mut b = Terminal::join(&topic, "b", node.address(Transport::WebSocket));
    // By way of HTTP.
    let c = Terminal::join(&topic, "c", &node.url());
    see_each_other(&[&a, &b, &c]);

    let said = Instant::now();
    a.say("can you hear me?");
    for peer in [&b, &c] {
        let heard = peer.hears(a.peer_id(), "can you hear me?");
        assert!(heard.at.duration_since(said) < HEARD_WITHIN, "{heard:?}");
    }
    b.send(a.peer_id(), "every word");
    a.wait("the direct message", HEARD_WITHIN, |event| {
        event.text("text") == "every word"
    });
    assert!(node.is_healthy());
    let opened: usize = floods.into_iter().map(Flood::end).sum();
    println!("{opened} connections from one address");
    assert!(opened > HELD * 3, "{opened}: no flood");
}
