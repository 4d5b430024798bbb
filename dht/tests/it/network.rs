//! What kad does with the settings and the store.

use std::time::Instant;

use futures::future;
use libp2p::{
    Multiaddr, PeerId,
    identity::Keypair,
    kad::{
        self, ProviderRecord, PutRecordError, QueryResult, Quorum, Record, store::RecordStore as _,
    },
    swarm::SwarmEvent,
};
use moim_protocol::{
    limits,
    presence::{State, presence_record_key},
    record,
};

use crate::node::{Node, meanwhile, topic, wall};

#[tokio::test]
async fn an_acknowledged_presence_is_found_at_once_and_a_left_ends_it() {
    let (mut server, address) = Node::server().await;
    let (mut member, mut seeker) = (Node::client(), Node::client());
    member.join(&mut server, &address).await;
    seeker.join(&mut server, &address).await;

    for (state, sequence) in [(State::Here, 1), (State::Left, 2)] {
        let record = member.presence(sequence, state);
        member.kad().put_record(record, Quorum::One).unwrap();
        let stored = member.result(|result, _| match result {
            QueryResult::PutRecord(result) => Some(result),
            _ => None,
        });
        meanwhile(stored, &mut server).await.unwrap();

        let found = seeker.providers(&mut server).await;
        assert_eq!(
            found.contains(&member.id()),
            state == State::Here,
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn an_invalid_record_is_not_acknowledged() {
    let (mut server, address) = Node::server().await;
    let mut client = Node::client();
    client.join(&mut server, &address).await;

    let good = client.presence(1, State::Here);
    let mut forged = good.clone();
    *forged.value.last_mut().unwrap() ^= 1;
    let mut elsewhere = good.clone();
    elsewhere.key = b"/somewhere/else".to_vec().into();
    let mut of_somebody_else = good.clone();
    of_somebody_else.key = presence_record_key(topic(), &server.id()).into();
    let huge = Record::new(good.key.to_vec(), vec![b'x'; 15_000]);

    // All at once: each takes its time-out.
    let records = [forged, elsewhere, of_somebody_else, huge];
    let count = records.len();
    for record in records {
        let to = vec![server.id()];
        client
            .kad()
            .put_record_to(record, to.into_iter(), Quorum::One);
    }
    let mut refused = 0;
    let all_refused = client.result(|result, _| {
        if let QueryResult::PutRecord(result) = result {
            let error = result.unwrap_err();
            let PutRecordError::QuorumFailed { success, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(success, []);
            refused += 1;
        }
        (refused == count).then_some(())
    });
    meanwhile(all_refused, &mut server).await;
    assert_eq!(server.kad().store_mut().stats().records, 0);
    assert_eq!(server.kad().store_mut().stats().refused_total, 4);
}

#[tokio::test]
async fn refusals_are_told_at_once_and_cost_neither_streams_nor_the_connection() {
    let (mut server, address) = Node::server().await;
    let mut client = Node::client();
    client.join(&mut server, &address).await;

    // More than kad takes streams at one time. What gets no answer takes its time-out.
    const RECORDS: usize = 80;
    let started = Instant::now();
    let server_id = server.id();
    let refused_before = client.presence(1, State::Here);
    for n in 0..RECORDS {
        let mut record = match n % 2 {
            0 => Record::new(format!("/nobody/knows/{n}").into_bytes(), vec![]),
            _ => refused_before.clone(),
        };
        *record.value.last_mut().unwrap_or(&mut 0) ^= 1;
        // kad acknowledges what names the server, if it is let to.
        record.publisher = Some(server_id);
        client
            .kad()
            .put_record_to(record, std::iter::once(server_id), Quorum::One);
    }
    let mut refused = 0;
    let all_refused = client.until(|event| {
        match event {
            SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                result: QueryResult::PutRecord(result),
                ..
            }) => {
                result.unwrap_err();
                refused += 1;
            }
            SwarmEvent::ConnectionClosed { .. } => panic!("the connection was closed"),
            _ => {}
        }
        (refused == RECORDS).then_some(())
    });
    meanwhile(all_refused, &mut server).await;
    assert!(started.elapsed() < moim_dht::REQUEST_TIMEOUT);
    assert_eq!(
        server.kad().store_mut().stats().refused_total,
        RECORDS as u64
    );

    let record = client.presence(1, State::Here);
    client.kad().put_record(record, Quorum::One).unwrap();
    let stored = client.result(|result, _| match result {
        QueryResult::PutRecord(result) => Some(result),
        _ => None,
    });
    meanwhile(stored, &mut server).await.unwrap();
}

#[tokio::test]
async fn providers_are_not_dialled_for_a_query_as_if_they_were_servers() {
    let (mut server, address) = Node::server().await;
    // Somebody who would notice: a server by itself, but nobody here knows that.
    let (mut provider, provider_address) = Node::server().await;
    let record = ProviderRecord::new(
        topic().provider_key(),
        provider.id(),
        vec![provider_address.with_p2p(provider.id()).unwrap()],
    );
    server.kad().store_mut().add_provider(record).unwrap();

    let mut seeker = Node::client();
    seeker.join(&mut server, &address).await;
    let found = {
        let search = seeker.providers(&mut server);
        let visited = provider.until(|event| match event {
            SwarmEvent::IncomingConnection { .. } => Some(()),
            _ => None,
        });
        match future::select(std::pin::pin!(search), std::pin::pin!(visited)).await {
            future::Either::Left((found, _)) => found,
            future::Either::Right(((), _)) => panic!("the provider was dialled"),
        }
    };
    assert!(found.contains(&provider.id()));
    // Where it is was known as long as the query ran.
    assert_eq!(seeker.kad().addresses_of(provider.id()), []);
}

/// Fills the server's routing table with peers that announce more than anybody needs.
fn fill_table(server: &mut Node) {
    for _ in 0..200 {
        let peer = PeerId::random();
        let announced: Vec<Multiaddr> = (0..50)
            .map(|n| {
                format!("/ip4/192.0.2.{n}/udp/8469/webrtc-direct")
                    .parse()
                    .unwrap()
            })
            .collect();
        for address in moim_dht::table_addresses(&announced, None) {
            server.kad().add_address(&peer, address);
        }
    }
}

#[tokio::test]
async fn of_a_thousand_providers_every_answer_shows_some_and_the_newcomer() {
    let (mut server, address) = Node::server().await;
    fill_table(&mut server);
    for _ in 0..1000 {
        let provider = PeerId::random();
        let addresses = (0..8)
            .map(|n| {
                format!("/ip4/192.0.2.{n}/tcp/8469/ws/p2p/{provider}")
                    .parse()
                    .unwrap()
            })
            .collect();
        let record = ProviderRecord::new(topic().provider_key(), provider, addresses);
        server.kad().store_mut().add_provider(record).unwrap();
    }
    let newcomer = Node::client();
    server
        .kad()
        .store_mut()
        .put(newcomer.presence(1, State::Here))
        .unwrap();

    let mut seeker = Node::client();
    seeker.join(&mut server, &address).await;
    let first = seeker.providers(&mut server).await;
    assert!(first.contains(&newcomer.id()));
    assert!(first.len() >= 10, "{}", first.len());
    let mut all = first.clone();
    for _ in 0..10 {
        all.extend(seeker.providers(&mut server).await);
    }
    assert!(
        all.len() > first.len() + 20,
        "{} after {}",
        all.len(),
        first.len()
    );
}

#[tokio::test]
async fn the_largest_value_comes_through_beside_a_full_routing_table() {
    let (mut server, address) = Node::server().await;
    fill_table(&mut server);
    let publisher = Keypair::generate_ed25519();
    let key = "k".repeat(limits::RECORD_KEY_BYTES_MAX);
    let record = record::Record {
        key: key.parse().unwrap(),
        // Two quotation marks are part of the JSON.
        value: "v".repeat(limits::RECORD_VALUE_BYTES_MAX - 2).into(),
        publisher: publisher.public().to_peer_id(),
        sequence: 1,
        issued: wall(),
        expires: wall().saturating_add(limits::RECORD_TTL_DEFAULT),
    };
    let record = Record::new(
        record::record_key(&key),
        record.sign(&publisher).unwrap().into_bytes(),
    );
    server.kad().store_mut().put(record.clone()).unwrap();

    let mut seeker = Node::client();
    seeker.join(&mut server, &address).await;
    seeker.kad().get_record(record.key.clone());
    let found = seeker.result(|result, is_last| match result {
        QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
            Some(Some(found.record))
        }
        QueryResult::GetRecord(_) if is_last => Some(None),
        _ => None,
    });
    let found = meanwhile(found, &mut server).await.expect("found");
    assert_eq!(found.value, record.value);
    assert_eq!(found.publisher, Some(publisher.public().to_peer_id()));
}

#[tokio::test]
async fn addresses_that_kad_collects_by_itself_are_trimmed() {
    let (mut server, _) = Node::server().await;
    let peer = PeerId::random();
    let last: Multiaddr = "/ip4/192.0.2.99/tcp/1".parse().unwrap();
    for n in 0..=99 {
        let address = format!("/ip4/192.0.2.{n}/tcp/1").parse().unwrap();
        server.kad().add_address(&peer, address);
        server
            .until(|event| match event {
                SwarmEvent::Behaviour(kad::Event::RoutingUpdated { .. }) => Some(()),
                _ => None,
            })
            .await;
    }
    let bucket = server.kad().kbucket(peer).unwrap();
    let entry = bucket.iter().next().unwrap();
    let addresses = entry.node.value;
    let bytes: usize = addresses.iter().map(Multiaddr::len).sum();
    assert!(bytes <= moim_dht::TABLE_ADDRESSES_BYTES_MAX, "{bytes}");
    assert!(
        addresses
            .iter()
            .any(|a| *a == last.clone().with_p2p(peer).unwrap())
    );
}

#[tokio::test]
async fn whoever_asks_too_fast_loses_the_connection_whatever_it_asks() {
    const AT_ONCE: usize = 30;
    type Ask = fn(&mut Node, PeerId, Record);
    let kinds: [(&str, Ask); 3] = [
        ("GET_VALUE", |client, _, _| {
            client.kad().get_record(b"menu".to_vec().into());
        }),
        ("GET_PROVIDERS", |client, _, _| {
            client.kad().get_providers(topic().provider_key().into());
        }),
        ("PUT_VALUE", |client, server, record| {
            client
                .kad()
                .put_record_to(record, std::iter::once(server), Quorum::One);
        }),
    ];
    let (mut server, address) = Node::server().await;
    for (kind, ask) in kinds {
        let before = server.kad().over_rate_total();
        let mut client = Node::client();
        client.join(&mut server, &address).await;
        // The same again and again, which is acknowledged every time.
        let (id, record) = (server.id(), client.presence(1, State::Here));
        let (mut answered, mut is_closed) = (0, false);
        while !is_closed {
            for _ in 0..AT_ONCE {
                ask(&mut client, id, record.clone());
            }
            let mut open = AT_ONCE;
            let some = client.until(|event| {
                match event {
                    SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { step, .. })
                        if step.last =>
                    {
                        open -= 1;
                    }
                    SwarmEvent::ConnectionClosed { .. } => is_closed = true,
                    _ => {}
                }
                (open == 0 || is_closed).then_some(())
            });
            meanwhile(some, &mut server).await;
            answered += AT_ONCE - open;
        }
        assert!(server.kad().over_rate_total() > before, "{kind}");
        let burst = moim_dht::REQUESTS_PER_PEER.burst as usize;
        assert!(answered + AT_ONCE > burst, "{kind}: {answered}");
    }
}

#[tokio::test]
async fn long_answers_are_counted_for_more() {
    const AT_ONCE: usize = 30;
    let (mut server, address) = Node::server().await;
    let mut client = Node::client();
    client.join(&mut server, &address).await;
    let issued = wall();
    let value = record::Record {
        key: "long".parse().unwrap(),
        value: serde_json::json!("x".repeat(limits::RECORD_VALUE_BYTES_MAX - 2)),
        publisher: client.id(),
        sequence: 1,
        issued,
        expires: issued.saturating_add(limits::RECORD_TTL_MIN),
    };
    let signed = value.sign(&client.keypair).unwrap().into_bytes();
    let bytes = signed.len();
    let record = Record::new(record::record_key("long"), signed);
    client.kad().put_record(record, Quorum::One).unwrap();
    let stored = client.result(|result, _| match result {
        QueryResult::PutRecord(result) => Some(result),
        _ => None,
    });
    meanwhile(stored, &mut server).await.unwrap();

    let (mut answered, mut is_closed) = (0, false);
    while !is_closed {
        for _ in 0..AT_ONCE {
            client.kad().get_record(record::record_key("long").into());
        }
        let mut open = AT_ONCE;
        let some = client.until(|event| {
            match event {
                SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                    result, step, ..
                }) => {
                    answered += usize::from(matches!(
                        result,
                        QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(_)))
                    ));
                    open -= usize::from(step.last);
                }
                SwarmEvent::ConnectionClosed { .. } => is_closed = true,
                _ => {}
            }
            (open == 0 || is_closed).then_some(())
        });
        meanwhile(some, &mut server).await;
    }
    // At once, and what comes back while the test asks.
    let at_once = moim_dht::REQUESTS_PER_PEER.burst as usize * 4096;
    assert!(
        answered * bytes < at_once * 2,
        "{answered} answers of {bytes} bytes"
    );
    assert!(
        answered * bytes > at_once / 2,
        "{answered} answers of {bytes} bytes"
    );
}
