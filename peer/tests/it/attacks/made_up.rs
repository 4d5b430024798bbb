//! Members that do not exist, what somebody else has signed, and what honest neighbours pass on of all that.

use std::time::{Duration, Instant};

use libp2p::{Multiaddr, identity::Keypair};
use moim_peer::{PeerId, Topic, limits};
use moim_protocol::{names, presence::State};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle, time::MissedTickBehavior};

use super::{
    Answers,
    honest::{Honest, said_in},
    is_heard,
    stranger::{Stranger, at_most, body, wall},
};

/// More than a room lists.
const MADE_UP: usize = limits::MEMBERS_MAX + 100;

fn make_up() -> Vec<Keypair> {
    (0..MADE_UP).map(|_| Keypair::generate_ed25519()).collect()
}

/// Says in turn of each made-up member that it is there, again and again.
async fn tell_of(hostile: &mut Stranger, to: PeerId, made_up: &[Keypair], number: usize) {
    let who = &made_up[number % made_up.len()];
    let sequence = 1 + (number / made_up.len()) as u64;
    let presence = hostile.presence(who, "Nobody", sequence);
    let frame = hostile.published(who, &presence);
    hostile.gossip(to, &frame).await;
}

/// The data of a presence in a message unlike any other.
fn again(presence: &str, number: usize, padding: usize) -> Vec<u8> {
    let padding = "x".repeat(padding);
    let again = format!(
        r#"{{"v":1,"type":"presence","n":{number},"x":"{padding}","presence":"{presence}"}}"#
    );
    again.into_bytes()
}

/// A presence that Ada knows.
async fn known_to(stranger: &Stranger, ada: PeerId) -> String {
    let list = stranger.sync(ada).await;
    let presence = list["members"][0]["presence"].as_str();
    presence.expect("Ada lists herself").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_members_hide_nobody_and_close_no_connection() {
    // Longer than a connection has to be there before it may be closed, and until somebody looks.
    const LASTS: Duration = Duration::from_secs(17);
    let mut honest = Honest::meet("made up").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("made up", &[&honest.ada]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "first").await);
    let made_up = make_up();
    let began = Instant::now();
    let mut step = async |number: usize| tell_of(&mut hostile, ada, &made_up, number).await;
    let mut steps = honest.withstand(MADE_UP, &mut step).await;
    let members = honest.ada_room.members().borrow().len();
    assert!(members <= limits::MEMBERS_MAX, "{members}");
    // Each lives on, as long as it lasts, at the pace of a full room.
    let mut pace = tokio::time::interval(Duration::from_millis(43));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < LASTS {
        pace.tick().await;
        step(steps).await;
        steps += 1;
    }
    assert!(honest.are_connected());
    honest.withstand(1, step).await;
    for (from, to) in [
        (&honest.ada_room, &honest.bob_room),
        (&honest.bob_room, &honest.ada_room),
    ] {
        from.say("still here").await.expect("said");
        said_in(to, "still here").await;
    }
    println!(" | {steps} presences of {MADE_UP} made-up members: {members} listed");
}

/// Listens, and says nothing to whoever comes.
async fn silent() -> (JoinHandle<()>, Multiaddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let listening = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(connection) = listener.accept().await {
            kept.push(connection);
        }
    });
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    (listening, address.parse().expect("valid"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_members_at_addresses_where_nobody_answers_hide_nobody() {
    let (silent, nowhere) = silent().await;
    let mut honest = Honest::meet("nowhere").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("nowhere", &[&honest.ada]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "first").await);
    hostile.elsewhere = vec![nowhere];
    let made_up = make_up();
    let mut step = async |number: usize| tell_of(&mut hostile, ada, &made_up, number).await;
    let mut steps = honest.withstand(MADE_UP, &mut step).await;
    // And in the full room.
    steps += honest.withstand(1, step).await;
    println!(" | {steps} presences of {MADE_UP} made-up members where nobody answers");
    assert!(honest.are_connected());
    honest.talk("still here").await;
    silent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_has_signed_is_passed_on_within_its_share() {
    const REPLAYS: usize = 5_000;
    let mut honest = Honest::meet("replays").await;
    let (ada, bob) = (honest.ada.peer.id(), honest.bob.peer.id());
    let mut hostile = Stranger::start("replays", &[&honest.ada]).await;
    let mut nia = Stranger::start("replays", &[&honest.ada]).await;
    let quiet = Stranger::start("replays", &[&honest.bob]).await;
    let beside = Stranger::start("replays", &[&honest.ada]).await;
    for (stranger, name) in [(&mut hostile, "Mallory"), (&mut nia, "Nia")] {
        stranger.join(ada, name).await;
        assert!(is_heard(stranger, &mut honest.ada, "first").await);
    }
    let presence = known_to(&hostile, ada).await;
    // What one says again has a share like anything else of one.
    let began = Instant::now();
    for number in 0..100 {
        hostile.publish(ada, &again(&presence, number, 0)).await;
    }
    assert!(is_heard(&mut hostile, &mut honest.ada, "by one").await);
    honest.talk("after one").await;
    quiet.hears(bob, b"after one", 2).await;
    let by_one = quiet.heard(bob, b"\"n\":");
    let share = limits::PRESENCES_PER_PEER.things;
    assert!(by_one <= at_most(share.burst, share.per_second, began.elapsed()));
    // And what many say again, like anything of strangers.
    let began = Instant::now();
    let attack = async |number: usize| {
        let data = again(&presence, 1_000 + number, 0);
        let frame = hostile.published(&Keypair::generate_ed25519(), &data);
        hostile.gossip(ada, &frame).await;
    };
    let replays = honest.withstand(REPLAYS, attack).await;
    // Meanwhile what a member signs is passed on by those whom it is connected to.
    let key = nia.keypair().clone();
    let news = nia.presence(&key, "Nia herself", wall());
    nia.publish(ada, &news).await;
    assert!(is_heard(&mut nia, &mut honest.ada, "after it").await);
    honest.talk("still here").await;
    quiet.hears(bob, b"still here", 2).await;
    let passed_on = quiet.heard(bob, b"\"n\":") - by_one;
    let took = began.elapsed();
    println!(
        " | {replays} times what somebody else has signed in {:.1} s: {passed_on} passed on; of 100 by one {by_one}",
        took.as_secs_f64()
    );
    let share = limits::ROOM_PRESENCES.things;
    assert!(passed_on <= at_most(share.burst / 2, share.per_second, took));
    beside.hears(ada, &news, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_left_comes_back_whatever_is_shown_of_before() {
    let mut honest = Honest::meet("return").await;
    let (ada, bob) = (honest.ada.peer.id(), honest.bob.peer.id());
    let mut hostile = Stranger::start("return", &[&honest.ada]).await;
    let quiet = Stranger::start("return", &[&honest.bob]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "first").await);
    // Somebody whom Ada knows by gossip alone was here, and has left.
    let carol = Keypair::generate_ed25519();
    for (sequence, state) in [(1, State::Here), (2, State::Left)] {
        let presence = hostile.presence_of(&carol, "Carol", sequence, state);
        let frame = hostile.published(&carol, &presence);
        hostile.gossip(ada, &frame).await;
    }
    let before = hostile.presence_text(&carol, "Carol", 1, State::Here);
    let attack = async |number: usize| {
        let data = again(&before, number, 0);
        let frame = hostile.published(&Keypair::generate_ed25519(), &data);
        hostile.gossip(ada, &frame).await;
    };
    honest.withstand(100, attack).await;
    let back = hostile.presence(&carol, "Carol", 3);
    let frame = hostile.published(&carol, &back);
    hostile.gossip(ada, &frame).await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "after it").await);
    honest.talk("still here").await;
    quiet.hears(bob, b"still here", 2).await;
    // She is back.
    quiet.hears(bob, &back, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_passes_on_a_flood_of_many_rooms_is_listened_to() {
    const ROOMS: usize = 6;
    // As much as Ada passes on of a room at once, in messages as large as can be.
    const OF_A_ROOM: usize = 160;
    const PADDING: usize = 40_000;
    let mut honest = Honest::meet("room 0").await;
    let ada = honest.ada.peer.id();
    let mut rooms = Vec::new();
    for number in 1..ROOMS {
        let topic = format!("room {number}");
        rooms.push(honest.ada.join(&topic, "Ada").await);
        rooms.push(honest.bob.join(&topic, "Bob").await);
    }
    let mut hostile = Vec::new();
    for number in 0..ROOMS {
        let mut stranger = Stranger::start(&format!("room {number}"), &[&honest.ada]).await;
        stranger.join(ada, "Mallory").await;
        assert!(is_heard(&mut stranger, &mut honest.ada, "first").await);
        hostile.push(stranger);
    }
    let began = Instant::now();
    honest.talk("before").await;
    let in_quiet = began.elapsed();
    let padding = "x".repeat(PADDING);
    let attack = async |number: usize| {
        let author = Keypair::generate_ed25519();
        for stranger in &mut hostile {
            let presence = stranger.presence_text(&author, "Nobody", 1, State::Here);
            let later = json!({"v": 1, "type": "later", "number": number, "x": padding});
            for data in [again(&presence, number, PADDING), body(later)] {
                let frame = stranger.published(&author, &data);
                stranger.gossip(ada, &frame).await;
            }
        }
    };
    honest.withstand(OF_A_ROOM, attack).await;
    let began = Instant::now();
    honest.talk("still here").await;
    let took = began.elapsed();
    // Gossip has brought it; what was missed is asked for much later.
    assert!(took <= in_quiet * 3 + Duration::from_secs(2), "{took:?}");
    println!(
        " | {ROOMS} rooms that two share flooded at once: heard after {} ms, in quiet {} ms",
        took.as_millis(),
        in_quiet.as_millis()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_brings_more_than_a_room_has_is_not_listened_to() {
    let mut honest = Honest::meet("torrent").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("torrent", &[&honest.ada]).await;
    let mut beside = Stranger::start("torrent", &[&honest.ada]).await;
    for (stranger, name) in [(&mut hostile, "Mallory"), (&mut beside, "Nia")] {
        stranger.join(ada, name).await;
        assert!(is_heard(stranger, &mut honest.ada, "first").await);
    }
    let padding = "x".repeat(48_000);
    let share = limits::GOSSIP_PER_NEIGHBOUR.bytes;
    let enough = share.burst as usize / padding.len() + 1;
    let later = |number| body(json!({"v": 1, "type": "later", "number": number, "x": padding}));
    let attack = async |number: usize| hostile.publish(ada, &later(number)).await;
    let mut messages = honest.withstand(enough, attack).await;
    // Its share grows again while it is asked whether it is heard.
    while is_heard(&mut hostile, &mut honest.ada, &format!("after {messages}")).await {
        for _ in 0..enough / 4 {
            messages += 1;
            hostile.publish(ada, &later(messages)).await;
        }
        assert!(messages < 20 * enough, "still listened to");
    }
    println!(" | {messages} messages of 48 KB by one neighbour: not listened to");
    assert!(is_heard(&mut beside, &mut honest.ada, "another neighbour").await);
    honest.talk("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_given_to_one_within_bounds_and_to_others_meanwhile() {
    const QUESTIONS: usize = 800;
    let mut honest = Honest::meet("missed").await;
    let ada = honest.ada.peer.id();
    let hostile = Stranger::start("missed", &[&honest.ada]).await;
    let topic = Topic::new("missed").expect("valid").hash().to_hex();
    let nothing = json!({"session": 0, "sequence": 0});
    let question = body(json!({
        "v": 1, "type": "catch_up", "topic": topic, "said": nothing, "known": nothing,
        "member_for": 3_600_000,
    }));
    let began = Instant::now();
    let mut answers = Answers::default();
    let attack = async |_: usize| {
        let answer = hostile.ask(ada, names::MESSAGE_PROTOCOL, &question).await;
        answers.count(&answer, "missed");
    };
    let questions = honest.withstand(QUESTIONS, attack).await;
    let took = began.elapsed();
    let (given, bytes, busy) = (answers.given, answers.bytes, answers.busy);
    println!(
        " | {questions} questions for what was missed in {:.1} s: {given} answered, {} KiB, {busy} \
         told to wait",
        took.as_secs_f64(),
        bytes / 1024
    );
    let share = limits::CATCH_UP_PER_PEER;
    assert!(given <= at_most(share.things.burst, share.things.per_second, took));
    assert!(given >= share.things.burst as usize, "{given}");
    let beside = Stranger::start("missed", &[&honest.ada]).await;
    let answer = beside.ask(ada, names::MESSAGE_PROTOCOL, &question).await;
    assert_eq!(answer["type"], "missed", "{answer}");
    honest.talk("still here").await;
}
