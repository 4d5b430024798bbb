//! SCTP over DTLS, and the data channels on it (RFC 8831), without sockets or a clock.
//!
//! The association is of the crate `sctp-proto`. A channel is two streams with the same id, one each way; closing it
//! resets both (RFC 8831, section 6.7), and the id is used again when both are reset.

use std::{
    collections::{HashSet, VecDeque},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig,
    Event as AssociationEvent, Payload, PayloadProtocolIdentifier as Kind, ServerConfig,
    StreamEvent, Transmit, TransportConfig,
};

use self::{
    closing::Closing,
    dcep::Open,
    guard::{Guard, Verdict},
    stream_ids::StreamIds,
};
use super::super::{BackendError, ChannelClosed};

mod closing;
mod dcep;
mod guard;
mod packet;
mod reconfig;
mod stream_ids;

/// The stream identifier (RFC 9260, section 3.3.1) of both streams of a channel.
pub(super) type StreamId = u16;

/// Streams each way, so half as many channels of each side: Chromium knows no more.
const STREAMS_MAX: StreamId = 1024;

/// The port of SCTP on both sides, where a description does not say another (RFC 8841, section 5).
pub(super) const PORT: u16 = 5000;

/// The longest message that is taken, as our descriptions say (RFC 8841, section 6).
pub(super) const MESSAGE_MAX: u32 = 64 * 1024;

/// Bytes of data in a packet: with the headers of SCTP, DTLS, UDP and IPv6 below the 1,280 bytes that every
/// path of IPv6 takes.
const PAYLOAD_MAX: u32 = 1160;

/// Retransmission timeouts (RTO.Initial, RTO.Min and RTO.Max of RFC 9260, section 16), in milliseconds, as Chromium
/// has them. The RFC would have a first one of 1 s, which somebody waits for when a single packet is lost, and a last
/// one of 60 s.
const RTO_INITIAL: u64 = 500;
/// See [`RTO_INITIAL`].
const RTO_MIN: u64 = 400;
/// See [`RTO_INITIAL`].
const RTO_MAX: u64 = 3000;

/// The only remote: addresses are a matter of ICE.
const REMOTE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, PORT));

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// There is an association: channels can be opened.
    Connected,
    /// The other side has opened a channel.
    Opened { stream: StreamId, label: String },
    /// A message has come on a channel that is open.
    Message { stream: StreamId, data: Bytes },
    /// Text, or what is not of the data channel protocols, has come on a channel.
    ProtocolViolation { stream: StreamId },
    /// A channel is closed.
    Closed { stream: StreamId },
    /// The association is over.
    Lost,
}

/// See the [module](self).
pub(super) struct Sctp {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    is_connected: bool,
    guard: Guard,
    stream_ids: StreamIds,
    /// Streams of channels: those on which both sides know that there is one.
    open: HashSet<StreamId>,
    /// Those of them whose DATA_CHANNEL_OPEN was not answered by us yet.
    unanswered: HashSet<StreamId>,
    /// Those of them that both sides open by themselves (negotiated), as soon as there is an association.
    negotiated: HashSet<StreamId>,
    /// Those of them that are closed for us.
    closing: Closing,
    events: VecDeque<Event>,
    unsent: VecDeque<Bytes>,
}

fn refused(error: impl std::fmt::Display) -> BackendError {
    BackendError(error.to_string())
}

impl Sctp {
    /// The DTLS handshake is over. The DTLS client begins the association.
    pub(super) fn new(
        is_client: bool,
        remote_port: u16,
        now: Instant,
    ) -> Result<Self, BackendError> {
        let transport = TransportConfig::default()
            .with_remote_port(remote_port)
            .with_max_send_message_size(MESSAGE_MAX)
            .with_max_receive_message_size(MESSAGE_MAX)
            // ICE finds out when the other side cannot be reached any more.
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None)
            .with_rto_initial_ms(RTO_INITIAL)
            .with_rto_min_ms(RTO_MIN)
            .with_rto_max_ms(RTO_MAX);
        let transport = Arc::new(transport);
        let mut config = EndpointConfig::new();
        config.max_payload_size(PAYLOAD_MAX);
        let mut server = ServerConfig::new();
        server.transport = Arc::clone(&transport);
        let mut endpoint = Endpoint::new(Arc::new(config), Some(Arc::new(server)));
        let mut association = None;
        if is_client {
            let mut client = ClientConfig::new();
            client.transport = transport;
            association = Some(endpoint.connect(client, REMOTE).map_err(refused)?);
            // The other side may begin too (RFC 9260, section 5.2.1), and goes on with ours.
            endpoint.reject_new_associations();
        }
        let mut sctp = Self {
            endpoint,
            association,
            stream_ids: StreamIds::new(is_client),
            open: HashSet::new(),
            unanswered: HashSet::new(),
            negotiated: HashSet::new(),
            is_connected: false,
            guard: Guard::default(),
            closing: Closing::default(),
            events: VecDeque::new(),
            unsent: VecDeque::new(),
        };
        sctp.settle(now);
        Ok(sctp)
    }

    /// A packet has come.
    pub(super) fn receive(&mut self, packet: Bytes, now: Instant) {
        match self.guard.judge(&packet, self.is_connected) {
            Verdict::Take => {}
            Verdict::Drop => return,
            Verdict::End => {
                tracing::debug!("the other side breaks the rules of SCTP");
                self.events.push_back(Event::Lost);
                return;
            }
        }
        let handled = self.endpoint.handle(now, REMOTE, None, None, packet);
        match (handled, &mut self.association) {
            (Some((handle, DatagramEvent::NewAssociation(association))), None) => {
                self.association = Some((handle, association));
                self.endpoint.reject_new_associations();
            }
            (Some((_, DatagramEvent::AssociationEvent(event))), Some((_, association))) => {
                association.handle_event(event);
            }
            _ => {}
        }
        self.settle(now);
    }

    /// It is known who is at the other end.
    pub(super) const fn trust(&mut self) {
        self.guard.trust();
    }

    /// Whether channels can be opened.
    pub(super) const fn is_connected(&self) -> bool {
        self.is_connected
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let (_, association) = self.association.as_ref()?;
        let deadlines = [association.poll_timeout(), self.closing.poll_timeout()];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(stream) = self.closing.next_due(now) {
            self.reset(stream);
        }
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.settle(now);
    }

    /// What has happened next.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next packet to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.unsent.pop_front()
    }

    /// Opens a channel in band. `None` when all stream ids are taken.
    pub(super) fn open(&mut self, label: &str, now: Instant) -> Option<StreamId> {
        let message = dcep::open(label)?;
        let stream = self.open_next()?;
        if self.write(stream, &message, Kind::Dcep, now).is_err() {
            self.reset(stream);
            self.stream_ids.give_back(stream);
            return None;
        }
        Some(stream)
    }

    /// Opens a stream with an id that is free, for the association too.
    fn open_next(&mut self) -> Option<StreamId> {
        for _ in 0..self.stream_ids.left() {
            let stream = self.stream_ids.take()?;
            if self.open_stream(stream).is_some() {
                return Some(stream);
            }
            self.stream_ids.give_back(stream);
        }
        None
    }

    /// Opens a channel that the other side opens by itself too. Before there is an association, because what
    /// it sends may come with the last packet of the handshake. `None` when it is not possible any more.
    pub(super) fn open_negotiated(&mut self, stream: StreamId) -> Option<()> {
        if self.is_connected {
            return None;
        }
        self.stream_ids.except(stream);
        self.open.insert(stream);
        self.negotiated.insert(stream);
        Some(())
    }

    /// There is an association: the channels that both sides know of are open.
    fn on_connected(&mut self) {
        self.is_connected = true;
        for stream in std::mem::take(&mut self.negotiated) {
            if self.open_stream(stream).is_none() {
                self.events.push_back(Event::Closed { stream });
            }
        }
        self.events.push_back(Event::Connected);
    }

    fn open_stream(&mut self, stream: StreamId) -> Option<()> {
        let (_, association) = self.association.as_mut()?;
        association.open_stream(stream, Kind::Binary).ok()?;
        self.open.insert(stream);
        Some(())
    }

    pub(super) fn send(
        &mut self,
        stream: StreamId,
        data: &[u8],
        now: Instant,
    ) -> Result<(), ChannelClosed> {
        if !self.open.contains(&stream) {
            return Err(ChannelClosed);
        }
        // RFC 8831, section 6.6: SCTP has no empty messages.
        match data {
            [] => self.write(stream, &[0], Kind::BinaryEmpty, now),
            data => self.write(stream, data, Kind::Binary, now),
        }
    }

    fn write(
        &mut self,
        stream: StreamId,
        data: &[u8],
        kind: Kind,
        now: Instant,
    ) -> Result<(), ChannelClosed> {
        let (_, association) = self.association.as_mut().ok_or(ChannelClosed)?;
        let mut stream = association.stream(stream).map_err(|_| ChannelClosed)?;
        stream
            .write_with_ppi(data, kind)
            .map_err(|_| ChannelClosed)?;
        self.settle(now);
        Ok(())
    }

    /// Bytes that wait to go out or to be acknowledged; `None` as long as nothing can be sent.
    pub(super) fn buffered_amount(
        &mut self,
        stream: StreamId,
    ) -> Result<Option<usize>, ChannelClosed> {
        if self.unanswered.contains(&stream) || self.negotiated.contains(&stream) {
            return Ok(None);
        }
        let (_, association) = self.association.as_mut().ok_or(ChannelClosed)?;
        let stream = association.stream(stream).map_err(|_| ChannelClosed)?;
        let bytes = stream.buffered_amount().map_err(|_| ChannelClosed)?;
        Ok(Some(bytes))
    }

    /// Closes a channel, when what was sent on it has arrived. What comes on it is for nobody.
    ///
    /// Who has opened it closes it first: after that, the other side may use its id at once (see
    /// `StreamIds`). If it does not, we do after some time.
    pub(super) fn close(&mut self, stream: StreamId, now: Instant) {
        self.close_or(stream, now, |sctp| sctp.closing.wait(stream, now));
    }

    /// The same where nothing more comes.
    pub(super) fn close_finished(&mut self, stream: StreamId, now: Instant) {
        self.close_or(stream, now, |sctp| sctp.reset(stream));
    }

    fn close_or(&mut self, stream: StreamId, now: Instant, close: impl FnOnce(&mut Self)) {
        if self.open.contains(&stream) {
            if self.stream_ids.is_ours(stream) || !self.closing.leave(stream, now) {
                close(self);
            }
            self.settle(now);
        }
    }

    /// Closes a channel of the other side at once, which nobody has taken.
    pub(super) fn turn_away(&mut self, stream: StreamId, now: Instant) {
        self.reset(stream);
        self.settle(now);
    }

    fn reset(&mut self, stream: StreamId) {
        self.open.remove(&stream);
        self.negotiated.remove(&stream);
        let association = self.association.as_mut();
        let closed = association.map(|(_, association)| {
            let mut stream = association.stream(stream)?;
            stream.close()
        });
        if let Some(Err(error)) = closed {
            tracing::debug!(%error, stream, "a stream is not closed");
        }
    }

    /// Sees to what has come of it.
    fn settle(&mut self, now: Instant) {
        while self.pass_on() || self.take_event(now) || self.answer() || self.take_packets(now) {}
    }

    /// Answers that a channel is open (DATA_CHANNEL_ACK). That may have to wait: the other side uses an id again as soon
    /// as it has both resets, and we do not know that it has ours before it says so.
    fn answer(&mut self) -> bool {
        let Some((_, association)) = &mut self.association else {
            return false;
        };
        let before = self.unanswered.len();
        self.unanswered.retain(|stream| {
            let Ok(mut stream) = association.stream(*stream) else {
                return false;
            };
            if !stream.is_writable() {
                return true;
            }
            if let Err(error) = stream.write_with_ppi(&dcep::ACK, Kind::Dcep) {
                tracing::debug!(%error, "a channel is not answered");
            }
            false
        });
        self.unanswered.len() < before
    }

    /// Passes on what the association has to say to the endpoint.
    fn pass_on(&mut self) -> bool {
        let Some((handle, association)) = &mut self.association else {
            return false;
        };
        let Some(event) = association.poll_endpoint_event() else {
            return false;
        };
        if let Some(event) = self.endpoint.handle_event(*handle, event) {
            association.handle_event(event);
        }
        true
    }

    fn take_event(&mut self, now: Instant) -> bool {
        let association = self.association.as_mut();
        let Some(event) = association.and_then(|(_, association)| association.poll()) else {
            return false;
        };
        match event {
            AssociationEvent::Connected => self.on_connected(),
            AssociationEvent::HandshakeFailed { reason }
            | AssociationEvent::AssociationLost { reason } => {
                tracing::debug!(%reason, "the association is over");
                self.events.push_back(Event::Lost);
            }
            AssociationEvent::Stream(StreamEvent::Readable { id }) => {
                self.closing.on_data(id, now);
                self.read(id);
            }
            // They are known by what comes on them; here they are only kept.
            AssociationEvent::Stream(StreamEvent::Opened { .. }) => {
                let association = self.association.as_mut();
                association.and_then(|(_, association)| association.accept_stream().map(drop));
            }
            AssociationEvent::Stream(StreamEvent::Finished { id }) => {
                self.closing.forget(id);
                if self.open.remove(&id) {
                    self.events.push_back(Event::Closed { stream: id });
                }
                if !self.guard.on_finished() {
                    tracing::debug!("the other side does not confirm that streams are reset");
                    self.events.push_back(Event::Lost);
                }
            }
            AssociationEvent::Stream(StreamEvent::ResetComplete { id }) => {
                self.guard.on_reset();
                if !self.open.contains(&id) {
                    self.stream_ids.give_back(id);
                }
            }
            AssociationEvent::Stream(StreamEvent::ResetFailed { .. }) => self.guard.on_reset(),
            _ => {}
        }
        true
    }

    fn take_packets(&mut self, now: Instant) -> bool {
        let own = self.endpoint.poll_transmit();
        let association = self.association.as_mut();
        let transmit =
            own.or_else(|| association.and_then(|(_, association)| association.poll_transmit(now)));
        let Some(Transmit { payload, .. }) = transmit else {
            return false;
        };
        if let Payload::RawEncode(packets) = payload {
            self.unsent.extend(packets.into_iter().map(reconfig::amend));
        }
        true
    }

    /// Takes the messages of a stream.
    fn read(&mut self, stream: StreamId) {
        while let Some((kind, data)) = self.read_message(stream) {
            if let Some(event) = self.understand(stream, kind, data) {
                self.events.push_back(event);
            }
        }
    }

    fn read_message(&mut self, stream: StreamId) -> Option<(Kind, Bytes)> {
        let (_, association) = self.association.as_mut()?;
        let mut stream = association.stream(stream).ok()?;
        let mut message = stream.read_sctp().ok().flatten()?;
        self.guard.on_message(message.len());
        let data = message.next(message.len()).map(|chunk| chunk.bytes);
        Some((message.ppi, data.unwrap_or_default()))
    }

    fn understand(&mut self, stream: StreamId, kind: Kind, data: Bytes) -> Option<Event> {
        let is_open = self.open.contains(&stream);
        match kind {
            Kind::Binary if is_open => Some(Event::Message { stream, data }),
            Kind::BinaryEmpty if is_open => Some(Event::Message {
                stream,
                data: Bytes::new(),
            }),
            Kind::Dcep if is_open && dcep::is_ack(&data) => None,
            Kind::Dcep if !is_open => match Open::decode(&data) {
                Some(Open { label }) => {
                    self.open.insert(stream);
                    self.unanswered.insert(stream);
                    Some(Event::Opened { stream, label })
                }
                None => self.refuse(stream),
            },
            _ => self.refuse(stream),
        }
    }

    /// What has come on a stream is not of the protocol.
    fn refuse(&mut self, stream: StreamId) -> Option<Event> {
        if self.open.contains(&stream) {
            return Some(Event::ProtocolViolation { stream });
        }
        self.reset(stream);
        None
    }
}

#[cfg(test)]
mod tests;
