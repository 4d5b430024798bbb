//! The certificate in use, whoever brings it, and the one that answers a CA's challenge.

use std::{
    error::Error,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, SystemTime},
};

use futures_rustls::rustls::{
    self, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject as _},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use serde::Serialize;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::counters::{Counters, Source, seconds};

/// HTTP/1.1 alone: browsers' WebSockets begin with it.
const HTTP_ALPN: &[u8] = b"http/1.1";
/// What a CA offers that validates a name by TLS (RFC 8737, section 6.2).
pub(super) const CHALLENGE_ALPN: &[u8] = b"acme-tls/1";

/// The certificate in use. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Certificate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Source,
    counters: Counters,
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// `None` until the first one is there.
    current: Option<Arc<CertifiedKey>>,
    validity: Option<Validity>,
    /// The name under validation, and what proves that it leads here.
    challenge: Option<(String, Arc<CertifiedKey>)>,
    trouble: Option<Trouble>,
}

/// Why the certificate is not newer, in words, and when that is to change.
#[derive(Clone, Debug)]
struct Trouble {
    what: String,
    again: Option<SystemTime>,
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: SystemTime,
    pub(crate) until: SystemTime,
}

/// How it stands with the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It is past its end.
    Expired,
    /// There is none yet: handshakes fail.
    Missing,
    /// TLS is off.
    Off,
    /// It is good.
    Ok,
}

/// What the dashboard is told of the certificate. Times are in seconds since 1970.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    source: &'static str,
    state: State,
    ends: Option<u64>,
    /// Why there is no newer one.
    trouble: Option<String>,
    /// When that is tried to mend.
    again: Option<u64>,
}

impl Validity {
    /// That of a certificate; `None` if it has none or is none.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let time = |seconds: i64| {
            let after = Duration::from_secs(u64::try_from(seconds).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(after)
        };
        let validity = parsed.validity();
        Some(Self {
            from: time(validity.not_before.timestamp())?,
            until: time(validity.not_after.timestamp())?,
        })
    }

    /// How long it is good in all.
    pub(super) fn life(self) -> Duration {
        self.until.duration_since(self.from).unwrap_or_default()
    }
}

impl Certificate {
    /// A place for a certificate that has none yet.
    pub(super) fn empty(source: Source, counters: Counters) -> Self {
        counters.tell_end(source, None);
        Self(Arc::new(Shared {
            source,
            counters,
            held: RwLock::default(),
        }))
    }

    /// Uses this one for connections from now on. Those there are go on as they are.
    pub(super) fn set(&self, key: CertifiedKey) {
        let validity = key.cert.first().and_then(Validity::of);
        self.0
            .counters
            .tell_end(self.0.source, validity.map(|validity| validity.until));
        let mut held = self.write();
        held.current = Some(Arc::new(key));
        held.validity = validity;
        held.trouble = None;
    }

    /// Answers the challenge for this name with this certificate, or none any more.
    pub(super) fn set_challenge(&self, challenge: Option<(String, CertifiedKey)>) {
        self.write().challenge = challenge.map(|(name, key)| (name, Arc::new(key)));
    }

    /// Notes why there is no newer certificate, and when that is tried to mend.
    pub(super) fn clear_trouble(&self) {
        self.write().trouble = None;
    }

    pub(super) fn set_trouble(&self, error: &dyn Error, again: Option<SystemTime>) {
        let what = error.to_string();
        self.write().trouble = Some(Trouble { what, again });
    }

    /// The certificate itself, without its chain.
    pub(super) fn leaf(&self) -> Option<CertificateDer<'static>> {
        let held = self.read();
        held.current.as_ref()?.cert.first().cloned()
    }

    /// How it stands at this time.
    pub(crate) fn state(&self, now: SystemTime) -> State {
        let held = self.read();
        match (&held.current, held.validity) {
            (None, _) => State::Missing,
            (Some(_), Some(validity)) if validity.until <= now => State::Expired,
            (Some(_), _) => State::Ok,
        }
    }

    /// What the dashboard is told.
    pub(crate) fn report(&self, now: SystemTime) -> Report {
        let state = self.state(now);
        let held = self.read();
        let trouble = held.trouble.clone();
        Report {
            source: self.0.source.name(),
            state,
            ends: held.validity.map(|validity| seconds(validity.until)),
            again: trouble.as_ref().and_then(|it| it.again).map(seconds),
            trouble: trouble.map(|it| it.what),
        }
    }

    /// The settings of a server that uses this certificate, today's and later ones.
    ///
    /// # Errors
    ///
    /// If rustls can't be set up.
    pub(super) fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![HTTP_ALPN.to_vec()];
        if self.0.source == Source::Acme {
            config.alpn_protocols.push(CHALLENGE_ALPN.to_vec());
        }
        Ok(Arc::new(config))
    }

    /// What a client gets that asks for this name and offers these protocols.
    fn answer<'a>(
        &self,
        name: Option<&str>,
        mut offered: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Arc<CertifiedKey>> {
        let held = self.read();
        // A CA offers nothing else (RFC 8737, section 3).
        if offered.next() == Some(CHALLENGE_ALPN) && offered.next().is_none() {
            let (challenged, key) = held.challenge.as_ref()?;
            let is_it = name.is_some_and(|name| name.eq_ignore_ascii_case(challenged));
            return is_it.then(|| Arc::clone(key));
        }
        held.current.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        // Whoever panicked did not leave half a certificate.
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.answer(hello.server_name(), hello.alpn().into_iter().flatten())
    }
}

/// The certificates in a text, at least one.
///
/// # Errors
///
/// If it isn't PEM, or has none.
pub(super) fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>()?;
    if chain.is_empty() {
        return Err(pem::Error::NoItemsFound);
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> CertifiedKey {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        CertifiedKey::from_der(
            vec![made.cert.der().clone()],
            key,
            &ring::default_provider(),
        )
        .unwrap()
    }

    fn empty() -> Certificate {
        Certificate::empty(Source::Acme, Counters::default())
    }

    fn answer(certificate: &Certificate, name: &str, offered: &[&[u8]]) -> Option<String> {
        let answer = certificate.answer(Some(name), offered.iter().copied())?;
        let (_, parsed) = X509Certificate::from_der(&answer.cert[0]).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        Some(names.value.general_names[0].to_string())
    }

    #[test]
    fn who_asks_for_the_challenge_gets_it_while_it_is_pending_and_nothing_else() {
        let certificate = empty();
        certificate.set(made("own.example"));
        let ask = |offered: &[&[u8]]| answer(&certificate, "A.example", offered);
        let own = Some("DNSName(own.example)".to_owned());
        assert_eq!(ask(&[]), own);
        assert_eq!(ask(&[HTTP_ALPN]), own);
        assert_eq!(ask(&[CHALLENGE_ALPN]), None);

        certificate.set_challenge(Some(("a.example".to_owned(), made("proof.example"))));
        assert_eq!(
            ask(&[CHALLENGE_ALPN]),
            Some("DNSName(proof.example)".to_owned())
        );
        assert_eq!(ask(&[HTTP_ALPN]), own);
        assert_eq!(ask(&[HTTP_ALPN, CHALLENGE_ALPN]), own);
        assert_eq!(ask(&[CHALLENGE_ALPN, HTTP_ALPN]), own);
        assert_eq!(answer(&certificate, "b.example", &[CHALLENGE_ALPN]), None);
        let nameless = certificate.answer(None, [CHALLENGE_ALPN].into_iter());
        assert!(nameless.is_none());

        certificate.set_challenge(None);
        assert_eq!(ask(&[CHALLENGE_ALPN]), None);
    }

    #[test]
    fn it_says_how_it_stands() {
        let certificate = empty();
        let now = SystemTime::now();
        assert_eq!(certificate.state(now), State::Missing);
        certificate.set_trouble(&std::fmt::Error, Some(now));
        assert_eq!(certificate.report(now).again, Some(seconds(now)));
        certificate.set(made("own.example"));
        assert_eq!(certificate.state(now), State::Ok);
        assert!(certificate.report(now).trouble.is_none());
        let end =
            SystemTime::UNIX_EPOCH + Duration::from_secs(certificate.report(now).ends.unwrap());
        assert_eq!(certificate.state(end), State::Expired);
    }
}
