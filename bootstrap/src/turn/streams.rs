//! TCP connections of clients: what has come of a message, and what waits to be sent.

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Instant};

use futures::future::AbortHandle;
use tokio::net::TcpStream;

use super::{
    credentials::Client,
    framing::{self, Frame},
};
use crate::limits;

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) io: Arc<TcpStream>,
    pub(super) client: Client,
    /// Ends what waits for it to be readable.
    pub(super) reading: AbortHandle,
    /// And what waits for it to be writable, if something does.
    pub(super) writing: Option<AbortHandle>,
    /// At most [`limits::TURN_MESSAGE_BYTES_MAX`].
    input: Vec<u8>,
    /// At most [`limits::TURN_QUEUE_BYTES_MAX`].
    output: VecDeque<u8>,
    /// Since when it has had no allocation.
    pub(super) idle_since: Instant,
    /// Since when nothing of what waits has gone out.
    stuck_since: Option<Instant>,
}

/// What reading has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing more at the moment.
    Later,
    Message(Vec<u8>),
    /// It is at its end, or what comes makes no sense.
    Ended,
}

impl Stream {
    pub(super) fn new(io: TcpStream, number: u64, address: SocketAddr, now: Instant) -> Self {
        Self {
            io: Arc::new(io),
            client: Client::Tcp {
                stream: number,
                address,
            },
            reading: AbortHandle::new_pair().0,
            writing: None,
            input: Vec::new(),
            output: VecDeque::new(),
            idle_since: now,
            stuck_since: None,
        }
    }

    /// The next message.
    pub(super) fn read(&mut self) -> Read {
        loop {
            match framing::next(&self.input) {
                Frame::Broken => return Read::Ended,
                Frame::Whole(length) => {
                    let rest = self.input.split_off(length);
                    return Read::Message(std::mem::replace(&mut self.input, rest));
                }
                Frame::Part => {}
            }
            let mut buffer = [0; limits::TURN_MESSAGE_BYTES_MAX];
            let room = limits::TURN_MESSAGE_BYTES_MAX.saturating_sub(self.input.len());
            match self.io.try_read(&mut buffer[..room]) {
                Ok(0) => return Read::Ended,
                Ok(length) => self.input.extend(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Later,
                Err(_) => return Read::Ended,
            }
        }
    }

    /// Puts a message behind what waits. It is lost if there is no room.
    pub(super) fn queue(&mut self, message: &[u8], now: Instant) {
        if self.output.len() + message.len() <= limits::TURN_QUEUE_BYTES_MAX {
            self.output.extend(message);
            self.stuck_since.get_or_insert(now);
        }
    }

    /// Sends what it can. An error says that the connection is gone.
    pub(super) fn write(&mut self, now: Instant) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.io.try_write(self.output.as_slices().0) {
                Ok(length) => {
                    self.output.drain(..length);
                    self.stuck_since = Some(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.stuck_since = None;
        Ok(())
    }

    /// Whether something waits.
    pub(super) fn wants_to_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether it is good for nothing any more: without an allocation, or without anybody who reads.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let is_long = |since| now.saturating_duration_since(since) > limits::TURN_IDLE_TIMEOUT;
        is_long(self.idle_since) || self.stuck_since.is_some_and(is_long)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reading.abort();
        if let Some(writing) = &self.writing {
            writing.abort();
        }
    }
}
