//! Which bootstrap nodes the page uses: what was typed or linked, checked before it is used.

use moim_peer::BootstrapSource;

/// Bootstrap sources that are used at most; each is dialled, and a list longer than this is a
/// paste gone wrong.
pub(crate) const SOURCES_MAX: usize = 16;

/// Characters of a list that is typed: a kilobyte for each of [`SOURCES_MAX`]. A browser takes seconds for each key beside
/// a megabyte.
pub(crate) const LIST_LENGTH_MAX: usize = SOURCES_MAX * 1024;

/// Characters of an entry that are shown when it cannot be used.
const SHOWN_MAX: usize = 256;

/// What the browser lets a page reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageContext {
    /// The page came over https, so the browser blocks plain `ws:` and `http:` to other machines.
    pub(crate) https: bool,
}

/// Why one entry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// More entries than [`SOURCES_MAX`].
    TooMany,
    /// Neither a multiaddr nor an http(s) URL.
    Malformed,
    /// A multiaddr of a transport that pages do not have.
    NotDialable,
    /// Plain, and the page came over https.
    BlockedByHttps,
}

/// An entry that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The entry as it was given, or its beginning.
    pub(crate) text: String,
    /// Why.
    pub(crate) problem: Problem,
}

/// What a list of bootstrap nodes amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// What can be used, in order, without repetitions.
    pub(crate) sources: Vec<BootstrapSource>,
    /// What cannot.
    pub(crate) refused: Vec<Refused>,
}

/// Reads a list separated by white space or commas, as far as the first [`SOURCES_MAX`] entries.
pub(crate) fn check_list(list: &str, context: PageContext) -> Checked {
    let mut checked = Checked::default();
    for text in list
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|text| !text.is_empty())
    {
        match check(text, context) {
            Ok(source) if checked.sources.contains(&source) => {}
            _ if checked.sources.len() + checked.refused.len() >= SOURCES_MAX => {
                checked.refused.push(refused(text, Problem::TooMany));
                break;
            }
            Ok(source) => checked.sources.push(source),
            Err(problem) => checked.refused.push(refused(text, problem)),
        }
    }
    checked
}

fn refused(text: &str, problem: Problem) -> Refused {
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Refused {
        text: shown,
        problem,
    }
}

fn check(text: &str, context: PageContext) -> Result<BootstrapSource, Problem> {
    let source: BootstrapSource = text.parse().map_err(|_| Problem::Malformed)?;
    let is_encrypted = match &source {
        BootstrapSource::Url(url) => url.starts_with("https://"),
        BootstrapSource::Address(address) => {
            let protocols: Vec<_> = address.protocol_stack().collect();
            let has = |name| protocols.contains(&name);
            let websocket = has("ws") || has("wss");
            if !websocket && !has("webrtc-direct") {
                return Err(Problem::NotDialable);
            }
            has("wss") || has("tls") || !websocket
        }
    };
    // Browsers trust plain connections to the machine they run on.
    let is_trusted = || source.place().is_some_and(|place| place.is_this_machine());
    if context.https && !is_encrypted && !is_trusted() {
        return Err(Problem::BlockedByHttps);
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: PageContext = PageContext { https: false };
    const HTTPS: PageContext = PageContext { https: true };
    const ID: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    fn problems(list: &str, context: PageContext) -> Vec<Problem> {
        check_list(list, context)
            .refused
            .into_iter()
            .map(|refused| refused.problem)
            .collect()
    }

    #[test]
    fn addresses_and_urls_are_taken_in_order_and_once() {
        let list = format!(
            "/ip4/127.0.0.1/tcp/8469/ws/p2p/{ID}, http://localhost:8470/bootstrap.json\n\n\
             /dns4/example.org/tcp/443/tls/ws http://localhost:8470/bootstrap.json"
        );
        let checked = check_list(&list, PLAIN);
        assert_eq!(checked.refused, []);
        let texts: Vec<_> = checked.sources.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3);
        assert!(texts[0].starts_with("/ip4/127.0.0.1"));
        assert_eq!(texts[1], "http://localhost:8470/bootstrap.json");
    }

    #[test]
    fn an_empty_list_is_no_mistake() {
        assert_eq!(check_list(" \n , ", PLAIN), Checked::default());
    }

    #[test]
    fn malformed_entries_leave_the_rest() {
        let checked = check_list(
            "localhost /ip4/999.0.0.1/tcp/1/ws ftp://x http:// /ip4/1.2.3.4/tcp/1/ws",
            PLAIN,
        );
        assert_eq!(checked.sources.len(), 1);
        assert_eq!(checked.refused.len(), 4);
        for refused in checked.refused {
            assert_eq!(refused.problem, Problem::Malformed, "{refused:?}");
        }
    }

    #[test]
    fn what_a_page_cannot_dial_is_refused() {
        let list = format!("/ip4/127.0.0.1/tcp/8468/p2p/{ID} /ip4/127.0.0.1/udp/8468/quic-v1");
        assert_eq!(
            problems(&list, PLAIN),
            [Problem::NotDialable, Problem::NotDialable]
        );
        let webrtc = "/ip4/127.0.0.1/udp/8469/webrtc-direct/\
            certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
        assert_eq!(problems(webrtc, PLAIN), []);
    }

    #[test]
    fn a_https_page_reaches_plain_nodes_only_on_this_machine() {
        let refused =
            "/ip4/192.0.2.1/tcp/8469/ws http://example.org/bootstrap.json http://[2001:db8::1]:80/";
        assert_eq!(problems(refused, HTTPS), vec![Problem::BlockedByHttps; 3]);
        let taken = "/ip4/127.0.0.1/tcp/8469/ws /dns4/localhost/tcp/8469/ws \
            /dns4/a.example/tcp/443/wss \
                     https://example.org/b.json http://localhost:1/ \
            http://[::1]:1/ http://u@127.0.0.1/x";
        assert_eq!(problems(taken, HTTPS), []);
        assert_eq!(problems(refused, PLAIN), []);
    }

    #[test]
    fn a_list_has_an_end() {
        let list: Vec<_> = (1..=40)
            .map(|port| format!("/ip4/127.0.0.1/tcp/{port}/ws"))
            .collect();
        let checked = check_list(&list.join("\n"), PLAIN);
        assert_eq!(checked.sources.len(), SOURCES_MAX);
        assert_eq!(checked.refused.len(), 1);
        // A paste gone wrong is not told entry by entry, nor is a long one told in full.
        let checked = check_list(&"localhost ".repeat(1_000), PLAIN);
        assert_eq!(checked.refused.len(), SOURCES_MAX + 1);
        let checked = check_list(&"가".repeat(100_000), PLAIN);
        assert_eq!(checked.refused[0].text.chars().count(), SHOWN_MAX + 1);
    }
}
