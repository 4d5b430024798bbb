//! Whether the process may take more memory.

use std::{fs, path::Path, time::Instant};

use crate::{
    config::Config,
    limits,
    process::{kib_field, resident_bytes},
};

/// What the process uses, looked at now and then, and what it may use.
#[derive(Debug)]
pub(crate) struct Memory {
    max_bytes: u64,
    used_bytes: fn() -> Option<u64>,
    checked: Option<Instant>,
    is_short: bool,
}

impl Memory {
    /// Up to `max_bytes`. Where the system doesn't say what is used (it is Linux that does), nothing
    /// is bounded by it.
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self::with_reader(max_bytes, resident_bytes)
    }

    fn with_reader(max_bytes: u64, used_bytes: fn() -> Option<u64>) -> Self {
        Self {
            max_bytes,
            used_bytes,
            checked: None,
            is_short: false,
        }
    }

    /// From now on so much may be used.
    pub(crate) fn set_max_bytes(&mut self, max_bytes: u64) {
        self.max_bytes = max_bytes;
        self.checked = None;
    }

    /// Whether as much is used as may be.
    pub(crate) fn is_short(&mut self, now: Instant) -> bool {
        let is_fresh = self.checked.is_some_and(|checked| {
            now.saturating_duration_since(checked) < limits::MEMORY_CHECK_INTERVAL
        });
        if !is_fresh {
            self.checked = Some(now);
            self.is_short = (self.used_bytes)().is_some_and(|used| used >= self.max_bytes);
        }
        self.is_short
    }
}

/// What the node may use: as it is told, or else a part of what there is on this machine or in this
/// container, if the system says how much that is.
pub(crate) fn max_bytes(config: &Config) -> u64 {
    match config.max_memory {
        Some(mib) => mib.saturating_mul(1024 * 1024),
        None => default_max_bytes(),
    }
}

fn default_max_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| kib_field(&text, "MemTotal:"));
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group_max(Path::new("/sys/fs/cgroup"), &membership);
    let available = machine.into_iter().chain(group).min();
    available.map_or(u64::MAX, |bytes| {
        (bytes / limits::MEMORY_PART).max(limits::MEMORY_MIN_BYTES)
    })
}

/// What the control group of the process may use, or one above it: that of a container or of a service
/// (cgroup v2: cgroups(7), and `Documentation/admin-guide/cgroup-v2.rst` of Linux).
fn group_max(root: &Path, membership: &str) -> Option<u64> {
    // Version 2 has one hierarchy, with the number 0 and no name.
    let path = membership.lines().find_map(|l| l.strip_prefix("0::/"))?;
    let groups = Path::new(path).ancestors().map(|group| root.join(group));
    // `max` where there is no limit.
    let limits = groups.filter_map(|group| fs::read_to_string(group.join("memory.max")).ok());
    limits.filter_map(|text| text.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn it_is_short_while_too_much_is_used_and_looks_only_now_and_then() {
        static USED: AtomicU64 = AtomicU64::new(99);
        let start = Instant::now();
        let mut memory = Memory::with_reader(100, || Some(USED.load(Ordering::Relaxed)));
        assert!(!memory.is_short(start));
        USED.store(100, Ordering::Relaxed);
        assert!(!memory.is_short(start));
        let later = start + limits::MEMORY_CHECK_INTERVAL;
        assert!(memory.is_short(later));
        USED.store(99, Ordering::Relaxed);
        assert!(!memory.is_short(later + limits::MEMORY_CHECK_INTERVAL));
    }

    #[test]
    fn what_the_system_does_not_say_bounds_nothing() {
        assert!(!Memory::with_reader(0, || None).is_short(Instant::now()));
    }

    #[test]
    fn the_least_of_the_groups_that_the_process_is_in_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("system.slice/moim.service");
        fs::create_dir_all(&group).unwrap();
        let membership = "1:name=old:/x\n0::/system.slice/moim.service\n";
        assert_eq!(group_max(root.path(), membership), None);
        fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(group_max(root.path(), membership), None);
        fs::write(root.path().join("system.slice/memory.max"), "4096\n").unwrap();
        assert_eq!(group_max(root.path(), membership), Some(4_096));
        fs::write(group.join("memory.max"), "1024\n").unwrap();
        assert_eq!(group_max(root.path(), membership), Some(1_024));
        // In a container, which sees its own group as the root.
        fs::write(root.path().join("memory.max"), "512\n").unwrap();
        assert_eq!(group_max(root.path(), "0::/\n"), Some(512));
        assert_eq!(group_max(root.path(), "nonsense"), None);
    }

    #[test]
    fn unless_told_there_is_enough_to_run() {
        assert!(default_max_bytes() >= limits::MEMORY_MIN_BYTES);
    }
}
