//! Who a datagram is of.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use futures::channel::mpsc;
use rtc_crypto::RTCCryptoProvider;
use rtc_stun::{
    attributes::ATTR_USERNAME,
    integrity::MessageIntegrity,
    message::{BINDING_REQUEST, Message},
    textattrs::TextAttribute,
};
use tokio::net::UdpSocket;

use super::{
    super::{
        budget::{Account, Ledger},
        guard::is_dtls,
        place::{Place, Waiting},
    },
    dialler::Dialler,
    newcomers::Newcomers,
};

/// Clients at one time, with those that have just left. A swarm has limits of its own, far below.
const CLIENTS_MAX: usize = 4096;

/// Addresses of one client: a machine with more than one network tries them all, and may change.
const ADDRESSES_MAX: usize = 16;

/// Datagrams that wait for a client's task, beside the bound for their bytes. More are dropped, and sent again.
const QUEUE: usize = 896;

/// How long a client is remembered that has left, so that a check that is still under way from it is not taken
/// for a new one's.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// The pause between two looks at who has left.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// What comes of a datagram of somebody who is not known.
pub(super) enum Taken {
    /// This is to go back to where it came from.
    Ask(BytesMut),
    /// It is to be served.
    Client(NewClient),
}

/// Somebody who has shown to be there.
pub(super) struct NewClient {
    pub(super) address: SocketAddr,
    pub(super) dialler: Dialler,
    pub(super) place: Place,
    /// Who pays for it until it is known.
    pub(super) account: Option<Account>,
}

/// See the [module](self).
pub(super) struct Clients {
    /// By the username fragment that they call us by, which is random.
    by_ufrag: HashMap<String, Client>,
    ufrags: HashMap<SocketAddr, String>,
    newcomers: Newcomers,
    swept: Option<Instant>,
    crypto: Arc<dyn RTCCryptoProvider>,
    ledger: Ledger,
}

struct Client {
    datagrams: mpsc::Sender<(SocketAddr, BytesMut)>,
    waiting: Arc<Waiting>,
    addresses: Vec<SocketAddr>,
    left: Option<Instant>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("clients", &self.by_ufrag.len())
            .field("addresses", &self.ufrags.len())
            .finish_non_exhaustive()
    }
}

impl Clients {
    pub(super) fn new(crypto: Arc<dyn RTCCryptoProvider>, ledger: Ledger) -> Self {
        Self {
            by_ufrag: HashMap::new(),
            ufrags: HashMap::new(),
            newcomers: Newcomers::default(),
            swept: None,
            crypto,
            ledger,
        }
    }

    /// Takes a datagram. It may be of somebody new, who then is to be served at `local` of `socket`.
    pub(super) fn take(
        &mut self,
        from: SocketAddr,
        data: BytesMut,
        now: Instant,
        local: SocketAddr,
        socket: &Arc<UdpSocket>,
    ) -> Option<Taken> {
        if let Some(ufrag) = self.ufrags.get(&from)
            && !self.is_of_another(from, &data, ufrag)
        {
            if let Some(client) = self.by_ufrag.get_mut(ufrag) {
                client.forward(from, data);
            }
            return None;
        }
        let mut message = Message::new();
        message.unmarshal_binary(&data).ok()?;
        if let Some((dialler, first)) = self.newcomers.answered(from, &message, now) {
            return self.admit(from, dialler, first, now, local, socket);
        }
        let dialler = first_check(&mut message, &*self.crypto)?;
        let owner = self.ufrags.get(&from).and_then(|it| self.by_ufrag.get(it));
        let is_free = owner.is_none_or(Client::has_left);
        if let Some(client) = self.by_ufrag.get_mut(dialler.server_ufrag()) {
            if is_free && !client.has_left() && client.addresses.len() < ADDRESSES_MAX {
                client.addresses.push(from);
                self.ufrags.insert(from, dialler.server_ufrag().to_owned());
                client.forward(from, data);
            }
            return None;
        }
        let account = self.ledger.account(from.ip());
        if account.is_some_and(|account| !account.is_covered(now)) {
            tracing::debug!(%from, "others from there keep us busy");
            return None;
        }
        let asked = self
            .newcomers
            .ask(from, dialler, data, now, self.crypto.crypto());
        asked.map(Taken::Ask)
    }

    /// Whether a datagram is of somebody else than the client of this ufrag who came from there. Systems give the
    /// port of somebody who has left again, and of a dial that was given up nobody says so. Who is known keeps
    /// its address.
    fn is_of_another(&self, from: SocketAddr, data: &[u8], ufrag: &str) -> bool {
        let client = self.by_ufrag.get(ufrag);
        if is_dtls(data) || client.is_some_and(Client::is_known) {
            return false;
        }
        let mut message = Message::new();
        if message.unmarshal_binary(data).is_err() {
            return false;
        }
        if message.typ == BINDING_REQUEST {
            let dialler = dialler_of(&message);
            dialler.is_some_and(|dialler| dialler.server_ufrag() != ufrag)
        } else {
            self.newcomers.is_answer(from, &message)
        }
    }

    fn admit(
        &mut self,
        from: SocketAddr,
        dialler: Dialler,
        first: BytesMut,
        now: Instant,
        local: SocketAddr,
        socket: &Arc<UdpSocket>,
    ) -> Option<Taken> {
        self.sweep(now);
        if self.by_ufrag.len() >= CLIENTS_MAX {
            tracing::debug!(%from, "too many clients");
            return None;
        }
        let (datagrams, incoming) = mpsc::channel(QUEUE);
        let waiting = Arc::<Waiting>::default();
        let mut client = Client {
            datagrams,
            waiting: Arc::clone(&waiting),
            addresses: vec![from],
            left: None,
        };
        client.forward(from, first);
        self.by_ufrag
            .insert(dialler.server_ufrag().to_owned(), client);
        self.ufrags.insert(from, dialler.server_ufrag().to_owned());
        Some(Taken::Client(NewClient {
            address: from,
            dialler,
            account: self.ledger.account(from.ip()),
            place: Place::new(local, Arc::clone(socket), incoming, waiting),
        }))
    }

    /// Forgets those who have left a while ago; of all that have left when there is no room.
    fn sweep(&mut self, now: Instant) {
        let is_full = self.by_ufrag.len() >= CLIENTS_MAX;
        let is_due = |swept: Instant| now.saturating_duration_since(swept) >= SWEEP_PAUSE;
        if !is_full && !self.swept.is_none_or(is_due) {
            return;
        }
        self.swept = Some(now);
        let ufrags = &mut self.ufrags;
        self.by_ufrag.retain(|ufrag, client| {
            if !client.has_left() {
                return true;
            }
            let left = *client.left.get_or_insert(now);
            if !is_full && now.saturating_duration_since(left) < FORGOTTEN_AFTER {
                return true;
            }
            for address in &client.addresses {
                // It may be somebody else's by now.
                if ufrags.get(address).is_some_and(|now| now == ufrag) {
                    ufrags.remove(address);
                }
            }
            false
        });
    }
}

impl Client {
    /// Whether nobody serves it any more.
    fn has_left(&self) -> bool {
        self.datagrams.is_closed()
    }

    /// Whether it is served, and has proven who it is.
    fn is_known(&self) -> bool {
        !self.has_left() && self.waiting.is_trusted()
    }

    fn forward(&mut self, from: SocketAddr, data: BytesMut) {
        // Lost, as datagrams may be, when the task is too slow or gone.
        let length = data.len();
        if self.waiting.put(length) && self.datagrams.try_send((from, data)).is_err() {
            self.waiting.take(length);
        }
    }
}

/// What a connectivity check says of a client that is not known, if it is signed with that.
fn first_check(check: &mut Message, crypto: &dyn RTCCryptoProvider) -> Option<Dialler> {
    if check.typ != BINDING_REQUEST {
        return None;
    }
    let dialler = dialler_of(check)?;
    MessageIntegrity::check(check, dialler.server_ufrag().as_bytes(), crypto.crypto()).ok()?;
    Some(dialler)
}

/// What the STUN username of a check says, whoever has written it.
fn dialler_of(check: &Message) -> Option<Dialler> {
    let username = TextAttribute::get_from_as(check, ATTR_USERNAME).ok()?;
    Dialler::parse(&username.text)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, SocketAddrV4},
        task::{Context, Poll},
    };

    use rtc_crypto::default_provider;
    use rtc_stun::message::BINDING_SUCCESS;

    use super::{
        super::{super::budget::Budget, tests::signed_check},
        *,
    };

    const LOCAL: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));

    struct Server {
        clients: Clients,
        socket: Arc<UdpSocket>,
        start: Instant,
    }

    impl Server {
        async fn new() -> Self {
            Self {
                clients: Clients::new(default_provider().unwrap(), Ledger::new(false)),
                socket: Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()),
                start: Instant::now(),
            }
        }

        fn take(&mut self, data: &[u8], seconds: u64) -> Option<Taken> {
            let from = "192.0.2.1:9".parse().unwrap();
            let now = self.start + Duration::from_secs(seconds);
            let data = BytesMut::from(data);
            self.clients.take(from, data, now, LOCAL, &self.socket)
        }

        /// Somebody comes with this check and answers what it is asked.
        fn admit(&mut self, check: &[u8], seconds: u64) -> NewClient {
            let Some(Taken::Ask(question)) = self.take(check, seconds) else {
                panic!("it is asked");
            };
            let mut answer = Message::new();
            let mut asked = Message::new();
            asked.unmarshal_binary(&question).unwrap();
            let transaction = Box::new(asked.transaction_id);
            answer
                .build(&[transaction, Box::new(BINDING_SUCCESS)])
                .unwrap();
            match self.take(&answer.raw, seconds) {
                Some(Taken::Client(client)) => client,
                _ => panic!("it has answered"),
            }
        }

        fn remembered(&self) -> (usize, usize) {
            (self.clients.by_ufrag.len(), self.clients.ufrags.len())
        }
    }

    fn check_of(number: usize) -> Vec<u8> {
        signed_check(&format!("libp2p+webrtc+v2/{number:022}"), "abcd")
    }

    #[tokio::test]
    async fn the_next_one_at_an_address_is_let_in_as_soon_as_the_last_has_left() {
        let (mut server, first, second) = (Server::new().await, check_of(1), check_of(2));
        let client = server.admit(&first, 0);
        client.place.trust();
        assert!(server.take(&second, 1).is_none(), "the address is taken");
        drop(client);
        assert!(server.take(&first, 2).is_none(), "it was under way");
        let client = server.admit(&second, 2);
        client.place.trust();
        assert_eq!(server.remembered(), (2, 1));

        // When the first is forgotten, the address is still the second's.
        let sweep = |server: &mut Server, seconds| {
            let now = server.start + Duration::from_secs(seconds);
            server.clients.sweep(now);
        };
        sweep(&mut server, 10);
        sweep(&mut server, 60);
        assert_eq!(server.remembered(), (1, 1));
        assert!(server.take(&check_of(3), 60).is_none());
        drop(client);
        sweep(&mut server, 70);
        sweep(&mut server, 120);
        assert_eq!(server.remembered(), (0, 0));
    }
    #[tokio::test]
    async fn who_has_proven_nothing_yet_keeps_nobody_from_its_address() {
        let (mut server, first, second) = (Server::new().await, check_of(1), check_of(2));
        let mut client = server.admit(&first, 0);
        let forged = signed_check("libp2p+webrtc+v2/0000000000000000000001", "efgh");
        assert!(server.take(&forged, 1).is_none(), "of the same ufrag");
        assert!(server.take(&[22, 254, 253], 1).is_none(), "DTLS");
        let mut other = server.admit(&second, 1);
        assert!(server.take(&first, 2).is_none(), "it has lost its address");

        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut lengths = |client: &mut NewClient| {
            let all = std::iter::from_fn(|| match client.place.poll_receive(&mut cx) {
                Poll::Ready(datagram) => Some(datagram.data.len()),
                Poll::Pending => None,
            });
            all.collect::<Vec<_>>()
        };
        assert_eq!(lengths(&mut client), [first.len(), forged.len(), 3]);
        assert_eq!(lengths(&mut other), [second.len()]);
        server.take(&[22, 254, 253], 2);
        assert!(lengths(&mut client).is_empty());
        assert_eq!(lengths(&mut other), [3]);
    }
    #[tokio::test]
    async fn a_source_that_keeps_us_busy_is_not_let_in_until_it_has_paid() {
        let mut server = Server::new().await;
        let client = server.admit(&check_of(1), 0);
        let mut budget = Budget::of(client.account.expect("it has one"));
        let long = Duration::from_secs(3);
        assert!(!budget.spend(long, server.start));
        assert!(server.take(&check_of(2), 1).is_none());
        assert!(server.take(&check_of(2), 5).is_some(), "it has paid");
    }
}
