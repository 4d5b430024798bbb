//! The sockets: one task owns them all, and hands what comes to [`Relay`].

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};
use moim_protocol::rate::Source;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    time::{self, MissedTickBehavior},
};

use super::{
    counters::Counters,
    credentials::Client,
    relay::{NoPort, Opening, Relay, Settings, Step},
    request,
    sockets::Sockets,
    streams::{Read, Stream},
};
use crate::{
    block_list::BlockList,
    config::PortRange,
    limits,
    status::Status,
    stun::{self, Limiter},
};

mod open;

/// What there is to do.
#[derive(Debug)]
enum Ready {
    Accepted {
        listener: usize,
        result: io::Result<(TcpStream, SocketAddr)>,
    },
    /// To be read: a socket for clients, or the port of an allocation.
    Listening(usize),
    Relayed(SocketAddr),
    /// A TCP connection.
    Readable(u64),
    Writable(u64),
}

/// The port of an allocation.
#[derive(Debug)]
struct Relayed {
    socket: Arc<UdpSocket>,
    reading: AbortHandle,
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// What may change while the server runs.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) settings: watch::Receiver<Settings>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) blocked: watch::Receiver<Arc<BlockList>>,
}

/// Everything the task owns.
struct Server {
    listening: Vec<Arc<UdpSocket>>,
    accepting: Vec<Arc<TcpListener>>,
    relayed: HashMap<SocketAddr, Relayed>,
    streams: HashMap<u64, Stream>,
    streams_max: usize,
    last_stream: u64,
    /// One for each socket that is read, and for each connection that is written to.
    waiting: FuturesUnordered<Abortable<BoxFuture<'static, Ready>>>,
    buffer: Box<[u8]>,
    limiter: Limiter,
    /// `None`: STUN alone.
    relay: Option<Relay>,
    ports: PortRange,
    status: watch::Receiver<Status>,
    blocked: watch::Receiver<Arc<BlockList>>,
    counters: Counters,
}

/// Answers until aborted; without sockets it just waits for that.
pub(super) async fn serve(
    sockets: Sockets,
    relay: Option<Relay>,
    ports: PortRange,
    Followed {
        mut settings,
        mut status,
        blocked,
    }: Followed,
    streams_max: usize,
    counters: Counters,
) -> Infallible {
    let mut server = Server {
        listening: sockets.udp.into_iter().map(Arc::new).collect(),
        accepting: sockets.tcp.into_iter().map(Arc::new).collect(),
        relayed: HashMap::new(),
        streams: HashMap::new(),
        streams_max,
        last_stream: 0,
        waiting: FuturesUnordered::new(),
        // With one byte more, so that what is too long is known from what just fits.
        buffer: vec![0; limits::TURN_MESSAGE_BYTES_MAX + 1].into(),
        limiter: Limiter::new(Instant::now()),
        relay,
        ports,
        status: status.clone(),
        blocked,
        counters,
    };
    for index in 0..server.listening.len() {
        server.listen(index);
    }
    for index in 0..server.accepting.len() {
        server.accept(index);
    }
    server.learn_own();
    let mut sweep = time::interval(limits::TURN_SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = sweep.tick() => server.on_time(Instant::now()),
            Ok(()) = status.changed() => server.learn_own(),
            Ok(()) = settings.changed() => {
                if let Some(relay) = &mut server.relay {
                    relay.set(*settings.borrow_and_update(), Instant::now());
                }
            }
            Some(ready) = server.waiting.next() => {
                // What was aborted is no longer there.
                if let Ok(ready) = ready {
                    server.on_ready(ready, Instant::now());
                }
            }
        }
    }
}

impl Server {
    fn on_ready(&mut self, ready: Ready, now: Instant) {
        match ready {
            Ready::Accepted { listener, result } => {
                match result {
                    Ok((stream, address)) => self.on_accepted(stream, address, now),
                    Err(error) => tracing::debug!(%error, "TURN connection"),
                }
                self.accept(listener);
            }
            Ready::Listening(index) => {
                if let Some(socket) = self.listening.get(index).cloned() {
                    self.read_datagrams(&socket, now, |server, source, bytes| {
                        let client = Client::Udp {
                            socket: index,
                            address: source,
                        };
                        server.on_message(client, bytes, now);
                    });
                    self.listen(index);
                }
            }
            Ready::Relayed(relayed) => {
                let socket = self
                    .relayed
                    .get(&relayed)
                    .map(|port| Arc::clone(&port.socket));
                if let Some(socket) = socket {
                    self.read_datagrams(&socket, now, |server, peer, bytes| {
                        if let Some(relay) = &mut server.relay {
                            let step = relay.on_peer(relayed, peer, bytes, now);
                            server.perform(step, now);
                        }
                    });
                    self.listen_to_peers(relayed);
                }
            }
            Ready::Readable(number) => self.on_readable(number, now),
            Ready::Writable(number) => {
                if let Some(stream) = self.streams.get_mut(&number) {
                    stream.writing = None;
                    self.write(number, now);
                }
            }
        }
        self.close_ports();
    }

    /// Hands out what a socket has, but leaves time for others.
    fn read_datagrams(
        &mut self,
        socket: &UdpSocket,
        now: Instant,
        mut take: impl FnMut(&mut Self, SocketAddr, &[u8]),
    ) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..limits::TURN_READS_PER_TURN {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, source)) => match buffer.get(..length) {
                    Some(bytes) if length <= limits::TURN_MESSAGE_BYTES_MAX => {
                        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
                        take(self, source, bytes);
                    }
                    _ => _ = self.counters.ignored.inc(),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Of an earlier datagram that could not be delivered, on some systems.
                Err(error) => tracing::debug!(%error, ?now, "TURN socket"),
            }
        }
        self.buffer = buffer;
    }

    /// A whole message or datagram has come from a client.
    fn on_message(&mut self, client: Client, bytes: &[u8], now: Instant) {
        if self.is_blocked(client.ip()) {
            self.counters.ignored.inc();
            return;
        }
        if let Some(answer) = stun::message::answer(bytes, client.address()) {
            if self.limiter.allows(client.ip(), now) {
                self.counters.answered.inc();
                self.send(client, &answer, now);
            } else {
                self.counters.ignored.inc();
            }
            return;
        }
        let Some(relay) = &mut self.relay else {
            self.counters.ignored.inc();
            return;
        };
        if !request::is_request(bytes) {
            let step = relay.on_data(client, bytes, now);
            self.perform(step, now);
            return;
        }
        // Who has an allocation is not to lose it to a flood from addresses that are made up.
        let is_allowed = if relay.knows(client) {
            self.limiter.allows_known(client.ip(), now)
        } else {
            self.limiter.allows(client.ip(), now)
        };
        if is_allowed && let Some(step) = relay.on_request(client, bytes, now) {
            self.perform(step, now);
        } else {
            self.counters.ignored.inc();
        }
    }

    fn is_blocked(&self, ip: IpAddr) -> bool {
        self.blocked.borrow().has_ip(ip.to_canonical())
    }

    fn perform(&mut self, step: Step<'_>, now: Instant) {
        match step {
            Step::Nothing => {}
            Step::Open(opening) => {
                let client = opening.client();
                let port = self.open(&opening);
                if let Some(relay) = &mut self.relay {
                    let answer = relay.opened(opening, port, now);
                    self.send(client, &answer, now);
                }
            }
            Step::ToClient(client, bytes) => self.send(client, &bytes, now),
            Step::ToPeer { from, to, data } => {
                if let Some(port) = self.relayed.get(&from) {
                    // What does not go out at once is lost, as any datagram may be.
                    _ = port.socket.try_send_to(data, to);
                }
            }
        }
    }

    /// Opens the port of an allocation and says by which address peers reach it.
    fn open(&mut self, opening: &Opening) -> Result<SocketAddr, NoPort> {
        let listening = self.listening.iter();
        let listening = listening.filter_map(|socket| Some(socket.local_addr().ok()?.ip()));
        let (relayed, socket) = open::port(opening, listening, &self.status.borrow(), self.ports)?;
        let port = Relayed {
            socket: Arc::new(socket),
            reading: AbortHandle::new_pair().0,
        };
        self.relayed.insert(relayed, port);
        self.listen_to_peers(relayed);
        Ok(relayed)
    }

    /// Learns what the addresses of this machine are, as interfaces come and go.
    fn learn_own(&mut self) {
        if let Some(relay) = &mut self.relay {
            relay.set_own(open::own_addresses(&self.status.borrow_and_update()));
        }
    }

    fn send(&mut self, client: Client, bytes: &[u8], now: Instant) {
        match client {
            Client::Udp { socket, address } => {
                if let Some(socket) = self.listening.get(socket) {
                    // As above; clients ask again.
                    _ = socket.try_send_to(bytes, address);
                }
            }
            Client::Tcp { stream: number, .. } => {
                if let Some(stream) = self.streams.get_mut(&number) {
                    stream.queue(bytes, now);
                    self.write(number, now);
                }
            }
        }
    }

    fn on_accepted(&mut self, io: TcpStream, address: SocketAddr, now: Instant) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let network = Source::from(address.ip());
        let all = self.streams.values();
        let of_source = all.filter(|one| Source::from(one.client.ip()) == network);
        if self.is_blocked(address.ip())
            || self.streams.len() >= self.streams_max
            || of_source.count()
                >= limits::TURN_CONNECTIONS_PER_SOURCE_MAX.min(self.streams_max / 4)
        {
            self.counters.ignored.inc();
            return;
        }
        // Datagrams are not to wait for each other.
        if let Err(error) = io.set_nodelay(true) {
            tracing::debug!(%error, "TURN connection");
        }
        self.last_stream += 1;
        let number = self.last_stream;
        self.streams
            .insert(number, Stream::new(io, number, address, now));
        self.counters.connections.inc();
        self.wait_to_read(number);
    }

    fn on_readable(&mut self, number: u64, now: Instant) {
        for _ in 0..limits::TURN_READS_PER_TURN {
            let Some(stream) = self.streams.get_mut(&number) else {
                return;
            };
            let client = stream.client;
            match stream.read() {
                Read::Later => break,
                Read::Message(message) => self.on_message(client, &message, now),
                Read::Ended => return self.close(number),
            }
        }
        self.wait_to_read(number);
    }

    fn write(&mut self, number: u64, now: Instant) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        if stream.write(now).is_err() {
            self.close(number);
        } else if stream.wants_to_write() && stream.writing.is_none() {
            let io = Arc::clone(&stream.io);
            let writing = wait(&self.waiting, async move {
                // An error shows when it is written to.
                _ = io.writable().await;
                Ready::Writable(number)
            });
            stream.writing = Some(writing);
        }
    }

    /// Ends a connection, and its allocation with it (RFC 8656, section 3.1).
    fn close(&mut self, number: u64) {
        if let Some(stream) = self.streams.remove(&number) {
            self.counters.connections.dec();
            if let Some(relay) = &mut self.relay {
                relay.forget(stream.client);
            }
        }
    }

    fn on_time(&mut self, now: Instant) {
        if let Some(relay) = &mut self.relay {
            relay.on_time(now);
        }
        let mut over = Vec::new();
        for (number, stream) in &mut self.streams {
            let relay = self.relay.as_ref();
            if relay.is_some_and(|relay| relay.knows(stream.client)) {
                stream.idle_since = now;
            }
            if stream.is_over(now) {
                over.push(*number);
            }
        }
        for number in over {
            self.close(number);
        }
        self.close_ports();
    }

    /// Closes the sockets of allocations that have ended.
    fn close_ports(&mut self) {
        if let Some(relay) = &mut self.relay {
            for relayed in relay.take_closed() {
                self.relayed.remove(&relayed);
            }
        }
    }

    fn listen(&self, index: usize) {
        if let Some(socket) = self.listening.get(index).cloned() {
            wait(&self.waiting, async move {
                readable(&socket).await;
                Ready::Listening(index)
            });
        }
    }

    fn listen_to_peers(&mut self, relayed: SocketAddr) {
        if let Some(port) = self.relayed.get_mut(&relayed) {
            let socket = Arc::clone(&port.socket);
            port.reading = wait(&self.waiting, async move {
                readable(&socket).await;
                Ready::Relayed(relayed)
            });
        }
    }

    fn accept(&self, index: usize) {
        if let Some(listener) = self.accepting.get(index).cloned() {
            wait(&self.waiting, async move {
                let result = listener.accept().await;
                if result.is_err() {
                    time::sleep(limits::TURN_ERROR_PAUSE).await;
                }
                Ready::Accepted {
                    listener: index,
                    result,
                }
            });
        }
    }

    fn wait_to_read(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number) {
            let io = Arc::clone(&stream.io);
            stream.reading = wait(&self.waiting, async move {
                // An error shows when it is read.
                _ = io.readable().await;
                Ready::Readable(number)
            });
        }
    }
}

/// Puts something beside what is waited for. Aborting it lets go of its socket.
fn wait(
    waiting: &FuturesUnordered<Abortable<BoxFuture<'static, Ready>>>,
    ready: impl Future<Output = Ready> + Send + 'static,
) -> AbortHandle {
    let (handle, registration) = AbortHandle::new_pair();
    waiting.push(Abortable::new(ready.boxed(), registration));
    handle
}

async fn readable(socket: &UdpSocket) {
    if let Err(error) = socket.readable().await {
        tracing::debug!(%error, "TURN socket");
        time::sleep(limits::TURN_ERROR_PAUSE).await;
    }
}
