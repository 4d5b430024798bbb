//! What carries the questions to the CA: HTTP/1.1 over TLS, a connection for each, all of it bounded.
//! A certificate takes some dozen questions every two months.

use std::{
    io,
    pin::Pin,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, RETRY_AFTER},
    uri::PathAndQuery,
};
use bytes::Bytes;
use futures_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use thiserror::Error;
use tokio::{net::TcpStream, time};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};

use crate::limits;

/// Port of `https` URLs that name none.
const HTTPS_PORT: u16 = 443;
/// How problems are written down (RFC 7807).
const PROBLEM: &[u8] = b"application/problem+json";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Asks the CA. Clones share what it asked for.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the connector has no Debug")]
pub(super) struct Http {
    tls: TlsConnector,
    /// How long the CA asked to be left alone, last.
    asked: Arc<Mutex<Option<Duration>>>,
}

/// Why the CA didn't answer.
#[derive(Debug, Error)]
enum HttpError {
    #[error("the CA answers {0}")]
    Answer(StatusCode),
    #[error("can't connect to the CA at {at}: {source}")]
    Connect { at: String, source: io::Error },
    #[error("talking to the CA failed: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the CA's answer can't be read: {0}")]
    Body(#[source] BoxError),
    #[error("the CA has not answered for {} s", limits::ACME_REQUEST_TIMEOUT.as_secs())]
    TimedOut(#[from] time::error::Elapsed),
    #[error("the CA names an address that is no https:// URL: {0}")]
    Url(Uri),
}

impl Http {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        Self {
            tls: tls.into(),
            asked: Arc::default(),
        }
    }

    /// How long the CA asked to be left alone, if it did.
    pub(super) fn asked_pause(&self) -> Option<Duration> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, HttpError> {
        let method = request.method().clone();
        let uri = request.uri();
        let url_error = || HttpError::Url(uri.clone());
        let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
        let host = host.ok_or_else(url_error)?;
        // IPv6 addresses stand in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(HTTPS_PORT);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| url_error())?;
        let connect_error = |source| HttpError::Connect {
            at: format!("{host}:{port}"),
            source,
        };
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(connect_error)?;
        let stream = self.tls.connect(name, stream.compat()).await;
        let stream = TokioIo::new(stream.map_err(connect_error)?.compat());
        let request = for_server(request)?;

        let (mut sender, connection) = http1::handshake(stream).await?;
        let answer = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, limits::ACME_ANSWER_BYTES_MAX);
            let body = body.collect().await.map_err(HttpError::Body)?.to_bytes();
            Ok::<_, HttpError>((parts, body))
        };
        // When the connection ends, the answer is there or won't come, which it knows itself.
        let connection = async {
            let _ = connection.await;
            std::future::pending().await
        };
        let (mut parts, body) = tokio::select! {
            biased;
            answer = answer => answer,
            never = connection => never,
        }?;
        self.note_pause(parts.status, &parts.headers);
        drop_long_pause(&mut parts.headers);
        let is_error = parts.status.is_client_error() || parts.status.is_server_error();
        let has_reason = method == Method::POST && is_problem(&parts.headers);
        if is_error && !has_reason {
            return Err(HttpError::Answer(parts.status));
        }
        Ok(BytesResponse {
            parts,
            body: Box::new(body),
        })
    }

    fn note_pause(&self, status: StatusCode, headers: &HeaderMap) {
        let asks = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if asks.contains(&status) {
            let asked = headers.get(RETRY_AFTER).and_then(seconds);
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        }
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            let asking = time::timeout(limits::ACME_REQUEST_TIMEOUT, this.ask(request));
            let answer = asking.await.map_err(HttpError::from).flatten();
            answer.map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

/// A request as a server wants it: the path alone, and the host as a header.
fn for_server(
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<Request<BodyWrapper<Bytes>>, HttpError> {
    let uri = request.uri().clone();
    let url_error = || HttpError::Url(uri.clone());
    let authority = uri.authority().ok_or_else(url_error)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| url_error())?;
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = Uri::from_str(path).map_err(|_| url_error())?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = path;
    Ok(request)
}

/// Removes a pause that is longer than we obey: instant-acme adds whatever it is to the time, and panics
/// where there is no such time.
fn drop_long_pause(headers: &mut HeaderMap) {
    let asked = headers.get(RETRY_AFTER).and_then(seconds);
    if asked.is_some_and(|pause| pause > limits::ACME_ASKED_PAUSE_MAX) {
        headers.remove(RETRY_AFTER);
    }
}

fn is_problem(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(PROBLEM))
}

/// The time in a `Retry-After` header. One that names a date is not obeyed: pauses after failures are
/// enough then.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_without_end_is_not_handed_on() {
        for (asked, is_kept) in [
            ("5", true),
            ("86400", true),
            ("86401", false),
            ("18446744073709551615", false),
            // No number that there is: nobody reads it as one.
            ("18446744073709551616", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(asked));
            drop_long_pause(&mut headers);
            assert_eq!(headers.contains_key(RETRY_AFTER), is_kept, "{asked}");
        }
    }
}
