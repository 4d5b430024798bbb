//! What the system says of this process.

pub(crate) use self::system::{cpu_seconds, open_files, resident_bytes};

/// How many files this process may have open.
#[cfg(unix)]
pub(crate) fn open_files_max() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(soft)
}

/// How many files this process may have open.
#[cfg(not(unix))]
pub(crate) fn open_files_max() -> Option<u64> {
    None
}

/// The value of a line like `VmRSS:    1234 kB`, as Linux writes them below `/proc`, in bytes.
pub(crate) fn kib_field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    use nix::sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    };

    /// What the process has in memory: `VmRSS` of `/proc/self/status` (proc_pid_status(5)).
    pub(crate) fn resident_bytes() -> Option<u64> {
        super::kib_field(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
    }

    /// Open files and sockets.
    pub(crate) fn open_files() -> Option<u64> {
        // Reading the folder takes a descriptor itself.
        let count = fs::read_dir("/proc/self/fd").ok()?.count();
        Some(count.saturating_sub(1) as u64)
    }

    /// CPU time used.
    pub(crate) fn cpu_seconds() -> Option<f64> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let time = usage.user_time() + usage.system_time();
        Some(time.num_microseconds() as f64 / 1e6)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    /// What the process has in memory.
    pub(crate) fn resident_bytes() -> Option<u64> {
        None
    }

    /// Open files and sockets.
    pub(crate) fn open_files() -> Option<u64> {
        None
    }

    /// CPU time used.
    pub(crate) fn cpu_seconds() -> Option<f64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_bytes_and_nonsense_is_none() {
        assert_eq!(kib_field("VmRSS: x kB", "VmRSS:"), None);
        assert_eq!(kib_field("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1024));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_says_it() {
        assert!(resident_bytes().unwrap() > 1024 * 1024);
        assert!(open_files().unwrap() < open_files_max().unwrap());
    }
}
