//! A server's process, which dies with the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running command; killed when dropped, and when the test's own process ends.
#[derive(Debug)]
pub struct Process {
    guard: Child,
    pid: u32,
    log: PathBuf,
}

/// Where `tests/run` installs what servers need: `target/tools` of this checkout.
#[must_use]
pub fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")
}

/// So many ports of loopback that nobody listens on now.
///
/// # Panics
/// The system has none.
#[must_use]
pub fn free_ports(count: usize) -> Vec<u16> {
    // All at once, so that they differ.
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("its address").port()).collect()
}

// === impl Process ===

impl Process {
    /// Starts `command`; what it prints is added to the file `log`.
    ///
    /// # Panics
    /// It cannot be started: the message names it.
    #[must_use]
    pub fn start(command: &[String], environment: &[(&str, String)], log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("the server's log");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("guard.py");
        let mut guard = Command::new("python3")
            .arg(script)
            .args(command)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .expect("python3");
        let mut line = String::new();
        let stdout = guard.stdout.take().expect("piped");
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line).expect("the guard's first line");
        let pid = line.trim().strip_prefix("pid ").and_then(|pid| pid.parse().ok());
        let pid = pid.unwrap_or_else(|| panic!("{command:?} did not start; see {}", log.display()));
        let mut log_file = File::options().append(true).open(log).expect("the server's log");
        // What the command prints must go somewhere, or it stands when the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut log_file));
        Self { guard, pid, log: log.to_path_buf() }
    }

    /// Of the server itself, for signals.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal("KILL");
        let _ = self.guard.wait();
    }

    /// Sends a signal such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args(["-s", name, &self.pid.to_string()]).stderr(Stdio::null()).status();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.guard.try_wait(), Ok(None))
    }

    /// The end of what it printed, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let mut text = String::new();
        let _ = File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
