//! See [`crate::fuzzing`].

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncReadExt as _, FutureExt as _};

use super::Wants;

/// Brings one piece after the other, and then the end.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(mut piece) = self.0.pop_front() else {
            return Poll::Ready(Ok(0));
        };
        let count = piece.len().min(buffer.len());
        let rest = piece.split_off(count);
        buffer[..count].copy_from_slice(&piece);
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
        Poll::Ready(Ok(count))
    }
}

/// Whether a request that comes in these pieces wants to be a WebSocket.
pub(crate) fn read(pieces: &[&[u8]], max: usize) -> bool {
    let given = pieces.concat();
    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
    let pieces = Pieces(pieces.map(|piece| piece.to_vec()).collect());
    let (wants, mut rewound) = super::read(pieces, max)
        .now_or_never()
        .expect("nothing is waited for")
        .expect("nothing fails");
    let mut again = Vec::new();
    rewound
        .read_to_end(&mut again)
        .now_or_never()
        .expect("nothing is waited for")
        .expect("nothing fails");
    assert_eq!(again, given);
    wants == Wants::WebSocket
}
