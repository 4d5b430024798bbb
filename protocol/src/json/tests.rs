use libp2p_identity::PeerId;

use super::*;
use crate::testing;

#[derive(Debug, Deserialize)]
struct Fields {
    #[serde(default, with = "peer::optional")]
    peer: Option<PeerId>,
    #[serde(default, deserialize_with = "base64::optional::deserialize")]
    bytes: Option<Vec<u8>>,
}

fn read(text: &str) -> Result<Fields, BodyError> {
    fields(text.as_bytes())
}

#[test]
fn fields_may_be_absent_or_null_and_others_are_ignored() {
    for text in [
        "{}",
        r#"{"peer":null,"bytes":null}"#,
        r#"{"later":{"a":[1]}}"#,
    ] {
        let fields = read(text).unwrap();
        assert!(fields.peer.is_none() && fields.bytes.is_none(), "{text}");
    }
}

#[test]
fn base64_is_read_in_one_form_only() {
    let bytes = |text: &str| read(&format!(r#"{{"bytes":"{text}"}}"#));
    assert_eq!(bytes("_-8").unwrap().bytes, Some(vec![0xff, 0xef]));
    assert_eq!(bytes("").unwrap().bytes, Some(vec![]));
    // Padded, the other alphabet, white space, a stray character, bits that do not belong.
    for text in ["_-8=", "/+8", "_- 8", "_", "_-9"] {
        assert!(
            matches!(bytes(text), Err(BodyError::Invalid(_))),
            "{text:?}"
        );
    }
}

#[test]
fn peer_ids_are_base58_multihashes_of_bounded_length() {
    let known = testing::peer(1);
    assert_eq!(
        read(&format!(r#"{{"peer":"{known}"}}"#)).unwrap().peer,
        Some(known)
    );
    let long = "1".repeat(60_000);
    for text in ["", "x", "0OIl", "12D3KooW", long.as_str()] {
        let result = read(&format!(r#"{{"peer":"{text}"}}"#));
        assert!(matches!(result, Err(BodyError::Invalid(_))), "{text:.20}");
    }
}

#[test]
fn bodies_start_with_version_and_type() {
    #[derive(Serialize)]
    struct Empty {}
    assert_eq!(
        encode("accepted", Empty {}),
        br#"{"v":1,"type":"accepted"}"#
    );
    assert_eq!(
        head(br#" { "type" : "a\u0062" , "v" : 1 } "#, 100).unwrap(),
        "ab"
    );
}

/// The table of `docs/protocol.md`: what parsers of JSON differ in.
mod where_parsers_differ {
    use super::*;
    use crate::wire::ErrorCode;

    #[derive(Debug, Deserialize)]
    struct Known {
        #[serde(deserialize_with = "integer::deserialize")]
        number: u64,
        text: String,
        value: serde_json::Value,
    }

    /// A body in which one field has the JSON `value`.
    fn with(field: &str, value: &str) -> String {
        let mut fields = vec![("v", "1"), ("type", r#""test""#)];
        fields.extend([("number", "7"), ("text", r#""a""#), ("value", "null")]);
        match fields.iter_mut().find(|(name, _)| *name == field) {
            Some((_, known)) => *known = value,
            None => fields.push((field, value)),
        }
        let fields: Vec<_> = fields.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
        format!("{{{}}}", fields.join(","))
    }

    fn code(body: &str) -> Option<ErrorCode> {
        head(body.as_bytes(), usize::MAX)
            .and_then(|_| fields::<Known>(body.as_bytes()))
            .err()
            .map(|error| error.code())
    }

    fn nested(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }

    #[test]
    fn integers_are_digits() {
        for (number, is_taken) in [
            ("0", true),
            ("9007199254740991", true),
            ("9007199254740992", false),
            ("18446744073709551616", false),
            ("1.0", false),
            ("1e3", false),
            ("1E0", false),
            ("-0", false),
            ("-1", false),
            ("1.5", false),
            ("\"1\"", false),
            ("null", false),
        ] {
            let expected = (!is_taken).then_some(ErrorCode::Invalid);
            assert_eq!(code(&with("number", number)), expected, "{number}");
            assert_eq!(code(&with("later", number)), None, "{number}");
        }
        for version in ["1.0", "1e0", "-1", "0", "2", "18446744073709551616"] {
            let expected = Some(ErrorCode::UnsupportedVersion);
            assert_eq!(code(&with("v", version)), expected, "{version}");
        }
        for version in ["\"1\"", "null", "[1]", "true"] {
            let expected = Some(ErrorCode::Invalid);
            assert_eq!(code(&with("v", version)), expected, "{version}");
        }
    }

    #[test]
    fn what_no_double_and_no_text_holds_is_refused_where_it_is_read() {
        for (known, value) in [
            ("number", "1e999"),
            ("v", "1e999"),
            ("value", "1e999"),
            ("value", "[-1e999]"),
            ("text", r#""\ud800""#),
            ("text", r#""\udc00 a""#),
            ("type", r#""\ud800""#),
            ("value", r#"{"\ud800":1}"#),
        ] {
            let expected = Some(ErrorCode::InvalidJson);
            assert_eq!(code(&with(known, value)), expected, "{known}: {value}");
            assert_eq!(code(&with("later", value)), None, "{value}");
        }
        assert_eq!(code(&with("text", r#""\ud83d\ude00""#)), None);
    }

    #[test]
    fn nesting_is_bounded_where_it_is_read() {
        assert_eq!(code(&with("value", &nested(126))), None);
        let expected = Some(ErrorCode::InvalidJson);
        assert_eq!(code(&with("value", &nested(127))), expected);
        assert_eq!(code(&with("later", &nested(30_000))), None);
    }

    #[test]
    fn names_occur_once() {
        let twice = |field: &str| format!("{{\"{field}\":1,{}", &with("later", "1")[1..]);
        for known in ["v", "type", "number", "text", "value"] {
            assert_eq!(code(&twice(known)), Some(ErrorCode::Invalid), "{known}");
        }
        assert_eq!(code(&twice("later")), None);
    }

    #[test]
    fn a_value_may_be_null_and_not_absent() {
        let body = with("value", "null");
        assert_eq!(code(&body), None);
        let absent = body.replace(",\"value\":null", "");
        assert_eq!(code(&absent), Some(ErrorCode::Invalid), "{absent}");
        let known: Known = fields(body.as_bytes()).unwrap();
        assert_eq!((known.number, known.text.as_str()), (7, "a"));
        assert!(known.value.is_null());
    }

    #[test]
    fn a_body_is_the_object_alone() {
        let body = with("later", "1");
        for bytes in [
            [b"\xef\xbb\xbf", body.as_bytes()].concat(),
            [body.as_bytes(), b"x"].concat(),
            [body.as_bytes(), body.as_bytes()].concat(),
            body.replace('7', "\u{feff}7").into_bytes(),
            body.as_bytes()[..body.len() - 1].to_vec(),
            [&body.as_bytes()[..body.len() - 1], b",\"x\":\"\xff\"}"].concat(),
            [&body.as_bytes()[..body.len() - 1], b",}"].concat(),
        ] {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let error = head(&bytes, usize::MAX).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidJson, "{text}");
        }
        assert_eq!(code(&format!(" \r\n\t{body} \n")), None);
        for other in ["[]", "1", "\"a\"", "null"] {
            assert_eq!(code(other), Some(ErrorCode::Invalid), "{other}");
        }
    }
}
