//! Runs the real `farthing` program for end-to-end tests: starts it, kills it, speaks to it as a user would.

// A process; events on their way to it; all processes of a cluster, on real servers.
pub mod cluster;
mod sender;
mod stage;

pub use cluster::{Backends, Cluster, migrate};
pub use sender::Sender;
pub use stage::{Stage, curl};

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A running `farthing serve` with its own data folder. Dropping it kills the process.
pub struct Server {
    data: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Child,
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The program under test: the one that `FARTHING` names, or built once by the same cargo that runs the test.
pub fn farthing() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("FARTHING") {
            return program.into();
        }
        // All of the workspace, since a part of it would choose other features of what it depends on, and compile that anew.
        let build = ["build", "--quiet", "--workspace", "--all-targets"];
        let status = Command::new(env!("CARGO")).args(build).current_dir(root()).status();
        assert!(status.is_ok_and(|status| status.success()), "cargo build --workspace --all-targets failed");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        target.join("debug/farthing")
    })
}

/// The Python with grpcio that `tests/run` installs.
pub fn python() -> PathBuf {
    let python = root().join("target/venv/bin/python");
    assert!(python.exists(), "target/venv is missing: run tests/run once, it installs the Python client");
    python
}

/// Bills without their numbers, which follow the order in which shards were through, and have no gap.
pub fn without_numbers(mut bills: Vec<serde_json::Value>) -> Vec<serde_json::Value> {
    let taken =
        bills.iter_mut().filter_map(|bill| Some(bill["number"].take().as_str()?.rsplit('-').next()?.parse().ok()));
    let mut taken: Vec<Option<usize>> = taken.collect();
    taken.sort_unstable();
    assert_eq!(taken, (1..=taken.len()).map(Some).collect::<Vec<_>>(), "numbers have no gap");
    bills
}

/// All bills that a server lists, as `invoices show --json` gives them.
#[track_caller]
fn bills(farthing: impl Fn(&[&str]) -> Said) -> Vec<serde_json::Value> {
    let list = farthing(&["invoices", "list", "--json"]).json();
    let shown = list["invoices"].as_array().into_iter().flatten().map(|summary| {
        let id = summary["id"].as_str().unwrap_or_default();
        farthing(&["invoices", "show", id, "--json"]).json()
    });
    shown.flat_map(|shown| shown["invoices"].as_array().cloned().unwrap_or_default()).collect()
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Runs `farthing` without a server.
pub fn offline(arguments: &[&str]) -> Said {
    run(Command::new(farthing()).args(arguments).env_remove("FARTHING_KEY").env_remove("FARTHING_SERVER"))
}

/// Waits until `condition` holds; panics, saying what was awaited, after two minutes.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !condition() {
        assert!(Instant::now() < deadline, "waited two minutes for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

// === impl Said ===

impl Said {
    /// The output of a command that had to succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "failed:\n{}\n{}", self.out, self.err);
        self.out
    }

    /// The same, as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("not JSON ({error}):\n{out}"))
    }

    /// The message of a command that had to be refused: exit 1, one line of error, nothing on standard output.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(self.code, 1, "should have been refused:\n{}\n{}", self.out, self.err);
        self.err
    }
}

// === impl Server ===

impl Server {
    /// Starts `farthing serve` on `data` with further arguments, and waits until it is ready.
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = spawn(data, port, &arguments);
        let mut server = Self { data: data.to_owned(), port, arguments, child };
        server.wait_ready();
        server
    }

    /// Kills the process as `kill -9` does, and starts it again on the same data and port.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Kills the process as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).unwrap_or_else(|error| panic!("kill: {error}"));
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> i32 {
        terminate(&mut self.child)
    }

    /// Starts it again on the same data and port.
    pub fn restart(&mut self) {
        self.child = spawn(&self.data, self.port, &self.arguments);
        self.wait_ready();
    }

    /// Its address as a client takes it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The key that the first start wrote.
    pub fn admin_key(&self) -> String {
        std::fs::read_to_string(self.data.join("admin.key")).unwrap_or_default().trim().to_owned()
    }

    /// A `farthing` command against this server, with the admin key.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(farthing());
        command.args(arguments).env("FARTHING_SERVER", self.url()).env("FARTHING_KEY", self.admin_key());
        command
    }

    /// Runs a `farthing` command against this server, with the admin key.
    pub fn farthing(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(arguments))
    }

    /// Applies a catalog given as text.
    #[track_caller]
    pub fn apply(&self, catalog: &str) {
        let file = self.data.join("test-catalog.yaml");
        std::fs::write(&file, catalog).unwrap_or_else(|error| panic!("{error}"));
        self.farthing(&["apply", "-f", &file.to_string_lossy()]).ok();
    }

    /// Sends events given as CloudEvents, one JSON object each.
    #[track_caller]
    pub fn send(&self, events: &[serde_json::Value]) -> Said {
        let file = self.data.join("test-events.ndjson");
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        std::fs::write(&file, lines).unwrap_or_else(|error| panic!("{error}"));
        self.farthing(&["send", &file.to_string_lossy()])
    }

    /// Moves the test clock.
    #[track_caller]
    pub fn advance(&self, to: &str) {
        self.farthing(&["clock", "advance", "--to", to]).ok();
    }

    /// All invoices as `invoices show --json` gives them, ordered by customer, currency, start.
    #[track_caller]
    pub fn invoices(&self) -> Vec<serde_json::Value> {
        bills(|arguments| self.farthing(arguments))
    }

    fn wait_ready(&mut self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let url = format!("{}/readyz", self.url());
        let Self { child, .. } = self;
        wait_until("the server to be ready", || {
            if let Ok(Some(status)) = child.try_wait() {
                let mut said = String::new();
                let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
                panic!("the server stopped with {status}:\n{said}");
            }
            TcpStream::connect(address).is_ok()
                && Command::new("curl")
                    .args(["-sf", "-o", "/dev/null", &url])
                    .status()
                    .is_ok_and(|status| status.success())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(data: &Path, port: u16, arguments: &[String]) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("server.log"));
    let log = log.unwrap_or_else(|error| panic!("server.log: {error}"));
    Command::new(farthing())
        .args(["serve", "--data", &data.to_string_lossy(), "--listen", &format!("127.0.0.1:{port}")])
        .args(arguments)
        .stdout(log.try_clone().map_or_else(|_| Stdio::null(), Stdio::from))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("farthing serve: {error}"))
}

/// SIGTERM, and its exit status.
pub(crate) fn terminate(child: &mut Child) -> i32 {
    let _ = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    child.wait().ok().and_then(|status| status.code()).unwrap_or(-1)
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(|error| panic!("bind: {error}"));
    listener.local_addr().map_or(0, |address| address.port())
}
