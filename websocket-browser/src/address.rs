//! From multiaddresses to URLs.

use libp2p_core::{Multiaddr, multiaddr::Protocol};

/// A WebSocket server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) url: String,
    /// Whether what is sent there can be read on the way: no TLS, and another machine. Pages that
    /// came by HTTPS do not connect to such a server
    /// ([mixed content](https://w3c.github.io/webappsec-mixed-content/)).
    pub(crate) is_exposed: bool,
}

/// The server behind an address, if it is one of a WebSocket server and of nothing behind that server.
///
/// `/tls/sni/<name>/ws` says which name the server's certificate is for. A page cannot choose the name
/// apart from the host, so that name is the host: whoever announces such an address has the name
/// point to the same place (as libp2p's AutoTLS does).
pub(crate) fn server(address: &Multiaddr) -> Option<Server> {
    let mut rest = address.iter().peekable();
    let (mut host, is_local) = match rest.next()? {
        Protocol::Ip4(ip) => (ip.to_string(), ip.is_loopback()),
        Protocol::Ip6(ip) => (format!("[{ip}]"), ip.is_loopback()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
            let is_local = is_localhost(&name);
            (name.into_owned(), is_local)
        }
        _ => return None,
    };
    let Protocol::Tcp(port) = rest.next()? else {
        return None;
    };
    let mut secure = rest.next_if_eq(&Protocol::Tls).is_some();
    if secure && let Some(Protocol::Sni(name)) = rest.peek() {
        host = name.clone().into_owned();
        rest.next();
    }
    let path = match rest.next()? {
        Protocol::Ws(path) => path,
        Protocol::Wss(path) if !secure => {
            secure = true;
            path
        }
        _ => return None,
    };
    rest.next_if(|protocol| matches!(protocol, Protocol::P2p(_)));
    if rest.next().is_some() {
        return None;
    }
    let scheme = if secure { "wss" } else { "ws" };
    Some(Server {
        url: format!("{scheme}://{host}:{port}{path}"),
        is_exposed: !secure && !is_local,
    })
}

/// RFC 6761, section 6.3.
fn is_localhost(name: &str) -> bool {
    let last = name.rsplit('.').next();
    last.is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(address: &Multiaddr) -> Option<String> {
        server(address).map(|server| server.url)
    }

    const PEER: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

    #[test]
    fn addresses_become_urls() {
        for (address, expected) in [
            ("/ip4/127.0.0.1/tcp/8469/ws", "ws://127.0.0.1:8469/"),
            ("/ip6/::1/tcp/8469/ws", "ws://[::1]:8469/"),
            ("/dns/example.com/tcp/80/ws", "ws://example.com:80/"),
            ("/dns6/example.com/tcp/80/ws", "ws://example.com:80/"),
            ("/dns4/example.com/tcp/443/wss", "wss://example.com:443/"),
            ("/dns4/example.com/tcp/443/tls/ws", "wss://example.com:443/"),
            (
                "/ip4/192.0.2.1/tcp/443/tls/sni/192-0-2-1.example.net/ws",
                "wss://192-0-2-1.example.net:443/",
            ),
            (
                "/dns4/example.com/tcp/443/tls/sni/example.net/ws",
                "wss://example.net:443/",
            ),
        ] {
            let parsed: Multiaddr = address.parse().expect("valid");
            assert_eq!(url(&parsed).as_deref(), Some(expected), "{address}");
            let parsed: Multiaddr = format!("{address}/p2p/{PEER}").parse().expect("valid");
            assert_eq!(url(&parsed).as_deref(), Some(expected), "{parsed}");
        }
    }

    #[test]
    fn what_is_sent_can_be_read_on_the_way_or_not() {
        for (address, is_exposed) in [
            ("/ip4/127.0.0.7/tcp/1/ws", false),
            ("/ip6/::1/tcp/1/ws", false),
            ("/dns4/localhost/tcp/1/ws", false),
            ("/dns4/a.LOCALHOST/tcp/1/ws", false),
            ("/dns4/localhost.example/tcp/1/ws", true),
            ("/ip4/192.0.2.1/tcp/1/ws", true),
            ("/ip4/192.0.2.1/tcp/1/wss", false),
            ("/dns4/example.com/tcp/1/tls/ws", false),
        ] {
            let server = server(&address.parse().expect("valid")).expect("a server");
            assert_eq!(server.is_exposed, is_exposed, "{address}");
        }
    }

    #[test]
    fn the_path_is_kept() {
        let address = Multiaddr::empty()
            .with(Protocol::Dns("example.com".into()))
            .with(Protocol::Tcp(80))
            .with(Protocol::Ws("/p2p?a=1".into()));
        assert_eq!(
            url(&address).as_deref(),
            Some("ws://example.com:80/p2p?a=1")
        );
    }

    #[test]
    fn what_is_behind_a_server_is_not_the_server() {
        for address in [
            "/ip4/127.0.0.1/tcp/8469".to_owned(),
            "/ip4/127.0.0.1/udp/8469/ws".to_owned(),
            "/ip4/127.0.0.1/tcp/8469/tls".to_owned(),
            "/ip4/127.0.0.1/tcp/8469/tls/wss".to_owned(),
            "/ip4/127.0.0.1/tcp/8469/sni/example.com/ws".to_owned(),
            "/dnsaddr/example.com/tcp/80/ws".to_owned(),
            "/memory/1".to_owned(),
            format!("/ip4/127.0.0.1/tcp/8469/ws/p2p/{PEER}/p2p-circuit"),
            format!("/ip4/127.0.0.1/tcp/8469/ws/p2p/{PEER}/p2p-circuit/webrtc/p2p/{PEER}"),
        ] {
            let parsed: Multiaddr = address.parse().expect("valid");
            assert_eq!(url(&parsed), None, "{address}");
        }
        assert_eq!(url(&Multiaddr::empty()), None);
    }
}
