//! The database file: its tables, its schema, and how a row looks in it.

use std::{
    any::Any,
    fs::{self, File, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use libp2p::{Multiaddr, PeerId};
use moim_dht::{Batch, Change};
use moim_protocol::shares::Origin;
use redb::{
    Builder, Database, ReadOnlyTable, ReadableDatabase as _, ReadableTableMetadata as _,
    StorageBackend, StorageError, TableDefinition, WriteTransaction, backends::FileBackend,
};

use self::rows::{FLAG_LEFT, ProviderColumns, RecordColumns, Rows, decode_addresses, decode_peer};
use super::error::StoreError;
use crate::data_dir::open_private;

pub(super) mod rows;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &[u8], RecordColumns> = TableDefinition::new("records");
/// By key and peer id.
const PROVIDERS: TableDefinition<'_, (&[u8], &[u8]), ProviderColumns> =
    TableDefinition::new("providers");
/// DHT servers by peer id, with addresses.
const PEERS: TableDefinition<'_, &[u8], Vec<&'static [u8]>> = TableDefinition::new("peers");

const SCHEMA: &str = "schema";
/// What origins are made with: with another, those that are written down would be nobody's.
const SECRET: &str = "secret";

/// What makes a schema of the one before; the first makes one of an empty file.
const MIGRATIONS: [Migration; 2] = [create_tables, keep_origins];

type Migration = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// Pages kept in memory, in bytes. Reading is for the start; writing needs the upper levels of the trees.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// The open database.
#[derive(Debug)]
pub(crate) struct StoreFile {
    database: Database,
    path: PathBuf,
}

/// A server of the DHT that was in the routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedPeer {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
}

/// How many rows there are, and how large the file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) records: u64,
    pub(crate) providers: u64,
    pub(crate) peers: u64,
    /// Bytes of keys and values.
    pub(crate) stored_bytes: u64,
}

impl StoreFile {
    /// Opens the file, after a crash too, and makes it if it is missing: readable by its owner only.
    ///
    /// # Errors
    ///
    /// If it can't be read or written, is damaged or of a newer version.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            create(path)?;
        }
        Self::reopen(path)
    }

    /// Opens a file that was there before: a new one would have lost what was acknowledged.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if there is no such file.
    pub(crate) fn reopen(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| StoreError::at(path, error))?;
        // redb would make a new database of it; but what was ours has been lost.
        if file
            .metadata()
            .map_err(|error| StoreError::at(path, error))?
            .len()
            == 0
        {
            return Err(StoreError::Damaged("the file is empty".to_owned()));
        }
        Self::with_file(file, path)
    }

    fn with_file(file: File, path: &Path) -> Result<Self, StoreError> {
        let backend = FileBackend::new(file).map_err(|error| StoreError::at(path, error))?;
        Self::with_backend(backend, path)
    }

    /// Opens a database wherever it is. `path` is for messages.
    pub(super) fn with_backend(
        backend: impl StorageBackend,
        path: &Path,
    ) -> Result<Self, StoreError> {
        let database = guarded(path, || {
            Ok(Builder::new()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(backend)?)
        })?;
        let path = path.to_owned();
        let file = Self { database, path };
        file.migrate()?;
        Ok(file)
    }

    fn migrate(&self) -> Result<(), StoreError> {
        let known = MIGRATIONS.len() as u64;
        let found = self.guarded(|| self.schema())?;
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        if found == known {
            return Ok(());
        }
        tracing::debug!(from = found, to = known, "migrating the store");
        self.guarded(|| {
            let transaction = self.database.begin_write()?;
            for migration in MIGRATIONS.iter().skip(found as usize) {
                migration(&transaction)?;
            }
            transaction.open_table(META)?.insert(SCHEMA, known)?;
            transaction.commit()?;
            Ok(())
        })
    }

    fn schema(&self) -> Result<u64, redb::Error> {
        let transaction = self.database.begin_read()?;
        match transaction.open_table(META) {
            Ok(table) => Ok(table.get(SCHEMA)?.map_or(0, |schema| schema.value())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// A number that only this node knows, the same each time.
    ///
    /// # Errors
    ///
    /// If the file can't be read or is damaged.
    pub(crate) fn secret(&self) -> Result<u64, StoreError> {
        let secret = self.guarded(|| {
            let transaction = self.database.begin_read()?;
            let secret = transaction.open_table(META)?.get(SECRET)?;
            Ok(secret.map(|it| it.value()))
        })?;
        secret.ok_or_else(|| StoreError::Damaged("it has no secret".to_owned()))
    }

    /// Every record and provider, one after the other, and beforehand how many there are.
    ///
    /// # Errors
    ///
    /// If the file can't be read or is damaged; so are its items.
    pub(crate) fn rows(
        &self,
    ) -> Result<impl Iterator<Item = Result<Change, StoreError>> + use<>, StoreError> {
        self.guarded(|| {
            let transaction = self.database.begin_read()?;
            let records = transaction.open_table(RECORDS)?;
            let providers = transaction.open_table(PROVIDERS)?;
            Ok(Rows {
                path: self.path.clone(),
                records: all(&records)?,
                providers: all(&providers)?,
                expected: records.len()?.saturating_add(providers.len()?),
            })
        })
    }

    /// The peers that were remembered last.
    ///
    /// # Errors
    ///
    /// If the file can't be read or is damaged.
    pub(crate) fn peers(&self) -> Result<Vec<RememberedPeer>, StoreError> {
        let rows = self.guarded(|| {
            let transaction = self.database.begin_read()?;
            Ok(all(&transaction.open_table(PEERS)?)?)
        })?;
        rows.map(|row| {
            let (peer, addresses) =
                row.map_err(|error| StoreError::of_database(&self.path, error.into()))?;
            Ok(RememberedPeer {
                peer: decode_peer(peer.value())?,
                addresses: decode_addresses(&addresses.value())?,
            })
        })
        .collect()
    }

    /// Writes a batch, and peers instead of those that were remembered, in one step. What is written
    /// stays written from here on.
    ///
    /// # Errors
    ///
    /// If it can't be written. The file has to be opened anew then.
    pub(crate) fn write(
        &self,
        batch: &Batch,
        peers: Option<&[RememberedPeer]>,
    ) -> Result<(), StoreError> {
        self.guarded(|| {
            let mut transaction = self.database.begin_write()?;
            // After a crash, opening doesn't read the whole file, for one more wait for the disk in
            // each commit.
            transaction.set_quick_repair(true);
            if batch.replaces_all {
                transaction.delete_table(RECORDS)?;
                transaction.delete_table(PROVIDERS)?;
            }
            write_changes(&transaction, &batch.changes)?;
            if let Some(peers) = peers {
                transaction.delete_table(PEERS)?;
                write_peers(&transaction, peers)?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// How much is in it.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub(crate) fn extent(&self) -> Result<Extent, StoreError> {
        self.guarded(|| {
            let transaction = self.database.begin_read()?;
            let records = transaction.open_table(RECORDS)?;
            let providers = transaction.open_table(PROVIDERS)?;
            let peers = transaction.open_table(PEERS)?;
            Ok(Extent {
                records: records.len()?,
                providers: providers.len()?,
                peers: peers.len()?,
                stored_bytes: records.stats()?.stored_bytes()
                    + providers.stats()?.stored_bytes()
                    + peers.stats()?.stored_bytes(),
            })
        })
    }

    /// Reads every page and compares its checksum; repairs what can be.
    ///
    /// # Errors
    ///
    /// If what is wrong can't be repaired.
    pub(crate) fn check_pages(&mut self) -> Result<bool, StoreError> {
        let Self { database, path } = self;
        guarded(path, || Ok(database.check_integrity()?))
    }

    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
        guarded(&self.path, work)
    }
}

/// Makes an empty database under another name and moves it into place: half of one, after a crash,
/// would be none, and nobody could tell it from a damaged one.
fn create(path: &Path) -> Result<(), StoreError> {
    let unfinished = path.with_added_extension("new");
    let failed = |error: io::Error| StoreError::at(path, error);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let file = open_private(&unfinished, options.read(true).create_new(true)).map_err(failed)?;
    drop(StoreFile::with_file(file, path)?);
    fs::rename(&unfinished, path).map_err(failed)?;
    // The name outlives a power failure only when the directory is on the disk, too.
    if let Some(directory) = path.parent().filter(|_| cfg!(unix)) {
        let directory = File::open(directory).map_err(failed)?;
        directory.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// Does something with the database. Where a file was changed by something else, redb may panic.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| StoreError::of_database(path, error)),
        Err(panic) => Err(StoreError::Damaged(panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("reading it failed").to_owned()
}

fn create_tables(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(RECORDS)?;
    transaction.open_table(PROVIDERS)?;
    transaction.open_table(PEERS)?;
    Ok(())
}

/// From now on rows have the origin in the publisher's place.
fn keep_origins(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(SECRET, rand::random::<u64>())?;
    Ok(())
}

fn all<K: redb::Key + 'static, V: redb::Value + 'static>(
    table: &ReadOnlyTable<K, V>,
) -> Result<redb::Range<'static, K, V>, StorageError> {
    table.range::<K::SelfType<'_>>(..)
}

fn write_changes(transaction: &WriteTransaction, changes: &[Change]) -> Result<(), redb::Error> {
    let mut records = transaction.open_table(RECORDS)?;
    let mut providers = transaction.open_table(PROVIDERS)?;
    for change in changes {
        match change {
            Change::Record { key, row: None } => {
                records.remove(key.as_slice())?;
            }
            Change::Record {
                key,
                row: Some(row),
            } => {
                let origin = row.held.as_ref().and_then(|held| held.origin);
                let origin = origin.map(Origin::to_bytes);
                let (expires, value) = match &row.held {
                    Some(held) => (held.expires.0, held.value.as_slice()),
                    None => (0, [].as_slice()),
                };
                let columns = (
                    row.sequence,
                    if row.is_left { FLAG_LEFT } else { 0 },
                    row.remembered_until.0,
                    expires,
                    origin.as_deref().unwrap_or_default(),
                    value,
                );
                records.insert(key.as_slice(), columns)?;
            }
            Change::Provider { key, peer, row } => {
                let peer = peer.to_bytes();
                let key = (key.as_slice(), peer.as_slice());
                match row {
                    Some(row) => {
                        let addresses = row.addresses.iter().map(AsRef::as_ref).collect();
                        providers.insert(key, (row.expires.0, addresses))?;
                    }
                    None => {
                        providers.remove(key)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn write_peers(
    transaction: &WriteTransaction,
    peers: &[RememberedPeer],
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(PEERS)?;
    for RememberedPeer { peer, addresses } in peers {
        let addresses: Vec<&[u8]> = addresses.iter().map(AsRef::as_ref).collect();
        table.insert(peer.to_bytes().as_slice(), addresses)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
