//! Time, CPU and memory of this process.

use super::{Figures, Latency};
use std::time::{Duration, Instant};

/// Linux counts CPU time for programs in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// Measures from its making on.
#[derive(Debug)]
pub(crate) struct Meter {
    began: Instant,
    cpu: Duration,
}

impl Meter {
    /// Begins.
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), cpu: cpu() }
    }

    /// What was measured up to now.
    pub(crate) fn stop(self, bench: &'static str, unit: &'static str, count: u64, setting: String) -> Figures {
        let elapsed = self.began.elapsed();
        let used = cpu().saturating_sub(self.cpu);
        let (resident_mib, resident_max_mib) = resident();
        let count_wide = u128::from(count);
        let narrow = |wide: u128| u64::try_from(wide).unwrap_or(u64::MAX);
        Figures {
            bench,
            unit,
            count,
            elapsed_ms: narrow(elapsed.as_millis()),
            per_second: narrow(count_wide * 1_000_000_000 / elapsed.as_nanos().max(1)),
            aim_per_second: None,
            latency: None,
            cpu_ns_each: narrow(used.as_nanos() / count_wide.max(1)),
            bytes_each: None,
            bytes_of: None,
            resident_mib,
            resident_max_mib,
            setting,
            processes: Vec::new(),
        }
    }
}

impl Figures {
    /// With what the design aims at.
    pub(crate) fn aim(self, per_second: u64) -> Self {
        Self { aim_per_second: Some(per_second), ..self }
    }

    /// With the latencies of a part of the work.
    pub(crate) fn latency(self, latency: Option<Latency>) -> Self {
        Self { latency, ..self }
    }

    /// With the bytes that all units took.
    pub(crate) fn bytes(self, of: &'static str, bytes: u64) -> Self {
        Self { bytes_of: Some(of), bytes_each: Some(bytes / self.count.max(1)), ..self }
    }
}

/// CPU time of all threads of this process so far, in user and system mode.
fn cpu() -> Duration {
    used(&stat("self"), 2)
}

/// The fields of `/proc/PROCESS/stat` behind the program's name, which stands in brackets and may hold blanks.
pub(super) fn stat(process: &str) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    fields.split_whitespace().map(str::to_owned).collect()
}

/// CPU time in user and system mode; with 4 fields that of children that have ended, too.
pub(super) fn used(stat: &[String], fields: usize) -> Duration {
    let ticks = stat.iter().skip(11).take(fields).filter_map(|field| field.parse::<u32>().ok());
    TICK * ticks.fold(0, u32::saturating_add)
}

/// Resident memory now and at most, in MiB.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    (field("VmRSS:").unwrap_or_default() / 1024, field("VmHWM:").unwrap_or_default() / 1024)
}
