//! What the browser offers to the page, without surprises: everything that may be missing or
//! forbidden comes back as `None` or an error instead of an exception.

use std::{cell::RefCell, collections::HashMap};

use js_sys::{Array, Date, Intl, Object, Reflect};
use leptos::prelude::{document, window};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlElement, Storage};

use crate::{i18n::Language, settings::PageContext};

/// Prefix of what this page keeps in `localStorage`, which it shares with its origin.
const STORAGE_PREFIX: &str = "moim.";

/// Below this width one pane is shown at a time. As in `styles/layout.css`.
const NARROW: &str = "(max-width: 44.99em)";

/// Below this width the connection pane lies over the conversation. As in `styles/layout.css`.
const DRAWER: &str = "(max-width: 68.74em)";

/// The user's language, and the page's from then on.
pub(crate) fn language() -> Language {
    let preferred: Vec<_> = window()
        .navigator()
        .languages()
        .iter()
        .filter_map(|tag| tag.as_string())
        .collect();
    let language = Language::choose(preferred.iter().map(String::as_str));
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("lang", language.tag());
    }
    language
}

/// What decides about the bootstrap nodes a page can reach.
pub(crate) fn context() -> PageContext {
    PageContext {
        https: window()
            .location()
            .protocol()
            .is_ok_and(|protocol| protocol == "https:"),
    }
}

/// Where the page's own server lists its bootstrap node.
pub(crate) fn own_bootstrap_document() -> String {
    format!(
        "{}/bootstrap.json",
        window().location().origin().unwrap_or_default()
    )
}

/// The query string with its `?`, or nothing.
pub(crate) fn query() -> String {
    window().location().search().unwrap_or_default()
}

/// The fragment with its `#`, or nothing.
pub(crate) fn fragment() -> String {
    window().location().hash().unwrap_or_default()
}

/// Goes to a fragment of this page, with an entry in the browser's history.
pub(crate) fn go_to_fragment(wanted: &str) {
    if fragment() != wanted {
        let _ = window().location().set_hash(wanted);
    }
}

/// The address that leads others to `fragment` of this page, by the same bootstrap nodes.
pub(crate) fn link_to(fragment: &str) -> String {
    let location = window().location();
    let part = |part: Result<String, JsValue>| part.unwrap_or_default();
    format!(
        "{}{}{}{fragment}",
        part(location.origin()),
        part(location.pathname()),
        part(location.search())
    )
}

/// Loads the page anew.
pub(crate) fn reload() {
    let _ = window().location().reload();
}

thread_local! {
    /// What the browser did not keep; holds as long as the page.
    static UNKEPT: RefCell<HashMap<String, String>> = RefCell::new(HashMap::new());
}

/// What was stored under `key`, in this page or, where the browser allows it, before.
pub(crate) fn stored(key: &str) -> Option<String> {
    UNKEPT
        .with_borrow(|unkept| unkept.get(key).cloned())
        .or_else(|| {
            storage()?
                .get_item(&format!("{STORAGE_PREFIX}{key}"))
                .ok()?
        })
}

/// Stores `value` under `key`. Whether it will outlive the page.
pub(crate) fn store(key: &str, value: &str) -> bool {
    let kept = storage().is_some_and(|storage| {
        storage
            .set_item(&format!("{STORAGE_PREFIX}{key}"), value)
            .is_ok()
    });
    if !kept {
        UNKEPT.with_borrow_mut(|unkept| unkept.insert(key.to_owned(), value.to_owned()));
    }
    kept
}

/// Missing or forbidden in some private windows.
fn storage() -> Option<Storage> {
    window().local_storage().ok()?
}

/// Puts `text` on the clipboard. Whether the browser allowed it: it wants https or localhost.
pub(crate) async fn copy(text: &str) -> bool {
    let navigator = window().navigator();
    // Undefined outside secure contexts, which web-sys does not know.
    let present =
        Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|clipboard| clipboard.is_object());
    present
        && JsFuture::from(navigator.clipboard().write_text(text))
            .await
            .is_ok()
}

/// Unix time in milliseconds.
pub(crate) fn now() -> f64 {
    Date::now()
}

/// Whether somebody can see the page.
pub(crate) fn visible() -> bool {
    document().visibility_state() == web_sys::VisibilityState::Visible
}

/// Whether only one pane fits.
pub(crate) fn narrow() -> bool {
    matches(NARROW)
}

/// Whether the connection pane lies over the conversation.
pub(crate) fn drawer() -> bool {
    matches(DRAWER)
}

/// Whether a keyboard would come up over the page for every input that gets the focus.
fn touch() -> bool {
    matches("(pointer: coarse)")
}

fn matches(query: &str) -> bool {
    window()
        .match_media(query)
        .ok()
        .flatten()
        .is_some_and(|list| list.matches())
}

/// Moves the keyboard to an input; on a touch screen only to the part of the page it is in, which
/// is `instead`.
pub(crate) fn focus_input_soon(input: &'static str, instead: &'static str) {
    focus_soon(if touch() { instead } else { input });
}

/// The browser tab's title.
pub(crate) fn set_title(title: &str) {
    document().set_title(title);
}

/// Moves the keyboard to the first element that `selector` matches, once what was just changed is
/// in the page.
pub(crate) fn focus_soon(selector: &'static str) {
    leptos::prelude::request_animation_frame(move || {
        if let Some(element) = document().query_selector(selector).ok().flatten()
            && let Ok(element) = element.dyn_into::<HtmlElement>()
        {
            let _ = element.focus();
        }
    });
}

/// The time of day in the user's own form.
pub(crate) fn time_of_day(time: f64) -> String {
    format_time(time, &[("hour", "2-digit"), ("minute", "2-digit")])
}

/// The date in the user's own form.
pub(crate) fn day(time: f64) -> String {
    format_time(
        time,
        &[("weekday", "long"), ("month", "long"), ("day", "numeric")],
    )
}

/// Date and time in the user's own form.
pub(crate) fn day_and_time(time: f64) -> String {
    format_time(time, &[("dateStyle", "full"), ("timeStyle", "short")])
}

/// The moment in the form that `<time datetime>` takes (ISO 8601).
pub(crate) fn iso_time(time: f64) -> String {
    let date = Date::new(&time.into());
    // `toISOString` throws for a date that is none.
    if date.get_time().is_nan() {
        String::new()
    } else {
        date.to_iso_string().into()
    }
}

/// Whether two moments fall on one day where the user is.
pub(crate) fn same_day(one: f64, other: f64) -> bool {
    let (one, other) = (Date::new(&one.into()), Date::new(&other.into()));
    one.get_date() == other.get_date()
        && one.get_month() == other.get_month()
        && one.get_full_year() == other.get_full_year()
}

fn format_time(time: f64, options: &[(&str, &str)]) -> String {
    let object = Object::new();
    for (name, value) in options {
        let _ = Reflect::set(&object, &(*name).into(), &(*value).into());
    }
    // No locale: the browser's own, which knows about 12 and 24 hours.
    let formatter = Intl::DateTimeFormat::new(&Array::new(), &object);
    formatter
        .format()
        .call1(&JsValue::UNDEFINED, &Date::new(&time.into()))
        .ok()
        .and_then(|text| text.as_string())
        .unwrap_or_default()
}
