//! Browser: the page's event loop and `fetch`.

use std::{future::Future, time::Duration};

use js_sys::{Reflect, Uint8Array};
use moim_protocol::UnixMillis;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    ReadableStream, ReadableStreamDefaultReader, RequestCache, RequestInit, RequestRedirect,
    Response, ResponseType,
};

use crate::{
    bootstrap::{DOCUMENT_BYTES_MAX, Fetched},
    platform,
    reason::{DocumentFault, Unreached},
};

#[path = "browser/lifecycle.rs"]
mod lifecycle;

pub(crate) use self::lifecycle::Surroundings;

/// Longer than any answer of a living bootstrap node, shorter than a user's patience.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `future` in the background.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(future);
}

/// What is found at `url`.
pub(crate) async fn fetch(url: String) -> Result<Fetched, DocumentFault> {
    platform::within(FETCH_TIMEOUT, fetch_unbounded(url))
        .await
        .unwrap_or(Err(DocumentFault::Unreached(Unreached::NoAnswer)))
}

async fn fetch_unbounded(url: String) -> Result<Fetched, DocumentFault> {
    let window = web_sys::window().ok_or(DocumentFault::Unreached(Unreached::Unknown))?;
    let options = RequestInit::new();
    options.set_cache(RequestCache::NoStore);
    // Where they lead, another than the user has chosen.
    options.set_redirect(RequestRedirect::Manual);
    let response: Response = JsFuture::from(window.fetch_with_str_and_init(&url, &options))
        .await
        .and_then(JsCast::dyn_into)
        .map_err(|error| fetch_error(&error))?;
    if response.type_() == ResponseType::Opaqueredirect {
        return Err(DocumentFault::Redirect);
    }
    if !response.ok() {
        return Err(DocumentFault::Status(response.status()));
    }
    // Of another origin it is read where that one says that it may be.
    let date = response.headers().get("date").ok().flatten();
    let date = date.map(|date| js_sys::Date::parse(&date));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number, and a negative one is 0"
    )]
    let date = date
        .filter(|millis| millis.is_finite())
        .map(|millis| UnixMillis(millis as u64));
    let body = match response.body() {
        Some(body) => read(&body).await?,
        None => Vec::new(),
    };
    Ok(Fetched { body, date })
}

/// Reads a body of at most [`DOCUMENT_BYTES_MAX`] bytes, and leaves off where there are more.
async fn read(body: &ReadableStream) -> Result<Vec<u8>, DocumentFault> {
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let chunk = JsFuture::from(reader.read())
            .await
            .map_err(|error| fetch_error(&error))?;
        let Ok(chunk) =
            Reflect::get(&chunk, &"value".into()).and_then(JsCast::dyn_into::<Uint8Array>)
        else {
            // The end has no value.
            return Ok(bytes);
        };
        let length = usize::try_from(chunk.length()).unwrap_or(usize::MAX);
        if length > DOCUMENT_BYTES_MAX.saturating_sub(bytes.len()) {
            // Nobody waits for the end of what is thrown away.
            let _ = reader.cancel();
            return Err(DocumentFault::TooLarge);
        }
        bytes.extend(chunk.to_vec());
    }
}

/// A browser says no more to pages than that it did not work.
fn fetch_error(error: &JsValue) -> DocumentFault {
    tracing::debug!(?error, "a bootstrap.json is not fetched");
    DocumentFault::Unreached(Unreached::Silent)
}
