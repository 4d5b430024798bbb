use std::io;

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    executor::block_on,
    future::{Either, join, select},
};
use libp2p_core::{StreamMuxer as _, muxing::StreamMuxerExt as _};

use super::*;
use crate::{
    backend::{
        Backend as _, CloseReason, SelectedPair,
        mock::{MockConnection, Network, World},
    },
    report::Failure,
    stream::Stream,
    testing::pipe,
};

const TIMEOUT: Duration = Duration::from_secs(20);

type Muxer = Connection<MockConnection>;
type MockStream = Stream<crate::backend::mock::MockChannel>;

fn connected(world: &World) -> (Muxer, Muxer) {
    let (left, right) = pipe();
    let offer = connect(
        world.connection(&[], &Reachable::default()).unwrap(),
        left,
        Role::Offerer,
        TIMEOUT,
        Reachable::default(),
    );
    let answer = connect(
        world.connection(&[], &Reachable::default()).unwrap(),
        right,
        Role::Answerer,
        TIMEOUT,
        Reachable::default(),
    );
    let ((_, offerer), (_, answerer)) = block_on(join(offer, answer));
    (offerer.unwrap(), answerer.unwrap())
}

/// Drives both connections until `task` is done.
fn drive<T>(left: &mut Muxer, right: &mut Muxer, task: impl Future<Output = T>) -> T {
    let driver = poll_fn(|cx| {
        for muxer in [&mut *left, &mut *right] {
            let _ = Pin::new(muxer).poll(cx);
        }
        Poll::<()>::Pending
    });
    match block_on(select(std::pin::pin!(task), driver)) {
        Either::Left((value, _)) => value,
        Either::Right(((), _)) => unreachable!("never ends"),
    }
}

fn streams(left: &mut Muxer, right: &mut Muxer) -> (MockStream, MockStream) {
    block_on(async {
        let opened = left.next_outbound().await.unwrap();
        (opened, right.next_inbound().await.unwrap())
    })
}

trait MuxerExt {
    async fn next_outbound(&mut self) -> Result<MockStream, crate::ConnectionError>;
    async fn next_inbound(&mut self) -> Result<MockStream, crate::ConnectionError>;
}

impl MuxerExt for Muxer {
    async fn next_outbound(&mut self) -> Result<MockStream, crate::ConnectionError> {
        poll_fn(|cx| self.poll_outbound_unpin(cx)).await
    }

    async fn next_inbound(&mut self) -> Result<MockStream, crate::ConnectionError> {
        poll_fn(|cx| self.poll_inbound_unpin(cx)).await
    }
}

#[test]
fn the_first_channel_is_the_offerers_to_close() {
    let world = World::new(Network::Open, 3);
    let (left, right) = pipe();
    let answer = connect(
        world.connection(&[], &Reachable::default()).unwrap(),
        right,
        Role::Answerer,
        TIMEOUT,
        Reachable::default(),
    );
    let offer = async {
        let peer = world.connection(&[], &Reachable::default()).unwrap();
        let mut session = Session::new(
            peer,
            left,
            Role::Offerer,
            TIMEOUT,
            Candidates::new(Reachable::default()),
        );
        let init = session.peer.open_channel(INIT_LABEL).unwrap();
        let sdp = session.peer.create_offer().await.unwrap();
        session.signaling.queue(&Message::Offer(sdp.clone()));
        let set = session.peer.set_local(SdpKind::Offer, sdp);
        set.await.unwrap();
        let answer = session.description(SdpKind::Answer).await.unwrap();
        session.set_remote(SdpKind::Answer, answer).await.unwrap();
        session.connect().await.unwrap();
        (session, init)
    };
    let ((_, answerer), (_session, mut init)) = block_on(join(answer, offer));
    let mut answerer = answerer.unwrap();
    let mut cx = Context::from_waker(futures::task::noop_waker_ref());
    assert!(Pin::new(&mut answerer).poll(&mut cx).is_pending());
    assert!(init.poll_receive(&mut cx).is_pending(), "it is open");
    assert_eq!(world.open_channels(), 2, "both ends");
    init.close();
    assert!(Pin::new(&mut answerer).poll(&mut cx).is_pending());
    assert_eq!(world.open_channels(), 0);
}

#[test]
fn a_session_tells_whether_a_turn_server_is_in_between() {
    for (network, pair) in [
        (Network::Open, SelectedPair::Direct),
        (Network::Turn, SelectedPair::Turn),
    ] {
        let world = World::new(network, 1);
        let (left, right) = pipe();
        let ends = [(left, Role::Offerer), (right, Role::Answerer)].map(|(stream, role)| {
            let peer = world.connection(&[], &Reachable::default()).unwrap();
            connect(peer, stream, role, TIMEOUT, Reachable::default())
        });
        for (report, connection) in block_on(future::join_all(ends)) {
            assert_eq!(report.selected_pair, Some(pair));
            assert!(connection.is_ok());
        }
    }
}

#[test]
fn two_sides_connect_and_nothing_is_left_of_the_handshake() {
    let world = World::new(Network::Open, 3);
    let (left, right) = connected(&world);
    assert_eq!(world.open_connections(), 2);
    assert_eq!(world.open_channels(), 0, "the first channel is closed");
    drop(left);
    assert_eq!(world.open_connections(), 0, "the other side notices");
    drop(right);
}

#[test]
fn a_request_and_its_answer_with_half_closed_streams() {
    let world = World::new(Network::Open, 1);
    let (mut left, mut right) = connected(&world);
    for round in 0..50_u8 {
        let (mut client, mut server) = streams(&mut left, &mut right);
        let request = vec![round; 40_000];
        let exchange = join(
            async {
                client.write_all(&request).await.unwrap();
                client.close().await.unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).await.unwrap();
                answer
            },
            async {
                let mut heard = Vec::new();
                server.read_to_end(&mut heard).await.unwrap();
                server.write_all(b"got ").await.unwrap();
                server.write_all(&heard).await.unwrap();
                server.close().await.unwrap();
            },
        );
        let (answer, ()) = drive(&mut left, &mut right, exchange);
        assert_eq!(answer, [b"got ".as_slice(), &request].concat());
        drop((client, server));
        let mut turns = 0;
        drive(
            &mut left,
            &mut right,
            poll_fn(|cx| {
                turns += 1;
                cx.waker().wake_by_ref();
                if world.open_channels() == 0 || turns > 1000 {
                    return Poll::Ready(());
                }
                Poll::Pending
            }),
        );
        assert_eq!(world.open_channels(), 0, "round {round}");
    }
}

#[test]
fn a_stream_that_is_dropped_is_reset_for_the_other_side() {
    let world = World::new(Network::Open, 1);
    let (mut left, mut right) = connected(&world);
    let (mut client, server) = streams(&mut left, &mut right);
    drop(server);
    let error = drive(&mut left, &mut right, async {
        let mut buffer = [0; 8];
        client.read(&mut buffer).await.unwrap_err()
    });
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = drive(&mut left, &mut right, client.write_all(b"more")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_sender_waits_while_nothing_goes_out() {
    let world = World::new(Network::Open, 1);
    let (mut left, mut right) = connected(&world);
    let (mut client, mut server) = streams(&mut left, &mut right);
    world.set_stuck(true);
    let waits = poll_fn(|cx| Poll::Ready(Pin::new(&mut client).poll_write(cx, b"x").is_pending()));
    assert!(block_on(waits));
    world.set_stuck(false);
    let heard = drive(&mut left, &mut right, async {
        client.write_all(b"x").await.unwrap();
        let mut heard = [0; 1];
        server.read_exact(&mut heard).await.unwrap();
        heard
    });
    assert_eq!(heard, *b"x");
}

#[test]
fn streams_end_with_their_connection() {
    let world = World::new(Network::Open, 1);
    let (mut left, mut right) = connected(&world);
    let (mut client, _server) = streams(&mut left, &mut right);
    drop(right);
    let mut buffer = [0; 1];
    let error = block_on(client.read(&mut buffer)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let error = block_on(client.write(b"x")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(block_on(left.next_outbound()).is_err());
    assert!(block_on(left.next_inbound()).is_err());
}

/// Both sides' outcome when the network is like that.
fn failed(network: Network, candidates: usize) -> [(Report, Error); 2] {
    let world = World::new(network, candidates);
    let (left, right) = pipe();
    let timeout = Duration::from_millis(50);
    let offer = connect(
        world.connection(&[], &Reachable::default()).unwrap(),
        left,
        Role::Offerer,
        timeout,
        Reachable::default(),
    );
    let answer = connect(
        world.connection(&[], &Reachable::default()).unwrap(),
        right,
        Role::Answerer,
        timeout,
        Reachable::default(),
    );
    let (offerer, answerer) = block_on(join(offer, answer));
    assert_eq!(world.open_connections(), 0, "nothing leaks");
    [offerer, answerer].map(|(report, result)| (report, result.expect_err("no connection")))
}

#[test]
fn failures_name_their_step() {
    for (network, candidates, words) in [
        (Network::Shut, 2, "looking for a way"),
        (Network::Silent, 2, "looking for a way"),
        (Network::Open, 0, "looking for a way"),
    ] {
        let failures = failed(network, candidates);
        let told = failures
            .iter()
            .filter(|(_, error)| error.to_string().contains(words))
            .count();
        assert!(told >= 1, "{failures:?}");
        for (report, error) in failures {
            assert!(report.step >= Step::Describing, "{report:?} {error}");
        }
    }
    let [(report, error), _] = failed(Network::Shut, 1);
    assert_eq!(error.failure(), Failure::IceFailed);
    assert!(report.local.host && report.remote.host);
    assert!(matches!(
        error,
        Error::Closed {
            reason: CloseReason::IceFailed,
            ..
        }
    ));
}

/// What the answering side makes of these bytes from an asking side.
fn answered(messages: &[Message]) -> Error {
    let world = World::new(Network::Open, 1);
    let (mut left, right) = pipe();
    let mut signaling = Signaling::new(&mut left);
    for message in messages {
        signaling.queue(message);
    }
    block_on(poll_fn(|cx| signaling.poll_flush(cx))).unwrap();
    let answer = connect(
        world.connection(&[], &Reachable::default()).unwrap(),
        right,
        Role::Answerer,
        Duration::from_millis(100),
        Reachable::default(),
    );
    let (_, result) = block_on(answer);
    assert_eq!(world.open_connections(), 0, "nothing leaks");
    result.expect_err("refused")
}

#[test]
fn a_side_that_breaks_the_rules_is_refused() {
    let sdp = "v=0\nm=application 9\na=fingerprint:sha-256 5\n".to_owned();
    let candidate = || Message::Candidate(Some(r#"{"candidate":"candidate:1"}"#.to_owned()));
    for (messages, words) in [
        (vec![], "took too long"),
        (vec![Message::Answer(sdp.clone())], "an answer came"),
        (vec![candidate()], "a candidate came"),
        (vec![Message::Offer(String::new())], "one media line"),
        (
            vec![Message::Offer(format!("{sdp}m=audio 1\n"))],
            "one media line",
        ),
        (
            vec![Message::Offer("m=audio 1\n".to_owned())],
            "data channels",
        ),
        (
            vec![Message::Offer("m=application 1\n".to_owned())],
            "fingerprint",
        ),
        (
            vec![Message::Offer(sdp.clone()), Message::Offer(sdp.clone())],
            "an offer came",
        ),
        (
            [
                vec![Message::Offer(sdp.clone())],
                vec![candidate(); CANDIDATES_MAX + 1],
            ]
            .concat(),
            "more than 64",
        ),
        (vec![Message::Offer(sdp)], "took too long"),
    ] {
        let error = answered(&messages).to_string();
        assert!(error.contains(words), "{messages:?}: {error}");
    }
}
