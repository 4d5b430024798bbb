//! Who is there: joining, leaving, vanishing, and finding each other by the DHT alone.

use std::time::{Duration, Instant};

use moim_e2e::{
    BootstrapNode, LEFT_WITHIN, PATIENCE, Signal, Terminal, TerminalBuilder, Transport, member_ids,
    see_each_other, topic,
};

/// A presence short enough to watch it run out.
const SHORT_LIFETIME: Duration = Duration::from_secs(8);

/// Time in which a killed peer is gone: QUIC notices after 10 s that nobody is there, then it has 5 s to be back.
const LOST_WITHIN: Duration = Duration::from_secs(20);

/// Starts a room with one peer that goes and two that watch.
fn watched(
    node: &BootstrapNode,
    about: &str,
    lifetime: Option<Duration>,
) -> (Terminal, [Terminal; 2]) {
    let topic = topic(about);
    let watchers = [("tcp", Transport::Tcp), ("quic", Transport::Quic)]
        .map(|(name, transport)| Terminal::join(&topic, name, node.address(transport)));
    let mut goer =
        TerminalBuilder::new(&topic, "goer").bootstrap(node.address(Transport::WebSocket));
    if let Some(lifetime) = lifetime {
        goer = goer.presence_lifetime(lifetime);
    }
    let goer = goer.start();
    see_each_other(&[&watchers[0], &watchers[1], &goer]);
    (goer, watchers)
}

/// A way to go properly: `go` makes the peer leave, and the others know it in time.
fn shows_a_leave(about: &str, go: impl Fn(&mut Terminal)) {
    let node = BootstrapNode::start();
    let (mut goer, watchers) = watched(&node, about, None);
    let marks = watchers.each_ref().map(Terminal::mark);
    let went = Instant::now();
    go(&mut goer);
    for (watcher, mark) in watchers.iter().zip(marks) {
        let (at, reason) = watcher.loses(mark, goer.peer_id(), PATIENCE);
        let took = at.saturating_duration_since(went);
        assert!(
            took <= LEFT_WITHIN,
            "{} notices after {took:?}",
            watcher.name()
        );
        assert_eq!(reason, "left");
    }
    let status = goer.process().wait(PATIENCE);
    assert!(status.success(), "leaving is a success: {status}");

    // The DHT took the word too: whoever asks now is not sent to someone who is gone.
    let late = TerminalBuilder::new(watchers[0].topic(), "late")
        .bootstrap(node.address(Transport::Tcp))
        .no_gossip()
        .start();
    for watcher in &watchers {
        late.sees_by(watcher.peer_id(), late.started() + PATIENCE);
    }
    let ghost = late
        .events_of("member_joined")
        .into_iter()
        .find(|event| event.text("peer") == goer.peer_id());
    assert!(ghost.is_none(), "{ghost:?}");
}

#[test]
fn a_leave_by_command_shows_at_once() {
    shows_a_leave("leave", |goer| {
        goer.command(&serde_json::json!({"cmd": "leave"}))
    });
}

#[test]
fn a_leave_by_interrupt_shows_at_once() {
    shows_a_leave("interrupt", |goer| goer.process().signal(Signal::Interrupt));
}

#[test]
fn a_leave_by_terminate_shows_at_once() {
    shows_a_leave("terminate", |goer| goer.process().signal(Signal::Terminate));
}

#[test]
fn the_end_of_input_is_a_leave() {
    shows_a_leave("eof", |goer| goer.process().close_input());
}

#[test]
fn a_killed_peer_is_gone_long_before_its_presence_runs_out() {
    let node = BootstrapNode::start();
    let (goer, watchers) = watched(&node, "kill", None);
    let gone = goer.peer_id().to_owned();
    // Whoever was never connected to it cannot notice, and leaves it to the presence.
    for watcher in &watchers {
        watcher.is_connected_to(&gone);
    }
    let marks = watchers.each_ref().map(Terminal::mark);
    let killed = Instant::now();
    goer.kill();
    for (watcher, mark) in watchers.iter().zip(marks) {
        let (at, reason) = watcher.loses(mark, &gone, PATIENCE);
        let took = at.saturating_duration_since(killed);
        assert!(
            took <= LOST_WITHIN,
            "{} notices after {took:?}",
            watcher.name()
        );
        assert_eq!(reason, "lost");
    }
}

#[test]
fn a_peer_that_stands_still_for_a_while_is_back_at_once() {
    let node = BootstrapNode::start();
    let (mut goer, watchers) = watched(&node, "pause", None);
    let mark = watchers[0].mark();
    goer.process().signal(Signal::Stop);
    // Its kernel takes connections all the while, so that it takes long to be sure.
    let (_, reason) = watchers[0].loses(mark, goer.peer_id(), 3 * PATIENCE);
    assert_eq!(reason, "lost");
    let mark = watchers[0].mark();
    goer.process().signal(Signal::Continue);
    let goes_on = Instant::now();
    let back = watchers[0].wait_until(mark, goes_on + PATIENCE, |event| {
        event.kind() == "member_joined" && event.text("peer") == goer.peer_id()
    });
    let back = back.expect("it is back");
    let took = back.at.saturating_duration_since(goes_on);
    assert!(took <= LOST_WITHIN, "back after {took:?}");
}

#[test]
fn a_peer_that_stays_is_not_lost_when_its_presence_would_run_out() {
    let node = BootstrapNode::start();
    let (goer, watchers) = watched(&node, "renew", Some(SHORT_LIFETIME));
    // Nothing else tells that nothing happens: two whole lifetimes of it.
    let until = Instant::now() + SHORT_LIFETIME * 2;
    let lost = watchers[0].wait_until(0, until, |event| event.kind() == "member_left");
    assert!(lost.is_none(), "{lost:?}");
    assert!(watchers[1].events_of("member_left").is_empty());
    drop(goer);
}

#[test]
fn a_peer_that_comes_back_is_the_same_member() {
    let node = BootstrapNode::start();
    let (goer, watchers) = watched(&node, "return", None);
    let marks = watchers.each_ref().map(Terminal::mark);
    let id = goer.peer_id().to_owned();
    let data = goer.kill();

    let mut again = TerminalBuilder::new(watchers[0].topic(), "goer again")
        .bootstrap(node.address(Transport::Tcp))
        .data(data)
        .start();
    assert_eq!(again.peer_id(), id, "the identity is in the data directory");
    for watcher in &watchers {
        again.sees_by(watcher.peer_id(), again.started() + PATIENCE);
    }
    again.say("back");
    for watcher in &watchers {
        watcher.hears(&id, "back");
    }
    let went = Instant::now();
    assert!(again.leave().success());
    for (watcher, mark) in watchers.iter().zip(marks) {
        let (at, reason) = watcher.loses(mark, &id, PATIENCE);
        assert_eq!(reason, "left");
        assert!(at.saturating_duration_since(went) <= LEFT_WITHIN);
    }
}

/// The number of processes is what two cores carry beside other tests; that 60 announcers, half of
/// them made up, hide nobody is shown in the peer's own tests, where a peer is not a process.
#[test]
fn a_late_joiner_finds_everybody_by_the_dht_alone() {
    const EARLIER: usize = 24;
    let node = BootstrapNode::start();
    let topic = topic("late");
    let join = |name: String| {
        let transport = if name.len().is_multiple_of(2) {
            Transport::Tcp
        } else {
            Transport::Quic
        };
        TerminalBuilder::new(&topic, &name)
            .bootstrap(node.address(transport))
            .no_gossip()
    };
    let mut earlier: Vec<_> = (0..EARLIER)
        .map(|number| join(format!("peer {number}")).launch())
        .collect();
    for peer in &mut earlier {
        peer.read_ready();
    }
    // Everybody has announced itself once somebody knows of all.
    let ids = member_ids(&earlier);
    for id in &ids[1..] {
        earlier[0].sees_by(id, Instant::now() + PATIENCE);
    }

    let late = join("the late one".to_owned()).start();
    for id in &ids {
        late.sees_by(id, late.started() + PATIENCE);
    }
    let seen = late.events_of("member_joined").len();
    assert_eq!(seen, EARLIER, "each once");
    let slowest = late
        .events_of("member_joined")
        .into_iter()
        .map(|event| event.at)
        .max();
    let took = slowest.map(|at| at.saturating_duration_since(late.started()));
    println!("{EARLIER} members found in {took:?}");
}

#[test]
fn a_process_that_ends_while_others_join_harms_nobody() {
    let node = BootstrapNode::start();
    let topic = topic("churn");
    let stays = Terminal::join(&topic, "stays", node.address(Transport::Tcp));
    for round in 0..6 {
        let comer = TerminalBuilder::new(&topic, &format!("comer {round}"))
            .bootstrap(node.address(Transport::Quic))
            .presence_lifetime(SHORT_LIFETIME)
            .launch();
        // Killed somewhere in the middle of starting, dialling, joining: each time elsewhere.
        let moment = Instant::now() + Duration::from_millis(150 * round);
        comer.wait_until(0, moment, |_| false);
        comer.kill();
    }
    let mut after = Terminal::join(&topic, "after", node.address(Transport::Quic));
    see_each_other(&[&stays, &after]);
    after.say("well?");
    stays.hears(after.peer_id(), "well?");
}
