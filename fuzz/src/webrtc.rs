//! What the other side of a WebRTC connection sends, before and after it is known who it is.

use std::{
    net::SocketAddr,
    panic,
    path::Path,
    sync::{Arc, LazyLock},
};

use arbitrary::Arbitrary;
use moim_peer::Multiaddr;
use moim_webrtc::{
    backend::native::server::Certificate,
    fuzzing::{self, ServerLab, StreamLab},
};
use tokio::{net::UdpSocket, runtime::Runtime};

use crate::input::{pieces, steps};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
});

static CERTIFICATE: LazyLock<Certificate> =
    LazyLock::new(|| Certificate::generate().expect("there is randomness"));

/// The server's socket, and those that what it sends goes to. Nobody reads what comes there.
static SOCKETS: LazyLock<(Arc<UdpSocket>, [std::net::UdpSocket; 3])> = LazyLock::new(|| {
    let bind = || std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("there are ports");
    let server = bind();
    server.set_nonblocking(true).expect("it is a socket");
    let server = UdpSocket::from_std(server).expect("there is a runtime");
    (Arc::new(server), [bind(), bind(), bind()])
});

/// The WebRTC implementation is known to panic, and whoever uses it catches that: a panic outside of this workspace,
/// whose sources have absolute paths, counts only where it is not caught.
pub fn let_panics_be_caught() {
    let abort = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let file = info.location().map(|location| Path::new(location.file()));
        if file.is_none_or(Path::is_relative) {
            abort(info);
        }
    }));
}

/// Frames of a stream.
pub fn frames(data: &[u8]) {
    fuzzing::frames(&pieces(data));
}

/// Messages of the signalling protocol.
pub fn signaling(data: &[u8]) {
    fuzzing::signaling(&pieces(data));
}

/// An offer, and candidates in the lines after an empty one.
pub fn offer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _guard = RUNTIME.enter();
    let (sdp, candidates) = text.split_once("\n\n").unwrap_or((text, ""));
    let candidates: Vec<&str> = candidates.lines().take(16).collect();
    fuzzing::offer(sdp, &candidates);
}

/// Addresses, and other short texts.
pub fn addresses(data: &[u8]) {
    if let Ok(address) = Multiaddr::try_from(data.to_vec()) {
        fuzzing::address(&address);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(address) = text.parse() {
            fuzzing::address(&address);
        }
        fuzzing::text(text);
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum StreamStep<'a> {
    Receive(&'a [u8]),
    ReceiveData(&'a [u8]),
    ReceiveFlag(u8),
    Stuck(bool),
    CloseChannel,
    Read(u16),
    Write(&'a [u8]),
    Close,
}

/// A stream, both sides of which do as they like.
pub fn stream(data: &[u8]) {
    let mut lab = StreamLab::new();
    for step in steps::<StreamStep<'_>>(data) {
        match step {
            StreamStep::Receive(bytes) => lab.receive(bytes),
            StreamStep::ReceiveData(data) => lab.receive_data(data),
            StreamStep::ReceiveFlag(number) => lab.receive_flag(number),
            StreamStep::Stuck(is_stuck) => lab.set_stuck(is_stuck),
            StreamStep::CloseChannel => lab.close_channel(),
            StreamStep::Read(length) => lab.read(length.into()),
            StreamStep::Write(data) => lab.write(data),
            StreamStep::Close => lab.close(),
        }
    }
    lab.finish();
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum ServerStep<'a> {
    Receive(u8, &'a [u8]),
    Check(u8, Option<(u16, &'a [u8])>),
}

/// Datagrams to a server of `/webrtc-direct`.
pub fn server(data: &[u8]) {
    let _guard = RUNTIME.enter();
    let (socket, others) = &*SOCKETS;
    let from = |number: u8| -> SocketAddr {
        let other = &others[usize::from(number) % others.len()];
        other.local_addr().expect("it is bound")
    };
    let mut lab = ServerLab::new(&CERTIFICATE, socket);
    for step in steps::<ServerStep<'_>>(data) {
        match step {
            ServerStep::Receive(number, data) => lab.receive(from(number), data),
            ServerStep::Check(number, attribute) => {
                let attributes: Vec<_> = attribute.into_iter().collect();
                lab.check(from(number), &attributes);
            }
        }
    }
}
