//! What goes where.

use super::*;

#[test]
fn data_goes_both_ways_with_permission_alone() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:5000");
    let port = lab.allocate(&user);
    assert_eq!(lab.send(&user, PEER, b"hi"), None);
    let step = lab.relay.on_peer(port, address(PEER), b"hi", lab.now);
    assert_eq!(step, Step::Nothing);
    assert_eq!(lab.permit(&user, PEER), 0);
    // A permission is for an address with all its ports (RFC 8656, section 9).
    for peer in [PEER, "198.51.100.7:1"] {
        let sent = lab.send(&user, peer, b"hi");
        assert_eq!(sent, Some((address(peer), b"hi".to_vec())));
    }
    assert_eq!(lab.send(&user, "198.51.100.8:4000", b"hi"), None);
    assert_eq!(lab.send(&user, "198.51.100.7:0", b"hi"), None);
    let Step::ToClient(to, message) = lab.relay.on_peer(port, address(PEER), b"ho", lab.now) else {
        panic!("data");
    };
    assert_eq!(to, user.client);
    assert_eq!(value(&message, attribute::DATA).unwrap(), b"ho");
    lab.now += limits::TURN_PERMISSION_LIFETIME;
    assert_eq!(lab.send(&user, PEER, b"hi"), None);
    let step = lab.relay.on_peer(port, address(PEER), b"hi", lab.now);
    assert_eq!(step, Step::Nothing);
}

#[test]
fn a_channel_carries_data_of_one_peer() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:5000");
    let port = lab.allocate(&user);
    for number in [0, 0x3fff, 0x8000, 0xffff] {
        assert_eq!(lab.bind(&user, number, PEER), 400, "{number:x}");
    }
    assert_eq!(lab.bind(&user, 0x4000, PEER), 0);
    assert_eq!(lab.bind(&user, 0x4000, PEER), 0, "again");
    assert_eq!(lab.bind(&user, 0x4000, "198.51.100.8:1"), 400);
    assert_eq!(lab.bind(&user, 0x4001, PEER), 400);
    let message = [0x40, 0, 0, 2, b'h', b'i'];
    let sent = lab.data(&user, &message);
    assert_eq!(sent, Some((address(PEER), b"hi".to_vec())));
    assert_eq!(lab.data(&user, &[0x40, 1, 0, 2, b'h', b'i']), None);
    assert_eq!(lab.data(&user, &[0x40, 0, 0, 3, b'h', b'i']), None);
    let step = lab.relay.on_peer(port, address(PEER), b"hi", lab.now);
    assert_eq!(step, Step::ToClient(user.client, message.to_vec()));
    lab.now += limits::TURN_PERMISSION_LIFETIME;
    assert_eq!(lab.data(&user, &message), None, "the permission is over");
}

#[test]
fn nothing_private_is_sent_to() {
    let mut lab = Lab::new(settings());
    let own: IpAddr = "203.0.113.9".parse().unwrap();
    lab.relay.set_own([own].into());
    let user = lab.user("192.0.2.1:5000");
    lab.allocate(&user);
    for peer in [
        "127.0.0.1:22",
        "10.0.0.1:22",
        "192.168.0.1:22",
        "172.16.0.1:22",
        "100.64.0.1:22",
        "169.254.169.254:80",
        "0.0.0.0:22",
        "224.0.0.1:22",
        "255.255.255.255:22",
        "203.0.113.9:8468",
        "[::ffff:127.0.0.1]:22",
        "[::ffff:10.0.0.1]:22",
    ] {
        assert_eq!(lab.permit(&user, peer), 403, "{peer}");
        assert_eq!(lab.bind(&user, 0x4000, peer), 403, "{peer}");
    }
    assert_eq!(lab.permit(&user, "[2001:db8::1]:22"), 443);
    let both = lab.sign_with_peers(&user, CREATE_PERMISSION, &[PEER, "10.0.0.1:1"], &[]);
    assert_eq!(error_code(&lab.ask(user.client, &both)), 403);
    assert_eq!(lab.send(&user, PEER, b"hi"), None, "all or nothing");
    let metrics = lab.refused();
    assert!(
        metrics.contains("turn_refused_total{reason=\"Target\"} 25\n"),
        "{metrics}"
    );

    let six = lab.user("192.0.2.1:5001");
    let family = (attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0][..]);
    assert_eq!(lab.request(&six, ALLOCATE, &[UDP, family]), 0);
    for peer in [
        "[::1]:1",
        "[fd00::1]:1",
        "[fe80::1]:1",
        "[ff02::1]:1",
        "[64:ff9b::a00:1]:1",
    ] {
        assert_eq!(lab.permit(&six, peer), 403, "{peer}");
    }
    assert_eq!(lab.permit(&six, "[::ffff:10.0.0.1]:1"), 443);
    assert_eq!(lab.permit(&six, "[2001:db8:9::1]:1"), 0);
}

#[test]
fn two_clients_reach_each_other_but_nothing_else_of_the_machine() {
    let mut lab = Lab::new(settings());
    let (one, two) = (lab.user("192.0.2.1:5000"), lab.user("192.0.2.2:5000"));
    let (port1, port2) = (lab.allocate(&one), lab.allocate(&two));
    assert_eq!(lab.permit(&one, &port2.to_string()), 0);
    let message = Writer::new(request::SEND_INDICATION, &TRANSACTION)
        .with_address(attribute::XOR_PEER_ADDRESS, port2)
        .with(attribute::DATA, b"hi")
        .finish();
    let step = lab.relay.on_data(one.client, &message, lab.now);
    assert_eq!(step, Step::Nothing, "the other has not permitted it");
    assert_eq!(lab.bind(&two, 0x4000, &port1.to_string()), 0);
    let step = lab.relay.on_data(one.client, &message, lab.now);
    let expected = vec![0x40, 0, 0, 2, b'h', b'i'];
    assert_eq!(step, Step::ToClient(two.client, expected));
    let ssh = SocketAddr::new(port2.ip(), 2222).to_string();
    assert_eq!(lab.send(&one, &ssh, b"hi"), None);
}
