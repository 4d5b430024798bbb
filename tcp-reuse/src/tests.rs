use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use libp2p::core::Endpoint;

use super::*;

/// A transport that listens on 127.0.0.1 at `port`.
fn listening(port: u16) -> Transport {
    let mut transport = Transport::new(tcp::Config::default());
    let address = format!("/ip4/127.0.0.1/tcp/{port}")
        .parse()
        .expect("an address");
    transport
        .listen_on(ListenerId::next(), address)
        .expect("listens");
    transport
}

/// Where a dial by `transport` comes from.
async fn dials_from(transport: &mut Transport) -> SocketAddr {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = server.local_addr().expect("bound").port();
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::Reuse,
    };
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}")
        .parse()
        .expect("an address");
    let dial = transport.dial(address, options).expect("can be dialled");
    let _connection = dial.await.expect("connects");
    let (_, from) = server.accept().expect("has come");
    from
}

/// A port that somebody has on another address of this machine and nobody on 127.0.0.1.
fn taken_elsewhere() -> (TcpListener, u16) {
    loop {
        let elsewhere = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("a port");
        let port = elsewhere.local_addr().expect("bound").port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return (elsewhere, port);
        }
    }
}

#[tokio::test]
async fn dials_from_the_port_that_it_listens_on() {
    let (elsewhere, port) = taken_elsewhere();
    drop(elsewhere);
    let mut transport = listening(port);
    assert_eq!(dials_from(&mut transport).await.port(), port);
}

#[tokio::test]
async fn dials_from_another_port_while_somebody_has_its_own_on_another_address() {
    let (elsewhere, port) = taken_elsewhere();
    let mut transport = listening(port);
    assert_ne!(dials_from(&mut transport).await.port(), port);
    drop(elsewhere);
    assert_eq!(dials_from(&mut transport).await.port(), port);
}

#[tokio::test]
async fn an_address_that_nobody_listens_on_is_an_error() {
    let (elsewhere, port) = taken_elsewhere();
    let mut transport = listening(port);
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = format!(
        "/ip4/127.0.0.1/tcp/{}",
        nobody.local_addr().expect("bound").port()
    );
    drop(nobody);
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::Reuse,
    };
    let dial = transport
        .dial(address.parse().expect("an address"), options)
        .expect("can be dialled");
    let error = dial.await.expect_err("nobody is there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    drop(elsewhere);
}
