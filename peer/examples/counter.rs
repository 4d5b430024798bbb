//! Joins a topic and says how many members it has whenever that changes, until Ctrl-C.
//!
//! `cargo run --example counter -- http://127.0.0.1:8470/bootstrap.json global-chat`

#![allow(clippy::print_stdout, reason = "it is what this program is for")]

use std::{env, error::Error};

use moim_peer::{Peer, Profile};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(bootstrap), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("usage: counter BOOTSTRAP TOPIC".into());
    };
    let bootstrap = bootstrap.parse()?;
    let (peer, _) = Peer::builder().bootstrap([bootstrap]).start().await?;
    let room = peer
        .join(topic.parse()?, Profile::named("Counter")?)
        .await?;
    // The list is a value that is always there: nothing is counted up and down by events.
    let mut members = room.members();
    let mut last = None;
    loop {
        // The others, and this peer.
        let count = members.borrow_and_update().len() + 1;
        if last != Some(count) {
            println!("{count}");
            last = Some(count);
        }
        tokio::select! {
            changed = members.changed() => changed?,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    room.leave().await;
    Ok(())
}
