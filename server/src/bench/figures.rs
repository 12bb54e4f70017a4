//! What a benchmark found, in whole numbers.

use crate::failure::Result;
use crate::output::{self, Grid};
use std::time::Duration;

/// One benchmark's result.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Figures {
    /// Which benchmark.
    pub(crate) bench: &'static str,
    /// What one unit is, such as events.
    pub(crate) unit: &'static str,
    /// How many were done while it was measured.
    pub(crate) count: u64,
    /// How long that took, in milliseconds.
    pub(crate) elapsed_ms: u64,
    /// Units per second.
    pub(crate) per_second: u64,
    /// What the design aims at, in units per second, where it names such a figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aim_per_second: Option<u64>,
    /// From what to what the latency counts, and its percentiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
    /// CPU time of all threads for each unit, in nanoseconds.
    pub(crate) cpu_ns_each: u64,
    /// Bytes for each unit; of what, `bytes_of` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_each: Option<u64>,
    /// Such as log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_of: Option<&'static str>,
    /// Resident memory at the end, in MiB.
    pub(crate) resident_mib: u64,
    /// The most that was resident, in MiB.
    pub(crate) resident_max_mib: u64,
    /// With which sizes, in words.
    pub(crate) setting: String,
    /// What each of several processes used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) processes: Vec<Used>,
}

/// What one of several processes used.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Used {
    /// Which.
    pub(crate) name: String,
    /// CPU time for each million units, in milliseconds.
    pub(crate) cpu_ms_per_million: u64,
}

/// Percentiles of a latency, in microseconds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Latency {
    /// From what to what.
    pub(crate) of: &'static str,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Latency {
    /// The percentiles of samples; none where there are none.
    pub(crate) fn of(of: &'static str, mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        let last = samples.len().checked_sub(1)?;
        let at = |percent: usize| micros(samples.get(last * percent / 100).copied().unwrap_or_default());
        Some(Self { of, p50_us: at(50), p90_us: at(90), p99_us: at(99), max_us: at(100) })
    }
}

/// Prints the table, and the settings below it.
pub(crate) fn print(figures: &[Figures]) -> Result {
    let mut grid = Grid::new(&[
        "BENCH",
        ">COUNT",
        ">SECONDS",
        ">PER SECOND",
        ">AIM",
        ">P50",
        ">P99",
        ">CPU",
        ">BYTES",
        ">RSS MiB",
    ]);
    for figure in figures {
        let latency = |of: fn(&Latency) -> u64| figure.latency.as_ref().map(of).map(millis).unwrap_or_default();
        grid.row([
            figure.bench.to_owned(),
            thousands(figure.count),
            format!("{}.{:02}", figure.elapsed_ms / 1000, figure.elapsed_ms % 1000 / 10),
            thousands(figure.per_second),
            figure.aim_per_second.map(thousands).unwrap_or_default(),
            latency(|latency| latency.p50_us),
            latency(|latency| latency.p99_us),
            format!("{} ns", thousands(figure.cpu_ns_each)),
            figure.bytes_each.map(thousands).unwrap_or_default(),
            thousands(figure.resident_mib),
        ]);
    }
    grid.print("Nothing was measured.")?;
    output::line("")?;
    for figure in figures {
        let latency = figure.latency.map(|latency| format!("; latency: {}", latency.of)).unwrap_or_default();
        let bytes = figure.bytes_of.map(|of| format!("; bytes: {of}")).unwrap_or_default();
        output::line(format_args!("{:9} {} ({}{latency}{bytes})", figure.bench, figure.setting, figure.unit))?;
        let seconds = |ms: u64| format!("{}.{:02}", ms / 1000, ms % 1000 / 10);
        let used = figure.processes.iter().map(|used| format!("{} {}", used.name, seconds(used.cpu_ms_per_million)));
        let used: Vec<String> = used.collect();
        if !used.is_empty() {
            output::line(format_args!("{:9} CPU seconds for each million: {}", "", used.join(", ")))?;
        }
    }
    output::line("CPU, bytes: for each unit, all threads. Latencies in milliseconds.")
}

/// Whole microseconds.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds with two decimals.
fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
