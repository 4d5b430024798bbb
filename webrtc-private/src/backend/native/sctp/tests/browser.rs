//! The other side is Chromium's SCTP, with its rules for the numbers of channels.

use std::collections::{BTreeMap, VecDeque};

use dcsctp::api::{
    DcSctpSocket as _, Message, Options, PpId, SendOptions, Socket, SocketEvent, SocketTime,
    StreamId as Number,
};

use super::{
    network::{Network, Side},
    *,
};

/// Payload protocol identifiers of RFC 8831, section 8.
const DCEP: PpId = PpId(50);
const BINARY: PpId = PpId(53);

/// What Chromium keeps of a channel.
#[derive(Debug, Default)]
struct Closing {
    asked: bool,
    outgoing: bool,
    incoming: bool,
}

struct Browser {
    socket: Socket,
    began: Instant,
    is_client: bool,
    channels: BTreeMap<StreamId, Closing>,
    heard: VecDeque<(StreamId, Vec<u8>)>,
    unsent: VecDeque<Bytes>,
}

impl Browser {
    fn new(is_client: bool, now: Instant) -> Self {
        // As Chromium has them.
        let options = Options {
            max_retransmissions: None,
            max_init_retransmits: None,
            max_timer_backoff_duration: Some(Duration::from_secs(3)),
            ..Options::default()
        };
        // It begins, too, whoever is the client of DTLS.
        let mut socket = Socket::new("browser", &options);
        socket.connect();
        let mut browser = Self {
            socket,
            began: now,
            is_client,
            channels: BTreeMap::new(),
            heard: VecDeque::new(),
            unsent: VecDeque::new(),
        };
        browser.settle();
        browser
    }

    fn send_as(&mut self, stream: StreamId, kind: PpId, data: &[u8]) {
        let message = Message::new(Number(stream), kind, data.to_vec());
        let sent = self.socket.send(message, &SendOptions::default());
        sent.expect("is sent");
        self.settle();
    }

    /// Opens a channel with the lowest stream id that is free.
    fn open(&mut self) -> StreamId {
        let mut ids = (StreamId::from(!self.is_client)..STREAMS_MAX).step_by(2);
        let free = ids.find(|id| !self.channels.contains_key(id));
        let stream = free.expect("a stream id is free");
        self.channels.insert(stream, Closing::default());
        self.send_as(stream, DCEP, &dcep::open("").expect("short enough"));
        stream
    }

    fn close(&mut self, stream: StreamId) {
        let Some(closing) = self.channels.get_mut(&stream) else {
            return;
        };
        if !std::mem::replace(&mut closing.asked, true) {
            let reset = self.socket.reset_streams(&[Number(stream)]);
            reset.expect("it can be reset");
            self.settle();
        }
    }

    fn note(&mut self, streams: Vec<Number>, note: impl Fn(&mut Closing)) {
        for Number(stream) in streams {
            let Some(closing) = self.channels.get_mut(&stream) else {
                continue;
            };
            note(closing);
            if closing.incoming && closing.outgoing {
                self.channels.remove(&stream);
            } else {
                self.close(stream);
            }
        }
    }

    fn settle(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.unsent.push_back(packet.into()),
                SocketEvent::OnStreamsResetPerformed(streams) => {
                    self.note(streams, |closing| closing.outgoing = true);
                }
                SocketEvent::OnIncomingStreamReset(streams) => {
                    self.note(streams, |closing| closing.incoming = true);
                }
                SocketEvent::OnStreamsResetFailed(streams) => panic!("{streams:?} not reset"),
                SocketEvent::OnAborted(kind, what) | SocketEvent::OnError(kind, what) => {
                    panic!("{kind:?}: {what}")
                }
                _ => {}
            }
        }
        while let Some(Message {
            stream_id: Number(stream),
            ppid,
            payload,
        }) = self.socket.get_next_message()
        {
            if ppid == BINARY {
                self.heard.push_back((stream, payload));
            } else if Open::decode(&payload).is_some() {
                let before = self.channels.insert(stream, Closing::default());
                assert!(before.is_none(), "{stream} is used");
                self.send_as(stream, DCEP, &dcep::ACK);
            }
        }
    }
}

impl Side for Browser {
    fn poll_transmit(&mut self) -> Option<Bytes> {
        self.unsent.pop_front()
    }

    fn receive(&mut self, packet: Bytes, now: Instant) {
        self.handle_timeout(now);
        self.socket.handle_input(&packet);
        self.settle();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = self.socket.poll_timeout();
        (next < SocketTime::infinite_future()).then(|| self.began + (next - SocketTime::zero()))
    }

    fn handle_timeout(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        self.socket.advance_time(SocketTime::zero() + passed);
        self.settle();
    }
}

struct Pair {
    ours: Sctp,
    browser: Browser,
    network: Network,
}

impl Pair {
    fn connected(is_client: bool, loss: u32) -> Self {
        let network = Network::new(loss);
        let now = network.now;
        let mut pair = Self {
            ours: Sctp::new(is_client, PORT, now).expect("begins"),
            browser: Browser::new(!is_client, now),
            network,
        };
        pair.ours.trust();
        assert_eq!(pair.next(StreamId::MAX), Event::Connected);
        pair
    }

    fn step(&mut self) {
        let Self {
            ours,
            browser,
            network,
        } = self;
        assert!(network.step([ours, browser]), "nothing is to come");
    }

    /// Goes on until there is something.
    fn wait<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        let since = self.network.now;
        loop {
            if let Some(what) = what(self) {
                return what;
            }
            self.step();
            assert!(self.network.now < since + PATIENCE, "nothing happens");
        }
    }

    /// What happens on our side next, without ends of other channels.
    fn next(&mut self, live: StreamId) -> Event {
        let is_end = |event: &Event| matches!(event, Event::Closed { stream } if *stream != live);
        self.wait(|pair| {
            let event = pair.ours.poll_event();
            event.filter(|event| !is_end(event))
        })
    }

    fn say(&mut self, stream: StreamId, data: &[u8]) {
        self.wait(|pair| pair.ours.buffered_amount(stream).expect("it is open"));
        let sent = self.ours.send(stream, data, self.network.now);
        sent.expect("is sent");
        let heard = self.wait(|pair| pair.browser.heard.pop_front());
        assert_eq!(heard, (stream, data.to_vec()));
    }

    fn hear(&mut self, stream: StreamId, data: &[u8]) {
        self.browser.send_as(stream, BINARY, data);
        let data = Bytes::copy_from_slice(data);
        assert_eq!(self.next(stream), Event::Message { stream, data });
    }

    fn open(&mut self, is_ours: bool) -> StreamId {
        if is_ours {
            let opened = self.ours.open("", self.network.now);
            return opened.expect("a stream id is free");
        }
        // The number is free for the browser when both directions are reset, so that has been told.
        while let Some(event) = self.ours.poll_event() {
            assert!(matches!(event, Event::Closed { .. }), "{event:?}");
        }
        let stream = self.browser.open();
        let label = String::new();
        assert_eq!(self.next(stream), Event::Opened { stream, label });
        stream
    }

    fn close(&mut self, is_ours: bool, stream: StreamId) {
        if is_ours {
            self.ours.close_finished(stream, self.network.now);
        } else {
            self.browser.close(stream);
        }
    }
}

fn numbers_are_used_again(is_client: bool, loss: u32) {
    let mut pair = Pair::connected(is_client, loss);
    for round in 0..2000_u32 {
        let stream = pair.open(round % 3 == 0);
        assert!(stream < STREAMS_MAX);
        pair.say(stream, &round.to_be_bytes());
        pair.hear(stream, b"yes");
        pair.hear(stream, &[7; 3000]);
        let is_ours_first = round % 2 == 0;
        pair.close(is_ours_first, stream);
        if round % 5 > 0 {
            pair.step();
        }
        pair.close(!is_ours_first, stream);
    }
    assert_eq!(pair.network.lost > 0, loss > 0);
    pair.wait(|pair| pair.browser.channels.is_empty().then_some(()));
}

#[test]
fn numbers_are_used_again_by_a_browser() {
    for is_client in [true, false] {
        numbers_are_used_again(is_client, 0);
    }
}

#[test]
fn numbers_are_used_again_by_a_browser_where_packets_get_lost() {
    for loss in [5, 50] {
        for is_client in [true, false] {
            numbers_are_used_again(is_client, loss);
        }
    }
}

#[test]
fn much_data_goes_both_ways_where_packets_get_lost() {
    const MESSAGES: usize = 400;
    let data = [9; 16 * 1024];
    let mut pair = Pair::connected(false, 20);
    let stream = pair.open(true);
    pair.say(stream, b"open");
    let (mut said, mut heard, mut told) = (0, 0, 0);
    while heard < MESSAGES || told < MESSAGES {
        let buffered_amount = pair.ours.buffered_amount(stream).expect("it is open");
        if said < MESSAGES && buffered_amount.is_some_and(|bytes| bytes < 200_000) {
            let sent = pair.ours.send(stream, &data, pair.network.now);
            sent.expect("is sent");
            pair.browser.send_as(stream, BINARY, &data);
            said += 1;
        }
        pair.step();
        while pair.browser.heard.pop_front().is_some() {
            heard += 1;
        }
        while let Some(event) = pair.ours.poll_event() {
            assert!(matches!(event, Event::Message { .. }), "{event:?}");
            told += 1;
        }
    }
    assert_eq!((heard, told), (MESSAGES, MESSAGES));
}
