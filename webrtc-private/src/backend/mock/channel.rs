//! A channel in memory.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::{ChannelState, World};
use crate::backend::{ChannelClosed, DataChannel};

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct MockChannel {
    pub(super) world: World,
    pub(super) number: usize,
}

impl MockChannel {
    fn with<T>(&self, of: usize, act: impl FnOnce(&mut ChannelState) -> T) -> T {
        act(&mut self.world.lock().channels[of])
    }
}

impl DataChannel for MockChannel {
    fn label(&self) -> String {
        self.with(self.number, |channel| channel.label.clone())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.with(self.number, |channel| {
            if let Some(message) = channel.inbox.pop_front() {
                return Poll::Ready(Some(message));
            }
            if channel.closed {
                return Poll::Ready(None);
            }
            channel.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        self.with(self.number, |channel| channel.inbox.pop_front())
    }

    fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelClosed>> {
        self.with(self.number, |channel| {
            if channel.closed {
                return Poll::Ready(Err(ChannelClosed));
            }
            if channel.open && !channel.stuck {
                return Poll::Ready(Ok(()));
            }
            channel.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn send(&mut self, message: &[u8]) -> Result<(), ChannelClosed> {
        let other = self.with(self.number, |channel| {
            channel.other.filter(|_| channel.open && !channel.closed)
        });
        self.with(other.ok_or(ChannelClosed)?, |channel| {
            channel.inbox.push_back(Bytes::copy_from_slice(message));
            channel.wake();
        });
        Ok(())
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(self.number, |channel| {
            if channel.closed || !channel.stuck {
                return Poll::Ready(());
            }
            channel.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn close(&mut self) {
        let other = self.with(self.number, |channel| channel.other);
        for number in std::iter::once(self.number).chain(other) {
            self.with(number, |channel| {
                channel.closed = true;
                channel.wake();
            });
        }
    }
}
