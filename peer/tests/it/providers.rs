//! What programs provide and find in the DHT.

use moim_peer::{LookupError, Peer, ProtocolName, ProvideError, ProviderKey, limits};
use n0_future::time::timeout;

use crate::common::{PATIENCE, TestPeer, peer, server, test};

#[test]
async fn who_provides_something_is_found_and_called() {
    let (_server, source) = server().await;
    let (ada, bob, eve) = (
        peer(&source).await,
        peer(&source).await,
        peer(&source).await,
    );
    let key = ProviderKey::of("providers/1/mirror");
    let other = ProviderKey::of("providers/2/mirror");
    ada.peer.provide(key).await.expect("told");
    ada.peer.provide(key).await.expect("once more is no error");
    bob.peer.provide(key).await.expect("told");
    let mut found = eve.peer.providers(key).await.expect("answered");
    found.sort();
    let mut expected = [ada.peer.id(), bob.peer.id()];
    expected.sort();
    assert_eq!(found, expected);
    let found = ada.peer.providers(key).await.expect("answered");
    assert_eq!(found, [bob.peer.id()], "without oneself");
    assert_eq!(eve.peer.providers(other).await.expect("answered"), []);

    // Nothing but the DHT has told her where he is.
    let protocol: ProtocolName = "mirror/1".parse().expect("valid");
    let mut incoming = bob.peer.accept(protocol.clone()).expect("free");
    let opening = timeout(PATIENCE, eve.peer.open(bob.peer.id(), protocol));
    let stream = opening.await.expect("in time").expect("opens");
    let came = timeout(PATIENCE, incoming.next()).await.expect("in time");
    assert_eq!(came.expect("a stream").peer(), eve.peer.id());
    drop(stream);
}

#[test]
async fn a_peer_provides_so_much_and_nothing_without_the_dht() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    for number in 0..limits::PROVIDED_MAX {
        let key = ProviderKey::of(number.to_be_bytes());
        ada.peer.provide(key).await.expect("told");
    }
    let more = ProviderKey::of("one more");
    let max = limits::PROVIDED_MAX;
    let error = ada.peer.provide(more).await.unwrap_err();
    assert_eq!(error, ProvideError::TooMany { max });
    ada.peer
        .stop_providing(ProviderKey::of(0_usize.to_be_bytes()))
        .await;
    ada.peer.provide(more).await.expect("there is room");

    let alone = TestPeer::start(Peer::builder()).await;
    let error = alone.peer.provide(more).await.unwrap_err();
    assert!(matches!(error, ProvideError::NotConnected(_)), "{error:?}");
    let error = alone.peer.providers(more).await.unwrap_err();
    assert!(matches!(error, LookupError::NotConnected(_)), "{error:?}");
}
