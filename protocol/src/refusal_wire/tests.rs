use super::*;

#[test]
fn every_refusal_comes_back_as_it_went() {
    for refusal in Refusal::NAMED {
        let body = Request::Refused(refusal).encode();
        assert_eq!(
            Request::decode(&body).unwrap(),
            Request::Refused(refusal),
            "{refusal:?}"
        );
    }
    assert_eq!(
        Response::decode(&Response::Accepted.encode()).unwrap(),
        Response::Accepted
    );
}

#[test]
fn a_code_of_a_later_version_is_a_refusal_too() {
    let body = br#"{"v":1,"type":"refused","code":"on_holiday","until":"May"}"#;
    assert_eq!(
        Request::decode(body).unwrap(),
        Request::Refused(Refusal::Other)
    );
}

#[test]
fn what_is_no_refusal_is_none() {
    for wrong in [
        &b"{}"[..],
        br#"{"v":1,"type":"refused"}"#,
        br#"{"v":1,"type":"refused","code":3}"#,
        br#"{"v":2,"type":"refused","code":"full"}"#,
        br#"{"v":1,"type":"get"}"#,
        b"full",
    ] {
        assert!(Request::decode(wrong).is_err());
    }
    assert!(Response::decode(br#"{"v":1,"type":"refused","code":"full"}"#).is_err());
}
