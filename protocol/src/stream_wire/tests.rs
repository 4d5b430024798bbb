use super::*;
use crate::limits::{PROTOCOL_NAME_BYTES_MAX, REASON_BYTES_MAX};

#[test]
fn a_protocol_has_a_name_of_visible_ascii() {
    let longest = "x".repeat(PROTOCOL_NAME_BYTES_MAX);
    for good in ["chess/1", "/moim/files/1.0.0", "!", "~", &longest] {
        assert_eq!(ProtocolName::new(good).unwrap().as_str(), good);
    }
    let too_long = "x".repeat(PROTOCOL_NAME_BYTES_MAX + 1);
    for bad in [
        "",
        " ",
        "two words",
        "tab\t",
        "nul\0",
        "é",
        "모임",
        &too_long,
    ] {
        assert_eq!(ProtocolName::new(bad), Err(ProtocolNameError), "{bad:?}");
    }
}

#[test]
fn headers_are_read_as_they_were_written() {
    let protocol = ProtocolName::new("chess/1").unwrap();
    let open = Request::Open { protocol };
    assert_eq!(
        open.encode(),
        br#"{"v":1,"type":"open","protocol":"chess/1"}"#
    );
    assert_eq!(Request::decode(&open.encode()).unwrap(), open);
    for response in [
        Response::Accepted,
        Response::error(ErrorCode::UnknownProtocol, "nobody here speaks it"),
        Response::error(ErrorCode::Busy, &"x".repeat(10 * REASON_BYTES_MAX)),
    ] {
        let written = response.encode();
        assert!(written.len() <= STREAM_HEADER_BYTES_MAX);
        assert_eq!(Response::decode(&written).unwrap(), response);
    }
}

#[test]
fn the_longest_headers_have_room() {
    // Every character of this takes six bytes as JSON.
    let reason = "\u{1}".repeat(REASON_BYTES_MAX);
    let longest = Response::error(ErrorCode::UnsupportedVersion, &reason).encode();
    assert!(longest.len() <= STREAM_HEADER_BYTES_MAX);
    let protocol = ProtocolName::new(&"\"".repeat(PROTOCOL_NAME_BYTES_MAX)).unwrap();
    let longest = Request::Open { protocol }.encode();
    assert!(longest.len() <= STREAM_HEADER_BYTES_MAX);
}

#[test]
fn what_is_no_request_is_answered_with_its_code() {
    let too_large = format!(
        r#"{{"v":1,"type":"open","protocol":"x","more":"{}"}}"#,
        "x".repeat(STREAM_HEADER_BYTES_MAX)
    );
    for (bytes, code) in [
        (&b""[..], ErrorCode::InvalidJson),
        (b"{", ErrorCode::InvalidJson),
        (b"\xff", ErrorCode::InvalidJson),
        (b"[]", ErrorCode::Invalid),
        (
            br#"{"v":2,"type":"open","protocol":"x"}"#,
            ErrorCode::UnsupportedVersion,
        ),
        (br#"{"v":1,"type":"shut"}"#, ErrorCode::UnknownType),
        (br#"{"v":1,"type":"open"}"#, ErrorCode::Invalid),
        (br#"{"v":1,"type":"open","protocol":7}"#, ErrorCode::Invalid),
        (
            br#"{"v":1,"type":"open","protocol":""}"#,
            ErrorCode::Invalid,
        ),
        (
            br#"{"v":1,"type":"open","protocol":"a b"}"#,
            ErrorCode::Invalid,
        ),
        (
            br#"{"v":1,"type":"open","protocol":"a","protocol":"b"}"#,
            ErrorCode::Invalid,
        ),
        (too_large.as_bytes(), ErrorCode::TooLarge),
    ] {
        let error = Request::decode(bytes).unwrap_err();
        assert_eq!(error.code(), code, "{}", bytes.escape_ascii());
        assert!(
            matches!(Response::from(&error), Response::Error { code: told, .. } if told == code)
        );
    }
    // Later versions may say more.
    let more = br#"{"v":1,"type":"open","protocol":"x","metadata":{"name":"y"}}"#;
    assert!(Request::decode(more).is_ok());
}
