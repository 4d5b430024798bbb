//! Answers to requests for files (RFC 9110).

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};

use super::{Coding, Copy, File, Site};

impl Site {
    /// The answer to a request for a file.
    pub(crate) fn answer(&self, method: &Method, uri: &Uri, asked: &HeaderMap) -> Response {
        let mut response = match self.find(uri.path()) {
            None => (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response(),
            Some(_) if method != Method::GET && method != Method::HEAD => {
                let allow = [(header::ALLOW, "GET, HEAD")];
                (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()
            }
            Some(file) => file.answer(method, asked),
        };
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}

impl File {
    fn answer(&self, method: &Method, asked: &HeaderMap) -> Response {
        let Some(copy) = self.choose(asked) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let mut response = if is_known(asked, &copy.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let body = if method == Method::HEAD {
                Body::empty()
            } else {
                copy.content.clone().into()
            };
            let mut response = Response::new(body);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, copy.content.len().into());
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static(self.content_type),
            );
            if let Some(coding) = copy.coding.name() {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, copy.etag.clone());
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(self.cache_control),
        );
        if self.copies.len() > 1 {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }

    /// The smallest copy that the client takes; the plain one if it says nothing.
    fn choose(&self, asked: &HeaderMap) -> Option<&Copy> {
        let accepted = asked.get_all(header::ACCEPT_ENCODING);
        let accepted: Vec<&str> = accepted.iter().filter_map(|v| v.to_str().ok()).collect();
        self.copies
            .iter()
            .find(|copy| takes(&accepted, copy.coding))
    }
}

/// Whether a client takes a coding (section 12.5.3): it names it, and not with weight 0. The plain
/// file is always taken, for there must be an answer.
fn takes(accepted: &[&str], coding: Coding) -> bool {
    let Some(name) = coding.name() else {
        return true;
    };
    accepted
        .iter()
        .flat_map(|header| header.split(','))
        .any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let named = parts.next().is_some_and(|n| n.eq_ignore_ascii_case(name));
            named && !parts.any(is_zero_weight)
        })
}

fn is_zero_weight(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0_f32)
    })
}

/// Whether the client has this copy already (section 13.1.2; the comparison is weak).
fn is_known(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else {
        return false;
    };
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn site() -> Site {
        let index = vec![(Coding::Plain, Bytes::from_static(b"<p>index"))];
        let program = vec![
            (Coding::Brotli, Bytes::from_static(b"b")),
            (Coding::Gzip, Bytes::from_static(b"gz")),
            (Coding::Plain, Bytes::from_static(b"plain")),
        ];
        let files = [
            ("index.html".to_owned(), index),
            ("a-98ab2c6f80641cf1_bg.wasm".to_owned(), program),
        ];
        Site::new(files.into_iter(), true)
    }

    fn ask(path: &str, headers: &[(header::HeaderName, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        site().answer(&Method::GET, &path.parse().unwrap(), &headers)
    }

    fn header_of(response: &Response, name: header::HeaderName) -> &str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    const PROGRAM: &str = "/a-98ab2c6f80641cf1_bg.wasm";

    #[test]
    fn the_smallest_copy_that_is_taken_is_sent() {
        for (accepted, coding, length) in [
            ("gzip, deflate, br, zstd", "br", "1"),
            ("br;q=0, GZIP;q=0.5", "gzip", "2"),
            ("br;q=0.000, gzip; q=0", "", "5"),
            ("deflate", "", "5"),
            ("", "", "5"),
        ] {
            let answer = ask(PROGRAM, &[(header::ACCEPT_ENCODING, accepted)]);
            assert_eq!(header_of(&answer, header::CONTENT_ENCODING), coding);
            assert_eq!(header_of(&answer, header::CONTENT_LENGTH), length);
            assert_eq!(header_of(&answer, header::VARY), "accept-encoding");
            assert_eq!(header_of(&answer, header::CONTENT_TYPE), "application/wasm");
        }
    }

    #[test]
    fn who_has_a_copy_already_is_told_so_for_that_copy_only() {
        let plain = ask(PROGRAM, &[]);
        let etag = header_of(&plain, header::ETAG).to_owned();
        for known in [&etag, &format!("W/{etag}"), &format!("\"x\", {etag}"), "*"] {
            let answer = ask(PROGRAM, &[(header::IF_NONE_MATCH, known)]);
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(header_of(&answer, header::ETAG), etag);
        }
        let asked = [
            (header::IF_NONE_MATCH, etag.as_str()),
            (header::ACCEPT_ENCODING, "br"),
        ];
        assert_eq!(ask(PROGRAM, &asked).status(), StatusCode::OK);
    }

    #[test]
    fn only_files_are_found_and_the_index_at_the_root() {
        for path in ["/", "/index.html", "/?bootstrap=x"] {
            assert_eq!(ask(path, &[]).status(), StatusCode::OK, "{path}");
        }
        for path in [
            "/t/topic",
            "//",
            "/../index.html",
            "/%2e%2e/index.html",
            "/INDEX.HTML",
        ] {
            assert_eq!(ask(path, &[]).status(), StatusCode::NOT_FOUND, "{path}");
        }
        let post = site().answer(&Method::POST, &"/".parse().unwrap(), &HeaderMap::new());
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header_of(&post, header::ALLOW), "GET, HEAD");
    }
}
