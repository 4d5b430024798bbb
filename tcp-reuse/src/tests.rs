use std::{
    future::poll_fn,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use libp2p::{core::Endpoint, multiaddr::Protocol};
use socket2::{Domain, Socket, Type};

use super::*;

/// A transport that listens on 127.0.0.1, and its port.
async fn listening() -> (Transport, u16) {
    let mut transport = Transport::new(tcp::Config::default());
    let address = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    transport
        .listen_on(ListenerId::next(), address)
        .expect("listens");
    let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
    let address = event.into_new_address().expect("an address");
    match address.iter().last() {
        Some(Protocol::Tcp(port)) => (transport, port),
        other => panic!("{other:?}"),
    }
}

/// The same, with somebody at that port on another address of this machine.
async fn listening_beside_another() -> (Transport, u16, TcpListener) {
    loop {
        let (transport, port) = listening().await;
        if let Ok(other) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)) {
            return (transport, port, other);
        }
    }
}

fn dial(
    transport: &mut Transport,
    port: u16,
) -> BoxFuture<'static, Result<<Inner as libp2p::Transport>::Output, io::Error>> {
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::Reuse,
    };
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    transport
        .dial(address.parse().expect("an address"), options)
        .expect("can be dialled")
}

/// The port that a dial by `transport` comes from.
async fn dials_from(transport: &mut Transport) -> u16 {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = server.local_addr().expect("bound").port();
    let _connection = dial(transport, port).await.expect("connects");
    let (_, from) = server.accept().expect("has come");
    from.port()
}

#[tokio::test]
async fn dials_from_the_port_that_it_listens_on() {
    let (mut transport, port) = listening().await;
    assert_eq!(dials_from(&mut transport).await, port);
}

#[tokio::test]
async fn dials_from_another_port_while_somebody_has_its_own_on_another_address() {
    let (mut transport, port, other) = listening_beside_another().await;
    assert_ne!(dials_from(&mut transport).await, port);
    drop(other);
    assert_eq!(dials_from(&mut transport).await, port);
}

#[tokio::test]
async fn an_address_that_nobody_listens_on_is_an_error() {
    let (mut transport, _, _other) = listening_beside_another().await;
    // Bound, so that nobody else gets the port; but it does not listen.
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    nobody.bind(&any.into()).expect("a port");
    let address = nobody.local_addr().expect("bound");
    let port = address.as_socket().expect("of IP").port();
    let error = dial(&mut transport, port)
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}
