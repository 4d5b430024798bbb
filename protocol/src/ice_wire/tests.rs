use super::*;

fn servers(json: &str) -> Vec<IceServer> {
    match Response::decode(json.as_bytes()) {
        Ok(Response::Servers { servers, .. }) => servers,
        other => panic!("{other:?}"),
    }
}

fn one(url: &str) -> Vec<IceServer> {
    let body = serde_json::json!({
        "v": 1, "type": "servers",
        "servers": [{"urls": [url], "username": "u", "credential": "c"}],
    });
    servers(&body.to_string())
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(Request::Get.encode(), br#"{"v":1,"type":"get"}"#);
    assert_eq!(
        Request::decode(&Request::Get.encode()).unwrap(),
        Request::Get
    );
    let response = Response::Servers {
        servers: vec![
            IceServer::stun("192.0.2.1", 3478),
            IceServer {
                urls: vec!["turn:[2001:db8::1]:3478?transport=udp".to_owned()],
                username: Some("1795000000:peer".to_owned()),
                credential: Some("secret".to_owned()),
            },
        ],
        ttl: Some(Duration::from_secs(3600)),
    };
    assert_eq!(Response::decode(&response.encode()).unwrap(), response);
    assert!(!format!("{response:?}").contains("secret"));
    let none = Response::Servers {
        servers: Vec::new(),
        ttl: None,
    };
    assert_eq!(none.encode(), br#"{"v":1,"type":"servers","servers":[]}"#);
    assert_eq!(Response::decode(&none.encode()).unwrap(), none);
}

#[test]
fn urls_that_a_browser_would_refuse_are_left_out() {
    for good in [
        "stun:192.0.2.1:3478",
        "stun:[2001:db8::1]:3478",
        "stun:moim.example.org",
        "stuns:moim.example.org:5349",
        "turn:moim.example.org?transport=udp",
        "turns:moim.example.org:443?transport=tcp",
    ] {
        assert_eq!(one(good).len(), 1, "{good}");
    }
    for bad in [
        "",
        "stun",
        "stun:",
        "stun::3478",
        "stun:192.0.2.1:0",
        "stun:192.0.2.1:65536",
        "stun:192.0.2.1:3478?transport=udp",
        "stun:[2001:db8::1",
        "stun:[example]:1",
        "stun:2001:db8::1",
        "stun:a b",
        "turn:a?transport=sctp",
        "http://192.0.2.1",
        &format!("stun:{}", "a".repeat(ICE_TEXT_BYTES_MAX)),
    ] {
        assert_eq!(one(bad), [], "{bad}");
    }
}

#[test]
fn a_bad_server_hides_no_good_one_and_too_many_are_cut() {
    let some = servers(
        r#"{"v":1,"type":"servers","servers":[
            {"urls":["stun:a"],"later":1},
            {"urls":[]},
            7, null, ["stun:x"], {"urls":"stun:x"}, {"urls":["stun:x"],"urls":["stun:x"]},
            {"urls":["turn:b"]},
            {"urls":["turn:b", "stun:b", 7, "http://b"], "username": "no credential"},
            {"urls":["stun:c1","stun:c2","stun:c3","stun:c4","stun:c5"]},
            {"urls":["masque:e"]},
            {"urls":["masque:d","stun:d"]}],"ttl":9007199254740991}"#,
    );
    let urls: Vec<Vec<&str>> = some
        .iter()
        .map(|server| server.urls.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(
        urls,
        [
            vec!["stun:a"],
            vec!["stun:b"],
            vec!["stun:c1", "stun:c2", "stun:c3", "stun:c4"],
            vec!["stun:d"],
        ]
    );

    let many = Response::Servers {
        servers: (1..100).map(|port| IceServer::stun("a", port)).collect(),
        ttl: None,
    };
    let Ok(Response::Servers { servers, .. }) = Response::decode(&many.encode()) else {
        panic!("an answer");
    };
    assert_eq!(servers.len(), ICE_SERVERS_MAX);
}

#[test]
fn everything_else_is_refused() {
    for bad in [
        "",
        "{}",
        r#"{"v":2,"type":"get"}"#,
        r#"{"v":1,"type":"put"}"#,
        r#"[1,"get"]"#,
    ] {
        assert!(Request::decode(bad.as_bytes()).is_err(), "{bad}");
    }
    for bad in [
        r#"{"v":1,"type":"servers"}"#,
        r#"{"v":1,"type":"servers","servers":{"urls":["stun:a"]}}"#,
        r#"{"v":1,"type":"servers","servers":[],"ttl":-1}"#,
        r#"{"v":1,"type":"servers","servers":[],"ttl":1e300}"#,
    ] {
        assert!(Response::decode(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn the_host_that_is_reached_comes_first_and_loopback_only_for_who_is_there() {
    let all: Vec<IceServer> = ["example.org", "203.0.113.9", "[2001:db8::9]", "127.0.0.1"]
        .map(|host| IceServer::stun(host, 3478))
        .into();
    let chosen = |reached: &str| -> Vec<String> {
        let chosen = choose(all.clone(), reached);
        chosen.into_iter().flat_map(|server| server.urls).collect()
    };
    assert_eq!(
        chosen("203.0.113.9"),
        ["stun:203.0.113.9:3478", "stun:example.org:3478"]
    );
    assert_eq!(
        chosen("2001:db8::9"),
        ["stun:[2001:db8::9]:3478", "stun:example.org:3478"]
    );
    assert_eq!(
        chosen("elsewhere"),
        ["stun:example.org:3478", "stun:203.0.113.9:3478"]
    );
    assert_eq!(
        chosen("127.0.0.1"),
        ["stun:127.0.0.1:3478", "stun:example.org:3478"]
    );
    assert_eq!(choose(all[3..].to_vec(), "203.0.113.9"), []);
    assert_eq!(choose(all[3..].to_vec(), "localhost").len(), 1);
}

/// What is left of a server with these URLs, for who has reached its node there.
fn left(urls: &[&str], reached: &str) -> Vec<String> {
    let server = IceServer {
        urls: urls.iter().copied().map(str::to_owned).collect(),
        username: None,
        credential: None,
    };
    let chosen = choose(vec![server], reached);
    chosen.into_iter().flat_map(|server| server.urls).collect()
}

#[test]
fn nobody_is_led_where_a_stranger_may_not_lead() {
    // This machine and networks that are nobody else's business, in whatever way they are written.
    for bad in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST",
        "a.localhost.",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "192.168.1.1",
        "192.168.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "[fe80::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "router",
        "router.",
        "printer.local",
        "nas.lan",
        "nas.LAN.",
    ] {
        for reached in ["203.0.113.9", "2001:db8::9", "example.org", ""] {
            let url = format!("stun:{bad}:3478");
            assert_eq!(left(&[&url], reached), [""; 0], "{bad} by {reached}");
        }
    }
    // One that leads astray costs no other of the same server.
    let urls = [
        "stun:203.0.113.5",
        "turn:10.0.0.1:3478?transport=tcp",
        "stun:10.0.0.1",
    ];
    assert_eq!(left(&urls, "203.0.113.9"), ["stun:203.0.113.5"]);
}

#[test]
fn who_is_in_a_network_may_name_what_is_in_it() {
    for (host, reached, may) in [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "localhost", true),
        ("[::1]", "localhost", true),
        ("localhost", "127.0.0.1", true),
        ("a.localhost", "::1", true),
        ("127.0.0.2", "127.0.0.1", false),
        ("192.168.1.5", "127.0.0.1", false),
        ("192.168.1.5", "192.168.1.5", true),
        ("192.168.1.6", "192.168.1.5", true),
        ("192.168.2.6", "192.168.1.5", false),
        ("127.0.0.1", "192.168.1.5", false),
        ("10.0.0.1", "192.168.1.5", false),
        ("[fd00::6]", "fd00::5", true),
        ("[fd00:0:0:1::6]", "fd00::5", false),
        ("nas.lan", "192.168.1.5", true),
        ("nas.lan", "nas.lan", true),
        ("nas.lan", "127.0.0.1", false),
        ("localhost", "nas.lan", false),
        ("203.0.113.9", "192.168.1.5", true),
        ("example.org", "127.0.0.1", true),
    ] {
        let url = format!("stun:{host}");
        let is_left = !left(&[&url], reached).is_empty();
        assert_eq!(is_left, may, "{host} by {reached}");
    }
}

#[test]
fn ports_are_those_that_a_stranger_may_name() {
    for (url, may) in [
        ("stun:203.0.113.5", true),
        ("stuns:203.0.113.5", true),
        ("stun:203.0.113.5:3478", true),
        ("turns:203.0.113.5:443?transport=tcp", true),
        ("stun:203.0.113.5:19302", true),
        ("stun:203.0.113.5:53", false),
        ("turn:203.0.113.5:25?transport=tcp", false),
        ("turn:203.0.113.5:80?transport=tcp", false),
        ("turn:203.0.113.5:6379?transport=tcp", false),
        ("stun:203.0.113.5:11211", false),
        ("stun:example.org:123", false),
    ] {
        // Neither by its own node.
        for reached in ["198.51.100.1", "203.0.113.5", "example.org"] {
            assert_eq!(!left(&[url], reached).is_empty(), may, "{url} by {reached}");
        }
    }
}
