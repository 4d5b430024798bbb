//! What only a program can survive.

use std::{future::Future, time::Duration};

use futures::FutureExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    BootstrapSource, ClockOff, DhtMode, EventStream, LookupError, Multiaddr, Peer, PeerEvent,
    PeerId, Profile, Room, Topic, command::Command, error::SayError, platform::Change,
    reason::DocumentFault, snapshot::Status,
};

const DEADLINE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(DEADLINE, future).await;
    result.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

fn topic() -> Topic {
    Topic::new("global-chat").expect("valid")
}

async fn serving(bootstrap: Option<Multiaddr>) -> (Peer, EventStream, Multiaddr) {
    let listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"];
    let (peer, events) = Peer::builder()
        .dht_mode(DhtMode::Server)
        .listen(listen.map(|address| address.parse().expect("valid")))
        .bootstrap(bootstrap.map(BootstrapSource::Address))
        .start()
        .await
        .expect("it starts");
    let mut snapshot = peer.snapshot();
    let listens = snapshot.wait_for(|snapshot| snapshot.addresses.len() >= listen.len());
    let addresses = soon("an address", listens)
        .await
        .expect("it runs")
        .addresses
        .clone();
    let is_tcp = |address: &&Multiaddr| address.to_string().contains("/tcp/");
    let tcp = addresses.iter().find(is_tcp).expect("it listens").clone();
    (peer, events, tcp)
}

async fn connected(peer: &Peer) {
    let mut snapshot = peer.snapshot();
    let connected = snapshot.wait_for(|snapshot| snapshot.status == Status::Connected);
    soon("the DHT", connected).await.expect("it runs");
}

async fn sees(room: &Room, peer: &Peer) {
    let mut members = room.members();
    let is_there =
        members.wait_for(|members| members.iter().any(|member| member.peer == peer.id()));
    soon("the other member", is_there).await.expect("it runs");
}

/// Says it until it is heard.
async fn heard(room: &Room, events: &mut EventStream, text: &str) {
    soon("the message", async {
        loop {
            room.say(text).await.expect("it runs");
            let waiting = tokio::time::timeout(Duration::from_secs(2), async {
                while let Some(event) = events.next().await {
                    if matches!(&event, PeerEvent::RoomMessage(message) if message.text.as_str() == text) {
                        return;
                    }
                }
            });
            if waiting.await.is_ok() {
                return;
            }
        }
    })
    .await;
}

/// As the back/forward cache does with a page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_put_away_is_in_its_rooms_again_at_once() {
    // A presence lives longer than this takes; by its refresh they would see each other in the end.
    const AT_ONCE: Duration = Duration::from_secs(20);
    let (ada, _ada_events, address) = serving(None).await;
    let (bob, mut bob_events, _) = serving(Some(address.clone())).await;
    let profile = |name| Profile::named(name).expect("valid");
    let ada_room = ada.join(topic(), profile("Ada")).await.expect("it runs");
    let bob_room = bob.join(topic(), profile("Bob")).await.expect("it runs");
    connected(&bob).await;
    sees(&ada_room, &bob).await;
    sees(&bob_room, &ada).await;
    heard(&ada_room, &mut bob_events, "before").await;
    for _ in 0..3 {
        for peer in [&ada, &bob] {
            let away = Command::Change(Change::PutAway);
            peer.commands.send(away).await.expect("it runs");
        }
        for room in [&ada_room, &bob_room] {
            let mut members = room.members();
            let nobody = members.wait_for(Vec::is_empty);
            soon("nobody to be there", nobody).await.expect("it runs");
        }
        // In the same millisecond, mostly.
        for peer in [&ada, &bob] {
            let back = Command::Change(Change::Back);
            peer.commands.send(back).await.expect("it runs");
        }
        let both = async {
            sees(&ada_room, &bob).await;
            sees(&bob_room, &ada).await;
        };
        tokio::time::timeout(AT_ONCE, both).await.expect("at once");
    }
    heard(&ada_room, &mut bob_events, "after").await;
    let history = bob_room.history().await;
    let texts = history.iter().map(|message| message.text.as_str());
    let mut texts: Vec<&str> = texts.collect();
    texts.dedup();
    assert_eq!(texts, ["before", "after"]);
    for peer in [ada, bob] {
        soon("the end", peer.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_driver_costs_a_moment_and_neither_identity_nor_address_nor_rooms() {
    let (ada, mut ada_events, address) = serving(None).await;
    let (bob, mut bob_events, bob_address) = serving(Some(address.clone())).await;
    let profile = |name| Profile::named(name).expect("valid");
    let ada_room = ada.join(topic(), profile("Ada")).await.expect("it runs");
    let bob_room = bob.join(topic(), profile("Bob")).await.expect("it runs");
    connected(&bob).await;
    sees(&ada_room, &bob).await;
    sees(&bob_room, &ada).await;
    heard(&ada_room, &mut bob_events, "before").await;

    for fallen in [&bob, &ada] {
        fallen.commands.send(Command::Panic).await.expect("it runs");
        // It comes back with what it had.
        heard(&ada_room, &mut bob_events, "there again").await;
        heard(&bob_room, &mut ada_events, "so am I").await;
    }
    let history = bob_room.history().await;
    assert!(
        history
            .iter()
            .any(|message| message.text.as_str() == "before"),
        "{history:?}"
    );
    for (peer, address) in [(&ada, &address), (&bob, &bob_address)] {
        let mut snapshot = peer.snapshot();
        let listens = snapshot.wait_for(|snapshot| snapshot.addresses.contains(address));
        soon("the old address", listens).await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_panics_again_and_again_stops() {
    let (peer, mut events, _) = serving(None).await;
    let room = peer.join(topic(), Profile::named("Ada").expect("valid"));
    let room = room.await.expect("it runs");
    for _ in 0..=moim_connection_guard::RESTARTS_MAX {
        peer.commands.send(Command::Panic).await.expect("it runs");
    }
    soon("the end", async { while events.next().await.is_some() {} }).await;
    assert_eq!(room.say("hello").await, Err(SayError::Stopped));
    let found = peer.lookup(topic(), Duration::ZERO).await;
    assert!(matches!(found, Err(LookupError::Stopped)), "{found:?}");
}

#[tokio::test]
async fn a_document_is_fetched_where_the_url_says_and_nowhere_else() {
    let here = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
    let url = format!("http://127.0.0.1:{}/bootstrap.json", port(&here));
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/goform/reboot?x\r\nContent-Length: 0\r\n\r\n",
        port(&elsewhere)
    );
    let serving = tokio::spawn(async move {
        let (mut asker, _) = here.accept().await.expect("a request");
        asker.read_u8().await.expect("a request");
        asker.write_all(answer.as_bytes()).await.expect("answered");
        asker
    });
    let fetched = soon("an answer", super::fetch(url)).await;
    assert_eq!(fetched, Err(DocumentFault::Redirect));
    let call = elsewhere.accept().now_or_never();
    assert!(call.is_none(), "the redirect was followed");
    serving.abort();
}

/// Nothing but a document needs to be had of a node for that: it may be full, or away.
#[tokio::test]
async fn a_document_tells_that_the_clock_is_wrong() {
    let node = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = node.local_addr().expect("bound").port();
    let id = PeerId::random();
    let document =
        format!(r#"{{"peer_id":"{id}","addresses":["/ip4/127.0.0.1/tcp/{port}/ws/p2p/{id}"]}}"#);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    );
    let serving = tokio::spawn(async move {
        loop {
            let (mut asker, _) = node.accept().await.expect("a request");
            asker.read_u8().await.expect("a request");
            // Whoever dials instead has nothing of it.
            let _ = asker.write_all(answer.as_bytes()).await;
        }
    });
    let source = format!("http://127.0.0.1:{port}/bootstrap.json");
    let (_peer, mut events) = Peer::builder()
        .bootstrap([source.parse().expect("a URL")])
        .start()
        .await
        .expect("starts");
    let told = async {
        loop {
            if let PeerEvent::ClockChanged(off) = events.next().await.expect("it runs") {
                return off;
            }
        }
    };
    let off = soon("that the clock is off", told).await;
    assert!(matches!(off, Some(ClockOff::Ahead { .. })), "{off:?}");
    serving.abort();
}
