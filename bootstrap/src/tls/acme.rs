//! Certificates by ACME (RFC 8555): got and renewed by the node itself, by showing the CA on the TLS
//! port that the name leads there (TLS-ALPN-01, RFC 8737).
//!
//! [`schedule`] decides when to ask, without IO; [`Acme::keep`] asks. What it gets is written down
//! before it is used, so that a restarted node asks for nothing that it has. Whatever fails, the
//! certificate there is stays in use.

use std::{
    convert::Infallible,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_rustls::rustls::{self, ClientConfig, RootCertStore, crypto::ring};
use instant_acme::{Account, NewAccount};
use thiserror::Error;
use tokio::time;

pub use self::error::AcmeError;
use self::{
    disk::{Disk, StoredAccount, StoredCertificate},
    http::Http,
    order::OrderError,
    pair::Pair,
    schedule::{Now, Schedule},
};
use super::{
    certificate::{self, Certificate},
    counters::{Counters, Source},
};
use crate::{
    config::{AcmeCa, Config},
    data_dir::{DataDir, DataDirError},
    limits,
};

mod advice;
mod disk;
mod error;
mod http;
mod order;
mod pair;
mod schedule;

/// What a CA says of an account that it doesn't know (RFC 8555, section 6.7).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Why an attempt to get a certificate failed.
#[derive(Debug, Error)]
enum AttemptError {
    #[error("{}", order::said(.0))]
    Account(#[source] instant_acme::Error),
    #[error("can't save the account at the CA: {0}")]
    AccountText(#[from] serde_json::Error),
    #[error(transparent)]
    Disk(#[from] DataDirError),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("the CA did not finish within {} s", limits::ACME_ATTEMPT_TIMEOUT.as_secs())]
    TimedOut(#[from] time::error::Elapsed),
}

impl AttemptError {
    /// Whether the CA says that it doesn't know the account.
    fn is_account_unknown(&self) -> bool {
        let (Self::Account(error) | Self::Order(OrderError::Ca(error))) = self else {
            return false;
        };
        let instant_acme::Error::Api(problem) = error else {
            return false;
        };
        problem.r#type.as_deref() == Some(NO_ACCOUNT)
    }
}

/// Looks after the certificate of a name. It has no `Debug`, because it has keys.
pub(crate) struct Acme {
    directory: String,
    contact: Option<String>,
    domain: String,
    tls: Arc<ClientConfig>,
    disk: Disk,
    account: Option<StoredAccount>,
    schedule: Schedule,
    /// When to ask again when to renew.
    advice_due: Instant,
    certificate: Certificate,
    counters: Counters,
    /// A certificate in use that is not on the disk.
    unsaved: Option<StoredCertificate>,
    /// What was last logged, so that it is logged once.
    told: Option<String>,
}

impl Acme {
    /// With what is there from earlier runs; `None` if ACME is off. Asks nobody yet.
    ///
    /// # Errors
    ///
    /// If a file is there that can't be used.
    pub(crate) fn open(
        config: &Config,
        data: &DataDir,
        counters: &Counters,
    ) -> Result<Option<Self>, AcmeError> {
        let (AcmeCa::Directory(directory), Some(domain)) = (&config.acme, &config.domain) else {
            return Ok(None);
        };
        let (directory, domain) = (directory.clone(), domain.to_string());
        let tls = trust(config.acme_root.as_deref())?;
        let is_ours = |account: &StoredAccount| account.directory == directory;
        let account = Disk::account(data)?.filter(is_ours);
        let is_ours =
            |stored: &StoredCertificate| stored.directory == directory && stored.domain == domain;
        let stored = Disk::certificate(data)?.filter(is_ours);
        let certificate = Certificate::empty(Source::Acme, counters.clone());
        let mut validity = None;
        if let Some((key, good)) = stored.and_then(|stored| stored.pair.check().ok()) {
            certificate.set(key);
            validity = Some(good);
        }
        counters.show_attempts();
        Ok(Some(Self {
            contact: config
                .acme_contact
                .as_ref()
                .map(|mail| format!("mailto:{mail}")),
            tls,
            disk: Disk::new(data),
            account,
            schedule: Schedule::new(validity, Disk::attempts(data)),
            advice_due: Instant::now(),
            certificate,
            counters: counters.clone(),
            unsaved: None,
            told: None,
            directory,
            domain,
        }))
    }

    /// The certificate, today's and later ones.
    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Sees to it that there is a certificate, until aborted.
    pub(crate) async fn keep(mut self) -> Infallible {
        let wait = self.schedule.wait(Now::read());
        if !wait.is_zero() {
            let (domain, after) = (&self.domain, in_words(wait));
            tracing::info!(domain, after, "the next certificate is asked for");
        }
        loop {
            let wait = self.schedule.wait(Now::read());
            if wait.is_zero() {
                self.attempt().await;
                continue;
            }
            self.save_again().await;
            self.look_for_advice().await;
            // Not all at once: the clock may be set meanwhile.
            let wait = self.schedule.wait(Now::read());
            time::sleep(wait.min(limits::ACME_LOOK_INTERVAL)).await;
        }
    }

    /// Asks the CA when to renew, now and then. No answer is no matter.
    async fn look_for_advice(&mut self) {
        let now = Instant::now();
        let credentials = self.account.as_ref().map(StoredAccount::credentials);
        let (Some(Ok(credentials)), Some(certificate)) = (credentials, self.certificate.leaf())
        else {
            return;
        };
        if now < self.advice_due {
            return;
        }
        self.advice_due = now + limits::ACME_ADVICE_INTERVAL;
        let http = Http::new(Arc::clone(&self.tls));
        match advice::ask(http, credentials, &certificate, rand::random()).await {
            Ok(Some(time)) => self.schedule.advise(time),
            Ok(None) => tracing::debug!("the CA gives no advice when to renew"),
            Err(error) => tracing::debug!(%error, "can't ask the CA when to renew"),
        }
    }

    async fn attempt(&mut self) {
        let http = Http::new(Arc::clone(&self.tls));
        self.schedule.begin(Now::read());
        tracing::debug!(
            domain = self.domain,
            directory = self.directory,
            "asking for a certificate"
        );
        let obtaining = time::timeout(limits::ACME_ATTEMPT_TIMEOUT, self.obtain(&http));
        let result = obtaining.await.map_err(AttemptError::from).flatten();
        let is_success = result.is_ok();
        match result {
            Ok(pair) => self.succeeded(pair).await,
            Err(error) => self.failed(&error, &http),
        }
        self.counters.count_attempt(is_success);
    }

    async fn obtain(&mut self, http: &Http) -> Result<Obtained, AttemptError> {
        // First, so that a disk that takes nothing is seen before the CA is asked for what couldn't
        // be kept.
        self.disk.save_attempts(self.schedule.attempts()).await?;
        let account = self.account(http).await?;
        let pair = order::obtain(&account, &self.domain, &self.certificate).await?;
        let (key, validity) = pair.check().map_err(OrderError::from)?;
        Ok((pair, key, validity))
    }

    /// The account at the CA, made at the first attempt.
    async fn account(&mut self, http: &Http) -> Result<Account, AttemptError> {
        let builder = Account::builder_with_http(Box::new(http.clone()));
        let contact: Vec<_> = self.contact.as_deref().into_iter().collect();
        if let Some(stored) = &mut self.account {
            let account = builder
                .from_credentials(stored.credentials()?)
                .await
                .map_err(AttemptError::Account)?;
            if stored.contact != self.contact {
                account
                    .update_contacts(&contact)
                    .await
                    .map_err(AttemptError::Account)?;
                stored.contact.clone_from(&self.contact);
                self.disk.save_account(stored).await?;
            }
            return Ok(account);
        }
        let new = NewAccount {
            contact: &contact,
            // Without that, the settings are refused.
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = builder
            .create(&new, self.directory.clone(), None)
            .await
            .map_err(AttemptError::Account)?;
        let stored = StoredAccount {
            directory: self.directory.clone(),
            contact: self.contact.clone(),
            credentials: serde_json::to_value(&credentials)?,
        };
        self.disk.save_account(&stored).await?;
        self.account = Some(stored);
        tracing::info!(
            directory = self.directory,
            "the node has an account at the CA"
        );
        Ok(account)
    }

    async fn succeeded(&mut self, (pair, key, validity): Obtained) {
        let stored = StoredCertificate {
            directory: self.directory.clone(),
            domain: self.domain.clone(),
            pair,
        };
        let saved = self.disk.save_certificate(&stored).await;
        self.unsaved = None;
        self.schedule.succeeded(Now::read(), validity);
        self.certificate.set(key);
        self.advice_due = Instant::now();
        self.told = None;
        let left = validity.until.duration_since(Now::read().wall);
        tracing::info!(
            domain = self.domain,
            good_for = in_words(left.unwrap_or_default()),
            "a new certificate is in use"
        );
        if let Err(error) = saved {
            tracing::error!(%error, "the new certificate is lost when the node stops");
            self.certificate.set_trouble(&error, None);
            self.unsaved = Some(stored);
        }
    }

    /// Tries to keep a certificate that couldn't be written when it was new.
    async fn save_again(&mut self) {
        if let Some(stored) = self.unsaved.take() {
            match self.disk.save_certificate(&stored).await {
                Ok(()) => {
                    tracing::info!("the certificate is on the disk");
                    self.certificate.clear_trouble();
                }
                Err(_) => self.unsaved = Some(stored),
            }
        }
    }

    fn failed(&mut self, error: &AttemptError, http: &Http) {
        if error.is_account_unknown() {
            // The next attempt gets another.
            self.account = None;
        }
        let now = Now::read();
        let wait = self
            .schedule
            .failed(now, http.asked_pause(), rand::random());
        let again = now.wall.checked_add(wait);
        self.certificate.set_trouble(error, again);
        let text = error.to_string();
        let (domain, again) = (&self.domain, in_words(wait));
        if self.told.as_ref() == Some(&text) {
            tracing::debug!(domain, again, "still no new certificate");
            return;
        }
        let meanwhile = match self.certificate.state(now.wall) {
            certificate::State::Missing => "until there is one, TLS connections are refused",
            certificate::State::Expired => "the one there is has ended, and browsers refuse it",
            _ => "the one there is stays in use",
        };
        tracing::error!(
            domain,
            error = text,
            again,
            "no new certificate; {meanwhile}"
        );
        self.told = Some(text);
    }
}

/// A certificate, in its two forms, and how long it is good.
type Obtained = (Pair, rustls::sign::CertifiedKey, certificate::Validity);

/// Checks what can be checked without asking anybody.
///
/// # Errors
///
/// If the file of `--acme-root` can't be used.
pub(crate) fn check(config: &Config) -> Result<(), AcmeError> {
    trust(config.acme_root.as_deref()).map(drop)
}

/// Whom to take for the CA's server: whom browsers do, and who has a certificate of `root`.
fn trust(root: Option<&Path>) -> Result<Arc<ClientConfig>, AcmeError> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    if let Some(path) = root {
        let text = fs::read(path).map_err(|source| AcmeError::RootRead {
            path: path.into(),
            source,
        })?;
        let chain = certificate::chain(&text).map_err(|source| AcmeError::RootPem {
            path: path.into(),
            source,
        })?;
        for certificate in chain {
            roots.add(certificate)?;
        }
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A time as the log has it, in the unit that fits.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
