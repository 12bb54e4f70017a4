//! What the figures were measured on.

use std::fmt;

/// The machine, as far as figures depend on it.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    build: &'static str,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
            line.map(|(_, value)| value.trim().to_owned())
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let memory_kib: Option<u64> = memory.and_then(|text| text.trim_end_matches(" kB").trim().parse().ok());
        Self {
            cpu: value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            memory_mib: memory_kib.unwrap_or_default() / 1024,
            kernel: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            build: if cfg!(debug_assertions) { "DEBUG BUILD, figures mean nothing" } else { "release build" },
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, memory_mib, kernel, build } = self;
        write!(out, "{cpu}, {cores} cores, {memory_mib} MiB, {kernel}; {build}")
    }
}
