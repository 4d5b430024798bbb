use super::*;

const PEER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

fn address(text: &str) -> Multiaddr {
    text.replace("PEER", PEER).parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A laptop at home, with a tunnel and a public IPv6 address.
fn own() -> Vec<Network> {
    [
        ("127.0.0.1", 8),
        ("192.168.1.5", 24),
        ("100.64.7.7", 32),
        ("2001:db8::5", 64),
        ("fe80::5", 64),
    ]
    .map(|(text, prefix)| Network {
        ip: ip(text),
        prefix,
    })
    .to_vec()
}

fn judge(rules: &Rules, text: &str) -> Result<Origin, Refusal> {
    rules.judge(&address(text), &own())
}

#[track_caller]
fn refused(rules: &Rules, texts: &[&str]) {
    for text in texts {
        assert!(judge(rules, text).is_err(), "{text} is dialled");
    }
}

#[track_caller]
fn dialled(rules: &Rules, texts: &[&str]) {
    for text in texts {
        assert_eq!(judge(rules, text), Ok(Origin::Stranger), "{text}");
    }
}

const LOCAL: [&str; 14] = [
    "/ip4/127.0.0.1/tcp/8468",
    "/ip4/127.0.0.77/tcp/8469/ws",
    "/ip4/192.168.1.1/tcp/8080/ws",
    "/ip4/192.168.1.5/tcp/8468",
    "/ip4/10.0.0.1/udp/8468/quic-v1",
    "/ip4/172.17.0.1/tcp/8468",
    "/ip4/100.64.7.7/tcp/8468",
    "/ip4/169.254.169.254/tcp/8080/ws",
    "/ip6/::1/tcp/8468",
    "/ip6/fd00::1/tcp/8468",
    "/ip6/fe80::1/tcp/8468",
    // An address of this machine's own.
    "/ip6/2001:db8::5/tcp/8468",
    "/ip4/127.0.0.1/tcp/8468/p2p/PEER/p2p-circuit/p2p/PEER",
    "/ip4/192.168.1.1/tcp/8468/ws/p2p/PEER/p2p-circuit/webrtc",
];

#[test]
fn strangers_name_public_hosts_only() {
    let rules = Rules::new(Names::Resolved);
    refused(&rules, &LOCAL);
    refused(
        &rules,
        &[
            "/ip4/0.0.0.0/tcp/8468",
            "/ip4/224.0.0.1/udp/8468/quic-v1",
            "/ip4/255.255.255.255/tcp/8468",
            "/ip4/240.0.0.1/tcp/8468",
            "/ip4/198.18.0.1/tcp/8468",
            "/ip6/::/tcp/8468",
            "/ip6/::127.0.0.1/tcp/8468",
            "/ip6/::ffff:127.0.0.1/tcp/8468",
            "/ip6/64:ff9b::7f00:1/tcp/8468",
            "/ip6/2002:7f00:1::/tcp/8468",
            "/ip6/2001::1/tcp/8468",
            "/ip6/fec0::1/tcp/8468",
            "/ip6/ff02::1/tcp/8468",
            "/dns4/localhost/tcp/8468",
            "/dns4/LocalHost/tcp/443/wss",
            "/dns4/x.localhost/tcp/8468",
            "/dns4/router/tcp/8469/ws",
            "/dns4/printer.local/tcp/443/wss",
            "/dns4/nas.home.arpa/tcp/443/wss",
            "/ip4/192.0.2.1/tcp/443/tls/sni/router.lan/ws",
            "/ip4/192.0.2.1/tcp/2/x-parity-ws/%2Fa",
        ],
    );
    dialled(
        &rules,
        &[
            "/ip4/192.0.2.1/tcp/8468",
            "/ip6/2001:db8::6/udp/8468/quic-v1",
            "/dns4/moim.example/tcp/8469/ws",
            "/ip4/192.0.2.1/tcp/8469/ws/p2p/PEER/p2p-circuit/webrtc/p2p/PEER",
            // No packet is sent but on a connection that is there.
            "/p2p/PEER/p2p-circuit/p2p/PEER",
        ],
    );
}

#[test]
fn ports_of_other_services_are_left_alone() {
    let rules = Rules::new(Names::Resolved);
    for port in [1, 22, 25, 53, 445, 1023, 2375, 6000, 6379, 6667, 11211] {
        for transport in [
            "tcp/PORT",
            "tcp/PORT/ws",
            "tcp/PORT/wss",
            "udp/PORT/quic-v1",
        ] {
            let text = format!("/ip4/192.0.2.1/{transport}").replace("PORT", &port.to_string());
            assert_eq!(judge(&rules, &text), Err(Refusal::Port(port)), "{text}");
        }
    }
    refused(
        &rules,
        &["/ip4/192.0.2.1/tcp/80", "/ip4/192.0.2.1/tcp/80/wss"],
    );
    dialled(
        &rules,
        &[
            "/ip4/192.0.2.1/tcp/80/ws",
            "/ip4/192.0.2.1/tcp/443/ws",
            "/dns4/a.example/tcp/443/tls/ws",
            "/ip4/192.0.2.1/udp/443/quic-v1",
            "/ip4/192.0.2.1/tcp/1024",
            "/ip4/192.0.2.1/tcp/65535",
        ],
    );
}

#[test]
fn what_the_settings_name_is_dialled_and_nothing_beside_it() {
    let mut rules = Rules::new(Names::Resolved);
    let settings = [
        "/ip4/127.0.0.1/tcp/22/p2p/PEER",
        "/ip4/192.168.1.1/tcp/8469/ws",
        "/dns4/localhost/tcp/8468",
    ];
    for text in settings {
        rules.name(&address(text));
        assert_eq!(judge(&rules, text), Ok(Origin::Settings));
    }
    assert_eq!(
        judge(
            &rules,
            "/ip4/127.0.0.1/tcp/22/p2p/PEER/p2p-circuit/p2p/PEER"
        ),
        Ok(Origin::Settings)
    );
    refused(&rules, &LOCAL);
    refused(
        &rules,
        &["/ip4/192.168.1.1/tcp/8469", "/dns4/localhost/tcp/8469"],
    );
    // Not even the settings' word makes a path.
    let path = "/ip4/127.0.0.1/tcp/1/x-parity-ws/%2Fa";
    rules.name(&address(path));
    refused(&rules, &[path]);
    rules.name(&address("/ip4/0.0.0.0/tcp/8468"));
    refused(&rules, &["/ip4/0.0.0.0/tcp/8468"]);
}

#[test]
fn a_document_from_elsewhere_leads_to_hosts_elsewhere_and_to_no_other_services() {
    let mut rules = Rules::new(Names::Resolved);
    let listed = [
        "/ip4/203.0.113.9/tcp/8468",
        "/ip4/192.168.1.5/tcp/8469/ws",
        "/dns4/node.lan/tcp/8469/ws",
    ];
    let elsewhere = [
        "/ip4/127.0.0.1/tcp/8468",
        "/ip6/::1/tcp/8468",
        "/ip6/::ffff:127.0.0.1/tcp/8469/ws",
        "/ip4/169.254.169.254/tcp/22",
        "/ip4/192.168.1.1/tcp/25",
        "/ip4/192.168.1.1/tcp/6379/ws",
        "/ip4/0.0.0.0/tcp/8468",
        "/dns4/localhost/tcp/8468",
        "/dns/x.LOCALHOST/tcp/8469/ws",
    ];
    let all = listed.iter().chain(&elsewhere).map(|text| address(text));
    let all: Vec<Multiaddr> = all.collect();
    rules.document(0, false, &all);
    for text in listed {
        assert_eq!(judge(&rules, text), Ok(Origin::Document), "{text}");
    }
    refused(&rules, &elsewhere);
    // A name turns out to be an address of this machine.
    let this_machine = "127.0.0.1".parse().expect("valid");
    assert!(rules.judge_ip(this_machine, Origin::Document, &[]).is_err());

    // Of this machine itself it is believed, and as long as it says so.
    rules.document(0, true, &all);
    assert_eq!(judge(&rules, elsewhere[0]), Ok(Origin::Settings));
    rules.document(0, true, []);
    refused(&rules, &elsewhere);
    refused(&rules, &listed[1..]);
    rules.document(DOCUMENTS_MAX, true, &all);
    refused(&rules, &elsewhere);
}

#[test]
fn where_moim_was_met_strangers_are_dialled_too_and_nowhere_else() {
    let mut rules = Rules::new(Names::Resolved);
    rules.meet(ip("127.0.0.1"), &own());
    dialled(
        &rules,
        &["/ip4/127.0.0.1/tcp/8468", "/ip4/127.0.0.1/tcp/1024/ws"],
    );
    refused(&rules, &LOCAL[1..12]);
    refused(
        &rules,
        &[
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/127.0.0.1/tcp/6379",
            "/ip4/127.0.0.1/tcp/8469/x-parity-ws/%2Fa",
            "/dns4/localhost/tcp/8468",
        ],
    );

    // The whole network, as the machine knows it.
    let mut rules = Rules::new(Names::Resolved);
    rules.meet(ip("192.168.1.77"), &own());
    dialled(
        &rules,
        &["/ip4/192.168.1.1/tcp/8080/ws", "/ip4/192.168.1.5/tcp/8468"],
    );
    refused(
        &rules,
        &["/ip4/192.168.2.1/tcp/8468", "/ip4/127.0.0.1/tcp/8468"],
    );
    // The machine has gone elsewhere.
    let elsewhere = [Network {
        ip: ip("10.1.1.1"),
        prefix: 8,
    }];
    let neighbour = address("/ip4/192.168.1.1/tcp/8468");
    assert!(rules.judge(&neighbour, &elsewhere).is_err());
    // There is a larger network around it that is not the one.
    rules.meet(ip("10.2.3.4"), &elsewhere);
    assert!(
        rules
            .judge(&address("/ip4/10.9.9.9/tcp/8468"), &elsewhere)
            .is_ok()
    );
    assert!(
        rules
            .judge(&address("/ip4/10.9.9.9/tcp/8468"), &own())
            .is_err()
    );

    // A network that the machine is not in, or of which it does not know, is small.
    let mut rules = Rules::new(Names::Resolved);
    rules.meet(ip("10.2.3.4"), &own());
    rules.meet(ip("fd00::1"), &own());
    rules.meet(ip("100.64.7.7"), &own());
    dialled(
        &rules,
        &[
            "/ip4/10.2.3.5/tcp/8468",
            "/ip6/fd00::9/tcp/8468",
            "/ip4/100.64.7.8/tcp/8468",
        ],
    );
    refused(
        &rules,
        &[
            "/ip4/10.2.4.4/tcp/8468",
            "/ip6/fd00:0:0:1::1/tcp/8468",
            "/ip4/100.65.0.1/tcp/8468",
        ],
    );

    // This machine by its public address.
    rules.meet(ip("2001:db8::5"), &own());
    dialled(&rules, &["/ip6/2001:db8::5/tcp/8468"]);
    // Nothing makes these hosts.
    for nowhere in [
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "::ffff:0.0.0.0",
        "2002::1",
    ] {
        rules.meet(ip(nowhere), &own());
        assert!(
            rules
                .judge_ip(ip(nowhere), Origin::Stranger, &own())
                .is_err()
        );
    }
}

#[test]
fn what_names_stand_for_is_judged_when_it_is_known() {
    let rules = Rules::new(Names::Resolved);
    for (text, is_public) in [
        ("127.0.0.1", false),
        ("192.168.1.1", false),
        ("::1", false),
        ("192.0.2.1", true),
    ] {
        let judge = |origin| rules.judge_ip(ip(text), origin, &own()).is_ok();
        assert_eq!(judge(Origin::Stranger), is_public, "{text}");
        assert!(judge(Origin::Settings), "{text}");
    }
    // A browser says nothing of it: only TLS proves that the name is the host's.
    let rules = Rules::new(Names::AsWritten);
    refused(
        &rules,
        &["/dns4/a.example/tcp/8469/ws", "/dns4/a.example/tcp/80/ws"],
    );
    dialled(
        &rules,
        &["/dns4/a.example/tcp/443/wss", "/ip4/192.0.2.1/tcp/8469/ws"],
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut rules = Rules::new(Names::Resolved);
    for number in 0..2 * NAMED_MAX {
        let [.., high, low] = number.to_be_bytes();
        rules.meet(IpAddr::from([10, high, low, 1]), &[]);
        rules.name(&address(&format!("/ip4/10.0.0.1/tcp/{}", number + 1)));
    }
    assert_eq!((rules.met.len(), rules.named.len()), (MET_MAX, NAMED_MAX));
}

#[test]
fn networks_contain_what_begins_alike() {
    let network = |text: &str, prefix| Network {
        ip: ip(text),
        prefix,
    };
    for (one, other, expected) in [
        (network("10.1.2.3", 0), "192.0.2.1", true),
        (network("10.1.2.3", 8), "10.9.9.9", true),
        (network("10.1.2.3", 31), "10.1.2.2", true),
        (network("10.1.2.3", 32), "10.1.2.2", false),
        (network("10.1.2.3", 255), "10.1.2.3", true),
        (network("fd00::1", 64), "fd00::2", true),
        (network("fd00::1", 65), "fd00::8000:0:0:0", false),
        (network("fd00::1", 255), "fd00::1", true),
        (network("10.1.2.3", 0), "fd00::1", false),
    ] {
        assert_eq!(one.contains(ip(other)), expected, "{one:?} {other}");
    }
}

#[test]
fn checks_go_into_networks_of_the_machine_and_not_to_the_machine_itself() {
    let mut rules = Rules::new(Names::Resolved);
    let check = |rules: &Rules, text: &str| rules.may_check(ip(text), &own());
    for open in ["192.0.2.1", "192.168.1.1", "192.168.1.5", "2001:db8::5"] {
        assert!(check(&rules, open), "{open}");
    }
    let closed = [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "192.168.2.1",
        "169.254.169.254",
        "fe80::1",
        "0.0.0.0",
        "224.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
    ];
    for closed in closed {
        assert!(!check(&rules, closed), "{closed}");
    }
    rules.meet(ip("127.0.0.1"), &own());
    rules.meet(ip("10.0.0.9"), &own());
    assert!(check(&rules, "127.0.0.1") && check(&rules, "10.0.0.1"));
    assert!(!check(&rules, "127.0.0.2"));
    // A page is not told where it is.
    let rules = Rules::new(Names::AsWritten);
    assert!(rules.may_check(ip("10.0.0.1"), &[]) && !rules.may_check(ip("127.0.0.1"), &[]));
}
