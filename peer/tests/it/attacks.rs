//! Members of a room with a hostile one among them. The figures of docs/security.md are printed with
//! `--no-capture`.

mod honest;
mod made_up;
mod stranger;

use std::time::Instant;

use libp2p::identity::Keypair;
use moim_peer::{PeerEvent, RoomMessage, limits};
use serde_json::{Value, json};

use self::{
    honest::{Honest, heard},
    stranger::{Stranger, at_most, body, control, field},
};
use crate::common::TestPeer;

/// What questions of one were answered with.
#[derive(Default)]
struct Answers {
    given: usize,
    /// Of those that were given.
    bytes: usize,
    /// Told to wait.
    busy: usize,
}

impl Answers {
    /// Counts one that is of the type `given`, or tells to wait.
    fn count(&mut self, answer: &Value, given: &str) {
        match (answer["type"].as_str(), answer["code"].as_str()) {
            (Some(kind), _) if kind == given => {
                self.given += 1;
                self.bytes += answer.to_string().len();
            }
            (_, Some("busy")) => self.busy += 1,
            _ => panic!("{answer}"),
        }
    }
}

/// What was heard in rooms until a direct message came, which is sent after everything else.
async fn heard_until(peer: &mut TestPeer, last: &str) -> Vec<RoomMessage> {
    peer.expect(last, |event| match event {
        PeerEvent::DirectMessage(message) if message.text.as_str() == last => Some(()),
        _ => None,
    })
    .await;
    std::mem::take(&mut peer.seen)
        .into_iter()
        .filter_map(|event| match event {
            PeerEvent::RoomMessage(message) => Some(message),
            _ => None,
        })
        .collect()
}

/// Whether the stranger's next text reaches `peer`. What was sent on a connection before a request
/// has been read when that is answered.
async fn is_heard(stranger: &mut Stranger, peer: &mut TestPeer, text: &str) -> bool {
    let to = peer.peer.id();
    stranger.say(to, text).await;
    let last = format!("after {text}");
    for _ in 0..4 {
        stranger.sync(to).await;
    }
    let answer = stranger.send(to, &last).await;
    assert_eq!(answer["type"], "accepted", "{answer}");
    let heard = heard_until(peer, &last).await;
    heard.iter().any(|message| message.text.as_str() == text)
}

/// Waits until nothing of the stranger is taken any more.
async fn until_deaf(stranger: &mut Stranger, peer: &mut TestPeer) {
    let mut number = 0;
    while is_heard(stranger, peer, &format!("heard {number}?")).await {
        number += 1;
        assert!(number < 200, "still listened to");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_version_says_goes_through_members_that_do_not_know_it() {
    const LATER: u32 = 40;
    let mut honest = Honest::meet("later").await;
    let (ada, bob) = (honest.ada.peer.id(), honest.bob.peer.id());
    // Ada is the only one who hears the first, and Bob who speaks to the last.
    let mut first = Stranger::start("later", &[&honest.ada]).await;
    let mut last = Stranger::start("later", &[&honest.bob]).await;
    // What it says comes after its GRAFT, on the same stream.
    last.join(bob, "Leo").await;
    assert!(is_heard(&mut last, &mut honest.bob, "I listen").await);
    first.join(ada, "Faye").await;
    for number in 0..LATER {
        let later = match number % 2 {
            0 => json!({"v": 1, "type": "reaction", "to": number, "with": "♥"}),
            _ => json!({"v": 2, "type": "text", "number": number, "text": ["♥"]}),
        };
        first.publish(ada, &body(later)).await;
    }
    honest.welcome().await;
    // More than may be invalid, and still everybody is listened to: Faye by Ada, Ada by Bob.
    first.say(ada, "hello").await;
    let shown = heard(&mut honest.bob, "hello").await;
    assert_eq!(shown.from, first.id());
    heard(&mut honest.ada, "hello").await;
    honest.talk("still here").await;
    // The newcomer passes things on too, so that what was said later may be here first.
    last.hears(bob, "♥".as_bytes(), LATER as usize).await;
    last.hears(bob, b"still here", 2).await;
    assert_eq!(last.heard(bob, "♥".as_bytes()), LATER as usize);
    assert_eq!(last.heard(bob, b"\"hello\""), 1);
    for room in [&honest.ada_room, &honest.bob_room] {
        let texts = room.history().await;
        assert!(
            texts.iter().all(|said| !said.text.as_str().contains('♥')),
            "shown"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_what_is_invalid_is_not_listened_to_and_its_neighbours_are() {
    let mut honest = Honest::meet("invalid").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("invalid", &[&honest.ada]).await;
    let mut beside = Stranger::start("invalid", &[&honest.ada]).await;
    for (stranger, name) in [(&mut hostile, "Mallory"), (&mut beside, "Nia")] {
        stranger.join(ada, name).await;
        assert!(is_heard(stranger, &mut honest.ada, "a valid one").await);
    }
    let attack = async |number: usize| {
        let invalid = match number % 4 {
            0 => body(json!({"v": 1, "type": "text", "number": number})),
            1 => body(json!({"v": "1", "type": "later", "number": number})),
            2 => format!("{number}, which is no body").into_bytes(),
            _ => body(json!({"v": 1, "type": "presence", "presence": format!("{number:04}")})),
        };
        hostile.publish(ada, &invalid).await;
    };
    honest.withstand(20, attack).await;
    assert!(!is_heard(&mut hostile, &mut honest.ada, "a valid one again").await);
    assert!(is_heard(&mut beside, &mut honest.ada, "from the same address").await);
    honest.talk("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_forges_signatures_is_not_listened_to() {
    let mut honest = Honest::meet("forged").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("forged", &[&honest.ada]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "a valid one").await);
    let data = hostile.text("not Ada's words");
    let attack = async |_: usize| {
        let author = Keypair::generate_ed25519();
        let mut frame = hostile.published(&author, &data);
        if let Some(last) = frame.last_mut() {
            *last ^= 1;
        }
        hostile.gossip(ada, &frame).await;
    };
    honest.withstand(20, attack).await;
    assert!(!is_heard(&mut hostile, &mut honest.ada, "a valid one again").await);
    honest.talk("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_promises_messages_and_never_sends_them_is_not_listened_to() {
    let mut honest = Honest::meet("promises").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("promises", &[&honest.ada]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "a valid one").await);
    let topic = hostile.gossip_topic();
    let mut promised = 0_u64;
    let mut promise = async |hostile: &mut Stranger| {
        // IHAVE (1): the topic (1), and ids (2) of what there is to ask for.
        let mut ihave = field(1, topic.as_bytes());
        for _ in 0..10 {
            promised += 1;
            ihave.extend(field(2, &promised.to_be_bytes()));
        }
        hostile.gossip(ada, &control(&field(1, &ihave))).await;
        promised
    };
    let attack = async |_: usize| {
        promise(&mut hostile).await;
    };
    honest.withstand(2_000, attack).await;
    let promised = loop {
        let mut promised = 0;
        for _ in 0..2_000 {
            promised = promise(&mut hostile).await;
        }
        if !is_heard(&mut hostile, &mut honest.ada, &format!("{promised}")).await {
            break promised;
        }
        assert!(promised < 20_000_000, "still listened to");
    };
    println!(" | {promised} ids promised");
    honest.talk("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_the_mesh_again_and_again_is_not_listened_to() {
    let mut honest = Honest::meet("grafts").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("grafts", &[&honest.ada]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "a valid one").await);
    let topic = field(1, hostile.gossip_topic().as_bytes());
    // PRUNE (4), after which a peer stays out of the mesh for a minute, and GRAFT (3).
    hostile.gossip(ada, &control(&field(4, &topic))).await;
    let attack = async |_: usize| hostile.gossip(ada, &control(&field(3, &topic))).await;
    honest.withstand(200, attack).await;
    // Topics without end are not remembered, and questions for what there is not cost nothing.
    for number in 0..200 {
        let other = format!("/moim/room/1/{number:064x}");
        let subscription = [vec![1 << 3, 1], field(2, other.as_bytes())].concat();
        let iwant = field(2, &field(1, format!("{number}").as_bytes()));
        let frames = [stranger::frame(&field(1, &subscription)), control(&iwant)];
        hostile.gossip(ada, &frames.concat()).await;
    }
    until_deaf(&mut hostile, &mut honest.ada).await;
    honest.talk("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_speaker_has_a_share_of_a_room() {
    const TEXTS: usize = 3_000;
    let mut honest = Honest::meet("loud").await;
    let (ada, bob) = (honest.ada.peer.id(), honest.bob.peer.id());
    let mut hostile = Stranger::start("loud", &[&honest.ada]).await;
    let quiet = Stranger::start("loud", &[&honest.bob]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "first").await);
    let began = Instant::now();
    let attack = async |number: usize| hostile.say(ada, &format!("{number:08192}")).await;
    let said = honest.withstand(TEXTS, attack).await;
    let answer = hostile.send(ada, "that was all").await;
    assert_eq!(answer["type"], "accepted");
    let mut texts = heard_until(&mut honest.ada, "that was all").await;
    texts.retain(|message| message.from == hostile.id());
    let took = began.elapsed();
    let bytes: usize = texts
        .iter()
        .map(|message| message.text.as_str().len())
        .sum();
    let share = limits::TALK_PER_AUTHOR;
    println!(
        " | one speaker, {said} texts of 8 KiB in {:.1} s: {} heard, {} KiB",
        took.as_secs_f64(),
        texts.len(),
        bytes / 1024
    );
    assert!(texts.len() >= 32, "an honest burst: {}", texts.len());
    assert!(
        bytes <= at_most(share.bytes.burst, share.bytes.per_second, took),
        "{bytes} bytes in {took:?}"
    );
    // What Ada has not heard she has not passed on.
    honest.talk("still here").await;
    let passed_on = 8_192 * quiet.heard(bob, b"\"Mallory\"");
    let took = began.elapsed();
    assert!(
        passed_on <= at_most(share.bytes.burst, share.bytes.per_second, took),
        "{passed_on} bytes in {took:?}"
    );
    let kept = honest.ada_room.history().await;
    let kept: usize = kept.iter().map(|message| message.text.as_str().len()).sum();
    assert!(kept <= limits::CONVERSATION_BYTES_MAX, "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_speakers_by_one_connection_have_a_share_together() {
    const SPEAKERS: usize = 400;
    const EACH: usize = 8;
    let mut honest = Honest::meet("crowd").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("crowd", &[&honest.ada]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "first").await);
    let began = Instant::now();
    let attack = async |_: usize| {
        let speaker = Keypair::generate_ed25519();
        for number in 0..EACH {
            let data = hostile.text(&format!("crowd {number:02048}"));
            let frame = hostile.published(&speaker, &data);
            hostile.gossip(ada, &frame).await;
        }
    };
    let speakers = honest.withstand(SPEAKERS, attack).await;
    // Meanwhile: the half that strangers leave is for those one is connected to.
    honest.talk("through the crowd").await;
    let answer = hostile.send(ada, "that was all").await;
    assert_eq!(answer["type"], "accepted");
    let mut crowd = heard_until(&mut honest.ada, "that was all").await;
    crowd.retain(|message| message.text.as_str().starts_with("crowd"));
    let took = began.elapsed();
    let kept = honest.ada_room.history().await;
    let bytes: usize = kept.iter().map(|message| message.text.as_str().len()).sum();
    assert!(bytes <= limits::CONVERSATION_BYTES_MAX, "{bytes}");
    let (share, crowd) = (limits::ROOM_TALK, crowd.len());
    println!(
        " | {speakers} speakers by one connection, {EACH} texts each in {:.1} s: {crowd} heard",
        took.as_secs_f64()
    );
    assert!(crowd <= at_most(share.things.burst / 2, share.things.per_second, took));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_presence_again_and_again_is_passed_on_within_its_share() {
    const PRESENCES: usize = 1_000;
    let mut honest = Honest::meet("fidget").await;
    let (ada, bob) = (honest.ada.peer.id(), honest.bob.peer.id());
    let mut hostile = Stranger::start("fidget", &[&honest.ada]).await;
    let quiet = Stranger::start("fidget", &[&honest.bob]).await;
    hostile.join(ada, "Mallory").await;
    assert!(is_heard(&mut hostile, &mut honest.ada, "first").await);
    let fidget = Keypair::generate_ed25519();
    let began = Instant::now();
    let attack = async |number: usize| {
        let presence = hostile.presence(&fidget, "Fidget", 1 + number as u64);
        hostile.publish(ada, &presence).await;
    };
    let presences = honest.withstand(PRESENCES, attack).await;
    assert_eq!(hostile.send(ada, "all").await["type"], "accepted");
    honest.talk("still here").await;
    quiet.hears(bob, b"still here", 2).await;
    let passed_on = quiet.heard(bob, b"\"type\":\"presence\"");
    let took = began.elapsed();
    let share = limits::PRESENCES_PER_PEER.things;
    println!(
        " | {presences} presences of one peer in {:.1} s: {passed_on} passed on",
        took.as_secs_f64()
    );
    // With those of Ada, Bob and Mallory.
    assert!(passed_on <= at_most(share.burst, share.per_second, took) + 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_messages_of_one_are_kept_within_bounds_and_the_rest_is_told_to_wait() {
    const MESSAGES: usize = 600;
    let mut honest = Honest::meet("direct").await;
    let ada = honest.ada.peer.id();
    let mut hostile = Stranger::start("direct", &[&honest.ada]).await;
    let long = "x".repeat(limits::TEXT_BYTES_MAX);
    let began = Instant::now();
    let mut answers = Answers::default();
    let attack = async |_: usize| answers.count(&hostile.send(ada, &long).await, "accepted");
    let messages = honest.withstand(MESSAGES, attack).await;
    let took = began.elapsed();
    let (accepted, busy) = (answers.given, answers.busy);
    let kept = honest.ada.peer.conversation(hostile.id()).await;
    let kept: usize = kept.iter().map(|message| message.text.as_str().len()).sum();
    let share = limits::DIRECT_PER_PEER;
    println!(
        " | {messages} direct messages of 16 KiB in {:.1} s: {accepted} accepted, {busy} told to \
         wait, {} KiB kept",
        took.as_secs_f64(),
        kept / 1024
    );
    let bytes = at_most(share.bytes.burst, share.bytes.per_second, took);
    assert!(accepted * long.len() <= bytes, "{accepted} in {took:?}");
    assert!((60..messages).contains(&accepted), "{accepted}");
    assert!(kept <= limits::CONVERSATION_BYTES_MAX, "{kept}");
    let bob = honest.bob.peer.send(ada, "hello, Ada").await;
    bob.expect("others are heard");
    honest.talk("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_given_to_one_within_bounds_and_to_others_meanwhile() {
    const QUESTIONS: usize = 2_000;
    let mut honest = Honest::meet("lists").await;
    let ada = honest.ada.peer.id();
    let hostile = Stranger::start("lists", &[&honest.ada]).await;
    let began = Instant::now();
    let mut answers = Answers::default();
    let attack = async |_: usize| answers.count(&hostile.sync(ada).await, "members");
    let questions = honest.withstand(QUESTIONS, attack).await;
    let took = began.elapsed();
    let (lists, bytes, busy) = (answers.given, answers.bytes, answers.busy);
    println!(
        " | {questions} questions for the list of members in {:.1} s: {lists} lists, {} KiB, {busy} \
         told to wait",
        took.as_secs_f64(),
        bytes / 1024
    );
    let share = limits::LISTS_PER_PEER.things;
    assert!(lists <= at_most(share.burst, share.per_second, took));
    assert!(lists >= share.burst as usize, "{lists}");
    let beside = Stranger::start("lists", &[&honest.ada]).await;
    assert_eq!(beside.sync(ada).await["type"], "members");
    honest.talk("still here").await;
}

/// Two strangers say of honest members, again and again, that they may be gone. That takes nobody off a list, and they
/// are not listened to any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_that_others_are_gone_takes_nobody_off_a_list() {
    const DOUBTS: usize = 30;
    let mut honest = Honest::meet("doubts").await;
    let (ada, bob) = (honest.ada.peer.id(), honest.bob.peer.id());
    let mut strangers = [
        Stranger::start("doubts", &[&honest.ada]).await,
        Stranger::start("doubts", &[&honest.ada]).await,
    ];
    let mut listener = Stranger::start("doubts", &[&honest.bob]).await;
    listener.join(bob, "Leo").await;
    assert!(is_heard(&mut listener, &mut honest.bob, "I listen").await);
    for (stranger, name) in strangers.iter_mut().zip(["Mallory", "Mick"]) {
        stranger.join(ada, name).await;
        assert!(is_heard(stranger, &mut honest.ada, "I am here").await);
    }
    honest.ada.seen.clear();
    honest.bob.seen.clear();
    honest
        .withstand(DOUBTS, async |number| {
            for stranger in &mut strangers {
                for peer in [ada, bob] {
                    let sequence = limits::INTEGER_MAX - number as u64;
                    let doubt = json!({
                        "v": 1, "type": "doubt", "peer": peer.to_string(), "sequence": sequence,
                    });
                    stranger.publish(ada, &body(doubt)).await;
                }
            }
        })
        .await;
    let left = [&honest.ada, &honest.bob].map(|peer| {
        let left = peer.seen.iter();
        left.filter(|event| matches!(event, PeerEvent::MemberLeft { .. }))
            .count()
    });
    assert_eq!(left, [0, 0]);
    assert!(honest.are_connected());
    honest.talk("still here").await;
}
