//! Says who is in a topic, without joining it.
//!
//! `cargo run --example who -- http://127.0.0.1:8470/bootstrap.json global-chat`

#![allow(clippy::print_stdout, reason = "it is what this program is for")]

use std::{env, error::Error, time::Duration};

use moim_peer::Peer;

/// At most so long; it ends earlier when nobody new turns up.
const WAIT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(bootstrap), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("usage: who BOOTSTRAP TOPIC".into());
    };
    let bootstrap = bootstrap.parse()?;
    let (peer, _) = Peer::builder().bootstrap([bootstrap]).start().await?;
    for member in peer.lookup(topic.parse()?, WAIT).await? {
        println!("{} {}", member.peer, member.name);
    }
    peer.stop().await;
    Ok(())
}
