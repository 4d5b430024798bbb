//! What strangers send to a bootstrap node's ports, and what lies in its files.

use std::net::{IpAddr, SocketAddr};

use moim_bootstrap::fuzzing;

use crate::input::pieces;

/// A datagram to the STUN server.
pub fn stun(data: &[u8]) {
    let Some((source, datagram)) = data.split_first_chunk::<18>() else {
        return;
    };
    let (ip, port) = source.split_at(16);
    let ip: [u8; 16] = ip.try_into().expect("16 bytes");
    let port = u16::from_be_bytes(port.try_into().expect("2 bytes"));
    let ip = if ip[..12] == [0; 12] {
        IpAddr::from([ip[12], ip[13], ip[14], ip[15]])
    } else {
        IpAddr::from(ip)
    };
    fuzzing::stun(datagram, SocketAddr::new(ip, port));
    fuzzing::turn_frames(&pieces(datagram));
}

/// A first HTTP request, from this machine or another.
pub fn http(data: &[u8]) {
    let pieces = pieces(data);
    for ip in [[127, 0, 0, 1], [192, 0, 2, 1]] {
        fuzzing::http(&pieces, SocketAddr::from((ip, 1)));
    }
}

/// A block list, and lines for `store import`.
pub fn files(data: &[u8]) {
    fuzzing::import(data);
    if let Ok(text) = std::str::from_utf8(data) {
        fuzzing::block_list(text);
    }
}

/// A `bootstrap.json`, as a peer fetches it.
pub fn bootstrap_document(data: &[u8]) {
    moim_peer::fuzzing::bootstrap_document(data);
}
