//! Two machines with a network in between that is made here, and its time too.

use std::time::Duration;

use self::network::Network;
use super::{closing::LEFT_FOR, *};

mod browser;
mod network;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Client and server.
struct Pair {
    sides: [Sctp; 2],
    network: Network,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Pair {
    fn new(loss: u32) -> Self {
        let network = Network::new(loss);
        let side = |is_client| {
            let mut side = Sctp::new(is_client, PORT, network.now).expect("begins");
            side.trust();
            side
        };
        Self {
            sides: [true, false].map(side),
            network,
        }
    }

    fn connected(loss: u32) -> Self {
        let mut pair = Self::new(loss);
        pair.wait_for(CLIENT, &Event::Connected);
        pair.wait_for(SERVER, &Event::Connected);
        pair
    }

    fn now(&self) -> Instant {
        self.network.now
    }

    fn step(&mut self) {
        let [client, server] = &mut self.sides;
        assert!(self.network.step([client, server]), "nothing is to come");
    }

    fn next(&mut self, side: usize) -> Event {
        let since = self.now();
        loop {
            if let Some(event) = self.sides[side].poll_event() {
                return event;
            }
            self.step();
            assert!(self.now() < since + PATIENCE, "nothing happens");
        }
    }

    fn wait_for(&mut self, side: usize, wanted: &Event) {
        assert_eq!(self.next(side), *wanted);
    }

    /// The same, but ends of channels that have had their time may come before.
    fn wait_past_ends(&mut self, side: usize, live: StreamId, wanted: &Event) {
        let mut next = self.next(side);
        while matches!(next, Event::Closed { stream } if stream != live) {
            next = self.next(side);
        }
        assert_eq!(next, *wanted);
    }

    /// Goes on for a while, or until nothing is to come.
    fn rest(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until {
            let [client, server] = &mut self.sides;
            if !self.network.step([client, server]) {
                return;
            }
        }
    }

    fn open(&mut self, side: usize, label: &str) -> StreamId {
        let now = self.now();
        let stream = self.sides[side].open(label, now).expect("a stream id");
        let label = label.to_owned();
        self.wait_past_ends(1 - side, stream, &Event::Opened { stream, label });
        stream
    }

    fn say(&mut self, side: usize, stream: StreamId, data: &[u8]) {
        let since = self.now();
        // It may have to wait for the end of the channel that had the stream id before.
        while self.sides[side].buffered_amount(stream) == Ok(None) {
            self.step();
            assert!(self.now() < since + PATIENCE, "it cannot be sent");
        }
        let now = self.now();
        self.sides[side].send(stream, data, now).expect("is sent");
        let data = Bytes::copy_from_slice(data);
        self.wait_past_ends(1 - side, stream, &Event::Message { stream, data });
    }

    fn close(&mut self, side: usize, stream: StreamId) {
        let now = self.now();
        self.sides[side].close(stream, now);
    }
}

#[test]
fn channels_are_opened_used_and_closed_by_either_side() {
    let mut pair = Pair::connected(0);
    for (side, id) in [(CLIENT, 0), (SERVER, 1), (CLIENT, 2), (SERVER, 3)] {
        let stream = pair.open(side, "some");
        assert_eq!(stream, id, "RFC 8832, section 6");
        pair.say(side, stream, b"there");
        pair.say(1 - side, stream, b"and back");
        pair.say(side, stream, b"");
        pair.say(side, stream, &[7; 16 * 1024]);
        pair.close(side, stream);
        pair.wait_for(1 - side, &Event::Closed { stream });
        let sent = pair.sides[1 - side].send(stream, b"too late", pair.now());
        assert_eq!(sent, Err(ChannelClosed));
    }
}

#[test]
fn what_was_said_before_the_end_arrives() {
    let mut pair = Pair::connected(100);
    for _ in 0..50 {
        let stream = pair.open(CLIENT, "");
        let data = Bytes::from_static(&[3; 5000]);
        for _ in 0..3 {
            pair.sides[CLIENT]
                .send(stream, &data, pair.now())
                .expect("is sent");
        }
        pair.close(CLIENT, stream);
        for _ in 0..3 {
            let data = data.clone();
            pair.wait_for(SERVER, &Event::Message { stream, data });
        }
        pair.wait_for(SERVER, &Event::Closed { stream });
    }
}

/// Each of the thousands of channels has a stream id that another one has had: none may hear of that.
#[test]
fn stream_ids_are_used_again_where_packets_get_lost() {
    for loss in [0, 5, 50] {
        let mut pair = Pair::connected(loss);
        for round in 0..2000_u32 {
            let side = usize::from(round % 3 == 0);
            let stream = pair.open(side, "");
            assert!(stream < STREAMS_MAX);
            pair.say(side, stream, &round.to_be_bytes());
            pair.say(1 - side, stream, b"yes");
            // Both are done with it at the same time, or one is a little later.
            let first = usize::from(round % 2 == 0);
            pair.close(first, stream);
            if round % 5 > 0 {
                pair.step();
            }
            pair.close(1 - first, stream);
        }
        assert_eq!(pair.network.lost > 0, loss > 0);
        pair.rest(PATIENCE);
        for sctp in &mut pair.sides {
            while let Some(event) = sctp.poll_event() {
                assert!(matches!(event, Event::Closed { .. }), "{event:?}");
            }
            assert!(sctp.open.is_empty() && sctp.closing.is_empty() && sctp.unanswered.is_empty());
        }
    }
}

#[test]
fn a_channel_that_is_left_open_by_its_opener_is_closed_after_a_while() {
    let mut pair = Pair::connected(0);
    let stream = pair.open(CLIENT, "");
    let closed = pair.now();
    pair.close(SERVER, stream);
    pair.wait_for(CLIENT, &Event::Closed { stream });
    assert!(pair.now() >= closed + LEFT_FOR);
}

/// It would count against the window of all of them.
#[test]
fn what_still_comes_on_a_closed_channel_does_no_harm_to_others() {
    let mut pair = Pair::connected(0);
    let (closed, live) = (pair.open(CLIENT, ""), pair.open(CLIENT, ""));
    for _ in 0..200 {
        let now = pair.now();
        let sent = pair.sides[SERVER].send(closed, &[1; 16 * 1024], now);
        sent.expect("is sent");
    }
    pair.close(CLIENT, closed);
    pair.wait_for(SERVER, &Event::Closed { stream: closed });
    while let Some(event) = pair.sides[CLIENT].poll_event() {
        assert_ne!(event, Event::Lost);
    }
    pair.say(CLIENT, live, b"goes on");
    pair.say(SERVER, live, b"both ways");
}

#[test]
fn there_are_no_more_channels_than_stream_ids() {
    let mut pair = Pair::connected(0);
    let mut open = Vec::new();
    while let Some(stream) = pair.sides[CLIENT].open("", pair.now()) {
        open.push(stream);
    }
    assert_eq!(open.len(), usize::from(STREAMS_MAX / 2));
    for stream in &open {
        let label = String::new();
        let stream = *stream;
        pair.wait_for(SERVER, &Event::Opened { stream, label });
    }
    pair.close(CLIENT, open[5]);
    pair.wait_for(SERVER, &Event::Closed { stream: open[5] });
    pair.rest(Duration::from_secs(5));
    assert_eq!(pair.open(CLIENT, ""), open[5]);
}

#[test]
fn a_channel_may_be_agreed_upon_before() {
    let mut pair = Pair::new(0);
    for sctp in &mut pair.sides {
        sctp.open_negotiated(0).expect("opens");
        sctp.open_negotiated(5).expect("opens");
        assert_eq!(sctp.buffered_amount(0), Ok(None), "it is too early to send");
    }
    pair.wait_for(CLIENT, &Event::Connected);
    pair.sides[CLIENT]
        .send(0, b"early", pair.now())
        .expect("is sent");
    pair.wait_for(SERVER, &Event::Connected);
    let data = Bytes::from_static(b"early");
    pair.wait_for(SERVER, &Event::Message { stream: 0, data });
    pair.say(SERVER, 0, b"and back");
    assert_eq!(pair.open(CLIENT, ""), 2, "its stream id is taken");
    let others = [(); 3].map(|()| pair.open(SERVER, ""));
    assert_eq!(others, [1, 3, 7]);
    assert_eq!(pair.sides[CLIENT].open_negotiated(20), None, "too late");
}

#[test]
fn what_is_not_of_the_protocol_ends_its_channel_alone() {
    let mut pair = Pair::connected(0);
    let (good, bad) = (pair.open(CLIENT, ""), pair.open(CLIENT, ""));
    for (data, kind) in [
        (&b"text"[..], Kind::String),
        (b"\0", Kind::StringEmpty),
        (b"?", Kind::Unknown),
        (b"\x03 opened already", Kind::Dcep),
    ] {
        let now = pair.now();
        pair.sides[CLIENT]
            .write(bad, data, kind, now)
            .expect("is sent");
        pair.wait_for(SERVER, &Event::ProtocolViolation { stream: bad });
    }
    // On a stream of which nobody has said that it is a channel.
    let stream = 100;
    pair.sides[CLIENT].open_stream(stream).expect("opens");
    for (data, kind) in [(&b"data"[..], Kind::Binary), (b"\x07", Kind::Dcep)] {
        let now = pair.now();
        let _ = pair.sides[CLIENT].write(stream, data, kind, now);
        pair.wait_for(CLIENT, &Event::Closed { stream });
        pair.rest(Duration::from_secs(5));
        pair.sides[CLIENT].open_stream(stream).expect("opens again");
    }
    pair.say(CLIENT, good, b"goes on");
}

#[test]
fn garbage_does_no_harm() {
    let mut pair = Pair::connected(0);
    let stream = pair.open(CLIENT, "");
    for length in 0..200 {
        let mut garbage = vec![0; length];
        pair.network.random(&mut garbage);
        let now = pair.now();
        pair.sides[SERVER].receive(garbage.into(), now);
    }
    pair.say(CLIENT, stream, b"goes on");
}
