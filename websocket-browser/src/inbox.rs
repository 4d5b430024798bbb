//! Bytes that arrived and were not read yet.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};

/// Messages in the order in which they came, read as a stream of bytes.
#[derive(Debug)]
pub(crate) struct Inbox {
    messages: VecDeque<Bytes>,
    bytes: usize,
    bytes_max: usize,
}

/// There is no room for another message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Inbox {
    /// Takes up to `bytes_max` bytes.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Takes up to so many bytes from now on.
    pub(crate) const fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Whether a message of so many bytes fits in.
    pub(crate) const fn takes(&self, bytes: usize) -> bool {
        bytes <= self.bytes_max.saturating_sub(self.bytes)
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, message: Bytes) -> Result<(), Full> {
        if !self.takes(message.len()) {
            return Err(Full);
        }
        if !message.is_empty() {
            self.bytes = self.bytes.saturating_add(message.len());
            self.messages.push_back(message);
        }
        Ok(())
    }

    /// Moves as many bytes as there are and fit to the start of `target`. Returns how many: zero when
    /// there are none.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> usize {
        let mut read = 0;
        while let (Some(message), Some(room)) = (self.messages.front_mut(), target.get_mut(read..))
            && !room.is_empty()
        {
            let count = message.len().min(room.len());
            if let Some(place) = room.get_mut(..count) {
                message.copy_to_slice(place);
            }
            read = read.saturating_add(count);
            if message.is_empty() {
                self.messages.pop_front();
            }
        }
        self.bytes = self.bytes.saturating_sub(read);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded() {
        let mut inbox = Inbox::new(10);
        assert_eq!(inbox.push(Bytes::from_static(b"123456")), Ok(()));
        assert_eq!(inbox.push(Bytes::from_static(b"78901")), Err(Full));
        assert_eq!(inbox.push(Bytes::from_static(b"7890")), Ok(()));
        assert!(!inbox.takes(1) && inbox.takes(0));
        let mut target = [0; 16];
        assert_eq!(inbox.read(&mut target), 10);
        assert!(inbox.takes(10));
    }

    #[test]
    fn empty_messages_take_no_room_and_read_as_nothing() {
        let mut inbox = Inbox::new(4);
        for _ in 0..100 {
            assert_eq!(inbox.push(Bytes::new()), Ok(()));
        }
        assert!(inbox.messages.is_empty());
        assert_eq!(inbox.read(&mut [0; 4]), 0);
        inbox.push(Bytes::from_static(b"a")).expect("room");
        assert_eq!(inbox.read(&mut []), 0);
        assert_eq!(inbox.read(&mut [0; 4]), 1);
    }

    #[test]
    fn what_comes_in_goes_out_in_order() {
        for message_bytes in 1..20 {
            for read_bytes in 1..30 {
                let mut inbox = Inbox::new(usize::MAX);
                let all: Vec<u8> = (0..200).collect();
                let mut out = Vec::new();
                let mut target = vec![0; read_bytes];
                for message in all.chunks(message_bytes) {
                    inbox.push(Bytes::copy_from_slice(message)).expect("room");
                    let count = inbox.read(&mut target);
                    out.extend_from_slice(&target[..count]);
                }
                loop {
                    let count = inbox.read(&mut target);
                    if count == 0 {
                        break;
                    }
                    out.extend_from_slice(&target[..count]);
                }
                assert_eq!(out, all, "{message_bytes} {read_bytes}");
                assert_eq!(inbox.bytes, 0);
            }
        }
    }
}
