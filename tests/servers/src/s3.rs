//! Something that speaks S3: the mock server of PyPI's `moto`, which keeps objects in memory.

use crate::{Process, free_ports, tools};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An S3 endpoint with one empty bucket, [`S3::BUCKET`]. It forgets everything when it ends.
#[derive(Debug)]
pub struct S3 {
    // Ends before its folder does.
    _process: Process,
    port: u16,
    _folder: TempDir,
}

/// How long it may take until it answers.
const READY_MAX: Duration = Duration::from_secs(60);

// === impl S3 ===

impl S3 {
    /// The bucket's name.
    pub const BUCKET: &str = "farthing";

    /// Starts it.
    ///
    /// # Panics
    /// It is missing or does not start: the message says what to do.
    #[must_use]
    pub fn start() -> Self {
        let program = tools().join("s3/bin/moto_server");
        assert!(program.exists(), "moto is not installed: run tests/run, or pip install 'moto[server]' as it does");
        let folder = tempfile::tempdir().expect("a temp folder");
        let [port] = free_ports(1)[..] else { panic!("a free port") };
        let command = [&*program.to_string_lossy(), "-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let mut process = Process::start(&command, &[], &folder.path().join("server.log"));
        let since = Instant::now();
        loop {
            let bucket = format!("http://127.0.0.1:{port}/{}", Self::BUCKET);
            let made = Command::new("curl").args(["-sf", "-X", "PUT", &bucket]).output();
            if made.is_ok_and(|output| output.status.success()) {
                return Self { _process: process, port, _folder: folder };
            }
            let is_alive = process.is_running() && since.elapsed() < READY_MAX;
            assert!(is_alive, "moto does not get ready:\n{}", process.log_tail());
        }
    }

    /// What a client has to be told, by the names that the environment has for it.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("aws_endpoint", format!("http://127.0.0.1:{}", self.port)),
            ("aws_allow_http", "true".to_owned()),
            ("aws_region", "us-east-1".to_owned()),
            ("aws_access_key_id", "test".to_owned()),
            ("aws_secret_access_key", "test".to_owned()),
        ]
    }
}
