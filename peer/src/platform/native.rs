//! Native: tokio's runtime, and HTTP by ureq on a blocking thread.

use std::{
    future::Future,
    io::Read as _,
    time::{Duration, SystemTime},
};

use futures::StreamExt as _;
use if_watch::tokio::IfWatcher;
use moim_protocol::UnixMillis;

use crate::{
    bootstrap::{DOCUMENT_BYTES_MAX, Fetched},
    platform::Change,
    reason::{DocumentFault, Unreached},
};

/// Longer than any answer of a living bootstrap node, shorter than a user's patience.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `future` in the background.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    n0_future::task::spawn(future);
}

/// Tells when the device has an address more or less. Also at the start, of each that it has.
#[derive(Debug)]
pub(crate) struct Surroundings(Option<IfWatcher>);

impl Surroundings {
    pub(crate) fn new() -> Self {
        match IfWatcher::new() {
            Ok(watcher) => Self(Some(watcher)),
            Err(error) => {
                tracing::warn!(%error, "changes of the network will be noticed late");
                Self(None)
            }
        }
    }

    /// Resolves with the next change; never where the system does not tell. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> Change {
        let error = match &mut self.0 {
            Some(watcher) => match watcher.next().await {
                Some(Ok(change)) => {
                    tracing::debug!(?change, "address");
                    return Change::Addresses;
                }
                Some(Err(error)) => Some(error),
                None => None,
            },
            None => std::future::pending().await,
        };
        tracing::warn!(?error, "changes of the network will be noticed late");
        self.0 = None;
        std::future::pending().await
    }
}

/// What is found at `url`.
pub(crate) async fn fetch(url: String) -> Result<Fetched, DocumentFault> {
    tokio::task::spawn_blocking(move || fetch_blocking(&url))
        .await
        .unwrap_or(Err(DocumentFault::Unreached(Unreached::Unknown)))
}

fn fetch_blocking(url: &str) -> Result<Fetched, DocumentFault> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(FETCH_TIMEOUT))
        // Where they lead, another than the user has chosen.
        .max_redirects(0)
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| fault(url, &error))?;
    if response.status().is_redirection() {
        return Err(DocumentFault::Redirect);
    }
    let date = response.headers().get("date");
    let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
    let mut body = Vec::new();
    let limit = u64::try_from(DOCUMENT_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    response
        .body_mut()
        .as_reader()
        .take(limit)
        .read_to_end(&mut body)
        .map_err(|error| fault(url, &error.into()))?;
    if body.len() > DOCUMENT_BYTES_MAX {
        return Err(DocumentFault::TooLarge);
    }
    Ok(Fetched {
        body,
        date: date.map(UnixMillis::from_epoch),
    })
}

fn fault(url: &str, error: &ureq::Error) -> DocumentFault {
    tracing::debug!(url, %error, "a bootstrap.json is not fetched");
    DocumentFault::Unreached(match error {
        ureq::Error::StatusCode(status) => return DocumentFault::Status(*status),
        ureq::Error::HostNotFound => Unreached::NoHost,
        ureq::Error::Io(error) => error.kind().into(),
        ureq::Error::Timeout(_) => Unreached::NoAnswer,
        ureq::Error::Protocol(_) => Unreached::Broken,
        _ => Unreached::Unknown,
    })
}

#[cfg(test)]
#[path = "native/tests.rs"]
mod tests;
