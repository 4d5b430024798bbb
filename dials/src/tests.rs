#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    io,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt as _,
    future::{self, BoxFuture, Pending, Ready},
};
use libp2p::{
    Transport,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    },
    dns, tcp,
};
use tokio::net::TcpListener;

use super::*;

const OPTIONS: DialOpts = DialOpts {
    role: Endpoint::Dialer,
    port_use: PortUse::New,
};

/// TCP as the programs have it: DNS in the middle, looked at on both sides.
fn transport(dials: &Dials) -> Checked<()> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default());
    let resolved = Resolved::new(tcp, dials.clone());
    let (config, options) = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
    let inner = dns::tokio::Transport::custom(resolved, config, options);
    Checked::new(inner.map(|_, _| ()).boxed(), dials.clone())
}

async fn dial(transport: &mut Checked<()>, address: &Multiaddr) -> Result<(), String> {
    match transport.dial(address.clone(), OPTIONS) {
        Ok(dial) => dial.await.map_err(|error| error.to_string()),
        Err(TransportError::Other(error)) => Err(error.to_string()),
        Err(error @ TransportError::MultiaddrNotSupported(_)) => Err(error.to_string()),
    }
}

/// Listens on a loopback address that nobody else has.
async fn canary(last: u8) -> (TcpListener, Multiaddr) {
    let ip = Ipv4Addr::new(127, 0, 0, last);
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Multiaddr::from(ip).with(Protocol::Tcp(port)))
}

/// Whether nobody has connected.
fn is_untouched(listener: &TcpListener) -> bool {
    listener.accept().now_or_never().is_none()
}

/// `localhost` as the system's own file of names has it.
fn by_name(address: &Multiaddr) -> Multiaddr {
    let name = Protocol::Dns4("localhost".into());
    address.replace(0, |_| Some(name)).unwrap()
}

#[tokio::test]
async fn a_stranger_reaches_no_port_of_this_machine() {
    let dials = Dials::new(Names::Resolved);
    let mut transport = transport(&dials);
    let (listener, address) = canary(41).await;
    let error = dial(&mut transport, &address).await.unwrap_err();
    assert!(error.contains("local network"), "{error}");
    let error = dial(&mut transport, &by_name(&address)).await.unwrap_err();
    assert!(error.contains("host name"), "{error}");
    assert!(is_untouched(&listener));
}

#[tokio::test]
async fn where_the_settings_lead_strangers_are_dialled_too() {
    let dials = Dials::new(Names::Resolved);
    let mut transport = transport(&dials);
    let (_named, named) = canary(42).await;
    let (_other, other) = canary(42).await;
    dials.name(&named);
    assert!(dial(&mut transport, &other).await.is_err());
    dial(&mut transport, &named).await.unwrap();
    dial(&mut transport, &other).await.unwrap();
    let (elsewhere, address) = canary(43).await;
    assert!(dial(&mut transport, &address).await.is_err());
    assert!(is_untouched(&elsewhere));
}

#[tokio::test]
async fn an_address_of_the_settings_that_nobody_has_opens_nothing() {
    let dials = Dials::new(Names::Resolved);
    let mut transport = transport(&dials);
    let (listener, named) = canary(44).await;
    drop(listener);
    let (other, address) = canary(44).await;
    dials.name(&named);
    assert!(dial(&mut transport, &named).await.is_err());
    assert!(dial(&mut transport, &address).await.is_err());
    assert!(is_untouched(&other));
}

#[tokio::test]
async fn listening_at_one_address_opens_it() {
    let dials = Dials::new(Names::Resolved);
    let mut transport = transport(&dials);
    let (_listener, address) = canary(45).await;
    dials.listen(&"/ip4/0.0.0.0/tcp/0".parse().unwrap());
    assert!(dial(&mut transport, &address).await.is_err());
    dials.listen(&"/ip4/127.0.0.45/tcp/0".parse().unwrap());
    dial(&mut transport, &address).await.unwrap();
}

/// A [`Checked`] over a resolver that has `ip` for every name, and a network in which every host answers.
fn everything_is_at(ip: &str, dials: &Dials) -> Checked<()> {
    let resolver = Resolver {
        ip: ip.parse().unwrap(),
        below: Arc::new(Mutex::new(Resolved::new(Everywhere, dials.clone()))),
    };
    Checked::new(resolver.boxed(), dials.clone())
}

#[tokio::test]
async fn a_public_name_that_stands_for_this_machine_is_not_dialled() {
    let public: Multiaddr = "/dns4/rebind.example/tcp/8468".parse().unwrap();
    for (ip, is_dialled) in [
        ("127.0.0.1", false),
        ("10.0.0.1", false),
        ("169.254.169.254", false),
        ("::1", false),
        ("::ffff:127.0.0.1", false),
        ("64:ff9b::7f00:1", false),
        ("0.0.0.0", false),
        ("192.0.2.1", true),
    ] {
        let dials = Dials::new(Names::Resolved);
        let mut transport = everything_is_at(ip, &dials);
        assert_eq!(
            dial(&mut transport, &public).await.is_ok(),
            is_dialled,
            "{ip}"
        );
        // If the settings name it, it may be on this machine, and strangers are dialled where it is.
        dials.name(&public);
        let is_host = !matches!(ip, "0.0.0.0");
        assert_eq!(dial(&mut transport, &public).await.is_ok(), is_host, "{ip}");
        if ip == "127.0.0.1" {
            let stranger = "/ip4/127.0.0.1/tcp/8469".parse().unwrap();
            assert!(dial(&mut transport, &stranger).await.is_ok());
        }
    }
}

#[tokio::test]
async fn addresses_that_the_machine_is_known_by_are_its_own() {
    let dials = Dials::new(Names::Resolved);
    let mut transport = everything_is_at("192.0.2.9", &dials);
    let address: Multiaddr = "/ip4/192.0.2.9/tcp/8468".parse().unwrap();
    dial(&mut transport, &address).await.unwrap();
    dials.announce([&address]);
    assert!(dial(&mut transport, &address).await.is_err());
}

/// Like libp2p's DNS transport, it dials in the future that it returns.
struct Resolver {
    ip: IpAddr,
    below: Arc<Mutex<Resolved<Everywhere>>>,
}

impl Transport for Resolver {
    type Output = ();
    type Error = io::Error;
    type ListenerUpgrade = Pending<io::Result<()>>;
    type Dial = BoxFuture<'static, io::Result<()>>;

    fn listen_on(&mut self, _: ListenerId, _: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Ok(())
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let address = address.replace(0, |_| Some(self.ip.into())).unwrap();
        let below = Arc::clone(&self.below);
        Ok(async move {
            tokio::task::yield_now().await;
            let dial = below.lock().unwrap().dial(address, options);
            dial.map_err(io::Error::other)?
                .await
                .map_err(io::Error::other)
        }
        .boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

struct Everywhere;

impl Transport for Everywhere {
    type Output = ();
    type Error = io::Error;
    type ListenerUpgrade = Pending<io::Result<()>>;
    type Dial = Ready<io::Result<()>>;

    fn listen_on(&mut self, _: ListenerId, _: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Ok(())
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, _: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Ok(future::ready(Ok(())))
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}
