//! `moim-bootstrap store check|stats|export|import`.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::Subcommand;
use data_encoding::BASE64;
use libp2p::{
    PeerId,
    kad::{Record, store::RecordStore as _},
};
use moim_dht::{Change, Store, StoreLimits};
use moim_protocol::{UnixMillis, admission, wire::ErrorCode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::Config,
    data_dir::{DataDir, DataDirError},
    store::{STORE_FILE, StoreError, StoreFile},
};

/// Longest line of an export: the largest record in base64, and its keys.
const LINE_BYTES_MAX: u64 = 32 * 1024;

/// Problems that `check` names one by one.
const PROBLEMS_SHOWN: u64 = 20;

/// Stands for stdin and stdout.
const STANDARD: &str = "-";

/// What to do with the store.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[non_exhaustive]
pub enum StoreCommand {
    /// Check every page, row and signature, and repair what can be; exit code 1 if something is wrong
    Check,
    /// Say how much is in it
    Stats,
    /// Write all records to a file, one JSON object a line; they are signed, so any node can import
    /// them
    Export {
        /// The file, or `-` for stdout
        file: PathBuf,
    },
    /// Put records into it that are valid and newer than those there, as if peers had put them
    Import {
        /// A file made by `export`, or `-` for stdin
        file: PathBuf,
    },
}

/// Why a command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreCommandError {
    /// Something in the store is not as it should be.
    #[error("{0} of the store's rows are wrong; what is right can be saved by `store export`")]
    Check(u64),
    /// The data directory can't be used, e.g. because the node runs.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A file of records can't be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of it is none that `export` wrote.
    #[error("{} line {line}: {reason}; nothing was imported", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no store.
    #[error("{} does not exist: no node has run with this data directory", .0.display())]
    Missing(PathBuf),
    /// What was found can't be told.
    #[error("can't write the output")]
    Output(#[source] io::Error),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// In base64.
    key: String,
    /// The signed envelope, in base64.
    value: String,
}

impl StoreCommand {
    pub(super) fn run(
        &self,
        config: &Config,
        out: &mut dyn Write,
    ) -> Result<(), StoreCommandError> {
        let path = config.data_dir.join(STORE_FILE);
        // Opening would make them, and then a mistyped directory would look like an empty store.
        if !path.exists() && !matches!(self, Self::Import { .. }) {
            return Err(StoreCommandError::Missing(path));
        }
        let data = DataDir::open(&config.data_dir)?;
        let file = StoreFile::open(&data.file(STORE_FILE))?;
        match self {
            Self::Check => check(file, out),
            Self::Stats => stats(&file, &path, out),
            Self::Export { file: target } => export(&file, target, out),
            Self::Import { file: source } => import(&file, source, config.store_limits(), out),
        }
    }
}

fn check(mut file: StoreFile, out: &mut dyn Write) -> Result<(), StoreCommandError> {
    let were_pages_right = file.check_pages()?;
    let (mut records, mut providers, mut wrong) = (0_u64, 0_u64, 0_u64);
    let mut problem = |text: String, out: &mut dyn Write| {
        wrong += 1;
        if wrong <= PROBLEMS_SHOWN {
            say(out, format_args!("wrong: {text}"))?;
        }
        Ok::<_, StoreCommandError>(())
    };
    if !were_pages_right {
        say(
            out,
            format_args!("the file was not closed well, and is repaired"),
        )?;
    }
    for row in file.rows()? {
        match row {
            Ok(Change::Provider { .. }) => providers += 1,
            Ok(Change::Record { key, row }) => {
                records += 1;
                let held = row.and_then(|row| Some((row.sequence, row.held?)));
                let Some((sequence, held)) = held else {
                    continue;
                };
                // An expired one was right when it was put.
                match admission::admit(&key, &held.value, now()) {
                    Ok(admitted) if admitted.sequence() != sequence => {
                        problem(format!("{}: not the row of this record", name(&key)), out)?;
                    }
                    Err(error) if error.code() != ErrorCode::Expired => {
                        problem(format!("{}: {error}", name(&key)), out)?;
                    }
                    _ => {}
                }
            }
            Err(StoreError::Damaged(text)) => problem(text, out)?,
            Err(error) => return Err(error.into()),
        }
    }
    let peers = file.peers()?.len();
    say(
        out,
        format_args!(
            "checked {records} records, {providers} providers, {peers} peers: {wrong} wrong"
        ),
    )?;
    if wrong == 0 {
        Ok(())
    } else {
        Err(StoreCommandError::Check(wrong))
    }
}

fn stats(file: &StoreFile, path: &Path, out: &mut dyn Write) -> Result<(), StoreCommandError> {
    let extent = file.extent()?;
    let file_bytes = fs::metadata(path)
        .map_err(|source| StoreCommandError::File {
            path: path.into(),
            source,
        })?
        .len();
    let rows = [
        ("records", extent.records),
        ("providers", extent.providers),
        ("peers", extent.peers),
        ("stored bytes", extent.stored_bytes),
        ("file bytes", file_bytes),
    ];
    for (name, number) in rows {
        say(out, format_args!("{name:<13}{number:>12}"))?;
    }
    Ok(())
}

fn export(file: &StoreFile, target: &Path, out: &mut dyn Write) -> Result<(), StoreCommandError> {
    let at_target = |source| StoreCommandError::File {
        path: target.into(),
        source,
    };
    if target == Path::new(STANDARD) {
        write_lines(file, out, &at_target)?;
        return Ok(());
    }
    let mut writer = BufWriter::new(File::create_new(target).map_err(at_target)?);
    let written = write_lines(file, &mut writer, &at_target)?;
    let inner = writer
        .into_inner()
        .map_err(|error| at_target(error.into_error()))?;
    inner.sync_all().map_err(at_target)?;
    say(
        out,
        format_args!("exported {written} records to {}", target.display()),
    )
}

/// Writes the records that can be read, and says how many.
fn write_lines(
    file: &StoreFile,
    out: &mut dyn Write,
    at_target: &dyn Fn(io::Error) -> StoreCommandError,
) -> Result<u64, StoreCommandError> {
    let mut written = 0;
    for row in file.rows()? {
        let (key, held) = match row {
            Ok(Change::Record { key, row }) => match row.and_then(|row| row.held) {
                Some(held) => (key, held),
                None => continue,
            },
            Ok(Change::Provider { .. }) => continue,
            Err(StoreError::Damaged(text)) => {
                tracing::warn!(problem = text, "a row is left out");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let line = Line {
            key: BASE64.encode(&key),
            value: BASE64.encode(&held.value),
        };
        serde_json::to_writer(&mut *out, &line).map_err(|error| at_target(error.into()))?;
        out.write_all(b"\n").map_err(at_target)?;
        written += 1;
    }
    Ok(written)
}

fn import(
    file: &StoreFile,
    source: &Path,
    limits: StoreLimits,
    out: &mut dyn Write,
) -> Result<(), StoreCommandError> {
    let at_source = |error| StoreCommandError::File {
        path: source.into(),
        source: error,
    };
    let mut reader: Box<dyn BufRead> = if source == Path::new(STANDARD) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(source).map_err(at_source)?))
    };
    // Whose store it is matters only to a node that provides something itself.
    let mut store = Store::new(PeerId::random(), file.secret()?, limits);
    store.restore(file.rows()?)?;
    let (mut put, mut refused, mut number) = (0_u64, 0_u64, 0);
    let unread = |line, error| match error {
        LineError::File(error) => at_source(error),
        LineError::Content(reason) => StoreCommandError::Line {
            path: source.into(),
            line,
            reason,
        },
    };
    loop {
        let record = next_record(&mut *reader, &mut number);
        match record.map_err(|error| unread(number, error))? {
            Some(record) => match store.put(record) {
                Ok(()) => put += 1,
                Err(_) => refused += 1,
            },
            None => break,
        }
    }
    file.write(&store.take_batch(), None)?;
    say(
        out,
        format_args!(
            "{put} records are in the store; {refused} were refused: invalid, expired, older than \
             what is there, or too many"
        ),
    )
}

/// What is wrong with a line of an export.
#[derive(Debug)]
pub(crate) enum LineError {
    File(io::Error),
    Content(String),
}

/// The record of the next line that is not empty; `None` after the last. Counts the lines.
pub(crate) fn next_record(
    reader: &mut dyn BufRead,
    number: &mut u64,
) -> Result<Option<Record>, LineError> {
    let mut text = Vec::new();
    while text.trim_ascii().is_empty() {
        text.clear();
        *number = number.saturating_add(1);
        let mut limited = (&mut *reader).take(LINE_BYTES_MAX);
        let length = limited.read_until(b'\n', &mut text);
        if length.map_err(LineError::File)? == 0 {
            return Ok(None);
        }
        if text.last() != Some(&b'\n') && text.len() as u64 == LINE_BYTES_MAX {
            let reason = format!("longer than {LINE_BYTES_MAX} bytes");
            return Err(LineError::Content(reason));
        }
    }
    let Line { key, value } =
        serde_json::from_slice(&text).map_err(|error| LineError::Content(error.to_string()))?;
    let decode = |text: String| {
        let decoded = BASE64.decode(text.as_bytes());
        decoded.map_err(|error| LineError::Content(format!("not base64: {error}")))
    };
    Ok(Some(Record::new(decode(key)?, decode(value)?)))
}

fn say(out: &mut dyn Write, text: std::fmt::Arguments<'_>) -> Result<(), StoreCommandError> {
    writeln!(out, "{text}").map_err(StoreCommandError::Output)
}

/// A key for people: the namespace is text, what follows may be anything.
fn name(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMillis::from_epoch(since.unwrap_or_default())
}
