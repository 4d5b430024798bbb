//! Local candidates: the addresses of the sockets (host), and those that STUN servers see them under
//! (server-reflexive).

use std::{
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
    time::Instant,
};

use bytes::BytesMut;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use rtc_ice::{
    candidate::{
        Candidate, CandidateConfig, candidate_host::CandidateHostConfig,
        candidate_server_reflexive::CandidateServerReflexiveConfig,
    },
    url::{SchemeType, Url},
};
use rtc_shared::{TaggedBytesMut, TransportContext, TransportProtocol, error::Error};
use rtc_stun::{
    agent::StunEvent,
    client::{Client, ClientBuilder, TaggedMessage},
    message::{BINDING_REQUEST, Getter as _, Message, TransactionId},
    xoraddr::XorMappedAddress,
};
use sansio::Protocol as _;

use super::{super::IceServer, sockets::Datagram};
use crate::config::Reachable;

/// STUN servers that are asked. One answer is enough; a second server is for when the first is gone.
const SERVERS_MAX: usize = 4;

/// The UDP component of an ICE stream; there is no other (RFC 8445, section 4).
const COMPONENT: u16 = 1;

/// See the [module](self).
pub(super) struct Gatherer {
    /// What a server's name may stand for.
    reachable: Reachable,
    /// The sockets' addresses, which candidates are sent from (their base: RFC 8445, section 4).
    bases: Vec<SocketAddr>,
    /// The names of servers are being looked up.
    resolving: FuturesUnordered<BoxFuture<'static, Vec<SocketAddr>>>,
    /// Servers that have not answered.
    clients: Vec<Client>,
    found: Vec<Candidate>,
}

impl Gatherer {
    /// Nothing is gathered.
    pub(super) fn new(reachable: Reachable) -> Self {
        Self {
            reachable,
            bases: Vec::new(),
            resolving: FuturesUnordered::new(),
            clients: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Begins, with sockets at these addresses.
    pub(super) fn begin(&mut self, bases: Vec<SocketAddr>, servers: &[IceServer]) {
        for local in &bases {
            let host = CandidateHostConfig {
                base_config: at(*local),
                ..CandidateHostConfig::default()
            };
            self.find(host.new_candidate_host());
        }
        self.bases = bases;
        let urls = servers.iter().flat_map(|server| &server.urls);
        for (host, port) in urls.filter_map(|url| stun_server(url)).take(SERVERS_MAX) {
            let reachable = self.reachable.clone();
            self.resolving.push(Box::pin(async move {
                let resolved = tokio::net::lookup_host((host.as_str(), port)).await;
                // Whoever has set these servers has seen their IP addresses, and not what a name stands for.
                let is_seen = host.parse::<IpAddr>().is_ok();
                match resolved {
                    Ok(addresses) => addresses
                        .filter(|address| is_seen || reachable.has(address.ip()))
                        .collect(),
                    Err(error) => {
                        tracing::debug!(%host, %error, "the STUN server's address is not known");
                        Vec::new()
                    }
                }
            }));
        }
    }

    /// Asks servers whose addresses have come to be known.
    pub(super) fn poll_resolved(&mut self, cx: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(Some(addresses)) = self.resolving.poll_next_unpin(cx) {
            for local in self.bases.clone() {
                // One address of the server's for each of ours, of the same kind.
                let mut same = addresses
                    .iter()
                    .filter(|one| one.is_ipv4() == local.is_ipv4());
                let Some(server) = same.next() else {
                    continue;
                };
                match ask(now, local, *server) {
                    Ok(client) => self.clients.push(client),
                    Err(error) => tracing::debug!(%server, %error, "not asked"),
                }
            }
        }
    }

    /// Takes a datagram if it is of a server that was asked; else it is given back.
    pub(super) fn receive(&mut self, datagram: Datagram, now: Instant) -> Option<Datagram> {
        let asked = self.clients.iter_mut().find(|client| {
            client.peer_addr() == datagram.remote && client.local_addr() == datagram.local
        });
        let Some(client) = asked else {
            return Some(datagram);
        };
        if let Err(error) = client.handle_read(tagged(datagram, now)) {
            tracing::debug!(%error, "a STUN server's answer is not understood");
        }
        None
    }

    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        let clients = self.clients.iter_mut();
        clients.filter_map(|client| client.poll_timeout()).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for client in &mut self.clients {
            if let Err(error) = client.handle_timeout(now) {
                tracing::debug!(%error, "asking a STUN server");
            }
        }
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Datagram> {
        let mut clients = self.clients.iter_mut();
        clients.find_map(|client| client.poll_write()).map(untagged)
    }

    /// Candidates that were found since the last time.
    pub(super) fn take(&mut self) -> Vec<Candidate> {
        let mut clients = std::mem::take(&mut self.clients);
        clients.retain_mut(|client| match client.poll_event() {
            None => true,
            Some(StunEvent::Message(answer)) => {
                self.on_answer(client.local_addr(), &answer);
                false
            }
            // Nobody is there.
            Some(_) => false,
        });
        self.clients = clients;
        std::mem::take(&mut self.found)
    }

    fn on_answer(&mut self, local: SocketAddr, answer: &Message) {
        let mut mapped = XorMappedAddress::default();
        if let Err(error) = mapped.get_from(answer) {
            tracing::debug!(%error, "a STUN server does not tell our address");
            return;
        }
        let mapped = SocketAddr::new(mapped.ip, mapped.port);
        // No NAT: others know it already.
        if mapped == local {
            return;
        }
        let reflexive = CandidateServerReflexiveConfig {
            base_config: at(mapped),
            rel_addr: local.ip().to_string(),
            rel_port: local.port(),
            ..CandidateServerReflexiveConfig::default()
        };
        self.find(reflexive.new_candidate_server_reflexive());
    }

    fn find(&mut self, candidate: Result<Candidate, Error>) {
        match candidate {
            Ok(candidate) => self.found.push(candidate),
            Err(error) => tracing::debug!(%error, "a candidate cannot be made"),
        }
    }
}

fn at(address: SocketAddr) -> CandidateConfig {
    CandidateConfig {
        network: "udp".to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
        component: COMPONENT,
        ..CandidateConfig::default()
    }
}

/// The host and port in the URL of a STUN server (RFC 7064). TURN servers are left out: relayed candidates
/// are not gathered.
fn stun_server(url: &str) -> Option<(String, u16)> {
    // Seen in the wild, though `stun:` has no query.
    let (bare, _) = url.split_once('?').unwrap_or((url, ""));
    match Url::parse_url(bare) {
        Ok(url) if url.scheme == SchemeType::Stun => Some((url.host, url.port)),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(url, %error, "not the URL of a STUN server");
            None
        }
    }
}

fn ask(now: Instant, local: SocketAddr, server: SocketAddr) -> Result<Client, Error> {
    let mut client = ClientBuilder::new().build(now, local, server, TransportProtocol::UDP)?;
    let mut message = Message::new();
    message.build(&[Box::<TransactionId>::default(), Box::new(BINDING_REQUEST)])?;
    client.handle_write(TaggedMessage { now, message })?;
    Ok(client)
}

/// A datagram as `rtc` takes it.
pub(super) fn tagged(datagram: Datagram, now: Instant) -> TaggedBytesMut {
    TaggedBytesMut {
        now,
        transport: TransportContext {
            local_addr: datagram.local,
            peer_addr: datagram.remote,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        },
        message: datagram.data,
    }
}

/// A datagram as `rtc` gives it.
pub(super) fn untagged(tagged: TaggedBytesMut) -> Datagram {
    Datagram {
        local: tagged.transport.local_addr,
        remote: tagged.transport.peer_addr,
        data: BytesMut::from(&tagged.message[..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stun_servers_are_asked() {
        for (url, server) in [
            ("stun:192.0.2.1:3478", Some(("192.0.2.1", 3478))),
            ("stun:stun.example", Some(("stun.example", 3478))),
            ("stun:[2001:db8::1]:9", Some(("2001:db8::1", 9))),
            ("stun:192.0.2.1?transport=udp", Some(("192.0.2.1", 3478))),
            ("turn:192.0.2.1:3478?transport=udp", None),
            ("stuns:192.0.2.1", None),
            ("http://192.0.2.1", None),
            ("", None),
        ] {
            let server = server.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(stun_server(url), server, "{url}");
        }
    }

    #[test]
    fn sockets_are_candidates() {
        let mut gatherer = Gatherer::new(Reachable::default());
        gatherer.begin(vec!["192.0.2.1:9".parse().expect("valid")], &[]);
        let found = gatherer.take();
        assert_eq!(found.len(), 1);
        let text = found[0].marshal();
        assert!(text.contains(" 192.0.2.1 9 typ host"), "{text}");
        assert!(gatherer.take().is_empty());
    }

    #[tokio::test]
    async fn a_server_is_asked_where_its_name_may_lead() {
        let bases: Vec<SocketAddr> = ["127.0.0.1:9", "[::1]:9"]
            .iter()
            .map(|local| local.parse().expect("valid"))
            .collect();
        // A name leads wherever whoever has it likes.
        for (host, may, is_asked) in [
            ("localhost", false, false),
            ("localhost", true, true),
            ("127.0.0.1", false, true),
        ] {
            let mut gatherer = Gatherer::new(Reachable::new(move |_| may));
            let server = IceServer {
                urls: vec![format!("stun:{host}:3478")],
                username: None,
                credential: None,
            };
            gatherer.begin(bases.clone(), &[server]);
            futures::future::poll_fn(|cx| {
                gatherer.poll_resolved(cx, Instant::now());
                match gatherer.resolving.is_empty() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            assert_eq!(gatherer.poll_transmit().is_some(), is_asked, "{host} {may}");
        }
    }
}
