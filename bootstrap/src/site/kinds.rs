//! What a file is, by its name.

use std::ops::RangeInclusive;

/// The media type of a file by its ending, of those that a web build consists of. Anything else is
/// bytes, which a browser saves and never runs.
pub(super) fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "map" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Whether a file gets smaller by compression: pictures and fonts are compressed already.
pub(super) fn is_compressible(path: &str) -> bool {
    let media_type = content_type(path);
    let type_name = media_type.split(';').next().unwrap_or_default();
    type_name.starts_with("text/")
        || matches!(
            type_name,
            "application/json"
                | "application/manifest+json"
                | "application/wasm"
                | "image/svg+xml"
                | "image/x-icon"
        )
}

/// How long a browser may keep a file: for ever if another content would have another name, else it
/// asks each time whether there is something new.
pub(super) fn cache_control(path: &str) -> &'static str {
    if is_hashed(path) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// Digits of a hash in a name. Trunk writes 64 bits as a number, without the zeros in front: one name in sixteen has 15
/// digits, and one in a million less than 12.
const HASH_DIGITS: RangeInclusive<usize> = 12..=16;

/// Whether Trunk put the hash of the content into the name, as a part of it.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.split(['-', '_', '.']).any(|part| {
        HASH_DIGITS.contains(&part.len())
            && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        for hashed in [
            "moim-web-98ab2c6f80641cf1_bg.wasm",
            "moim-web-98ab2c6f80641cf1.js",
            "moim-web-283c39b96d99905_bg.wasm",
            "6e2bc8ae8f6bd2f7-initializer.mjs",
            "a/base-3f3007c63320c895.css",
        ] {
            assert!(cache_control(hashed).contains("immutable"), "{hashed}");
        }
        for plain in [
            "index.html",
            "98ab2c6f80641cf1/index.html",
            "moim-web.js",
            "deadbeef.js",
            "a-98ab2c6f80641cf1a.js",
            "a-98AB2C6F80641CF1.js",
        ] {
            assert_eq!(cache_control(plain), "no-cache", "{plain}");
        }
    }

    #[test]
    fn a_program_is_served_as_what_it_is_and_the_unknown_as_bytes() {
        assert_eq!(content_type("a_bg.wasm"), "application/wasm");
        assert_eq!(content_type("a.mjs"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("a.exe"), "application/octet-stream");
        assert_eq!(content_type("html"), "application/octet-stream");
        for (path, expected) in [
            ("index.html", true),
            ("a_bg.wasm", true),
            ("a.svg", true),
            ("a.webp", false),
            ("a.woff2", false),
            ("a.gz", false),
        ] {
            assert_eq!(is_compressible(path), expected, "{path}");
        }
    }
}
