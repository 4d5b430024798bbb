//! The page's address: `#/t/<percent-encoded topic>` names a topic, `?bootstrap=` the way in.
//!
//! Owns only the text of the address; what is done about it is decided elsewhere.

use moim_peer::limits::TOPIC_BYTES_MAX;

/// What stands before the topic in the address's fragment.
const TOPIC_PREFIX: &str = "#/t/";

/// Bytes of a topic that is read from an address, more than any has: too long a one is refused in words, but a browser takes
/// seconds for each key in a field with a megabyte.
const TOPIC_READ_MAX: usize = 4 * TOPIC_BYTES_MAX;

/// The fragment of the page that asks for a topic.
pub(crate) const NO_TOPIC: &str = "#/";

/// The topic that a fragment names, decoded but not checked. `None` when it names none, or when
/// what it names is not UTF-8 or much too long.
pub(crate) fn topic_in(fragment: &str) -> Option<String> {
    let encoded = fragment.strip_prefix(TOPIC_PREFIX)?;
    let topic = percent_decode(encoded)?;
    let topic = topic.trim();
    (1..=TOPIC_READ_MAX)
        .contains(&topic.len())
        .then(|| topic.to_owned())
}

/// The fragment that names `topic`.
pub(crate) fn fragment_for(topic: &str) -> String {
    let mut fragment = TOPIC_PREFIX.to_owned();
    for byte in topic.bytes() {
        // What encodeURIComponent leaves alone, so that the address reads the same either way.
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            fragment.push(char::from(byte));
        } else {
            fragment.push('%');
            for digit in [byte >> 4, byte & 0xf] {
                fragment.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    fragment
}

/// The values of `name` in a query string, in order, decoded as a form would be.
pub(crate) fn query_values(query: &str, name: &str) -> Vec<String> {
    query
        .trim_start_matches('?')
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .filter_map(|(_, value)| percent_decode(&value.replace('+', " ")))
        .collect()
}

/// A `%` that is not followed by two hexadecimal digits stands for itself, as browsers do it.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_survives_the_address() {
        for topic in [
            "global-chat",
            "모임",
            "a/b?c#d&e=f",
            "100%",
            "%41",
            "two words",
            "it's (so)*!~",
            "👋🏽",
        ] {
            let fragment = fragment_for(topic);
            assert!(fragment.is_ascii(), "{fragment}");
            assert_eq!(topic_in(&fragment).as_deref(), Some(topic));
        }
    }

    #[test]
    fn the_fragment_is_what_encode_uri_component_would_write() {
        assert_eq!(fragment_for("global-chat"), "#/t/global-chat");
        assert_eq!(fragment_for("모임 1/2"), "#/t/%EB%AA%A8%EC%9E%84%201%2F2");
    }

    #[test]
    fn fragments_typed_by_hand_are_read_too() {
        assert_eq!(topic_in("#/t/모임").as_deref(), Some("모임"));
        assert_eq!(topic_in("#/t/100%").as_deref(), Some("100%"));
        assert_eq!(topic_in("#/t/%2").as_deref(), Some("%2"));
        assert_eq!(topic_in("#/t/%20a%20").as_deref(), Some("a"));
    }

    #[test]
    fn other_fragments_name_no_topic() {
        for fragment in [
            "", "#", "#/", "#/t", "#/t/", "#/t/%20", "#/t/%FF", "#main", "/t/x",
        ] {
            assert_eq!(topic_in(fragment), None, "{fragment}");
        }
        let long = |bytes| topic_in(&fragment_for(&"a".repeat(bytes)));
        assert!(long(TOPIC_READ_MAX).is_some());
        assert_eq!(long(TOPIC_READ_MAX + 1), None);
    }

    #[test]
    fn query_values_come_in_order_and_decoded() {
        let query = "?bootstrap=%2Fip4%2F127.0.0.1%2Ftcp%2F8469%2Fws&x=1\
            &bootstrap=http://a/b.json,http://c&bootstrap";
        assert_eq!(
            query_values(query, "bootstrap"),
            ["/ip4/127.0.0.1/tcp/8469/ws", "http://a/b.json,http://c"]
        );
        assert!(query_values("", "bootstrap").is_empty());
        assert!(query_values("?boot=1", "bootstrap").is_empty());
    }
}
