//! Unicode's normalisation forms C and D (UAX #15).
//!
//! A page has them from its browser (ECMA-262, `String.prototype.normalize`): the tables are a tenth of what a page weighs.
//! Both give the same for every character that both know. What a newer Unicode adds, the older one leaves as it is.

#[cfg(not(target_arch = "wasm32"))]
use unicode_normalization::UnicodeNormalization;

/// Composed, as people type it.
pub(crate) fn nfc(text: &str) -> String {
    #[cfg(not(target_arch = "wasm32"))]
    return text.nfc().collect();
    #[cfg(target_arch = "wasm32")]
    return by_browser(text, "NFC");
}

/// Every character in its parts.
pub(crate) fn nfd(text: &str) -> String {
    #[cfg(not(target_arch = "wasm32"))]
    return text.nfd().collect();
    #[cfg(target_arch = "wasm32")]
    return by_browser(text, "NFD");
}

#[cfg(target_arch = "wasm32")]
fn by_browser(text: &str, form: &str) -> String {
    // Most of what people write is ASCII, which is what it is in every form.
    if text.is_ascii() {
        return text.to_owned();
    }
    js_sys::JsString::from(text).normalize(form).into()
}
