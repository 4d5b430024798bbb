//! What only a page can show.

use moim_peer::{DirectTransport, Path, Reach};

use crate::common::{peer, server, test};

#[test]
async fn pages_become_directly_connected() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let bob = peer(&source).await;
    let ada_room = ada.join("close", "Ada").await;
    let bob_room = bob.join("close", "Bob").await;
    for (peer, room) in [(&ada, &ada_room), (&bob, &bob_room)] {
        peer.members(room, "reached directly", |members| {
            members.iter().any(|member| {
                matches!(
                    member.reach,
                    Reach::Connected(Path::Direct(DirectTransport::WebRtc))
                )
            })
        })
        .await;
    }
    let receipt = ada
        .peer
        .send(bob.peer.id(), "hello")
        .await
        .expect("delivered");
    assert_eq!(receipt.path, Path::Direct(DirectTransport::WebRtc));
}
