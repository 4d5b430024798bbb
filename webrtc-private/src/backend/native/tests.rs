use std::{future::Future, pin::Pin, time::Duration};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    future::{Either, join, poll_fn, select, try_join},
};
use libp2p_core::{StreamMuxer as _, muxing::StreamMuxerExt as _};

use super::*;
use crate::{
    Connection as Muxer, ConnectionError, Reachable, Role, Stream, backend::CloseReason, session,
    testing::pipe,
};

mod third_party;

const TIMEOUT: Duration = Duration::from_secs(10);

type NativeMuxer = Muxer<Connection>;

fn connection() -> Connection {
    Native
        .connection(&[], &Reachable::default())
        .expect("in a runtime")
}

async fn connected() -> (NativeMuxer, NativeMuxer) {
    connect(connection(), connection()).await
}

async fn connect(offerer: Connection, answerer: Connection) -> (NativeMuxer, NativeMuxer) {
    // With RUST_LOG set, a failing test shows what happened.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let (left, right) = pipe();
    let offer = session::connect(offerer, left, Role::Offerer, TIMEOUT, Reachable::default());
    let answer = session::connect(
        answerer,
        right,
        Role::Answerer,
        TIMEOUT,
        Reachable::default(),
    );
    // The answerer has to be driven until the offerer has settled, as a swarm does.
    let (offer, (_, answerer)) = match select(Box::pin(offer), Box::pin(answer)).await {
        Either::Right((answered, offer)) => (offer, answered),
        Either::Left(_) => panic!("the answerer is ready first"),
    };
    let mut answerer = answerer.expect("connects");
    let (_, offerer) = drive_one(&mut answerer, offer).await;
    (offerer.expect("connects"), answerer)
}

/// Drives both connections until `task` is done.
async fn drive<T>(
    left: &mut NativeMuxer,
    right: &mut NativeMuxer,
    task: impl Future<Output = T>,
) -> T {
    let driver = poll_fn(|cx| {
        for muxer in [&mut *left, &mut *right] {
            let _ = Pin::new(muxer).poll(cx);
        }
        Poll::<()>::Pending
    });
    match select(std::pin::pin!(task), driver).await {
        Either::Left((value, _)) => value,
        Either::Right(((), _)) => unreachable!("never ends"),
    }
}

async fn drive_one<T>(muxer: &mut NativeMuxer, task: impl Future<Output = T>) -> T {
    let driver = poll_fn(|cx| {
        let _ = muxer.poll_unpin(cx);
        Poll::<()>::Pending
    });
    match select(std::pin::pin!(task), driver).await {
        Either::Left((value, _)) => value,
        Either::Right(((), _)) => unreachable!("never ends"),
    }
}

async fn streams(
    left: &mut NativeMuxer,
    right: &mut NativeMuxer,
) -> (Stream<Channel>, Stream<Channel>) {
    let mut opened = poll_fn(|cx| left.poll_outbound_unpin(cx))
        .await
        .expect("opens");
    // The other side hears of it with the first bytes at the latest.
    opened.write_all(b"?").await.expect("writes");
    let mut taken = poll_fn(|cx| {
        let _ = left.poll_unpin(cx);
        right.poll_inbound_unpin(cx)
    })
    .await
    .expect("comes");
    let mut first = [0];
    drive(left, right, taken.read_exact(&mut first))
        .await
        .expect("reads");
    assert_eq!(&first, b"?");
    (opened, taken)
}

/// Both sides say that they have said all, and hear it of each other.
async fn close_both(one: &mut Stream<Channel>, other: &mut Stream<Channel>) {
    let close = async {
        try_join(one.close(), other.close()).await?;
        let mut rest = Vec::new();
        one.read_to_end(&mut rest).await?;
        other.read_to_end(&mut rest).await
    };
    close.await.expect("closes");
}

#[tokio::test]
async fn two_programs_talk_over_streams_that_close_by_halves() {
    let (mut left, mut right) = connected().await;
    let (mut asks, mut answers) = streams(&mut left, &mut right).await;
    let talk = async {
        let ask = async {
            asks.write_all(b"who is there?").await?;
            asks.close().await?;
            let mut answer = Vec::new();
            asks.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = async {
            let mut question = Vec::new();
            answers.read_to_end(&mut question).await?;
            answers.write_all(&question.repeat(2)).await?;
            answers.close().await?;
            Ok(question)
        };
        try_join(ask, answer).await
    };
    let (answer, question) = drive(&mut left, &mut right, talk).await.expect("talk");
    assert_eq!(question, b"who is there?");
    assert_eq!(answer, question.repeat(2));
}

#[tokio::test]
async fn of_somebody_unknown_little_is_kept() {
    let other = connection();
    let shared = other.0.clone();
    let (mut left, mut right) = connect(connection(), other).await;
    let mut pairs = Vec::new();
    for _ in 0..4 {
        pairs.push(streams(&mut left, &mut right).await);
    }
    let begin = shared.with(0, |agent| agent.closed_count());
    // Nobody reads on the other side.
    let much = vec![7; 256 * 1024];
    let is_there = |is_there: &dyn Fn(&Agent) -> bool| {
        let is_there = shared.with(false, |agent| is_there(agent));
        if is_there {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    };
    let until = async |wanted: &dyn Fn(&Agent) -> bool| {
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            is_there(wanted)
        })
        .await;
    };
    let write = async {
        let (writer, _) = &mut pairs[0];
        writer.write_all(&much).await.expect("writes");
        until(&|agent| agent.unread() >= much.len()).await;
    };
    drive(&mut left, &mut right, write).await;
    let before = shared.with(0, |agent| agent.unread());
    shared.with((), Agent::distrust);
    let write = async {
        for (writer, _) in &mut pairs[1..] {
            writer.write_all(&much).await.expect("writes");
        }
        until(&|agent| agent.closed_count() == begin + 3).await;
    };
    drive(&mut left, &mut right, write).await;
    let unread = shared.with(0, |agent| agent.unread());
    assert_eq!(unread, before, "there is more than there may be already");
}

#[tokio::test]
async fn much_data_comes_whole_and_in_order() {
    const BYTES: usize = 8 * 1024 * 1024;
    let (mut left, mut right) = connected().await;
    let (mut writer, mut reader) = streams(&mut left, &mut right).await;
    let data: Vec<u8> = (0..BYTES).map(|at| (at / 7 % 251) as u8).collect();
    let transfer = async {
        let write = async {
            writer.write_all(&data).await?;
            writer.close().await
        };
        let mut received = Vec::with_capacity(BYTES);
        try_join(write, reader.read_to_end(&mut received)).await?;
        Ok::<_, std::io::Error>(received)
    };
    let received = drive(&mut left, &mut right, transfer)
        .await
        .expect("transfers");
    assert!(
        received == data,
        "{} bytes, not what was sent",
        received.len()
    );
}

#[tokio::test]
async fn streams_leave_nothing_behind() {
    let (mut left, mut right) = connected().await;
    for _ in 0..300 {
        let (mut one, mut other) = streams(&mut left, &mut right).await;
        drive(&mut left, &mut right, close_both(&mut one, &mut other)).await;
    }
    let gone = poll_fn(|cx| {
        for muxer in [&mut left, &mut right] {
            let _ = muxer.poll_unpin(cx);
        }
        let is_empty = |muxer: &NativeMuxer| muxer.peer().0.lock().channel_count() == 0;
        if is_empty(&left) && is_empty(&right) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    tokio::time::timeout(TIMEOUT, gone)
        .await
        .expect("all channels are gone in time");
}

#[tokio::test]
async fn an_old_handle_does_no_harm_to_the_channel_that_has_its_stream_id() {
    let (mut left, mut right) = connected().await;
    let mut held = Vec::new();
    // More than there are stream ids.
    for _ in 0..600 {
        let (mut one, mut other) = streams(&mut left, &mut right).await;
        drive(&mut left, &mut right, close_both(&mut one, &mut other)).await;
        held.push(other);
    }
    let (mut one, mut other) = streams(&mut left, &mut right).await;
    drop(held);
    for round in 0..200 {
        let (said, mut heard) = ([round], [0]);
        let talk = try_join(one.write_all(&said), other.read_exact(&mut heard));
        drive(&mut left, &mut right, talk).await.expect("goes on");
        assert_eq!(heard, said);
    }
}

#[tokio::test]
async fn who_goes_away_is_missed_at_once() {
    let (left, mut right) = connected().await;
    drop(left);
    let missed = poll_fn(|cx| right.poll_unpin(cx).map(|event| event.map(|_| ())));
    let error = tokio::time::timeout(Duration::from_secs(1), missed)
        .await
        .expect("within a second")
        .expect_err("over");
    assert!(
        matches!(error, ConnectionError::Closed(CloseReason::Closed)),
        "{error}"
    );
}

/// A connection that describes itself with another one's fingerprint.
struct Impostor(Connection, String);

impl Impostor {
    fn disguise(&self, sdp: String) -> String {
        let lines = sdp.lines().map(|line| {
            if line.starts_with("a=fingerprint:") {
                self.1.clone()
            } else {
                line.to_owned()
            }
        });
        lines.map(|line| line + "\r\n").collect()
    }
}

impl PeerConnection for Impostor {
    type Channel = Channel;

    fn open_channel(&mut self, label: &str) -> Result<Channel, BackendError> {
        self.0.open_channel(label)
    }

    fn open_negotiated(&mut self, id: u16) -> Result<Channel, BackendError> {
        self.0.open_negotiated(id)
    }

    fn create_offer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        self.0.create_offer()
    }

    fn create_answer(&mut self) -> BoxFuture<'static, Result<String, BackendError>> {
        self.0.create_answer()
    }

    fn set_local(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        self.0.set_local(kind, sdp)
    }

    fn local_description(&self) -> Option<String> {
        self.0.local_description()
    }

    /// What the other side said, with the wrong fingerprint.
    fn set_remote(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> BoxFuture<'static, Result<(), BackendError>> {
        let sdp = self.disguise(sdp);
        self.0.set_remote(kind, sdp)
    }

    fn add_candidate(&mut self, json: String) -> BoxFuture<'static, Result<(), BackendError>> {
        self.0.add_candidate(json)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<Channel>> {
        self.0.poll_event(cx)
    }

    fn trust(&mut self) {
        self.0.trust();
    }

    fn close(&mut self) {
        self.0.close();
    }
}

#[tokio::test]
async fn somebody_elses_certificate_is_not_taken() {
    let mut other = connection();
    other.open_channel("any").expect("opens");
    let sdp = other.create_offer().await.expect("a description");
    let fingerprint = sdp.lines().find(|line| line.starts_with("a=fingerprint:"));
    let fingerprint = fingerprint.expect("a fingerprint").to_owned();
    let (left, right) = pipe();
    let deceived = Impostor(connection(), fingerprint);
    let ((report, deceived), _) = join(
        session::connect(deceived, left, Role::Offerer, TIMEOUT, Reachable::default()),
        session::connect(
            connection(),
            right,
            Role::Answerer,
            TIMEOUT,
            Reachable::default(),
        ),
    )
    .await;
    let error = deceived.expect_err("not connected");
    assert_eq!(report.step, crate::Step::Connecting, "{error}");
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let error = Native
        .connection(&[], &Reachable::default())
        .expect_err("no sockets");
    assert!(error.to_string().contains("tokio"), "{error}");
}

#[tokio::test]
async fn a_panic_ends_the_connection_and_nothing_else() {
    let (mut left, mut right) = connected().await;
    let (mut one, mut other) = streams(&mut left, &mut right).await;
    left.peer().0.with((), |_| panic!("as a protocol may"));
    let error = poll_fn(|cx| left.poll_unpin(cx)).await.expect_err("over");
    assert!(
        matches!(error, ConnectionError::Closed(CloseReason::Closed)),
        "{error}"
    );
    one.write_all(b"into nothing").await.expect_err("over");
    one.read(&mut [0]).await.expect_err("over");
    poll_fn(|cx| left.poll_outbound_unpin(cx))
        .await
        .expect_err("over");
    drop(left);
    // The other side hears nothing of it, and goes on until it finds out.
    drive_one(&mut right, other.write_all(b"is anybody there?"))
        .await
        .expect("sends");
}

#[tokio::test]
async fn candidates_that_cannot_be_are_refused() {
    let mut connection = connection();
    for candidate in [
        "",
        "{}",
        r#"{"candidate":""}"#,
        r#"{"candidate":"candidate:1 999 udp 0 192.0.2.1 9 typ host","sdpMid":"0"}"#,
        r#"{"candidate":"candidate:1 0 udp 0 192.0.2.1 9 typ host","sdpMid":"0"}"#,
        r#"{"candidate":"candidate:1","sdpMid":"0"}"#,
    ] {
        let added = connection.add_candidate(candidate.to_owned()).await;
        added.expect_err(candidate);
    }
    connection.create_offer().await.expect("it goes on");
}
