//! Processes beside this one: the stages that it starts, and servers that were there before.

use super::figures::Used;
use super::meter::{stat, used};
use crate::failure::{Context, Failure, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A stage of Farthing; it ends with this.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) address: String,
    child: Child,
    /// What it said.
    log: PathBuf,
}

/// CPU time of processes, from its making on.
#[derive(Debug)]
pub(super) struct CpuMeter(Vec<(String, u32, Duration)>);

const READY_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

// === impl Stage ===

impl Stage {
    /// Starts `farthing serve` by a configuration file in `folder`, where what it says goes, too.
    pub(super) fn start(folder: &Path, name: &str, address: &str, arguments: &[&str]) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let said = std::fs::File::create(&log).context("a log file")?;
        let config = folder.join(format!("{name}.toml"));
        let child = Command::new(std::env::current_exe().context("this program")?)
            .arg("serve")
            .args(arguments)
            .arg("--config")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .context(format_args!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), address: address.to_owned(), child, log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&mut self) -> Result {
        let began = Instant::now();
        while !self.get("/readyz").await.is_some_and(|(head, _)| head.starts_with("HTTP/1.1 200")) {
            self.runs()?;
            if began.elapsed() > READY_MAX {
                return Err(self.failed("does not get ready"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Refuses one that has ended.
    pub(super) fn runs(&mut self) -> Result {
        match self.child.try_wait().context("a stage")? {
            None => Ok(()),
            Some(_) => Err(self.failed("has ended")),
        }
    }

    fn failed(&self, how: &str) -> Failure {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        Failure::refused(format_args!("{} {how}:\n{said}", self.name))
    }

    /// The sum of a metric over the samples that hold `label`.
    pub(super) async fn metric(&self, name: &str, label: &str) -> Option<u64> {
        let (_, page) = self.get("/metrics").await?;
        let samples = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Head and body of the answer to a GET.
    async fn get(&self, path: &str) -> Option<(String, String)> {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.to_owned(), body.to_owned()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl CpuMeter ===

impl CpuMeter {
    /// Begins, for processes by name and id.
    pub(super) fn start(processes: impl IntoIterator<Item = (String, u32)>) -> Self {
        Self(processes.into_iter().map(|(name, pid)| (name, pid, cpu(pid))).collect())
    }

    /// What each used for each of `count` units, and all of them together in nanoseconds.
    pub(super) fn stop(&self, count: u64) -> (Vec<Used>, u64) {
        let mut total = 0;
        let mut all = Vec::new();
        for (name, pid, before) in &self.0 {
            let nanos = cpu(*pid).saturating_sub(*before).as_nanos();
            // A nanosecond for each is a millisecond for each million.
            let each = u64::try_from(nanos / u128::from(count.max(1))).unwrap_or(u64::MAX);
            all.push(Used { name: name.clone(), cpu_ms_per_million: each });
            total += each;
        }
        (all, total)
    }
}

/// CPU time of a process and its children, those that have ended, too.
fn cpu(pid: u32) -> Duration {
    let parent = pid.to_string();
    let mut all = used(&stat(&parent), 4);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            let child = stat(&name);
            if child.get(1) == Some(&parent) {
                all += used(&child, 2);
            }
        }
    }
    all
}
