//! Whether a request was made at this machine, for this machine.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName, Request, Version, header};
use moim_protocol::dials::is_name_of_this_machine;

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
    remote.to_canonical().is_loopback() && is_own(request) && asks(request.headers(), is_loopback)
}

/// Whether a page that asks, on a connection from `remote` to `local`, is open at this machine: one that [is
/// local](is_local), and one that asks by an unspecified address, which leads here too, or by an address of this machine's
/// from that very address.
pub(crate) fn is_open_here<B>(local: IpAddr, remote: IpAddr, request: &Request<B>) -> bool {
    let (local, remote) = (local.to_canonical(), remote.to_canonical());
    let leads_here = |host: &str| {
        ip_of(host).is_some_and(|ip| match ip.is_unspecified() {
            true => remote.is_loopback(),
            false => ip == local && remote == local,
        })
    };
    is_local(remote, request) || is_own(request) && asks(request.headers(), leads_here)
}

/// Whether no proxy says that it made this request for somebody else.
fn is_own<B>(request: &Request<B>) -> bool {
    let says = |name: &HeaderName| request.headers().contains_key(name);
    // One that says nothing of itself speaks, as nginx does by default, the older version.
    request.version() >= Version::HTTP_11 && !FORWARDED.iter().any(says)
}

/// Whether an `Origin` (RFC 6454, section 6.2) is a page that this machine serves, which was reached at `local`.
pub(crate) fn is_local_origin(local: IpAddr, origin: &str) -> bool {
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|host| is_loopback(host) || ip_of(host) == Some(local.to_canonical()))
}

/// Whether the one `Host` is as wanted.
fn asks(headers: &HeaderMap, is_wanted: impl Fn(&str) -> bool) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(is_wanted)
}

/// Whether `host [":" port]` (RFC 9110, section 7.2) leads to this machine's loopback: `[::1]:8470`, `127.0.0.1:8470`,
/// `localhost`. Read as a whole; what follows a loopback address is no part of it.
fn is_loopback(authority: &str) -> bool {
    match ip_of(authority) {
        Some(ip) => ip.is_loopback(),
        None => host_of(authority).is_some_and(|host| {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            host.bytes().all(is_name) && is_name_of_this_machine(host)
        }),
    }
}

/// The IP address in `host [":" port]`, if it is one.
fn ip_of(authority: &str) -> Option<IpAddr> {
    let host = host_of(authority)?;
    let ip = match host.strip_prefix('[') {
        Some(rest) => IpAddr::V6(rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?),
        None => host.parse().ok()?,
    };
    Some(ip.to_canonical())
}

/// The host in `host [":" port]`, with its brackets if it has some.
fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => bracket + 1,
        _ => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_whole.then_some(host)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

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
            // Browsers take these for the same.
            "localhost.:8470",
            "a.localhost:8470",
        ] {
            assert!(is_loopback(host), "{host}");
            assert!(is_local_origin(HERE, &format!("http://{host}")), "{host}");
            assert!(is_local_origin(HERE, &format!("https://{host}")), "{host}");
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
            "0.0.0.0.example.org",
            "localhost@example.org",
            "example.org/a.localhost",
            "user@a.localhost",
            "moim.example.org",
        ] {
            assert!(!is_loopback(host), "{host}");
            assert!(!is_local_origin(HERE, &format!("http://{host}")), "{host}");
        }
        for origin in [
            "null",
            "",
            "localhost",
            "file://",
            "ws://localhost",
            "http://http://localhost",
        ] {
            assert!(!is_local_origin(HERE, origin), "{origin}");
        }
    }

    #[test]
    fn who_asks_a_machine_by_its_own_address_from_there_is_at_it() {
        let own: IpAddr = "192.168.1.5".parse().unwrap();
        let ask = |local: IpAddr, remote: &str, host: &str, header: Option<&HeaderName>| {
            let mut request = Request::builder().header(header::HOST, host);
            if let Some(name) = header {
                request = request.header(name, "192.0.2.1");
            }
            let request = request.body(()).unwrap();
            is_open_here(local, remote.parse().unwrap(), &request)
        };
        assert!(ask(own, "192.168.1.5", "192.168.1.5:8470", None));
        assert!(ask(own, "::ffff:192.168.1.5", "192.168.1.5", None));
        let v6 = "2001:db8::5".parse().unwrap();
        assert!(ask(v6, "2001:db8::5", "[2001:db8:0::5]:8470", None));
        assert!(!ask(own, "192.168.1.6", "192.168.1.5:8470", None));
        // By a proxy, or a name.
        let by_proxy = Some(&FORWARDED[2]);
        assert!(!ask(own, "192.168.1.5", "192.168.1.5:8470", by_proxy));
        assert!(!ask(own, "192.168.1.5", "moim.example.org", None));
        // What no interface has leads to loopback.
        let here = "127.0.0.1".parse().unwrap();
        for host in ["0.0.0.0:8470", "[::]", "[::ffff:0.0.0.0]:1"] {
            assert!(ask(here, "127.0.0.1", host, None), "{host}");
            assert!(!ask(here, "127.0.0.1", host, by_proxy), "{host}");
            assert!(!ask(own, "192.168.1.6", host, None), "{host}");
        }
        assert!(is_local_origin(own, "http://192.168.1.5:8080"));
        assert!(!is_local_origin(own, "http://192.168.1.6:8080"));
    }
}
