//! The sockets.

use std::{convert::Infallible, time::Instant};

use futures::future::join_all;
use prometheus_client::metrics::counter::Counter;
use tokio::{net::UdpSocket, time};

use super::{limiter::Limiter, message};
use crate::limits;

/// Longer requests are cut off and then make no sense: what clients ask has 20 bytes, or some
/// hundred with attributes.
const REQUEST_BYTES_MAX: usize = 1024;

/// What is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Questions that were answered.
    pub(crate) answered: Counter,
    /// Datagrams that were not: no questions, or too many.
    pub(crate) ignored: Counter,
}

/// Answers until aborted; without sockets it just waits for that.
pub(crate) async fn serve(sockets: Vec<UdpSocket>, counters: Counters) -> Infallible {
    join_all(sockets.iter().map(|socket| answer(socket, &counters))).await;
    std::future::pending().await
}

async fn answer(socket: &UdpSocket, counters: &Counters) -> Infallible {
    let mut limiter = Limiter::new(Instant::now());
    let mut buffer = [0; REQUEST_BYTES_MAX];
    loop {
        let (length, source) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Of an earlier answer that could not be delivered, on some systems; or no memory.
                tracing::debug!(%error, "STUN socket");
                time::sleep(limits::STUN_ERROR_PAUSE).await;
                continue;
            }
        };
        let answer = buffer
            .get(..length)
            .and_then(|request| message::answer(request, source))
            .filter(|_| limiter.allows(source.ip(), Instant::now()));
        // What does not go out at once is lost, as with any datagram; clients ask again.
        match answer.map(|answer| socket.try_send_to(&answer, source)) {
            Some(Ok(_)) => counters.answered.inc(),
            Some(Err(_)) | None => counters.ignored.inc(),
        };
    }
}
