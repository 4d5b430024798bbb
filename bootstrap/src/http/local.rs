//! Whether a request was made at this machine, for this machine.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName, Request, Version, header};

/// Headers by which a proxy says that it speaks for somebody else.
pub(crate) const FORWARDED: [HeaderName; 7] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// Whether a request from `remote` comes from a program at this machine that asks this machine.
///
/// The address alone is no proof: a reverse proxy here connects from it for the whole world, and a web
/// page that has its name point to 127.0.0.1 has the browser connect from it (DNS rebinding).
pub(crate) fn is_local<B>(remote: IpAddr, request: &Request<B>) -> bool {
    let headers = request.headers();
    let says = |name: &HeaderName| headers.contains_key(name);
    remote.to_canonical().is_loopback()
        // A proxy that says nothing of itself speaks, as nginx does by default, the older version.
        && request.version() >= Version::HTTP_11
        && !FORWARDED.iter().any(says)
        && asks_loopback(headers)
}

/// Whether an `Origin` (RFC 6454, section 6.2) is a page that this machine serves.
pub(crate) fn is_local_origin(origin: &str) -> bool {
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_loopback)
}

/// Whether the one `Host` names this machine's loopback.
fn asks_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(is_loopback)
}

/// Whether `host [":" port]` (RFC 9110, section 7.2) names this machine's loopback: `[::1]:8470`,
/// `127.0.0.1:8470`, `localhost`. Read as a whole; what follows a loopback address is no part of it.
fn is_loopback(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(ip, port)| {
            (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
                && ip
                    .parse()
                    .is_ok_and(|ip: Ipv6Addr| ip.to_canonical().is_loopback())
        });
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    port.is_none_or(is_port)
        && (name.eq_ignore_ascii_case("localhost")
            || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_this_machine_as_a_whole_or_not_at_all() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8470",
            "127.9.9.9",
            "[::1]:8470",
            "[::1]",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(host), "{host}");
            assert!(is_local_origin(&format!("http://{host}")), "{host}");
            assert!(is_local_origin(&format!("https://{host}")), "{host}");
        }
        for host in [
            "",
            "::1",
            "[::1",
            "[::1].example.org",
            "[::1]evil",
            "[::1]:",
            "[::1]:8470.example.org",
            "[::1]@example.org",
            "[127.0.0.1]",
            "[fe80::1]",
            "localhost.example.org",
            "localhost:",
            "localhost:x",
            "localhost:8470.example.org",
            "localhost:8470@example.org",
            "localhost:99999",
            "localhost:+80",
            "127.0.0.1.example.org",
            "127.0.0.1@example.org",
            "user@localhost",
            "0.0.0.0:8470",
            "192.168.1.5:8470",
            "moim.example.org",
        ] {
            assert!(!is_loopback(host), "{host}");
            assert!(!is_local_origin(&format!("http://{host}")), "{host}");
        }
        for origin in [
            "null",
            "",
            "localhost",
            "file://",
            "ws://localhost",
            "http://http://localhost",
        ] {
            assert!(!is_local_origin(origin), "{origin}");
        }
    }
}
