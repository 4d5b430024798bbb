//! How much of everything there is, and what makes no sense.

use super::*;

#[test]
fn everybody_has_a_share_and_no_more() {
    let mut lab = Lab::new(settings());
    let one = lab.user("192.0.2.1:1");
    let at = |user: &User, client: &str| User {
        client: Client::Udp {
            socket: 0,
            address: address(client),
        },
        ..user.clone()
    };
    lab.allocate(&one);
    lab.allocate(&at(&one, "192.0.2.1:2"));
    assert_eq!(lab.request(&at(&one, "192.0.2.1:3"), ALLOCATE, &[UDP]), 486);
    for port in 3..5 {
        let other = lab.user(&format!("192.0.2.1:{port}"));
        lab.allocate(&other);
    }
    let fifth = lab.user("192.0.2.1:5");
    assert_eq!(lab.request(&fifth, ALLOCATE, &[UDP]), 486, "per address");
    for host in 2..6 {
        let other = lab.user(&format!("192.0.2.{host}:1"));
        lab.allocate(&other);
    }
    let last = lab.user("192.0.2.9:1");
    assert_eq!(lab.request(&last, ALLOCATE, &[UDP]), 508, "in all");
    let none = (attribute::LIFETIME, &0_u32.to_be_bytes()[..]);
    assert_eq!(lab.request(&one, REFRESH, &[none]), 0);
    assert_eq!(lab.request(&last, ALLOCATE, &[UDP]), 0);
}

#[test]
fn other_settings_bound_what_comes_and_take_nothing_away() {
    let mut lab = Lab::new(settings());
    let users: Vec<_> = (0..4)
        .map(|n| lab.user(&format!("192.0.2.{n}:1")))
        .collect();
    for user in &users[..2] {
        lab.allocate(user);
    }
    let mut fewer = settings();
    fewer.quotas.all = 2;
    lab.relay.set(fewer, lab.now);
    assert_eq!(lab.request(&users[2], ALLOCATE, &[UDP]), 508);
    assert_eq!(lab.request(&users[0], REFRESH, &[]), 0);
    assert_eq!(lab.permit(&users[0], "10.0.0.1:1"), 403);
    let mut more = settings();
    more.allow_private = true;
    lab.relay.set(more, lab.now);
    assert_eq!(lab.permit(&users[0], "10.0.0.1:1"), 0);
    lab.allocate(&users[2]);
}

#[test]
fn tables_of_one_allocation_are_bounded() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:1");
    lab.allocate(&user);
    for host in 0..limits::TURN_CHANNELS_MAX {
        let number = 0x4000 + u16::try_from(host).unwrap();
        assert_eq!(lab.bind(&user, number, &format!("198.51.100.{host}:1")), 0);
    }
    assert_eq!(lab.bind(&user, 0x4fff, "198.51.100.0:2"), 508);
    assert_eq!(lab.permit(&user, "198.51.100.200:1"), 508);
    lab.now += limits::TURN_PERMISSION_LIFETIME;
    assert_eq!(lab.permit(&user, "198.51.100.200:1"), 0);
}

#[test]
fn bytes_are_bounded_per_second_and_in_all() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:1");
    let port = lab.allocate(&user);
    assert_eq!(lab.permit(&user, PEER), 0);
    let data = [0; 1_000];
    let mut sent = 0;
    while lab.send(&user, PEER, &data).is_some() {
        sent += 1;
    }
    assert_eq!(sent, 100);
    assert_eq!(
        lab.relay.on_peer(port, address(PEER), &data, lab.now),
        Step::Nothing
    );
    lab.now += Duration::from_millis(100);
    assert!(lab.send(&user, PEER, &data).is_some());
    assert!(
        lab.refused()
            .contains("turn_refused_total{reason=\"Rate\"} 2\n")
    );

    let mut rich = settings();
    rich.bytes_per_second = u32::MAX;
    rich.allocation_bytes_per_second = u32::MAX;
    let mut lab = Lab::new(rich);
    let user = lab.user("192.0.2.1:1");
    let port = lab.allocate(&user);
    assert_eq!(lab.permit(&user, PEER), 0);
    let data = vec![0; 60_000];
    let mut bytes = 0;
    while lab.send(&user, PEER, &data).is_some() {
        bytes += data.len() as u64;
        lab.now += Duration::from_micros(1);
    }
    assert!(bytes <= limits::TURN_ALLOCATION_BYTES_MAX, "{bytes}");
    assert!(
        bytes + 60_000 > limits::TURN_ALLOCATION_BYTES_MAX,
        "{bytes}"
    );
    assert_eq!(lab.relay.take_closed(), vec![port]);
}

#[test]
fn what_the_server_does_not_do_is_said_by_its_code() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:1");
    let tcp = (attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0][..]);
    let appletalk = (attribute::REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0][..]);
    let even = (attribute::EVEN_PORT, &[0x80][..]);
    let reserved = (attribute::RESERVATION_TOKEN, &[0; 8][..]);
    let dont_fragment = (0x001a, &[][..]);
    for (attributes, code) in [
        (&[][..], 400),
        (&[tcp], 442),
        (&[UDP, appletalk], 440),
        (&[UDP, even], 508),
        (&[UDP, reserved], 508),
        (&[UDP, dont_fragment], 420),
    ] {
        assert_eq!(
            lab.request(&user, ALLOCATE, attributes),
            code,
            "{attributes:?}"
        );
    }
    for method in [REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        let request = lab.sign_with_peers(&user, method, &[PEER], &[(0x000c, &[0x40, 0, 0, 0])]);
        assert_eq!(error_code(&lab.ask(user.client, &request)), 437);
    }
    let even_alone = (attribute::EVEN_PORT, &[0][..]);
    let request = lab.sign(&user, ALLOCATE, &[UDP, even_alone]);
    let Some(Step::Open(opening)) = lab.relay.on_request(user.client, &request, lab.now) else {
        panic!("no port is wanted");
    };
    assert!(opening.is_even);
    let answer = lab.relay.opened(opening, Err(NoPort::Taken), lab.now);
    assert_eq!(error_code(&answer), 508);
    assert_eq!(lab.request(&user, REFRESH, &[]), 437);
    lab.allocate(&user);
    for method in [CREATE_PERMISSION, CHANNEL_BIND] {
        assert_eq!(lab.request(&user, method, &[]), 400, "without a peer");
    }
}

#[test]
fn no_bytes_make_it_panic_or_answer_at_length() {
    let mut lab = Lab::new(settings());
    let user = lab.user("192.0.2.1:1");
    lab.allocate(&user);
    assert_eq!(lab.bind(&user, 0x4000, PEER), 0);
    let whole = [
        lab.sign(&user, ALLOCATE, &[UDP]),
        lab.sign_with_peers(&user, CHANNEL_BIND, &[PEER], &[(0x000c, &[0x40, 1, 0, 0])]),
        lab.sign_with_peers(&user, CREATE_PERMISSION, &[PEER; 70], &[]),
        Writer::new(request::SEND_INDICATION, &TRANSACTION)
            .with_address(attribute::XOR_PEER_ADDRESS, address(PEER))
            .with(attribute::DATA, b"hi")
            .finish(),
        [0x40, 0, 0, 2, b'h', b'i'].to_vec(),
    ];
    for message in &whole {
        for index in 0..message.len() {
            for bit in 0..8 {
                let mut bytes = message.clone();
                bytes[index] ^= 1 << bit;
                feed(&mut lab, &user, &bytes);
                feed(&mut lab, &user, &bytes[..index]);
            }
        }
    }
    for _ in 0..20_000 {
        let length = rand::random_range(0..100);
        let mut bytes: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        feed(&mut lab, &user, &bytes);
        // Nearer to what it reads.
        if length >= 20 {
            bytes[..2].copy_from_slice(&[0, [3, 4, 8, 9, 0x16][length % 5]]);
            bytes[2..4].copy_from_slice(&u16::try_from(length - 20).unwrap().to_be_bytes());
            bytes[4..8].copy_from_slice(&crate::stun::wire::MAGIC_COOKIE);
            feed(&mut lab, &user, &bytes);
        }
    }
}

fn feed(lab: &mut Lab, user: &User, bytes: &[u8]) {
    lab.now += Duration::from_millis(1);
    drop(lab.relay.on_data(user.client, bytes, lab.now));
    let stranger = Client::Tcp {
        stream: 1,
        address: address("192.0.2.99:9"),
    };
    for client in [user.client, stranger] {
        if let Some(Step::ToClient(_, answer)) = lab.relay.on_request(client, bytes, lab.now) {
            assert!(answer.len() <= 120, "{}", answer.len());
        }
    }
}
