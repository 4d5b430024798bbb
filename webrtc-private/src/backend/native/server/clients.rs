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
    super::place::{Place, Waiting},
    dialler::Dialler,
    newcomers::Newcomers,
};

/// Clients at one time, with those that have just left. A swarm has limits of its own, far below.
const CLIENTS_MAX: usize = 4096;

/// Addresses of one client: a machine with more than one network tries them all, and may change.
const ADDRESSES_MAX: usize = 16;

/// Datagrams that wait for a client's task, beside the bound for their bytes. More are dropped, and sent again.
const QUEUE: usize = 896;

/// How long a client is remembered that has left, so that what is still under way from it is not taken
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
}

/// See the [module](self).
pub(super) struct Clients {
    /// By how they call us, which is random.
    by_name: HashMap<String, Client>,
    names: HashMap<SocketAddr, String>,
    newcomers: Newcomers,
    swept: Option<Instant>,
    crypto: Arc<dyn RTCCryptoProvider>,
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
            .field("clients", &self.by_name.len())
            .field("addresses", &self.names.len())
            .finish_non_exhaustive()
    }
}

impl Clients {
    pub(super) fn new(crypto: Arc<dyn RTCCryptoProvider>) -> Self {
        Self {
            by_name: HashMap::new(),
            names: HashMap::new(),
            newcomers: Newcomers::default(),
            swept: None,
            crypto,
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
        let name = self.names.get(&from);
        if let Some(client) = name.and_then(|name| self.by_name.get_mut(name)) {
            client.forward(from, data);
            return None;
        }
        let mut message = Message::new();
        message.unmarshal_binary(&data).ok()?;
        if let Some((dialler, first)) = self.newcomers.answered(from, &message, now) {
            return self.admit(from, dialler, first, now, local, socket);
        }
        let dialler = first_check(&mut message, &*self.crypto)?;
        if let Some(client) = self.by_name.get_mut(dialler.server()) {
            if client.addresses.len() < ADDRESSES_MAX {
                client.addresses.push(from);
                self.names.insert(from, dialler.server().to_owned());
                client.forward(from, data);
            }
            return None;
        }
        let asked = self
            .newcomers
            .ask(from, dialler, data, now, self.crypto.crypto());
        asked.map(Taken::Ask)
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
        if self.by_name.len() >= CLIENTS_MAX {
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
        self.by_name.insert(dialler.server().to_owned(), client);
        self.names.insert(from, dialler.server().to_owned());
        Some(Taken::Client(NewClient {
            address: from,
            dialler,
            place: Place::new(local, Arc::clone(socket), incoming, waiting),
        }))
    }

    /// Forgets those who have left a while ago; of all that have left when there is no room.
    fn sweep(&mut self, now: Instant) {
        let is_full = self.by_name.len() >= CLIENTS_MAX;
        let is_due = |swept: Instant| now.saturating_duration_since(swept) >= SWEEP_PAUSE;
        if !is_full && !self.swept.is_none_or(is_due) {
            return;
        }
        self.swept = Some(now);
        let names = &mut self.names;
        self.by_name.retain(|_, client| {
            if !client.datagrams.is_closed() {
                return true;
            }
            let left = *client.left.get_or_insert(now);
            if !is_full && now.saturating_duration_since(left) < FORGOTTEN_AFTER {
                return true;
            }
            for address in &client.addresses {
                names.remove(address);
            }
            false
        });
    }
}

impl Client {
    fn forward(&mut self, from: SocketAddr, data: BytesMut) {
        // Lost, as datagrams may be, when the task is too slow or gone.
        let length = data.len();
        if self.waiting.put(length) && self.datagrams.try_send((from, data)).is_err() {
            self.waiting.take(length);
        }
    }
}

/// What an ICE check says of a client that is not known, if it is signed with that.
fn first_check(check: &mut Message, crypto: &dyn RTCCryptoProvider) -> Option<Dialler> {
    if check.typ != BINDING_REQUEST {
        return None;
    }
    let name = TextAttribute::get_from_as(check, ATTR_USERNAME).ok()?;
    let dialler = Dialler::parse(&name.text)?;
    MessageIntegrity::check(check, dialler.server().as_bytes(), crypto.crypto()).ok()?;
    Some(dialler)
}
