//! Records that are put into a server of the DHT and got from it again, by how many at one time.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};

use super::{
    Bench,
    kad::{Connection, Record},
    process::{Server, Subject},
    records::records,
    table::{Table, percentile},
};

/// Requests at one time, and how many are made so in all.
const LEVELS: [(usize, usize); 4] = [(1, 500), (8, 2_000), (32, 4_000), (128, 4_000)];
/// Clients that make them, in turn: one alone may not ask for so much.
const CLIENTS: usize = 32;
/// Where files are kept in memory.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Puts and gets at every level.
pub(super) async fn load(bench: &Bench, round: usize, table: &mut Table) -> Result<()> {
    for subject in with_kad(bench, round) {
        let server = Server::start(&bench.programs, subject, flags(subject)).await?;
        let clients = clients(&server).await?;
        for (at_once, count) in LEVELS {
            let count = bench.scaled(count);
            let records = sign(round, at_once, count)?;
            let note = format!("{at_once} at one time");
            let put = times(&clients, &records, at_once, Kind::Put).await?;
            put.note(table, &format!("DHT put, {note}"), subject);
            let get = times(&clients, &records, at_once, Kind::Get).await?;
            get.note(table, &format!("DHT get, {note}"), subject);
        }
        server.stop().await?;
    }
    Ok(())
}

/// One put, and one get, at a time, where the store is on the disk and where it is in memory.
pub(super) async fn latency(bench: &Bench, round: usize, table: &mut Table) -> Result<()> {
    const COUNT: usize = 500;
    let disk = tempfile::tempdir_in(&bench.work)?;
    let memory = tempfile::tempdir_in(MEMORY_FOLDER)?;
    let mut places = [("on the disk", disk.path()), ("in memory", memory.path())];
    places.rotate_left(round % 2);
    for (place, folder) in places {
        one_by_one(bench, (round, place), folder, bench.scaled(COUNT), table).await?;
    }
    Ok(())
}

async fn one_by_one(
    bench: &Bench,
    (round, place): (usize, &str),
    folder: &Path,
    count: usize,
    table: &mut Table,
) -> Result<()> {
    let server = Server::start_in(&bench.programs, folder, &[]).await?;
    let clients = clients(&server).await?;
    let records = sign(round, 1, count)?;
    for (name, kind) in [("write", Kind::Put), ("read", Kind::Get)] {
        let taken = times(&clients, &records, 1, kind).await?;
        for hundredths in [50, 99] {
            let value = percentile(&taken.each, hundredths).context("nothing was measured")?;
            let what = format!("store {name}, {place}, p{hundredths}");
            table.add(what, "ms", None, Subject::Ours, value);
        }
    }
    server.stop().await
}

/// Those that serve a DHT.
pub(super) fn with_kad(bench: &Bench, round: usize) -> Vec<Subject> {
    let mut subjects = bench.order(round);
    subjects.retain(|subject| *subject != Subject::Js);
    subjects
}

fn flags(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Bare => &["--kad"],
        Subject::Ours | Subject::Js => &[],
    }
}

async fn clients(server: &Server) -> Result<Vec<Connection>> {
    let address = server.address("tcp")?;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(Connection::open(number, &address).await?);
    }
    Ok(clients)
}

fn sign(round: usize, at_once: usize, count: usize) -> Result<Vec<Record>> {
    records(&format!("bench/{round}/{at_once}"), count)?.collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Get,
}

/// What so many requests took.
struct Times {
    /// Milliseconds of each.
    each: Vec<f64>,
    /// Seconds of all.
    all: f64,
}

impl Times {
    fn note(&self, table: &mut Table, what: &str, subject: Subject) {
        let rate = self.each.len() as f64 / self.all;
        table.add(what, "each second", None, subject, rate);
        for hundredths in [50, 99] {
            if let Some(value) = percentile(&self.each, hundredths) {
                table.add(format!("{what}, p{hundredths}"), "ms", None, subject, value);
            }
        }
    }
}

async fn times(
    clients: &[Connection],
    records: &[Record],
    at_once: usize,
    kind: Kind,
) -> Result<Times> {
    let started = Instant::now();
    let requests = records.iter().zip(clients.iter().cycle());
    let mut done = stream::iter(requests)
        .map(|(record, client)| async move {
            let started = Instant::now();
            match kind {
                Kind::Put => client.asking.put(record).await?,
                Kind::Get => drop(client.asking.get(&record.key).await?),
            }
            anyhow::Ok(started.elapsed().as_secs_f64() * 1e3)
        })
        .buffer_unordered(at_once);
    let mut each = Vec::with_capacity(records.len());
    while let Some(time) = done.next().await {
        each.push(time?);
    }
    let all = started.elapsed().as_secs_f64();
    Ok(Times { each, all })
}
