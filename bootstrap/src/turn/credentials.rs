//! Who may use the server: whoever has been given a name and a password over an authenticated
//! connection not long ago.
//!
//! The scheme of draft-uberti-behave-turn-rest: the name is `<expiry, seconds since 1970>:<peer id>`,
//! the password the base64 of the HMAC-SHA1 of the name. Nothing is kept for either. The secret lives
//! as long as the process: allocations end with it too, and pages ask anew when they are connected
//! again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use hmac::{Hmac, Mac as _};
use libp2p::PeerId;
use md5::{Digest as _, Md5};
use sha1::Sha1;

use super::clock::Clock;

/// The realm of RFC 8489, section 14.9. Short, because it is in every refusal.
pub(super) const REALM: &str = "moim";
/// How long a nonce is good (RFC 8489, section 9.2.4, has it short enough that one that was listened
/// to is of little use, and long enough that most clients never meet its end).
const NONCE_LIFE: Duration = Duration::from_secs(60 * 60);
/// Bytes of a nonce's MAC. A refusal holds the nonce, so it is short: nobody who guesses 2⁶⁴ of them
/// has anything but a nonce.
const NONCE_MAC_BYTES: usize = 8;

/// The name and password of a peer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Gives out credentials and knows them again.
#[derive(Clone)]
pub(crate) struct Credentials {
    secrets: Arc<Secrets>,
    clock: Clock,
    life: Duration,
}

/// One for each purpose.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secrets {
    pub(crate) passwords: [u8; 32],
    pub(crate) nonces: [u8; 32],
}

/// Without the secrets.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// A name that was given out, by what it says. Whether it was is for the password to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) peer: &'a str,
    expires: u64,
}

/// What a client's connection is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// By TCP connection.
    Tcp { stream: u64, address: SocketAddr },
    /// By socket of ours and address of its.
    Udp { socket: usize, address: SocketAddr },
}

impl Client {
    pub(super) fn address(self) -> SocketAddr {
        let (Self::Tcp { address, .. } | Self::Udp { address, .. }) = self;
        address
    }

    pub(super) fn ip(self) -> IpAddr {
        self.address().ip()
    }

    pub(super) fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp { .. })
    }
}

impl Credentials {
    pub(crate) fn new(secrets: Secrets, clock: Clock, life: Duration) -> Self {
        Self {
            secrets: Arc::new(secrets),
            clock,
            life,
        }
    }

    /// How long they are good from when they are given out.
    pub(crate) fn life(&self) -> Duration {
        self.life
    }

    /// A name and a password for `peer`.
    pub(crate) fn issue(&self, peer: &PeerId, now: Instant) -> Issued {
        let expires = self.clock.seconds(now).saturating_add(self.life.as_secs());
        let username = format!("{expires}:{peer}");
        let password = self.password(&username);
        Issued { username, password }
    }

    fn password(&self, username: &str) -> String {
        BASE64.encode(&mac(&self.secrets.passwords, username.as_bytes()))
    }

    /// The key of the long-term credential mechanism (RFC 8489, section 9.2.2).
    pub(super) fn key(&self, user: &User<'_>) -> [u8; 16] {
        let password = self.password(user.name);
        Md5::digest(format!("{}:{REALM}:{password}", user.name)).into()
    }

    pub(super) fn has_expired(&self, user: &User<'_>, now: Instant) -> bool {
        user.expires <= self.clock.seconds(now)
    }

    /// A nonce for a client.
    pub(super) fn nonce(&self, client: Client, now: Instant) -> String {
        let expires = self.clock.seconds(now).saturating_add(NONCE_LIFE.as_secs());
        // In 2106 they begin anew.
        self.nonce_until(client, expires as u32)
    }

    fn nonce_until(&self, client: Client, expires: u32) -> String {
        let expires = expires.to_be_bytes();
        let ip = match client.ip().to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut nonce = expires.to_vec();
        let mut signed = nonce.clone();
        signed.extend(ip.octets());
        signed.extend(client.address().port().to_be_bytes());
        nonce.extend(&mac(&self.secrets.nonces, &signed)[..NONCE_MAC_BYTES]);
        BASE64URL_NOPAD.encode(&nonce)
    }

    /// Whether a nonce is one that this client was given, and is still good.
    pub(super) fn is_fresh(&self, nonce: &[u8], client: Client, now: Instant) -> bool {
        let Ok(decoded) = BASE64URL_NOPAD.decode(nonce) else {
            return false;
        };
        let Some((expires, _)) = decoded.split_first_chunk() else {
            return false;
        };
        let expires = u32::from_be_bytes(*expires);
        // Who has a nonce has its MAC before his eyes: how long this takes tells nothing.
        self.nonce_until(client, expires).as_bytes() == nonce
            && u64::from(expires) > self.clock.seconds(now)
    }
}

fn mac(secret: &[u8; 32], bytes: &[u8]) -> [u8; 20] {
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else {
        return [0; 20];
    };
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

impl<'a> User<'a> {
    /// Reads a name. `None` if it was never given out.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let (expires, peer) = name.split_once(':')?;
        Some(Self {
            name,
            peer,
            expires: expires.parse().ok()?,
        })
    }

    /// Somebody to whom none was given.
    pub(super) fn unknown(name: &'a str) -> Self {
        Self {
            name,
            peer: name,
            expires: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const LIFE: Duration = Duration::from_secs(3_600);

    fn credentials(secret: u8, now: Instant) -> Credentials {
        let secrets = Secrets {
            passwords: [secret; 32],
            nonces: [secret; 32],
        };
        Credentials::new(secrets, Clock::new(now, SystemTime::now()), LIFE)
    }

    fn client(text: &str) -> Client {
        Client::Udp {
            socket: 0,
            address: text.parse().unwrap(),
        }
    }

    #[test]
    fn a_name_says_whose_it_is_and_until_when() {
        let now = Instant::now();
        let credentials = credentials(1, now);
        let peer = PeerId::random();
        let issued = credentials.issue(&peer, now);
        let user = User::parse(&issued.username).unwrap();
        assert_eq!(user.peer, peer.to_string());
        assert!(!credentials.has_expired(&user, now));
        assert!(!credentials.has_expired(&user, now + LIFE - Duration::from_secs(1)));
        assert!(credentials.has_expired(&user, now + LIFE));
        for name in ["", "1", "x:peer", "-1:peer", "99999999999999999999:peer"] {
            assert_eq!(User::parse(name), None, "{name}");
        }
    }

    #[test]
    fn another_secret_or_name_is_another_password() {
        let now = Instant::now();
        let issued = credentials(1, now).issue(&PeerId::random(), now);
        assert_ne!(
            issued.password,
            credentials(2, now).password(&issued.username)
        );
        assert_ne!(
            issued.password,
            credentials(1, now).password(&format!("1{}", issued.username))
        );
        let mac = BASE64.decode(issued.password.as_bytes()).unwrap();
        assert_eq!(mac.len(), 20);
    }

    #[test]
    fn a_nonce_is_good_for_its_client_and_for_a_time() {
        let now = Instant::now();
        let credentials = credentials(1, now);
        let one = client("192.0.2.1:1");
        let nonce = credentials.nonce(one, now);
        assert_eq!(nonce.len(), 16);
        assert!(credentials.is_fresh(nonce.as_bytes(), one, now));
        for other in ["192.0.2.1:2", "192.0.2.2:1"] {
            assert!(!credentials.is_fresh(nonce.as_bytes(), client(other), now));
        }
        assert!(!credentials.is_fresh(nonce.as_bytes(), one, now + NONCE_LIFE));
        for forged in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAA",
            "no base64 at all",
            "_____AAAAAAAAAAA",
        ] {
            assert!(
                !credentials.is_fresh(forged.as_bytes(), one, now),
                "{forged}"
            );
        }
    }
}
