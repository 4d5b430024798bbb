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
