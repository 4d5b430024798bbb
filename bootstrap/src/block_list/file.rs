//! The block list on disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time};

use super::{BlockList, ENTRIES_MAX};
use crate::data_dir::{self, DataDirError};

/// The list's name in the data directory.
pub(crate) const FILE: &str = "blocked.txt";

/// Held while the list is edited, so that two edits at one time don't lose one.
const LOCK_FILE: &str = "blocked.lock";

/// There while the list that was in force last has entries: a node that finds this and no list has lost it.
const MARK_FILE: &str = "blocked.expected";

/// For whoever looks into it.
const MARK: &str =
    "blocked.txt had entries when it was read last; without it no node starts in this directory.\n";

/// How often a running node looks at the file. Reading it costs less than a connection.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of the list that are read: all entries there may be, with a short comment each.
const BYTES_MAX: u64 = ENTRIES_MAX as u64 * 128;

/// Its text; empty if there is no list.
pub(crate) fn read(data_dir: &Path) -> Result<String, DataDirError> {
    read_if_there(data_dir).map(Option::unwrap_or_default)
}

/// Its text; `None` if there is no list.
fn read_if_there(data_dir: &Path) -> Result<Option<String>, DataDirError> {
    let path = data_dir.join(FILE);
    let result = File::open(&path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(io::Error::other(format!(
                "it is longer than {BYTES_MAX} bytes; a list that long belongs in a firewall"
            )));
        }
        Ok(bytes)
    });
    match result {
        // What is no text breaks its own line only.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataDirError::Read { path, source }),
    }
}

/// Replaces the list by what `change` makes of it, in one step. `false` if that is nothing. A node may
/// run meanwhile.
pub(crate) fn edit(
    data_dir: &Path,
    change: impl FnOnce(&str) -> Option<String>,
) -> Result<bool, DataDirError> {
    let path = data_dir.join(LOCK_FILE);
    let write_error = |source| DataDirError::Write {
        path: path.clone(),
        source,
    };
    data_dir::create(data_dir)?;
    let lock = data_dir::open_private(&path, OpenOptions::new().create(true).truncate(false))
        .map_err(write_error)?;
    lock.lock().map_err(write_error)?;
    let Some(text) = change(&read(data_dir)?) else {
        return Ok(false);
    };
    data_dir::write(data_dir, FILE, text.as_bytes())?;
    let (list, _) = BlockList::parse(&text);
    mark(data_dir, list.len() > 0)?;
    Ok(true)
}

/// Notes whether there is a list with entries.
fn mark(data_dir: &Path, has_entries: bool) -> Result<(), DataDirError> {
    let path = data_dir.join(MARK_FILE);
    if has_entries == path.exists() {
        return Ok(());
    }
    if has_entries {
        return data_dir::write(data_dir, MARK_FILE, MARK.as_bytes());
    }
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DataDirError::Write { path, source })
        }
        _ => Ok(()),
    }
}

/// What a look at the file found.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// There is a list, with this text.
    Text(String),
    /// There is none.
    Absent,
    /// There is one that can't be read, and why.
    Unreadable(String),
}

impl Seen {
    fn at(data_dir: &Path) -> Self {
        match read_if_there(data_dir) {
            Ok(Some(text)) => Self::Text(text),
            Ok(None) => Self::Absent,
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// Puts the list in force. Without one that can be read, the one before stays: only an empty list lets
    /// everybody in.
    fn apply(&self, data_dir: &Path, sender: &watch::Sender<Arc<BlockList>>) {
        match self {
            Self::Text(text) => {
                let list = parse(text);
                if let Err(error) = mark(data_dir, list.len() > 0) {
                    tracing::warn!(%error, "a start without the block list will not be noticed");
                }
                sender.send_replace(Arc::new(list));
            }
            Self::Absent if sender.borrow().len() == 0 => {}
            Self::Absent => tracing::error!(
                file = FILE,
                "the block list is gone; its entries stay in force until there is a list again (an empty \
                 file blocks nobody)"
            ),
            Self::Unreadable(error) => {
                tracing::error!(%error, "the block list stays as it was");
            }
        }
    }
}

/// Follows the list until the receiver is gone. The receiver holds the list as it is at first.
///
/// # Errors
///
/// If there is a list that can't be read, or none where there was one: without it, everybody would be let in.
pub(crate) fn watch(data_dir: PathBuf) -> Result<watch::Receiver<Arc<BlockList>>, DataDirError> {
    let mut seen = match read_if_there(&data_dir)? {
        Some(text) => Seen::Text(text),
        None if data_dir.join(MARK_FILE).exists() => {
            return Err(DataDirError::BlockListGone(data_dir.join(FILE)));
        }
        None => {
            // What an older version left, or a command that found nobody to remove.
            if data_dir.join(LOCK_FILE).exists() {
                tracing::warn!(
                    file = FILE,
                    "there may have been a block list in the data directory, and there is none now: nobody is blocked"
                );
            }
            Seen::Absent
        }
    };
    let (sender, receiver) = watch::channel(Arc::default());
    seen.apply(&data_dir, &sender);
    tokio::spawn(async move {
        let mut ticker = time::interval(CHECK_INTERVAL);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                _ = ticker.tick() => {}
            }
            let dir = data_dir.clone();
            // It neither panics nor is aborted.
            let Ok(now) = tokio::task::spawn_blocking(move || Seen::at(&dir)).await else {
                return;
            };
            if now != seen {
                now.apply(&data_dir, &sender);
                seen = now;
            }
        }
    });
    Ok(receiver)
}

fn parse(text: &str) -> BlockList {
    let (list, broken) = BlockList::parse(text);
    for line in broken {
        tracing::warn!(
            file = FILE, line = line.number, error = %line.error,
            "this line of the block list is ignored, the others are in force"
        );
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_made_edited_and_read() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("new");
        assert_eq!(read(&data).unwrap(), "");
        assert!(edit(&data, |text| Some(format!("{text}192.0.2.1\n"))).unwrap());
        assert!(edit(&data, |text| Some(format!("{text}192.0.2.2\n"))).unwrap());
        assert!(!edit(&data, |_| None).unwrap());
        assert_eq!(read(&data).unwrap(), "192.0.2.1\n192.0.2.2\n");
    }

    #[test]
    fn edits_at_one_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..20 {
                let data = dir.path();
                scope.spawn(move || edit(data, |text| Some(format!("{text}192.0.2.{n}\n"))));
            }
        });
        let (list, broken) = BlockList::parse(&read(dir.path()).unwrap());
        assert_eq!((list.len(), broken.len()), (20, 0));
    }

    #[tokio::test]
    async fn a_change_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut lists = watch(dir.path().into()).unwrap();
        assert_eq!(lists.borrow_and_update().len(), 0);
        fs::write(dir.path().join(FILE), "192.0.2.1\nnonsense\n").unwrap();
        let changed = time::timeout(Duration::from_secs(10), lists.changed());
        changed.await.unwrap().unwrap();
        assert!(lists.borrow().has_ip("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_list_that_is_gone_or_cannot_be_read_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let (sender, receiver) = watch::channel(Arc::default());
        let look = || {
            let seen = Seen::at(dir.path());
            seen.apply(dir.path(), &sender);
            (seen, receiver.borrow().len())
        };
        assert_eq!(look(), (Seen::Absent, 0));
        fs::write(&file, "192.0.2.1\n").unwrap();
        assert_eq!(look().1, 1);
        fs::remove_file(&file).unwrap();
        assert_eq!(look(), (Seen::Absent, 1));
        fs::create_dir(&file).unwrap();
        let (seen, entries) = look();
        assert!(matches!(seen, Seen::Unreadable(_)), "{seen:?}");
        assert_eq!(entries, 1);
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(look(), (Seen::Text(String::new()), 0));
    }

    #[tokio::test]
    async fn a_node_does_not_start_without_the_list_that_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (data, file) = (dir.path(), dir.path().join(FILE));
        let entries = || watch(data.into()).map(|lists| lists.borrow().len());
        let is_gone =
            || matches!(entries(), Err(DataDirError::BlockListGone(path)) if path == file);
        assert_eq!(entries().unwrap(), 0, "there never was one");
        // Written by hand, and by the command.
        for by_hand in [true, false] {
            if by_hand {
                fs::write(&file, "192.0.2.1\n").unwrap();
                assert_eq!(entries().unwrap(), 1);
            } else {
                edit(data, |_| Some("192.0.2.1\n".to_owned())).unwrap();
            }
            fs::remove_file(&file).unwrap();
            assert!(is_gone());
            assert!(is_gone(), "not once only");
            fs::write(&file, "# nobody\n").unwrap();
            assert_eq!(entries().unwrap(), 0);
            // Nobody was blocked by it.
            fs::remove_file(&file).unwrap();
            assert_eq!(entries().unwrap(), 0);
        }
        // What removes the last entry leaves an empty list.
        edit(data, |_| Some("192.0.2.1\n".to_owned())).unwrap();
        edit(data, |_| Some(String::new())).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(entries().unwrap(), 0);
    }
}
