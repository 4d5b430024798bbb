//! How long a node takes to serve whose store is full, and the memory it has then.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64;
use tokio::process::Command;

use super::{
    Bench,
    process::{Server, Subject},
    records::records,
    say,
    table::{Aim, Table},
};

/// Records in the store.
const SIZES: [usize; 2] = [100_000, 1_000_000];
/// How long it may take with the most of them, in seconds.
const START_MAX: f64 = 2.0;
/// A store is made anew when it is older: its records live for twice as long.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn round(bench: &Bench, _: usize, table: &mut Table) -> Result<()> {
    for size in SIZES.map(|size| bench.scaled(size)) {
        let data = full_store(bench, size, table).await?;
        let memory = format!("--store-memory={}", store_memory(size));
        let started = Instant::now();
        let mut server = Server::start_in(&bench.programs, &data, &[&memory]).await?;
        ensure!(server.is_healthy().await?, "the node is not well");
        let took = started.elapsed().as_secs_f64();
        let what = format!("start with {size} records");
        let aim = Some(Aim::Most(START_MAX));
        table.add(
            format!("{what}, until /health is well"),
            "s",
            aim,
            Subject::Ours,
            took,
        );
        let memory = server.memory().await?.rss / 1024.0;
        table.add(
            format!("{what}: memory then (RSS)"),
            "MiB",
            None,
            Subject::Ours,
            memory,
        );
        server.stop().await?;
    }
    Ok(())
}

/// MiB that a store needs for so many records, at some 700 bytes each, a quarter being for presences.
fn store_memory(records: usize) -> usize {
    records / 1024 + 64
}

/// A data directory with so many records, made once and kept below the target folder.
async fn full_store(bench: &Bench, size: usize, table: &mut Table) -> Result<PathBuf> {
    let data = bench.work.join(format!("store-{size}"));
    // Written last, so that what was not finished is not taken for it.
    let stamp = data.join("made");
    let age = fs::metadata(&stamp).and_then(|file| file.modified());
    let age = age.map(|made| SystemTime::now().duration_since(made).unwrap_or_default());
    if age.is_ok_and(|age| age < OLD) {
        return Ok(data);
    }
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    say(&format!("making a store of {size} records"))?;
    let file = bench.work.join(format!("records-{size}.jsonl"));
    write_records(&file, size)?;
    let started = Instant::now();
    let status = Command::new(&bench.programs.node)
        .args(["store", "import"])
        .arg(&file)
        .arg("--data-dir")
        .arg(&data)
        .env("MOIM_STORE_MEMORY", store_memory(size).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await?;
    ensure!(
        status.success(),
        "`moim-bootstrap store import` failed: {status}"
    );
    let took = started.elapsed().as_secs_f64();
    table.add(
        format!("import of {size} records"),
        "s",
        None,
        Subject::Ours,
        took,
    );
    fs::remove_file(&file)?;
    fs::write(&stamp, "")?;
    Ok(data)
}

/// A file as `moim-bootstrap store export` writes it.
fn write_records(path: &Path, count: usize) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut out = BufWriter::new(file);
    for record in records("bench", count)? {
        let record = record?;
        let line = serde_json::json!({
            "key": BASE64.encode(&record.key),
            "value": BASE64.encode(&record.value),
        });
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
