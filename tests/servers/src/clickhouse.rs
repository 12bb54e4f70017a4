//! ClickHouse, out of the engine in PyPI's `chdb-core`.

use crate::{Process, free_ports, tools};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server with its HTTP interface; its only user is `default`, without a password.
#[derive(Debug)]
pub struct ClickHouse {
    // Ends before its folder does.
    process: Process,
    port: u16,
    folder: TempDir,
}

/// How long a server may take until it answers.
const READY_MAX: Duration = Duration::from_secs(120);
/// Between two questions whether it answers.
const PAUSE: Duration = Duration::from_millis(20);
/// How the engine is installed.
const INSTALL: &str = "python3 -m venv target/tools/clickhouse && \
    target/tools/clickhouse/bin/pip install --no-deps chdb-core==26.9.0";

// === impl ClickHouse ===

impl ClickHouse {
    /// Starts a server without tables.
    ///
    /// # Panics
    /// Its engine is missing or does not start: the message says what to do.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("farthing-clickhouse-").tempdir().expect("a temp folder");
        let [port] = free_ports(1)[..] else { panic!("a free port") };
        let process = launch(folder.path(), port);
        let mut server = Self { process, port, folder };
        server.wait_until_ready();
        server
    }

    /// Of the HTTP interface.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Runs SQL with parameters such as `{name:String}`, and returns what it printed.
    ///
    /// # Panics
    /// The server refuses: the message holds what it said.
    pub fn sql(&self, database: &str, sql: &str, parameters: &[(&str, &str)]) -> String {
        let mut path = format!("/?database={database}");
        for (name, value) in parameters {
            let _ = write!(path, "&param_{name}=");
            value.bytes().for_each(|byte| _ = write!(path, "%{byte:02X}"));
        }
        let answer = self.ask(&path, sql).expect("ClickHouse answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer over HTTP");
        assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{sql}\n{body}");
        body.to_owned()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again in the same folder and on the same port.
    ///
    /// # Panics
    /// It does not come back.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.folder.path(), self.port);
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let since = Instant::now();
        while !self.ask("/", "SELECT 1").is_ok_and(|answer| answer.ends_with("\r\n\r\n1\n")) {
            let is_running = self.process.is_running();
            assert!(
                is_running && since.elapsed() < READY_MAX,
                "ClickHouse does not get ready:\n{}",
                self.process.log_tail()
            );
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Asks over HTTP/1.0: the answer ends with the connection.
    fn ask(&self, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn launch(folder: &Path, port: u16) -> Process {
    let python = tools().join("clickhouse/bin/python");
    assert!(python.exists(), "ClickHouse is not installed; in the checkout: {INSTALL}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clickhouse.py");
    let command = [&*python, &script, folder].map(|path| path.to_string_lossy().into_owned());
    let command: Vec<String> = command.into_iter().chain([port.to_string()]).collect();
    Process::start(&command, &[], &folder.join("output.log"))
}
