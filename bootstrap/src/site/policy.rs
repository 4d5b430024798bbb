//! What the page may do in a browser: its Content-Security-Policy (W3C CSP Level 3) and the headers
//! beside it. Pure.

use axum::http::{HeaderName, HeaderValue, header};
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

/// Nothing that is not named here: no frames, plugins, workers, fonts, forms or bases.
///
/// `connect-src` has every host, for the page dials bootstrap nodes and peers wherever they are, but
/// only by WebSocket and (`?bootstrap=https://…/bootstrap.json`) HTTP. WebRTC is under no directive.
const DIRECTIVES: &str = "default-src 'none'; connect-src 'self' ws: wss: http: https:; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// Capabilities that nothing here needs, so that nobody who gets into the page can ask for them.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), bluetooth=(), camera=(), display-capture=(), \
     geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), \
     usb=(), xr-spatial-tracking=()";

/// The headers of a page with this index. What stands in it between `<script>` or `<style>` tags is
/// allowed by its hash, and nothing else that is inline.
pub(super) fn headers(index: &str) -> Vec<(HeaderName, HeaderValue)> {
    let scripts = hashes(index, "script");
    let styles = hashes(index, "style");
    let policy = format!(
        "{DIRECTIVES}; script-src 'self' 'wasm-unsafe-eval'{scripts}; style-src 'self'{styles}"
    );
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Rooms are in the page's address, if only in the fragment.
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        // Windows that open it, or that it opens, have no handle on it; other sites can't embed its
        // files. It needs no SharedArrayBuffer, so no Cross-Origin-Embedder-Policy.
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let mut headers: Vec<_> = fixed
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    // Letters, digits and punctuation only: always a header. Without it, no page.
    let policy = HeaderValue::try_from(policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    headers.push((header::CONTENT_SECURITY_POLICY, policy));
    headers
}

/// ` 'sha256-…'` for the text of every `element` in a document that has one.
fn hashes(document: &str, element: &str) -> String {
    inline(document, element)
        .iter()
        .map(|text| format!(" 'sha256-{}'", BASE64.encode(&Sha256::digest(text))))
        .collect()
}

/// The texts of all `element`s, which are raw text (HTML, section 13.1.2): they end at the first
/// `</element`.
fn inline<'a>(document: &'a str, element: &str) -> Vec<&'a str> {
    let mut texts = Vec::new();
    let mut rest = document;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some(attributes) = strip_name(rest, element) else {
            continue;
        };
        let Some(end) = tag_end(attributes) else {
            break;
        };
        let text = &attributes[end + 1..];
        let length = closing(text, element).unwrap_or(text.len());
        if length > 0 {
            texts.push(&text[..length]);
        }
        rest = &text[length..];
    }
    texts
}

/// What follows the tag's name, if it is this one.
fn strip_name<'a>(tag: &'a str, element: &str) -> Option<&'a str> {
    let name = tag.get(..element.len())?;
    let rest = &tag[element.len()..];
    let ends = rest.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'));
    (ends && name.eq_ignore_ascii_case(element)).then_some(rest)
}

/// Where a tag's `>` is, which isn't one in a quoted attribute.
fn tag_end(attributes: &str) -> Option<usize> {
    let mut quote = None;
    attributes.bytes().position(|byte| match (quote, byte) {
        (None, b'>') => true,
        (None, b'"' | b'\'') => {
            quote = Some(byte);
            false
        }
        (Some(open), _) if open == byte => {
            quote = None;
            false
        }
        _ => false,
    })
}

/// Where the closing tag begins.
fn closing(text: &str, element: &str) -> Option<usize> {
    text.match_indices("</")
        .map(|(index, _)| index)
        .find(|index| strip_name(&text[index + 2..], element).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(index: &str) -> String {
        headers(index)
            .into_iter()
            .find(|(name, _)| name == header::CONTENT_SECURITY_POLICY)
            .map(|(_, value)| value.to_str().unwrap().to_owned())
            .unwrap()
    }

    #[test]
    fn inline_scripts_are_found_as_a_browser_finds_them() {
        let document = "<!-- <script>no()</script> --><SCRIPT type=\"a>b\">one</Script >\
             <script src=x></script><scripture>none</scripture><style>p{}</style>\
             <script>if (1</2) '</scriptx>'</script><script>open";
        assert_eq!(
            inline(document, "script"),
            ["one", "if (1</2) '</scriptx>'", "open"]
        );
        assert_eq!(inline(document, "style"), ["p{}"]);
        assert!(inline("<script", "script").is_empty());
        assert!(inline("<", "script").is_empty());
    }

    #[test]
    fn an_inline_script_is_allowed_by_its_hash_and_no_other() {
        // The example of CSP Level 3, section 8.3.
        let index = "<script>alert('Hello, world.');</script>";
        let hash = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";
        assert!(policy(index).contains(&format!("'wasm-unsafe-eval' {hash};")));
        let none = policy("<p>nothing</p>");
        assert!(none.contains("script-src 'self' 'wasm-unsafe-eval';"));
        assert!(!none.contains("unsafe-inline") && !none.contains("'unsafe-eval'"));
    }
}
