//! A bot: joins a topic and says again what begins with `!echo `, until Ctrl-C.
//!
//! `cargo run --example bot -- http://127.0.0.1:8470/bootstrap.json global-chat`

use std::{env, error::Error};

use moim_peer::{Peer, PeerEvent, Profile};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(bootstrap), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bot BOOTSTRAP TOPIC".into());
    };
    let bootstrap = bootstrap.parse()?;
    let (peer, _) = Peer::builder().bootstrap([bootstrap]).start().await?;
    let room = peer
        .join(topic.parse()?, Profile::named("Echo bot")?)
        .await?;
    let mut events = room.events();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(PeerEvent::RoomMessage(message)) => {
                    if let Some(text) = message.text.as_str().strip_prefix("!echo ") {
                        room.say(text).await?;
                    }
                }
                Some(_) => {}
                None => return Err("the peer has stopped".into()),
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    room.leave().await;
    Ok(())
}
