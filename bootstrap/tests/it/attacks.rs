//! Attacks, each beside honest peers who join, find each other and talk meanwhile.
//!
//! The attackers are at 127.0.0.66 and the addresses after it, the honest at 127.0.0.1; the node is told
//! to bound this machine's addresses like others. Each test prints a line `attack | bound | measured`
//! (`cargo nextest run --no-capture … attacks::`) for docs/security.md.
//!
//! The honest are of two kinds: plain libp2p peers who need everything that the node does, and [a room](newcomer)
//! of real ones, which somebody joins.

mod connections;
mod datagrams;
mod dht;
mod dials;
mod frames;
mod handshakes;
mod held;
mod http;
mod newcomer;
mod peers;
mod raw;
mod refusals;
mod relay;
mod shares;
mod webrtc;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::identity::Keypair;
use moim_protocol::presence::State;
use tokio::task::JoinHandle;

use self::newcomer::HonestRoom;
use crate::{
    client::{Client, ping_each_other},
    network::{circuit, is_provider, presence, put},
    process::{Node, command},
    soon,
};

/// The first attacker's address.
const ATTACKER: [u8; 4] = [127, 0, 0, 66];

/// How much slower honest peers may be under attack: so many times ...
const SLOWDOWN_MAX: u32 = 3;
/// ... and so much more, for attackers that share two cores with the node and the honest, in a debug
/// build. A node that lets itself be taken doesn't serve at all.
const SLOWDOWN_FLOOR: Duration = Duration::from_secs(2);

/// A node under attack.
struct Siege {
    node: Node,
    /// Time that the honest take to meet while all is quiet.
    quiet: Duration,
    room: HonestRoom,
    #[cfg(target_os = "linux")]
    memory_kib: u64,
}

impl Siege {
    async fn lay() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = command(data.path(), &["--limit-loopback"]);
        // What an operator sees.
        command.env_remove("RUST_LOG");
        Self::lay_to(Node::start_command(data, command).await).await
    }

    async fn lay_to(node: Node) -> Self {
        raise_open_file_limit();
        // The first of everything takes longer.
        meet(&node).await;
        let mut times = [meet(&node).await, meet(&node).await, meet(&node).await];
        times.sort_unstable();
        let room = HonestRoom::gather(&node).await;
        Self {
            #[cfg(target_os = "linux")]
            memory_kib: node.peak_memory_kib(),
            quiet: times[1],
            room,
            node,
        }
    }

    /// Judges while `attack` goes on, beside whatever else does.
    async fn judge_amid(
        &self,
        attack: impl Future<Output = Infallible>,
        name: &str,
        memory_mib: u64,
        extra: &str,
    ) {
        tokio::select! {
            never = attack => match never {},
            () = self.judge(name, memory_mib, extra) => {}
        }
    }

    /// Lets honest peers meet, and somebody join the room, while the attack goes on; prints and checks what it
    /// costs. `extra` is what else was measured.
    #[allow(clippy::print_stdout, reason = "the table is for people")]
    async fn judge(&self, attack: &str, memory_mib: u64, extra: &str) {
        let mut times = [
            meet(&self.node).await,
            meet(&self.node).await,
            meet(&self.node).await,
        ];
        times.sort_unstable();
        let (median, bound) = (times[1], self.quiet * SLOWDOWN_MAX + SLOWDOWN_FLOOR);
        let newcomer = self.room.welcome().await;
        #[cfg(target_os = "linux")]
        let grown = (self.node.peak_memory_kib().saturating_sub(self.memory_kib)) as f64 / 1024.0;
        #[cfg(not(target_os = "linux"))]
        let grown = 0.0;
        println!(
            "{attack} | +{memory_mib} MiB | +{grown:.1} MiB | {} ms | {} ms | {} ms | {} ms | {extra}",
            median.as_millis(),
            self.quiet.as_millis(),
            newcomer.as_millis(),
            self.room.quiet.as_millis(),
        );
        assert!(median <= bound, "{attack}: {times:?}, bound {bound:?}");
        assert!(grown <= memory_mib as f64, "{attack}: grown by {grown} MiB");
        self.node.assert_alive().await;
        self.assert_log_is_short();
    }

    /// Whatever was refused, the log has a few lines of it, not one for each.
    fn assert_log_is_short(&self) {
        let log = self.node.log();
        let lines = log.lines().count();
        assert!(lines < 20, "{lines} lines: {log:.2000}");
    }
}

/// What attackers do again and again, each in a task of its own, until they are told to stop.
#[derive(Default)]
struct Assault {
    stop: Arc<AtomicBool>,
    attackers: Vec<JoinHandle<()>>,
}

impl Assault {
    fn wage<F>(&mut self, mut attack: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = Arc::clone(&self.stop);
        self.attackers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                attack().await;
                // It may find everything ready, always.
                tokio::task::yield_now().await;
            }
        }));
    }

    /// No attacker is left hanging.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for attacker in self.attackers {
            soon("an attack to end", attacker).await.unwrap();
        }
    }
}

/// An attacker needs files too; many systems start programs with 1,024.
fn raise_open_file_limit() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let wanted = hard.min(8_192).max(soft);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    }
}

/// One honest peer joins by WebSocket, reserves at the relay and announces itself; another joins by
/// TCP, finds it in the DHT, reaches it through the relay, and each hears the other. Says how long that
/// took.
async fn meet(node: &Node) -> Duration {
    let started = Instant::now();
    let (mut host, mut guest) = (Client::new().await, Client::new().await);
    let (ws, tcp) = (node.address("ws"), node.address("tcp"));
    for (client, address) in [(&mut host, &ws), (&mut guest, &tcp)] {
        client.connect(address).await;
        client.identify().await;
        let kad = &mut client.swarm.behaviour_mut().kad;
        kad.add_address(&node.peer_id(), address.clone());
    }
    host.reserve(&ws).await;
    let member = Keypair::generate_ed25519();
    assert!(put(&mut host, presence(&member, 1, State::Here)).await);
    let member = member.public().to_peer_id();
    // An answer is a sample of those there are.
    while !is_provider(&mut guest, member).await {}
    guest.swarm.dial(circuit(&tcp, host.id())).unwrap();
    ping_each_other(&mut guest, &mut host).await;
    started.elapsed()
}
