//! Where things are put from.

use libp2p_identity::PeerId;
use sha2::{Digest, Sha256};

use crate::rate::Source;

/// By what way a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// From this network.
    Network(Source),
    /// Through this relay, if it is known, or by no IP address at all. The peer's own address is not
    /// known: all who come like this are one site, and those who come by one relay one network.
    Relayed(Option<PeerId>),
    /// It is the local peer, or whoever sits at its files.
    Here,
    /// It was, before the process was started again.
    Earlier,
}

/// Where something was put from: three numbers that stand for site, network and peer, each a keyed
/// hash, so that nobody can choose one and nothing can be read off it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub(super) site: u64,
    pub(super) network: u64,
    pub(super) peer: u64,
    /// Whether the site stands for everybody: a reverse proxy on this machine, or the local peer.
    pub(super) is_open: bool,
}

impl Origin {
    /// The origin of what `peer` puts. `secret` is this server's own.
    #[must_use]
    pub fn new(secret: u64, whence: Whence, peer: &PeerId) -> Self {
        let (site, network) = match whence {
            Whence::Network(source) => {
                let site = source.site();
                (format!("site {site}"), format!("network {source}"))
            }
            Whence::Relayed(relay) => ("relayed".to_owned(), format!("relayed by {relay:?}")),
            Whence::Here => ("here".to_owned(), "local".to_owned()),
            Whence::Earlier => ("earlier".to_owned(), "before".to_owned()),
        };
        let place = Self {
            site: number(secret, &[site.as_bytes()]),
            network: number(secret, &[network.as_bytes()]),
            peer: 0,
            is_open: match whence {
                Whence::Network(source) => source.is_loopback(),
                Whence::Here => true,
                Whence::Relayed(_) | Whence::Earlier => false,
            },
        };
        place.with_peer(secret, peer)
    }

    /// The origin of what another peer puts from the same network.
    #[must_use]
    pub fn with_peer(self, secret: u64, peer: &PeerId) -> Self {
        let network = self.network.to_be_bytes();
        let peer = number(secret, &[b"peer ", &network, &peer.to_bytes()]);
        Self { peer, ..self }
    }

    /// As it is written down, to be read back by [`from_bytes`](Self::from_bytes).
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.site, self.network, self.peer];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_be_bytes()).collect();
        bytes.push(self.is_open.into());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (site, bytes) = bytes.split_first_chunk()?;
        let (network, bytes) = bytes.split_first_chunk()?;
        let (peer, bytes) = bytes.split_first_chunk()?;
        let is_open = match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        Some(Self {
            site: u64::from_be_bytes(*site),
            network: u64::from_be_bytes(*network),
            peer: u64::from_be_bytes(*peer),
            is_open,
        })
    }

    /// The number that stands for the site.
    #[must_use]
    pub const fn site(&self) -> u64 {
        self.site
    }

    /// The number that stands for the network.
    #[must_use]
    pub const fn network(&self) -> u64 {
        self.network
    }

    /// The number that stands for the peer at that network.
    #[must_use]
    pub const fn peer(&self) -> u64 {
        self.peer
    }
}

fn number(secret: u64, parts: &[&[u8]]) -> u64 {
    let mut digest = Sha256::new().chain_update(secret.to_be_bytes());
    for part in parts {
        digest.update(part);
    }
    let first = digest.finalize().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}
