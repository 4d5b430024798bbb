//! Peers that are connected by WebSocket and want nothing: how many a server holds, and for how much
//! memory.

use std::time::Duration;

use anyhow::Result;

use super::{
    Bench,
    client::Crowd,
    process::{Server, Subject},
    table::{Aim, Table},
};

/// Sizes of the crowd, one after the other on the same server.
const SIZES: [usize; 3] = [500, 2_000, 10_000];
/// Sizes that js-libp2p is asked for: ten thousand take it minutes.
const SIZES_JS: usize = 2;
/// What bare rust-libp2p needed for each of them when it was first measured, in KiB.
const EACH_MAX: f64 = 52.0;
/// Crowds that come and go, and peers in each.
const CYCLES: usize = 10;
const CYCLE_PEERS: usize = 500;
/// How much more memory than after the first crowd is no growth: allocators take it in steps.
const GROWTH_MAX: f64 = 1.05;
/// Time for what was needed for handshakes alone to be freed.
const SETTLE: Duration = Duration::from_secs(1);

/// Room for the largest crowd.
const FLAGS: [&str; 1] = ["--max-connections=10100"];

fn flags(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Ours => &FLAGS,
        Subject::Bare | Subject::Js => &[],
    }
}

/// Memory of each of so many peers.
pub(super) async fn held(bench: &Bench, round: usize, table: &mut Table) -> Result<()> {
    for subject in bench.order(round) {
        let mut server = Server::start(&bench.programs, subject, flags(subject)).await?;
        let base = server.memory().await?;
        table.add(
            "memory of a server that just started (RSS)",
            "MiB",
            None,
            subject,
            base.rss / 1024.0,
        );
        table.add("the same (PSS)", "MiB", None, subject, base.pss / 1024.0);
        let sizes = match subject {
            Subject::Ours | Subject::Bare => &SIZES[..],
            Subject::Js => &SIZES[..SIZES_JS],
        };
        let mut crowd = Crowd::default();
        for size in sizes.iter().map(|size| bench.scaled(*size)) {
            crowd.grow_to(size, &server).await?;
            tokio::time::sleep(SETTLE).await;
            let memory = server.memory().await?;
            let each = |with: f64, without: f64| (with - without) / size as f64;
            let what = format!("memory of each of {size} idle WebSocket peers");
            let aim = Some(Aim::Most(EACH_MAX));
            table.add(
                format!("{what} (RSS)"),
                "KiB",
                aim,
                subject,
                each(memory.rss, base.rss),
            );
            table.add(
                format!("{what} (PSS)"),
                "KiB",
                None,
                subject,
                each(memory.pss, base.pss),
            );
            let what = format!("of {size} idle WebSocket peers, held");
            let aim = Some(Aim::Least(size as f64));
            table.add(what, "peers", aim, subject, crowd.held() as f64);
        }
        drop(crowd);
        server.stop().await?;
    }
    Ok(())
}

/// What is left of crowds that have gone.
pub(super) async fn cycles(bench: &Bench, round: usize, table: &mut Table) -> Result<()> {
    let peers = bench.scaled(CYCLE_PEERS);
    for subject in bench.order(round) {
        let mut server = Server::start(&bench.programs, subject, flags(subject)).await?;
        let files = server.open_files()?;
        let mut after = Vec::new();
        for _ in 0..CYCLES {
            let mut crowd = Crowd::default();
            crowd.grow_to(peers, &server).await?;
            drop(crowd);
            server.settle(files).await?;
            tokio::time::sleep(SETTLE).await;
            after.push(server.memory().await?.rss);
        }
        if let ([first, ..], [.., last]) = (&after[..], &after[..]) {
            let what = format!("memory after {peers} peers came and went (RSS)");
            table.add(what, "MiB", None, subject, first / 1024.0);
            let what = format!("the same after {CYCLES} times, to that after once");
            table.add(
                what,
                "times",
                Some(Aim::Most(GROWTH_MAX)),
                subject,
                last / first,
            );
        }
        server.stop().await?;
    }
    Ok(())
}
