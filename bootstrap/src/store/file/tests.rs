use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex},
};

use moim_dht::{HeldRecord, ProviderRow, RecordRow};
use moim_protocol::{UnixMillis, shares::Whence};

use super::*;

/// A disk that keeps what was written since the last sync apart, and fails when it is told to.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    /// What a power failure leaves in any case.
    synced: Vec<u8>,
    /// What the program reads.
    current: Vec<u8>,
    /// What was done to it since the last sync.
    unsynced: Vec<Step>,
    /// Steps (writes, changes of length, syncs) that still work.
    steps_left: Option<usize>,
    steps: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Length(usize),
    Write(usize, Vec<u8>),
}

/// What a disk writes at once.
const SECTOR: usize = 512;

impl Step {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Disk {
    fn from_image(image: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.0.lock().unwrap().synced.clone_from(&image);
        disk.0.lock().unwrap().current = image;
        disk
    }

    /// With an empty store on it.
    fn with_store() -> Self {
        let disk = Self::default();
        open(&disk).unwrap();
        disk.0.lock().unwrap().steps = 0;
        disk
    }

    fn fails_after(&self, steps: usize) {
        self.0.lock().unwrap().steps_left = Some(steps);
    }

    fn steps(&self) -> usize {
        self.0.lock().unwrap().steps
    }

    /// What is there after a power failure: what was synced, and of the rest any part, in sectors.
    fn after_power_failure(&self, mut random: impl FnMut() -> bool) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut image = state.synced.clone();
        for step in &state.unsynced {
            match step {
                Step::Write(offset, data) => {
                    for (n, sector) in data.chunks(SECTOR).enumerate() {
                        if random() {
                            Step::Write(offset + n * SECTOR, sector.to_vec()).apply(&mut image);
                        }
                    }
                }
                // File systems write a file's length with or before what is in it.
                Step::Length(_) => step.apply(&mut image),
            }
        }
        image
    }

    /// What is there after the process was killed: everything that it wrote.
    fn after_kill(&self) -> Vec<u8> {
        self.0.lock().unwrap().current.clone()
    }

    fn step(&self, work: impl FnOnce(&mut DiskState)) -> Result<(), io::Error> {
        let mut state = self.0.lock().unwrap();
        if state.steps_left == Some(0) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        state.steps_left = state.steps_left.map(|left| left - 1);
        state.steps += 1;
        work(&mut state);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.0.lock().unwrap();
        let bytes = state
            .current
            .get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.change(Step::Length(length as usize))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.step(|state| {
            state.synced.clone_from(&state.current);
            state.unsynced.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.change(Step::Write(offset as usize, data.to_vec()))
    }
}

impl Disk {
    fn change(&self, step: Step) -> Result<(), io::Error> {
        self.step(|state| {
            step.apply(&mut state.current);
            state.unsynced.push(step);
        })
    }
}

const ROWS: u64 = 5;

fn open(disk: &Disk) -> Result<StoreFile, StoreError> {
    StoreFile::with_backend(disk.clone(), Path::new("test"))
}

/// The batch with this number: some rows of its own, and one that every batch writes anew.
fn batch(number: u64) -> Batch {
    let record = |key: String, sequence| Change::Record {
        key: key.into_bytes(),
        row: Some(RecordRow {
            sequence,
            is_left: sequence % 2 == 1,
            remembered_until: UnixMillis(7),
            held: Some(HeldRecord {
                origin: Some(Origin::new(7, Whence::Here, &peer())),
                expires: UnixMillis(9),
                value: vec![sequence as u8; 3_000],
            }),
        }),
    };
    let mut changes: Vec<_> = (0..ROWS)
        .map(|row| record(format!("{number}/{row}"), number))
        .collect();
    changes.push(record("each".to_owned(), number));
    changes.push(Change::Provider {
        key: number.to_be_bytes().to_vec(),
        peer: peer(),
        row: Some(ProviderRow {
            expires: UnixMillis(number),
            addresses: vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()],
        }),
    });
    Batch {
        replaces_all: false,
        changes,
    }
}

fn peer() -> PeerId {
    PeerId::from_bytes(&[0x12, 0x20].into_iter().chain([7; 32]).collect::<Vec<_>>()).unwrap()
}

/// Writes batches until the disk fails, and gives the number of the last that was acknowledged.
fn work(disk: &Disk, batches: u64) -> u64 {
    let Ok(file) = open(disk) else { return 0 };
    let mut acknowledged = 0;
    for number in 1..=batches {
        if file.write(&batch(number), None).is_err() {
            break;
        }
        acknowledged = number;
    }
    acknowledged
}

/// The numbers of the batches that are there; fails the test if one is there in part or is wrong.
fn batches_in(file: &StoreFile) -> BTreeSet<u64> {
    let rows: Vec<_> = file.rows().unwrap().map(Result::unwrap).collect();
    let last = rows.iter().find_map(|row| match row {
        Change::Record { key, row } if key == b"each" => Some(row.as_ref().unwrap().sequence),
        _ => None,
    });
    let numbers: BTreeSet<_> = (1..=last.unwrap_or(0)).collect();
    let mut expected: Vec<_> = numbers.iter().flat_map(|n| batch(*n).changes).collect();
    expected.retain(|row| {
        !matches!(row, Change::Record { key, row: Some(row) }
            if key == b"each" && Some(row.sequence) != last)
    });
    let sorted = |mut rows: Vec<Change>| {
        rows.sort_by_key(|row| match row {
            Change::Provider { key, .. } => (1, key.clone()),
            Change::Record { key, .. } => (0, key.clone()),
        });
        rows
    };
    assert_eq!(sorted(rows), sorted(expected));
    numbers
}

#[test]
fn whichever_step_fails_what_was_acknowledged_is_there() {
    const BATCHES: u64 = 4;
    let whole = Disk::with_store();
    assert_eq!(work(&whole, BATCHES), BATCHES);
    assert!(whole.steps() > 40, "{}", whole.steps());

    let mut random = 1_u64;
    let mut coin = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random >> 63 == 1
    };
    for steps in 0..whole.steps() {
        let disk = Disk::with_store();
        disk.fails_after(steps);
        let acknowledged = work(&disk, BATCHES);
        // The process was killed; the power failed, several times over.
        let mut images = vec![disk.after_kill()];
        images.extend((0..4).map(|_| disk.after_power_failure(&mut coin)));
        for (n, image) in images.into_iter().enumerate() {
            let disk = Disk::from_image(image);
            let file = open(&disk).unwrap_or_else(|e| panic!("step {steps}, image {n}: {e}"));
            let there = batches_in(&file);
            assert!(
                there.len() as u64 >= acknowledged && there.len() as u64 <= acknowledged + 1,
                "step {steps}, image {n}: {acknowledged} acknowledged, {there:?} there"
            );
            // And it goes on.
            file.write(&batch(there.len() as u64 + 1), None).unwrap();
            batches_in(&file);
        }
    }
}

#[test]
fn after_a_full_disk_the_same_file_is_written_again() {
    let disk = Disk::default();
    let file = open(&disk).unwrap();
    file.write(&batch(1), None).unwrap();
    disk.fails_after(2);
    file.write(&batch(2), None).unwrap_err();
    drop(file);
    disk.0.lock().unwrap().steps_left = None;
    let file = open(&disk).unwrap();
    file.write(&batch(2), None).unwrap();
    assert_eq!(batches_in(&file).len(), 2);
}

#[test]
fn rows_are_removed_and_replaced() {
    let disk = Disk::default();
    let file = open(&disk).unwrap();
    file.write(&batch(1), None).unwrap();
    let mut gone = batch(1);
    for change in &mut gone.changes {
        match change {
            Change::Provider { row, .. } => *row = None,
            Change::Record { row, .. } => *row = None,
        }
    }
    file.write(&gone, None).unwrap();
    assert_eq!(file.rows().unwrap().count(), 0);

    file.write(&batch(1), None).unwrap();
    let only = Change::Record {
        key: b"only".to_vec(),
        row: Some(RecordRow {
            sequence: u64::MAX,
            is_left: true,
            remembered_until: UnixMillis(u64::MAX),
            held: None,
        }),
    };
    let all = Batch {
        replaces_all: true,
        changes: vec![only.clone()],
    };
    file.write(&all, None).unwrap();
    let rows: Vec<_> = file.rows().unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, [only]);
}

#[test]
fn peers_are_remembered_until_others_are() {
    let disk = Disk::default();
    let file = open(&disk).unwrap();
    assert_eq!(file.peers().unwrap(), []);
    let peers: Vec<_> = (0..3)
        .map(|n| RememberedPeer {
            peer: PeerId::random(),
            addresses: vec![format!("/ip4/192.0.2.{n}/tcp/1").parse().unwrap()],
        })
        .collect();
    file.write(&Batch::default(), Some(&peers)).unwrap();
    file.write(&batch(1), None).unwrap();
    drop(file);
    let file = open(&disk).unwrap();
    let found = file.peers().unwrap();
    assert_eq!(found.len(), 3);
    assert!(peers.iter().all(|peer| found.contains(peer)));
    file.write(&Batch::default(), Some(&peers[..1])).unwrap();
    assert_eq!(file.peers().unwrap(), peers[..1]);
    assert_eq!(file.extent().unwrap().peers, 1);
}

#[test]
fn a_store_of_the_first_schema_is_taken_over_and_of_its_records_it_is_not_known_who_put_them() {
    let disk = Disk::default();
    let file = open(&disk).unwrap();
    let transaction = file.database.begin_write().unwrap();
    let mut meta = transaction.open_table(META).unwrap();
    meta.insert(SCHEMA, 1).unwrap();
    meta.remove(SECRET).unwrap();
    drop(meta);
    let (publisher, value) = (peer().to_bytes(), [1, 2, 3]);
    let row: (u64, u8, u64, u64, &[u8], &[u8]) = (5, 0, 7, 9, &publisher, &value);
    let mut records = transaction.open_table(RECORDS).unwrap();
    records.insert(b"key".as_slice(), row).unwrap();
    drop(records);
    transaction.commit().unwrap();
    drop(file);

    let file = open(&disk).unwrap();
    let secret = file.secret().unwrap();
    let rows: Vec<_> = file.rows().unwrap().map(Result::unwrap).collect();
    let held = Some(HeldRecord {
        origin: None,
        expires: UnixMillis(9),
        value: value.to_vec(),
    });
    let row = RecordRow {
        sequence: 5,
        is_left: false,
        remembered_until: UnixMillis(7),
        held,
    };
    assert_eq!(
        rows,
        [Change::Record {
            key: b"key".to_vec(),
            row: Some(row)
        }]
    );
    drop(file);
    assert_eq!(open(&disk).unwrap().secret().unwrap(), secret);
}

#[test]
fn a_newer_schema_is_left_alone() {
    let disk = Disk::default();
    let file = open(&disk).unwrap();
    let transaction = file.database.begin_write().unwrap();
    transaction
        .open_table(META)
        .unwrap()
        .insert(SCHEMA, 99)
        .unwrap();
    transaction.commit().unwrap();
    drop(file);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }));
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    StoreFile::open(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_store_that_was_never_finished_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    fs::write(dir.path().join("store.redb.new"), [0; 5_000]).unwrap();
    let file = StoreFile::open(&path).unwrap();
    file.write(&batch(1), None).unwrap();
    drop(file);
    assert_eq!(batches_in(&StoreFile::open(&path).unwrap()).len(), 1);
    let names = fs::read_dir(dir.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store.redb"]);
}

#[test]
fn what_is_no_store_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    for content in [&b""[..], b"garbage", &[0xff; 100_000]] {
        fs::write(&path, content).unwrap();
        let error = StoreFile::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
        assert!(error.to_string().contains("move store.redb"), "{error}");
    }
}
