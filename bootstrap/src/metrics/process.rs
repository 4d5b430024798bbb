//! Numbers of the process, named as Prometheus' own client libraries name them. What the system does
//! not tell is left out.

use std::{fmt, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::process;

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
            process::resident_bytes().map(|bytes| bytes as f64),
        )?;
        gauge(
            "process_open_fds",
            "Open files and sockets",
            None,
            process::open_files().map(|files| files as f64),
        )?;
        gauge(
            "process_max_fds",
            "Files and sockets that may be open",
            None,
            process::open_files_max().map(|files| files as f64),
        )?;
        if let Some(seconds) = process::cpu_seconds() {
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
