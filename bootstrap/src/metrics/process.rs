//! Numbers of the process, named as Prometheus' own client libraries name them. What the system does
//! not tell is left out.

use std::{fmt, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Asks the system whenever `/metrics` is read.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    started: f64,
}

impl Process {
    pub(super) fn started_now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            started: since.unwrap_or_default().as_secs_f64(),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name, help, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        gauge(
            "process_start_time",
            "When the process started, since 1970",
            Some(&Unit::Seconds),
            Some(self.started),
        )?;
        gauge(
            "process_resident_memory",
            "Memory in use",
            Some(&Unit::Bytes),
            system::resident_memory_bytes(),
        )?;
        gauge(
            "process_open_fds",
            "Open files and sockets",
            None,
            system::open_fds(),
        )?;
        gauge(
            "process_max_fds",
            "Files and sockets that may be open",
            None,
            system::max_fds(),
        )?;
        if let Some(seconds) = system::cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let metric = encoder.encode_descriptor(
                "process_cpu",
                "CPU time used",
                Some(&Unit::Seconds),
                counter.metric_type(),
            )?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    use nix::sys::{
        resource::{Resource, UsageWho, getrlimit, getrusage},
        time::TimeValLike as _,
    };

    /// `VmRSS` of `/proc/self/status` (proc_pid_status(5)).
    pub(super) fn resident_memory_bytes() -> Option<f64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024.0)
    }

    pub(super) fn open_fds() -> Option<f64> {
        // Reading the folder takes a descriptor itself.
        let count = fs::read_dir("/proc/self/fd").ok()?.count();
        Some(count.saturating_sub(1) as f64)
    }

    pub(super) fn max_fds() -> Option<f64> {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        Some(soft as f64)
    }

    pub(super) fn cpu_seconds() -> Option<f64> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let time = usage.user_time() + usage.system_time();
        Some(time.num_microseconds() as f64 / 1e6)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn resident_memory_bytes() -> Option<f64> {
        None
    }

    pub(super) fn open_fds() -> Option<f64> {
        None
    }

    pub(super) fn max_fds() -> Option<f64> {
        None
    }

    pub(super) fn cpu_seconds() -> Option<f64> {
        None
    }
}
