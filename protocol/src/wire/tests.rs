use super::*;
use crate::limits::BODY_BYTES_MAX;

#[test]
fn codes_are_read_as_they_are_written() {
    let codes = [
        ErrorCode::Busy,
        ErrorCode::Expired,
        ErrorCode::Invalid,
        ErrorCode::InvalidJson,
        ErrorCode::NotAMember,
        ErrorCode::NotAccepted,
        ErrorCode::TooLarge,
        ErrorCode::UnknownType,
        ErrorCode::UnsupportedVersion,
        ErrorCode::Other,
    ];
    for code in codes {
        assert_eq!(ErrorCode::from_text(code.as_str()), code);
        assert_eq!(code.is_retryable(), code == ErrorCode::Busy);
    }
    assert_eq!(ErrorCode::from_text("quota_exceeded"), ErrorCode::Other);
}

#[test]
fn texts_are_cut_between_characters() {
    assert_eq!(cut("abc", 5), "abc");
    assert_eq!(cut("abc", 2), "ab");
    assert_eq!(cut("모임", 4), "모");
    assert_eq!(cut("모임", 0), "");
}

#[test]
fn reasons_are_bounded_both_ways() {
    let long = "모".repeat(1000);
    let body = encode_error(ErrorCode::Invalid, &long);
    let (code, reason) = decode_error(&body).unwrap();
    assert_eq!(code, ErrorCode::Invalid);
    assert_eq!(reason, "모".repeat(85));

    let body = format!(r#"{{"v":1,"type":"error","code":"busy","reason":"{long}"}}"#);
    let (code, reason) = decode_error(body.as_bytes()).unwrap();
    assert_eq!((code, reason.len()), (ErrorCode::Busy, 255));
}

#[test]
fn an_error_needs_no_reason_but_a_code() {
    let (code, reason) = decode_error(br#"{"v":1,"type":"error","code":"new"}"#).unwrap();
    assert_eq!((code, reason.as_str()), (ErrorCode::Other, ""));
    assert!(decode_error(br#"{"v":1,"type":"error"}"#).is_err());
}

/// Whatever is wrong with the outside of a body, every decoder finds it the same way.
#[test]
fn every_decoder_tells_the_same_faults_apart() {
    let deep = format!(
        r#"{{"v":1,"type":"text","x":{}{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let oversize = vec![b' '; BODY_BYTES_MAX + 1];
    let table: &[(&[u8], ErrorCode)] = &[
        (b"", ErrorCode::InvalidJson),
        (b"hello", ErrorCode::InvalidJson),
        (b"{", ErrorCode::InvalidJson),
        (br#"{"v":1,"type":"text""#, ErrorCode::InvalidJson),
        (br#"{"v":1,"type":"text"} x"#, ErrorCode::InvalidJson),
        (br#"{"v":1,"type":"te\ud800xt"}"#, ErrorCode::InvalidJson),
        (
            b"{\"v\":1,\"type\":\"text\",\"more\":\"\xff\"}",
            ErrorCode::InvalidJson,
        ),
        (b"\xff\xfe{\0", ErrorCode::InvalidJson),
        (
            b"\xef\xbb\xbf{\"v\":1,\"type\":\"text\"}",
            ErrorCode::InvalidJson,
        ),
        // Ignored like any unknown field, and read without recursion.
        (deep.as_bytes(), ErrorCode::Invalid),
        (b"null", ErrorCode::Invalid),
        (b"1", ErrorCode::Invalid),
        (br#""text""#, ErrorCode::Invalid),
        (br#"[1,"text"]"#, ErrorCode::Invalid),
        (b"{}", ErrorCode::Invalid),
        (br#"{"v":1}"#, ErrorCode::Invalid),
        (br#"{"type":"text"}"#, ErrorCode::Invalid),
        (br#"{"v":"1","type":"text"}"#, ErrorCode::Invalid),
        (br#"{"v":1,"type":7}"#, ErrorCode::Invalid),
        (br#"{"v":1,"v":1,"type":"text"}"#, ErrorCode::Invalid),
        (
            br#"{"v":1,"type":"text","type":"accepted"}"#,
            ErrorCode::Invalid,
        ),
        (br#"{"v":0,"type":"text"}"#, ErrorCode::UnsupportedVersion),
        (br#"{"v":2,"type":"text"}"#, ErrorCode::UnsupportedVersion),
        (br#"{"v":1.5,"type":"text"}"#, ErrorCode::UnsupportedVersion),
        (br#"{"v":-1,"type":"text"}"#, ErrorCode::UnsupportedVersion),
        (
            br#"{"v":99999999999999999999,"type":"text"}"#,
            ErrorCode::UnsupportedVersion,
        ),
        (br#"{"v":1,"type":"teapot"}"#, ErrorCode::UnknownType),
        (br#"{"v":1,"type":""}"#, ErrorCode::UnknownType),
        (&oversize, ErrorCode::TooLarge),
    ];
    for (bytes, code) in table {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        let codes = [
            crate::message::Request::decode(bytes).unwrap_err().code(),
            crate::message::Response::decode(bytes).unwrap_err().code(),
            crate::presence_wire::Request::decode(bytes)
                .unwrap_err()
                .code(),
            crate::presence_wire::Response::decode(bytes)
                .unwrap_err()
                .code(),
            crate::room::RoomMessage::decode(bytes).unwrap_err().code(),
        ];
        // Some know the type of these bodies, and others do not; then the type decides.
        let expected = |found: &ErrorCode| found == code || *found == ErrorCode::UnknownType;
        assert!(codes.iter().all(expected), "{shown}: {codes:?}");
        assert!(codes.contains(code), "{shown}: {codes:?}");
    }
}

#[test]
fn unknown_types_are_shown_shortened() {
    let error = BodyError::unknown_type(&"x".repeat(1000));
    assert!(error.to_string().len() < 100);
}

/// The order in docs/protocol.md: the first check that fails gives the code.
#[test]
fn of_several_faults_the_first_in_order_is_named() {
    let code = |body: &str| {
        crate::presence_wire::Request::decode(body.as_bytes())
            .unwrap_err()
            .code()
    };
    let long = format!("\u{feff}{}", " ".repeat(BODY_BYTES_MAX));
    for (body, expected) in [
        (long.as_str(), ErrorCode::TooLarge),
        (
            r#"{"v":2,"type":"other","presence""#,
            ErrorCode::InvalidJson,
        ),
        (r#"{"v":"2","type":"other","presence""#, ErrorCode::Invalid),
        (r#"{"v":2,"type":"other"}"#, ErrorCode::UnsupportedVersion),
        (
            r#"{"v":1,"type":"other","topic":7}"#,
            ErrorCode::UnknownType,
        ),
        (
            r#"{"v":1,"type":"announce","presence":"AA"}"#,
            ErrorCode::Invalid,
        ),
    ] {
        assert_eq!(code(body), expected, "{body:.60}");
    }
}
