//! Whole lines to standard output (or to the terminal, see `person::editor`), from one thread.
//!
//! Writing may block for as long as the reader likes. On a thread of its own behind a bounded queue
//! it holds up nothing but the output: the session sees the queue full and takes in no more events,
//! yet still hears signals.

use std::{
    io::{self, Write as _},
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

/// Pieces of output that may wait for a slow reader. Beyond them the peer's own event queue fills,
/// which counts what it drops.
const QUEUE_CAPACITY: usize = 64;

/// How long the end of the program waits for the last lines to be written.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// The way to the writing thread. What is sent are whole lines, each with its line end.
#[derive(Debug)]
pub(crate) struct Output {
    queue: mpsc::Sender<String>,
    result: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    /// Writes to standard output and flushes after each piece.
    pub(crate) fn to_stdout() -> io::Result<Self> {
        Self::start(|text| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        })
    }

    /// Hands each piece to `write`, until that fails.
    pub(crate) fn start(
        mut write: impl FnMut(String) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, mut pieces) = mpsc::channel::<String>(QUEUE_CAPACITY);
        let (done, result) = oneshot::channel();
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let mut outcome = Ok(());
                while let Some(piece) = pieces.blocking_recv() {
                    outcome = write(piece);
                    if outcome.is_err() {
                        break;
                    }
                }
                drop(pieces);
                // Nobody waits for the outcome when the program was told to end at once.
                let _ = done.send(outcome);
            })?;
        Ok(Self { queue, result })
    }

    /// A place in the queue, or `None` when nothing can be written any more. Cancel-safe.
    pub(crate) async fn place(&self) -> Option<mpsc::Permit<'_, String>> {
        self.queue.reserve().await.ok()
    }

    /// The way to the queue for the log.
    pub(crate) fn weak(&self) -> mpsc::WeakSender<String> {
        self.queue.downgrade()
    }

    /// Adds `text` if there is room for it right now.
    pub(crate) fn offer(&self, text: String) {
        if !text.is_empty() {
            let _ = self.queue.try_send(text);
        }
    }

    /// Resolves when nothing can be written any more. Cancel-safe.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Adds `text` if there is room for it, waits a moment until everything is written, and tells
    /// how it went. A reader that does not read cannot hold up the end.
    pub(crate) async fn finish(self, text: String) -> io::Result<()> {
        let finished = async {
            if !text.is_empty() {
                // A closed queue has its reason in the result.
                let _ = self.queue.send(text).await;
            }
            drop(self.queue);
            self.result.await.unwrap_or(Ok(()))
        };
        tokio::time::timeout(FINISH_TIMEOUT, finished)
            .await
            .unwrap_or_else(|_| {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the reader of the output does not read",
                ))
            })
    }
}
