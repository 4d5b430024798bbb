//! Ways in for the fuzz targets of this repository (`fuzz/`): what others send, given to what reads it.
//! Each function panics where something is not as it should be. Only built with `--cfg fuzzing`.

mod stream;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;

pub use self::stream::StreamLab;
pub use crate::backend::native::server::fuzzing::ServerLab;
use crate::{
    Reachable, address,
    backend::{Backend as _, PeerConnection as _, SdpKind, native::Native},
    direct,
    report::CandidateTypes,
    session,
    signaling::{Message, Signaling},
    stream::frame::{self, DATA_BYTES_MAX, Decoder, FRAME_BYTES_MAX, Frame, FrameError},
};

/// Frames of a stream, as they come in these channel messages. They must not depend on where a message ends.
pub fn frames(messages: &[&[u8]]) {
    let pieced = decode(messages);
    assert_eq!(pieced, decode(&[&messages.concat()]));
    for frame in pieced.0 {
        if frame.data.len() <= DATA_BYTES_MAX {
            let sent = frame::encode_data(&frame.data);
            assert!(sent.len() <= FRAME_BYTES_MAX);
            let (again, error) = decode(&[&sent]);
            assert_eq!(error, None);
            assert_eq!(again[0].data, frame.data);
        }
        if let Some(flag) = frame.flag {
            let (again, _) = decode(&[&frame::encode_flag(flag)]);
            assert_eq!(again[0].flag, Some(flag));
        }
    }
}

fn decode(messages: &[&[u8]]) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for message in messages {
        decoder.push(message);
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// A signalling stream that brings these pieces and ends. Messages must not depend on where a piece ends, and
/// those that were read can be sent again.
pub fn signaling(pieces: &[&[u8]]) {
    let (messages, error) = read(pieces);
    let (whole, whole_error) = read(&[&pieces.concat()]);
    assert_eq!((&messages, &error), (&whole, &whole_error));
    let mut sent = Signaling::new(Pieces::new(&[]));
    for message in &messages {
        if let Message::Offer(text) | Message::Answer(text) = message {
            let _ = session::check_description(text);
        }
        if let Message::Candidate(Some(json)) = message {
            CandidateTypes::default().note(json);
        }
        sent.queue(message);
    }
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(sent.poll_flush(&mut cx).is_ready());
    let (again, error) = read(&[&sent.into_stream().written]);
    assert_eq!((again, error), (messages, None));
}

fn read(pieces: &[&[u8]]) -> (Vec<Message>, Option<String>) {
    let mut signaling = Signaling::new(Pieces::new(pieces));
    let mut messages = Vec::new();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        match signaling.poll_message(&mut cx) {
            Poll::Ready(Ok(Some(message))) => messages.push(message),
            Poll::Ready(Ok(None)) => return (messages, None),
            Poll::Ready(Err(error)) => return (messages, Some(error.to_string())),
            Poll::Pending => panic!("something is there to be read"),
        }
    }
}

/// A stream that brings one piece after the other, and keeps what is written.
struct Pieces {
    pieces: Vec<Vec<u8>>,
    written: Vec<u8>,
}

impl Pieces {
    fn new(pieces: &[&[u8]]) -> Self {
        let pieces = pieces.iter().rev().filter(|piece| !piece.is_empty());
        Self {
            pieces: pieces.map(|piece| piece.to_vec()).collect(),
            written: Vec::new(),
        }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(mut piece) = self.pieces.pop() else {
            return Poll::Ready(Ok(0));
        };
        let count = piece.len().min(buffer.len());
        let rest = piece.split_off(count);
        buffer[..count].copy_from_slice(&piece);
        if !rest.is_empty() {
            self.pieces.push(rest);
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An offer and candidates, as a session gives them to the WebRTC implementation. It may panic, see `Shared::with`;
/// that must stay inside. Nothing is sent: there are no sockets before an answer is set. Needs a tokio runtime.
pub fn offer(sdp: &str, candidates: &[&str]) {
    if session::check_description(sdp).is_err() {
        return;
    }
    let mut connection = Native
        .connection(&[], &Reachable::default())
        .expect("there is a runtime");
    let set = connection.set_remote(SdpKind::Offer, sdp.to_owned());
    if futures::executor::block_on(set).is_ok() {
        let _ = futures::executor::block_on(connection.create_answer());
    }
    for candidate in candidates {
        let added = connection.add_candidate((*candidate).to_owned());
        let _ = futures::executor::block_on(added);
    }
}

/// An address that somebody has told.
pub fn address(address: &Multiaddr) {
    if let Some(direct) = address::from_circuit(address) {
        assert!(address::is_webrtc(&direct) && address::is_direct(&direct));
        assert!(!address::is_direct(address));
        let peer = PeerId::from_multihash(Default::default()).ok();
        if let Ok(target) = address::target(&direct, peer) {
            assert!(!address::is_direct(&target.relayed));
        }
    }
    if let Some(bare) = address::without_relay(address) {
        assert!(address::is_direct(&bare) && bare.len() <= address.len());
    }
    let _ = address::target(address, None);
    let circuit = address::circuit(address);
    assert!(circuit.len() <= address.len());
    direct::fuzzing::address(address);
}

/// What the STUN username of a connectivity check, a fingerprint and a description of our own say.
pub fn text(text: &str) {
    direct::fuzzing::text(text);
    crate::backend::native::server::fuzzing::user_name(text);
}
