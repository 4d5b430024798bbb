//! The thread that writes the store, and the node's ends of it.
//!
//! A thread, because a write waits for the disk, and one of its own, because it is the only one that
//! writes. It never gives up on a batch: when the disk is full or gone, it says so once and tries
//! again until it can.

#[cfg(test)]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::Instant,
};

use moim_dht::{Batch, Journal, Progress};
use prometheus_client::{
    metrics::{
        counter::Counter,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tokio::sync::mpsc;

use super::{
    error::StoreError,
    file::{RememberedPeer, StoreFile},
};
use crate::limits;

/// How the store is opened again after a failure: redb then refuses all further work.
type Open = Box<dyn Fn() -> Result<StoreFile, StoreError> + Send>;

/// What is counted.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    write_seconds: Histogram,
    failures: Counter,
}

impl Counters {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "store_write",
            "Time that a batch of changes took until it was safe on disk",
            Unit::Seconds,
            self.write_seconds.clone(),
        );
        registry.register(
            "store_write_failures",
            "Attempts to write the store that failed so far",
            self.failures.clone(),
        );
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            // A quarter of a millisecond to four seconds.
            write_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
            failures: Counter::default(),
        }
    }
}

/// The node's end of the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    peers: Arc<Slot>,
    thread: JoinHandle<()>,
    #[cfg(test)]
    sabotage: Arc<AtomicBool>,
}

/// The DHT's end of it.
struct Batches {
    to_thread: SyncSender<Batch>,
    progress: mpsc::Receiver<Progress>,
    is_thread_gone: bool,
}

/// The peers to remember, until they are written.
type Slot = Mutex<Option<Vec<RememberedPeer>>>;

impl Writer {
    /// Starts the thread. It ends when the journal is dropped and everything is written, or can't
    /// be.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub(crate) fn start(
        file: StoreFile,
        open: impl Fn() -> Result<StoreFile, StoreError> + Send + 'static,
        counters: Counters,
    ) -> std::io::Result<(Self, impl Journal)> {
        // One batch at a time, as `Journal` has it.
        let (to_thread, batches) = sync_channel(1);
        // At most two are on their way: that it is stuck and, before anybody looked, written.
        let (progress, from_thread) = mpsc::channel(2);
        let peers = Arc::new(Slot::default());
        #[cfg(test)]
        let sabotage = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            file: Some(file),
            open: Box::new(open),
            batches,
            progress,
            peers: Arc::clone(&peers),
            counters,
            #[cfg(test)]
            sabotage: Arc::clone(&sabotage),
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.work())?;
        let journal = Batches {
            to_thread,
            progress: from_thread,
            is_thread_gone: false,
        };
        let writer = Self {
            peers,
            thread,
            #[cfg(test)]
            sabotage,
        };
        Ok((writer, journal))
    }

    /// Whether the thread has panicked: it does not end by itself as long as there is the journal.
    pub(crate) fn is_gone(&self) -> bool {
        self.thread.is_finished()
    }

    /// Once set, the thread panics when it writes.
    #[cfg(test)]
    pub(crate) fn sabotage(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.sabotage)
    }

    /// Remembers these peers instead of those before, in a while.
    pub(crate) fn remember(&self, peers: Vec<RememberedPeer>) {
        let mut slot = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(peers);
    }

    /// Waits for the thread to end, after the journal was dropped.
    pub(crate) fn finish(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes the store had failed");
        }
    }
}

impl Journal for Batches {
    fn write(&mut self, batch: Batch) {
        // There is room, or the thread is gone, which `poll` tells.
        let _ = self.to_thread.try_send(batch);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        match self.progress.poll_recv(cx) {
            Poll::Ready(Some(progress)) => Poll::Ready(progress),
            Poll::Ready(None) if !mem::replace(&mut self.is_thread_gone, true) => {
                Poll::Ready(Progress::Stuck)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

struct Worker {
    /// `None` after a failure.
    file: Option<StoreFile>,
    open: Open,
    batches: Receiver<Batch>,
    progress: mpsc::Sender<Progress>,
    peers: Arc<Slot>,
    counters: Counters,
    #[cfg(test)]
    sabotage: Arc<AtomicBool>,
}

impl Worker {
    fn work(mut self) {
        loop {
            match self.batches.recv_timeout(limits::STORE_IDLE_INTERVAL) {
                Ok(batch) => {
                    let is_written = self.write_at_last(&batch);
                    let progress = if is_written {
                        Progress::Written
                    } else {
                        Progress::Stuck
                    };
                    // Nobody listens any more when the node stops.
                    let _ = self.progress.blocking_send(progress);
                }
                Err(RecvTimeoutError::Timeout) => self.write_peers(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.write_peers();
                    return;
                }
            }
        }
    }

    /// Writes a batch, however long it takes. `false` if the node stops before that.
    fn write_at_last(&mut self, batch: &Batch) -> bool {
        let mut is_first = true;
        loop {
            let Err(error) = self.write(batch) else {
                if !is_first {
                    tracing::info!("the store can be written again");
                }
                return true;
            };
            self.counters.failures.inc();
            if is_first {
                is_first = false;
                tracing::error!(
                    %error,
                    "can't write the store; until that works, values put into the DHT are refused \
                     and presences are kept in memory only"
                );
                let _ = self.progress.blocking_send(Progress::Stuck);
            } else {
                tracing::debug!(%error, "still can't write the store");
            }
            // Nothing else comes while this batch isn't written: this is a pause that ends early
            // when the node stops.
            if self.batches.recv_timeout(limits::STORE_RETRY_INTERVAL)
                == Err(RecvTimeoutError::Disconnected)
            {
                return false;
            }
        }
    }

    fn write_peers(&mut self) {
        let is_waiting = |slot: &Slot| {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.is_some()
        };
        if !is_waiting(&self.peers) {
            return;
        }
        if let Err(error) = self.write(&Batch::default()) {
            self.counters.failures.inc();
            tracing::warn!(%error, "can't remember the peers of the DHT");
        }
    }

    /// Writes a batch and what else is waiting.
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        #[cfg(test)]
        assert!(!self.sabotage.load(Ordering::Relaxed), "sabotage");
        let started = Instant::now();
        let file = match self.file.take() {
            Some(file) => file,
            None => (self.open)()?,
        };
        let mut slot = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let peers = slot.take();
        drop(slot);
        file.write(batch, peers.as_deref())?;
        self.file = Some(file);
        self.counters
            .write_seconds
            .observe(started.elapsed().as_secs_f64());
        Ok(())
    }
}
