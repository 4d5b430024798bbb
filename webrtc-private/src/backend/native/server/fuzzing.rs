//! See [`crate::fuzzing`].

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Waker},
    time::Instant,
};

use bytes::BytesMut;
use futures::FutureExt as _;
use rtc_crypto::{RTCCryptoProvider, default_provider};
use rtc_stun::{
    attributes::{ATTR_USERNAME, AttrType},
    fingerprint::FINGERPRINT,
    integrity::MessageIntegrity,
    message::{BINDING_REQUEST, Message, Setter as _, TransactionId},
    textattrs::TextAttribute,
};
use tokio::net::UdpSocket;

use super::{
    super::{budget::Ledger, guard::Guard, records::Records},
    Connection,
    certificate::Certificate,
    clients::{Clients, Taken},
    dialler::{self, Dialler},
    prepare,
};
use crate::backend::PeerConnection as _;

/// The server's username fragment in the checks of [`ServerLab::check`]: one of version 2 with a password in it.
const NAME: &str = "libp2p+webrtc+v2/0123456789abcdefghijkl";
/// Bytes of earlier datagrams that may be handed on with one.
const RECORDS_KEPT_MAX: usize = 64 * 1024;
/// Polls of a connection after each datagram: it goes on as long as something comes of it.
const POLLS_MAX: usize = 8;

/// What the STUN username of a connectivity check says.
pub(crate) fn user_name(text: &str) {
    let Some(dialler) = Dialler::parse(text) else {
        return;
    };
    assert!(text.starts_with(dialler.server_ufrag()));
    let offer = dialler::offer(&dialler, SocketAddr::from(([192, 0, 2, 1], 9)));
    // Nothing in a username makes a line of its own.
    assert_eq!(offer.lines().count(), 14, "{offer}");
}

/// A server of `/webrtc-direct` at a socket on the loopback interface, and datagrams of nobody in particular. The
/// WebRTC implementation may panic, see `Shared::with`; that must stay inside. Needs a tokio runtime.
pub struct ServerLab {
    clients: Clients,
    guard: Guard,
    records: Records,
    certificate: Certificate,
    crypto: Arc<dyn RTCCryptoProvider>,
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    /// Somebody who has come.
    connection: Option<Connection>,
}

impl fmt::Debug for ServerLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerLab")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl ServerLab {
    /// A server with this certificate at this socket.
    #[must_use]
    pub fn new(certificate: &Certificate, socket: &Arc<UdpSocket>) -> Self {
        let crypto = default_provider().expect("there is a provider");
        Self {
            clients: Clients::new(Arc::clone(&crypto), Ledger::new(true)),
            guard: Guard::default(),
            records: Records::default(),
            certificate: certificate.clone(),
            crypto,
            socket: Arc::clone(socket),
            local: socket.local_addr().expect("it is bound"),
            connection: None,
        }
    }

    /// A datagram comes.
    pub fn receive(&mut self, from: SocketAddr, data: &[u8]) {
        let _ = self.guard.admits(from, data);
        let is_connected = self.connection.is_some();
        let taken = self.records.take(BytesMut::from(data), is_connected);
        assert!(taken.is_none_or(|taken| taken.len() <= data.len() + RECORDS_KEPT_MAX));
        match self.take(from, data) {
            // Whoever sends it is there.
            Some(Taken::Ask(check)) => {
                if let Some(transaction) = check.get(4..20) {
                    let answer = [&[1, 1, 0, 0][..], transaction].concat();
                    let taken = self.take(from, &answer);
                    self.begin(taken);
                }
            }
            taken => self.begin(taken),
        }
        if let Some(connection) = &mut self.connection {
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..POLLS_MAX {
                if connection.poll_event(&mut cx).is_pending() {
                    break;
                }
            }
        }
    }

    fn take(&mut self, from: SocketAddr, data: &[u8]) -> Option<Taken> {
        let (local, data) = (self.local, BytesMut::from(data));
        self.clients
            .take(from, data, Instant::now(), local, &self.socket)
    }

    fn begin(&mut self, taken: Option<Taken>) {
        if let Some(Taken::Client(client)) = taken
            && self.connection.is_none()
        {
            let prepared = prepare(client, &self.certificate).now_or_never();
            let prepared = prepared.expect("everything is done at once");
            self.connection = prepared.ok().map(|(connection, _)| connection);
        }
    }

    /// An ICE check comes that is signed as it has to be, with these further attributes.
    pub fn check(&mut self, from: SocketAddr, attributes: &[(u16, &[u8])]) {
        let mut check = Message::new();
        let user = TextAttribute::new(ATTR_USERNAME, format!("{NAME}:abcd"));
        let begun = check.build(&[
            Box::<TransactionId>::default(),
            Box::new(BINDING_REQUEST),
            Box::new(user),
        ]);
        begun.expect("a message can be made");
        for (kind, value) in attributes {
            check.add(AttrType(*kind), value);
        }
        let crypto = self.crypto.crypto();
        let integrity =
            MessageIntegrity::new_short_term_integrity_with_provider(NAME.to_owned(), crypto);
        if integrity.add_to(&mut check).is_ok() && FINGERPRINT.add_to(&mut check).is_ok() {
            let data = std::mem::take(&mut check.raw);
            self.receive(from, &data);
        }
    }
}
