//! `/admin`: a dashboard for whoever runs the node.
//!
//! The page itself (`admin/dashboard.*`) is the same for everybody and holds no secret. What it shows
//! comes from `/admin/status.json`, which is told only to whom [`access`] allows it. The numbers in
//! there are those of `/metrics`, so that the two can't disagree; peers and topics are asked of the
//! event loop when somebody looks, and cost nothing otherwise.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, Request, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};

pub use self::access::TokenError;
use self::{
    access::Access,
    history::{History, Rate},
    overview::Overview,
};
use crate::{
    config::Admin,
    data_dir::DataDir,
    http::ends::Ends,
    limits,
    metrics::Page,
    status::Status,
    tls::{self, Certificate},
};

mod access;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod history;
pub(crate) mod overview;
mod samples;

/// Headers of everything below `/admin`: for nobody but this origin, kept nowhere.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; connect-src 'self'; img-src data:; script-src 'self'; style-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// A question to the event loop, answered through the channel in it.
pub(crate) type Question = oneshot::Sender<Overview>;

/// The dashboard's side of the node.
#[derive(Clone, Debug)]
pub(crate) struct Dashboard {
    access: Arc<Access>,
    questions: mpsc::Sender<Question>,
    history: Arc<Mutex<History>>,
}

/// What the dashboard shows besides what the event loop answers.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) metrics: Page,
    /// That of the TLS port, if there is one.
    pub(crate) certificate: Option<Certificate>,
}

/// `/admin/status.json`.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    peer_id: String,
    ready: bool,
    store_stuck: bool,
    store_full: bool,
    /// `None` without TLS.
    certificate: Option<tls::Report>,
    #[serde(flatten)]
    overview: Overview,
    /// What `/metrics` says about the node and its process, by name and labels.
    numbers: BTreeMap<String, f64>,
    rates: Vec<Rate>,
}

/// The dashboard, and where its questions arrive. `None` if there is to be none.
///
/// # Errors
///
/// If the token can't be read or made.
pub(crate) fn open(
    admin: Admin,
    data: &DataDir,
) -> Result<(Option<Dashboard>, mpsc::Receiver<Question>), TokenError> {
    let (questions, receiver) = mpsc::channel(limits::ADMIN_QUESTIONS_MAX);
    let dashboard = match admin {
        Admin::Off => None,
        Admin::Local | Admin::Token => Some(Dashboard {
            access: Arc::new(Access::open(admin == Admin::Local, data)?),
            questions,
            history: Arc::default(),
        }),
    };
    Ok((dashboard, receiver))
}

impl Dashboard {
    /// Everything below `/admin`.
    pub(crate) fn router<S: Clone + Send + Sync + 'static>(&self, shown: Shown) -> Router<S> {
        let page = file(
            "text/html; charset=utf-8",
            include_str!("admin/dashboard.html"),
        );
        let style = file(
            "text/css; charset=utf-8",
            include_str!("admin/dashboard.css"),
        );
        let script = file(
            "text/javascript; charset=utf-8",
            include_str!("admin/dashboard.js"),
        );
        Router::new()
            .route("/admin", page.clone())
            .route("/admin/", page)
            .route("/admin/dashboard.css", style)
            .route("/admin/dashboard.js", script)
            .route("/admin/status.json", get(status))
            .route_layer(middleware::from_fn(headers))
            .layer(Extension(self.clone()))
            .with_state(shown)
    }

    /// Looks at the counters now and then, for the rates. Until aborted.
    pub(crate) async fn watch(&self, metrics: Page) -> Infallible {
        let mut ticker = time::interval(limits::ADMIN_SAMPLE_INTERVAL);
        ticker.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            ticker.tick().await;
            let totals = samples::totals(&numbers(&metrics));
            self.history().push(totals, Instant::now());
        }
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        // Whoever panicked did not leave half a number.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the event loop knows, `None` if it has no time for that.
    async fn overview(&self) -> Option<Overview> {
        let (answer, overview) = oneshot::channel();
        self.questions.try_send(answer).ok()?;
        time::timeout(limits::ADMIN_ANSWER_TIMEOUT, overview)
            .await
            .ok()?
            .ok()
    }
}

fn file(content_type: &'static str, text: &'static str) -> MethodRouter<Shown> {
    get(([(header::CONTENT_TYPE, content_type)], text))
}

async fn headers(request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

async fn status(
    State(shown): State<Shown>,
    Extension(ends): Extension<Ends>,
    Extension(dashboard): Extension<Dashboard>,
    request: Request<Body>,
) -> Response {
    if !dashboard.access.allows(ends.remote, &request) {
        let ask = [(header::WWW_AUTHENTICATE, "Bearer realm=\"moim-bootstrap\"")];
        let why = "The token in the node's data directory (admin.token) is needed.\n";
        return (StatusCode::UNAUTHORIZED, ask, why).into_response();
    }
    let Some(overview) = dashboard.overview().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "The node is too busy.\n").into_response();
    };
    let numbers = numbers(&shown.metrics);
    let rates = dashboard
        .history()
        .rates(&samples::totals(&numbers), Instant::now());
    let status = shown.status.borrow();
    Json(Report {
        version: env!("CARGO_PKG_VERSION"),
        peer_id: status.peer_id.to_string(),
        ready: status.ready,
        store_stuck: status.store_stuck,
        store_full: status.store_full,
        certificate: shown
            .certificate
            .as_ref()
            .map(|it| it.report(SystemTime::now())),
        overview,
        numbers,
        rates,
    })
    .into_response()
}

/// The samples of `/metrics`; none if it can't be written, which `/metrics` itself tells.
fn numbers(metrics: &Page) -> BTreeMap<String, f64> {
    metrics
        .render(Instant::now())
        .map(|text| samples::parse(&String::from_utf8_lossy(&text)))
        .unwrap_or_default()
}
