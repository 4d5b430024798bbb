//! Where a peer enters the DHT.

use std::{fmt, str::FromStr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_protocol::{UnixMillis, address::is_dialled, limits};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{place::Place, reason::DocumentFault, swarm::is_loopback};

/// A bootstrap node, by address or by the page that lists its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BootstrapSource {
    /// A multiaddr. With `/p2p/<id>` at its end only that node is accepted there.
    Address(Multiaddr),
    /// The URL of a `bootstrap.json`, fetched anew whenever the node must be dialled.
    Url(String),
}

impl fmt::Display for BootstrapSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl BootstrapSource {
    /// The host and the port that it leads to; `None` for an address without an IP address or a name.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Address(address) => Place::of_address(address),
            Self::Url(url) => Place::of_url(url),
        }
    }
}

/// Why a text is no bootstrap source.
#[derive(Debug, Error)]
#[error(
    "`{text}` is neither a multiaddr such as /ip4/192.0.2.1/tcp/8468/p2p/12D3… nor the URL of a bootstrap.json"
)]
pub struct BootstrapSourceError {
    text: String,
}

impl FromStr for BootstrapSource {
    type Err = BootstrapSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What is between slashes at the end goes with them, so that what is shown reads as it was understood.
        let text = text
            .trim_start()
            .trim_end_matches(|c: char| c == '/' || c.is_whitespace());
        if let Some(url) = url(text) {
            return Ok(Self::Url(url));
        }
        let address = text.parse().ok();
        address
            .filter(|address: &Multiaddr| !address.is_empty())
            .map(Self::Address)
            .ok_or_else(|| BootstrapSourceError {
                text: text.to_owned(),
            })
    }
}

/// Where a node lists its addresses, unless another path is named.
const DOCUMENT_PATH: &str = "/bootstrap.json";

/// The URL that somebody means: with `http` in any case, or as `host:port` alone, and of the node's document where no
/// path is named. `None` if it is none.
fn url(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest.to_owned()),
        None => ("http".to_owned(), host_and_port(text)?),
    };
    if !matches!(scheme.as_str(), "http" | "https") {
        return None;
    }
    // A fragment is of the page in whose address bar the URL was found; so is a query where there is no path.
    let rest = rest.split('#').next().unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let path = rest.strip_prefix(host).unwrap_or_default();
    let names_none = path.split('?').next().is_none_or(|path| path.len() <= 1);
    let path = if names_none { DOCUMENT_PATH } else { path };
    let url = format!("{scheme}://{host}{path}");
    Place::of_url(&url).map(|_| url)
}

/// `host:port`, if the text is that and nothing else. Whoever names one of the other ports that a node has by default
/// means the node.
fn host_and_port(text: &str) -> Option<String> {
    let place = Some(text)
        .filter(|text| !text.contains(['/', '@', '?', '#']))
        .and_then(Place::of_authority)?;
    let port = match place.port? {
        8468 | 8469 => 8470,
        port => port,
    };
    let place = Place {
        port: Some(port),
        ..place
    };
    Some(place.to_string())
}

/// Addresses taken from one `bootstrap.json`; more than a node has interfaces is somebody's mistake.
pub(crate) const DOCUMENT_ADDRESSES_MAX: usize = 64;

/// Bytes of a `bootstrap.json` that are read.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// What was found at a URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    /// When it was sent, by the clock there (`Date`, RFC 9110, section 6.6.1).
    pub(crate) date: Option<UnixMillis>,
}

/// The body of `/bootstrap.json`.
#[derive(Debug, Deserialize)]
struct Document<'a> {
    peer_id: String,
    /// Each is read by itself.
    #[serde(borrow)]
    addresses: Vec<&'a RawValue>,
}

/// A bootstrap node's id, if known, and its addresses without the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) peer: Option<PeerId>,
    pub(crate) addresses: Vec<Multiaddr>,
}

impl Target {
    pub(crate) fn from_address(address: &Multiaddr) -> Self {
        let (peer, address) = split_peer(address.clone());
        Self {
            peer,
            addresses: vec![address],
        }
    }

    /// Reads the `bootstrap.json` that was fetched at `url`. Of addresses of this machine itself it speaks
    /// the truth only where it was fetched from there.
    pub(crate) fn from_document(body: &[u8], url: &str) -> Result<Self, DocumentFault> {
        let document: Document<'_> = serde_json::from_slice(body).map_err(|error| {
            tracing::debug!(url, %error, "a bootstrap.json is not understood");
            DocumentFault::Json
        })?;
        // Base 58 is decoded in quadratic time: a document of nothing but an id would take seconds.
        let id = Some(&document.peer_id).filter(|id| id.len() <= limits::PEER_TEXT_BYTES_MAX);
        let peer: PeerId = id
            .and_then(|id| id.parse().ok())
            .ok_or(DocumentFault::PeerId)?;
        let is_local = is_local(url);
        // Addresses of kinds that this version does not know are somebody else's to dial.
        let addresses: Vec<_> = document
            .addresses
            .iter()
            .take(DOCUMENT_ADDRESSES_MAX)
            .filter_map(|address| serde_json::from_str::<String>(address.get()).ok())
            .filter(|address| address.len() <= limits::ADDRESS_BYTES_MAX)
            .filter_map(|address| address.parse::<Multiaddr>().ok())
            .map(split_peer)
            .filter(|(id, _)| id.is_none_or(|id| id == peer))
            .map(|(_, address)| address)
            .filter(|address| is_local || !is_loopback(address))
            .filter(is_dialled)
            .collect();
        if addresses.is_empty() {
            return Err(DocumentFault::NoAddress);
        }
        Ok(Self {
            peer: Some(peer),
            addresses,
        })
    }
}

/// Whether a URL is of a program on this machine.
pub(crate) fn is_local(url: &str) -> bool {
    Place::of_url(url).is_some_and(|place| place.is_this_machine())
}

/// Takes the `/p2p/<id>` off the end of an address.
pub(crate) fn split_peer(mut address: Multiaddr) -> (Option<PeerId>, Multiaddr) {
    match address.pop() {
        Some(Protocol::P2p(peer)) => (Some(peer), address),
        Some(other) => (None, address.with(other)),
        None => (None, address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://localhost:8470/bootstrap.json";
    const ID: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    #[test]
    fn multiaddrs_and_urls_are_sources() {
        assert!(matches!(
            "/ip4/127.0.0.1/tcp/8468".parse(),
            Ok(BootstrapSource::Address(_))
        ));
        assert!(matches!(
            "http://localhost:8470/bootstrap.json".parse(),
            Ok(BootstrapSource::Url(_))
        ));
        for (written, meant) in [
            (
                "http://node.example:8470",
                "http://node.example:8470/bootstrap.json",
            ),
            (
                "HTTP://node.example:8470/",
                "http://node.example:8470/bootstrap.json",
            ),
            (
                "Https://node.example",
                "https://node.example/bootstrap.json",
            ),
            (
                "node.example:8470",
                "http://node.example:8470/bootstrap.json",
            ),
            ("192.0.2.1:8470/", "http://192.0.2.1:8470/bootstrap.json"),
            (
                "http://node.example:8470/#/t/global-chat",
                "http://node.example:8470/bootstrap.json",
            ),
            (
                "http://node.example:8470/?lang=ko#/t/a/b",
                "http://node.example:8470/bootstrap.json",
            ),
            (
                "https://node.example?x=/y",
                "https://node.example/bootstrap.json",
            ),
            (
                "https://node.example/moim.json?a=1#b",
                "https://node.example/moim.json?a=1",
            ),
            ("localhost:8468", "http://localhost:8470/bootstrap.json"),
            (
                "[2001:db8::1]:8469",
                "http://[2001:db8::1]:8470/bootstrap.json",
            ),
            (
                "[2001:db8::1]:8470",
                "http://[2001:db8::1]:8470/bootstrap.json",
            ),
            (
                "https://node.example/moim.json",
                "https://node.example/moim.json",
            ),
        ] {
            let source: BootstrapSource = written.parse().expect(written);
            assert_eq!(source, BootstrapSource::Url(meant.to_owned()), "{written}");
        }
        let address: BootstrapSource = "/ip4/127.0.0.1/tcp/8468/".parse().expect("an address");
        assert_eq!(address.to_string(), "/ip4/127.0.0.1/tcp/8468");
        for odd in ["/dns6/a\t/\u{b}", "http://a/b \t/", "/dns4/a / /"] {
            let source: BootstrapSource = odd.parse().expect(odd);
            let again: BootstrapSource = source.to_string().parse().expect(odd);
            assert_eq!(source, again, "{odd:?}");
        }
        for wrong in [
            "",
            "/",
            "localhost",
            "localhost:",
            "localhost:99999",
            "a b:1",
            "::1:8470",
            "[::1",
            "/ip4/300.0.0.1/tcp/1",
            "ftp://x",
            "http://",
            "https:///bootstrap.json",
            "http://[::1",
            "http://node.example:99999",
        ] {
            let error = wrong.parse::<BootstrapSource>().expect_err(wrong);
            assert!(error.to_string().contains("multiaddr"), "{error}");
        }
    }

    #[test]
    fn a_document_gives_the_id_and_the_addresses_that_parse() {
        let body = format!(
            r#"{{"peer_id":"{ID}","addresses":["/ip4/127.0.0.1/tcp/8469/ws/p2p/{ID}","/new-thing/1",null,["/ip4/1.2.3.4/tcp/1"],"/ip4/1.2.3.4/tcp/1"]}}"#
        );
        let target = Target::from_document(body.as_bytes(), URL).expect("valid");
        assert_eq!(
            target.peer.map(|peer| peer.to_string()).as_deref(),
            Some(ID)
        );
        assert_eq!(target.addresses.len(), 2);
    }

    #[test]
    fn who_is_elsewhere_says_nothing_of_this_machine() {
        let body = format!(
            r#"{{"peer_id":"{ID}","addresses":["/ip4/127.0.0.1/tcp/6379","/ip6/::1/tcp/1","/ip4/192.0.2.1/tcp/2","/ip4/192.0.2.1/tcp/2/x-parity-ws/%2Fa"]}}"#
        );
        for (url, count) in [
            ("http://127.0.0.1:8470/bootstrap.json", 3),
            ("http://[::1]:8470/bootstrap.json", 3),
            ("https://LOCALHOST/bootstrap.json", 3),
            ("https://node.example/bootstrap.json", 1),
            ("https://node.example:8470?127.0.0.1", 1),
            ("https://localhost@node.example/", 1),
            ("https://127.0.0.1.example/", 1),
            ("http://192.168.1.1:8470/bootstrap.json", 1),
        ] {
            let target = Target::from_document(body.as_bytes(), url).expect("valid");
            assert_eq!(target.addresses.len(), count, "{url}");
        }
    }

    #[test]
    fn bad_documents_say_what_is_wrong() {
        assert!(matches!(
            Target::from_document(b"<html>", URL),
            Err(DocumentFault::Json)
        ));
        assert!(matches!(
            Target::from_document(br#"{"peer_id":"x","addresses":[]}"#, URL),
            Err(DocumentFault::PeerId)
        ));
        // An id that would take seconds to decode is not looked at, and neither is such an address.
        let long = "z".repeat(60_000);
        let body = format!(r#"{{"peer_id":"{long}","addresses":[]}}"#);
        assert!(matches!(
            Target::from_document(body.as_bytes(), URL),
            Err(DocumentFault::PeerId)
        ));
        let body = format!(r#"{{"peer_id":"{ID}","addresses":["garbage","/p2p/{long}"]}}"#);
        assert!(matches!(
            Target::from_document(body.as_bytes(), URL),
            Err(DocumentFault::NoAddress)
        ));
    }
}
